// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where parameters lie, and pieces of them: what one block of the optimizer works on.

#include <cstdint>
#include <string>
#include <vector>

namespace stofm::kernels {

/// A parameter in a flat buffer, by its released name.
struct ParameterPlace {
  std::string name;
  std::int64_t offset = 0, count = 0;
};

struct OptimizerPolicy {
  static constexpr int threads = 256;
  static constexpr std::int64_t piece = 16384;  ///< elements; as nn::detail::parameter_chunk
};

/// Elements [0, count) of one parameter, its moments and its gradient, in device memory.
struct ParameterPiece {
  float* value;
  float* m;
  float* v;
  float* grad;
  std::int64_t count;
  std::int64_t group;  ///< which of the numbers of the step apply: decaying or not, number of steps so far
};

/// Cuts one parameter into pieces, in order. Moments may be null where only norms are taken.
template <class Policy = OptimizerPolicy>
void append_pieces(std::vector<ParameterPiece>& pieces, ParameterPiece whole) {
  for (std::int64_t at = 0; at < whole.count; at += Policy::piece) {
    const std::int64_t count = whole.count - at < Policy::piece ? whole.count - at : Policy::piece;
    const auto from = [at](float* p) { return p == nullptr ? nullptr : p + at; };
    pieces.push_back({from(whole.value), from(whole.m), from(whole.v), from(whole.grad), count, whole.group});
  }
}

}  // namespace stofm::kernels

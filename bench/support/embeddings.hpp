// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows like those of an embedding, the same in every run.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::bench {

/// [n, width]: 30 groups, variance of direction l falling as exp(-l / 15), rotated by mixing.
inline const Tensor<float>& embedding(std::int64_t n, std::int64_t width) {
  static std::map<std::pair<std::int64_t, std::int64_t>, Tensor<float>> made;
  const auto key = std::pair(n, width);
  if (const auto found = made.find(key); found != made.end()) return found->second;
  Random random(1);
  constexpr std::int64_t latent = 60, groups = 30;
  std::vector<float> mixing(static_cast<std::size_t>(latent * width)), places(groups * latent);
  for (float& m : mixing) m = static_cast<float>(random.normal());
  for (float& p : places) p = 2 * static_cast<float>(random.normal());
  Tensor<float> rows = Tensor<float>::zeros({n, width});
  for (std::int64_t i = 0; i < n; ++i) {
    const auto group = static_cast<std::int64_t>(random.below(groups));
    for (std::int64_t l = 0; l < latent; ++l) {
      const float value =
          std::exp(-static_cast<float>(l) / 30) *
          (places[static_cast<std::size_t>(group * latent + l)] + static_cast<float>(random.normal()));
      for (std::int64_t j = 0; j < width; ++j)
        rows.data()[i * width + j] += value * mixing[static_cast<std::size_t>(l * width + j)];
    }
    for (std::int64_t j = 0; j < width; ++j)
      rows.data()[i * width + j] += 0.3F * static_cast<float>(random.normal());
  }
  return made.emplace(key, rows).first->second;
}

}  // namespace stofm::bench

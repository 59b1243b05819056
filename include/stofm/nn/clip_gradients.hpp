// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Global norm of all gradients, and clipping to it: g <- g * min(1, max_norm / (norm + 1e-6)), as
/// torch.nn.utils.clip_grad_norm_ does.

#include <cmath>
#include <vector>

#include "stofm/autograd/parameter.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/ops/sum_of_squares.hpp"

namespace stofm::nn {

namespace detail {
/// Elements per chunk of the loops over parameters. It decides the order of sums: not to be changed lightly.
inline constexpr std::int64_t parameter_chunk = 16384;

/// A piece of one parameter.
template <class T>
struct ParameterPiece {
  autograd::Parameter<T>* parameter;
  std::int64_t begin, end;
};
/// The trainable parameters in the order of their names, cut into pieces.
template <class T>
std::vector<ParameterPiece<T>> parameter_pieces(const autograd::ParameterSet<T>& set) {
  std::vector<ParameterPiece<T>> pieces;
  for (autograd::Parameter<T>* parameter : set.list()) {
    if (!parameter->trainable) continue;
    const std::int64_t count = parameter->value().numel();
    for (std::int64_t at = 0; at < count; at += parameter_chunk)
      pieces.push_back({parameter, at, (std::min)(count, at + parameter_chunk)});
  }
  return pieces;
}
}  // namespace detail

/// sqrt(sum of squares of all gradients of trainable parameters). Sums are double, in the order of names and
/// elements, so the result does not depend on the number of threads. *Cost* one pass over the gradients.
template <ops::Computed T>
double global_norm(const autograd::ParameterSet<T>& set) {
  const auto pieces = detail::parameter_pieces(set);
  std::vector<double> squares(pieces.size());
  parallel_for(static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const auto& piece = pieces[static_cast<std::size_t>(i)];
      const T* g = std::as_const(*piece.parameter).grad().data();
      squares[static_cast<std::size_t>(i)] =
          ops::sum_of_squares<T>({g + piece.begin, static_cast<std::size_t>(piece.end - piece.begin)});
    }
  });
  double sum = 0;
  for (const double square : squares) sum += square;
  return std::sqrt(sum);
}

/// What gradients of this norm are multiplied with; 1 if the norm is not a finite number.
/// \throws UsageError STOFM-1521 unless max_norm > 0.
inline double clip_coefficient(double norm, double max_norm) {
  if (!(max_norm > 0))
    throw UsageError({"STOFM-1521", "", "[clip_gradients]", concat("largest norm ", max_norm),
                      "a number above zero", "Leave clipping out, or give the largest norm."});
  const double coefficient = max_norm / (norm + 1e-6);
  return std::isfinite(norm) && coefficient < 1.0 ? coefficient : 1.0;
}

/// Clips the gradients in place and returns their norm before. A norm that is not finite leaves them as they
/// are: the caller sees it from the result and should not step. AdamW::step can apply `clip_coefficient` in
/// its own pass.
template <ops::Computed T>
double clip_gradients(autograd::ParameterSet<T>& set, double max_norm) {
  const double norm = global_norm(set);
  const T coefficient = static_cast<T>(clip_coefficient(norm, max_norm));
  if (coefficient == T(1)) return norm;
  const auto pieces = detail::parameter_pieces(set);
  parallel_for(static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const auto& piece = pieces[static_cast<std::size_t>(i)];
      T* g = piece.parameter->grad().data();
      for (std::int64_t j = piece.begin; j < piece.end; ++j) g[j] *= coefficient;
    }
  });
  return norm;
}

}  // namespace stofm::nn

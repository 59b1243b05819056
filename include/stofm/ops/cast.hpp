// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Conversion of the scalar type.

#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

namespace detail {
template <Real To, Real From>
To convert(From value) {
  if constexpr (std::same_as<To, From>)
    return value;
  else if constexpr (std::same_as<To, bfloat16>)
    return bfloat16(static_cast<float>(value));
  else if constexpr (std::same_as<From, bfloat16>)
    return static_cast<To>(static_cast<float>(value));
  else
    return static_cast<To>(value);
}
}  // namespace detail

/// y = x in another real type, rounded to nearest (double to bfloat16 by way of float). *Shapes* equal:
/// matrices with dense rows, or any dense tensors. NaN stays NaN. \throws ShapeError. *Cost* O(elements).
template <Real To, Real From>
void cast_into(TensorView<To> y, TensorView<const From> x) {
  detail::require_same_shape("cast", "y", y, "x", x);
  if (y.numel() == 0) return;
  const auto out = detail::as_matrix("cast", "y", y);
  const auto in = detail::as_matrix("cast", "x", x);
  parallel_for(out.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < out.dim(1); ++j) out.row(i)[j] = detail::convert<To>(in.row(i)[j]);
  });
}

/// `cast<double>(x)`.
template <Real To, Real From>
Tensor<To> cast(const Tensor<From>& x) {
  Tensor<To> y(x.shape());
  const Tensor<From> dense = x.contiguous();
  cast_into<To, From>(y.view(), dense.view());
  return y;
}

}  // namespace stofm::ops

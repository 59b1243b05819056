// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Broadcasting as NumPy does it: shapes are aligned at their last dimension, and a size of 1 (or a dimension
/// that is not there) is repeated.

#include <array>

#include "stofm/ops/checks.hpp"

namespace stofm::ops {

/// The shape of f(a, b). \throws ShapeError STOFM-1108 if two sizes differ and neither is 1.
inline Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  const int rank = (std::max)(a.rank(), b.rank());
  std::array<std::int64_t, max_rank> sizes{};
  for (int i = 0; i < rank; ++i) {
    const int from_a = i - (rank - a.rank()), from_b = i - (rank - b.rank());
    const std::int64_t left = from_a < 0 ? 1 : a[from_a], right = from_b < 0 ? 1 : b[from_b];
    if (left != right && left != 1 && right != 1)
      detail::refuse(op, concat(to_string(a), " and ", to_string(b)),
                     "sizes that are equal or 1, from the last dimension on", "STOFM-1108");
    sizes[static_cast<std::size_t>(i)] = left == 1 ? right : left;
  }
  return Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank)));
}

/// `x` repeated to `shape`: a view with strides of 0. `shape` is a broadcast of x's.
template <class T>
TensorView<T> broadcast_view(const TensorView<T>& x, const Shape& shape) {
  TensorView<T> view{x.data, shape, {}, x.device};
  for (int i = 0; i < x.rank(); ++i)
    if (x.dim(i) != 1) view.strides[static_cast<std::size_t>(shape.rank() - x.rank() + i)] = x.stride(i);
  return view;
}

namespace detail {
/// Calls visit(offset in p, offset in q) for every element of their shape, in row-major order.
template <class A, class B, class Visit>
void visit_pairs(const TensorView<A>& p, const TensorView<B>& q, Visit visit) {
  const std::int64_t count = p.numel();
  std::array<std::int64_t, max_rank> index{};
  std::int64_t left = 0, right = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    visit(left, right);
    for (int d = p.rank() - 1; d >= 0; --d) {
      const auto at = static_cast<std::size_t>(d);
      left += p.strides[at];
      right += q.strides[at];
      if (++index[at] < p.dim(d)) break;
      left -= index[at] * p.strides[at];
      right -= index[at] * q.strides[at];
      index[at] = 0;
    }
  }
}
}  // namespace detail

/// f(a_i, b_i), dense, of the broadcast shape. \throws ShapeError. *Cost* O(elements), one thread.
/// *Deterministic* yes.
template <Computed T, class Function>
Tensor<T> broadcast(const char* op, const Tensor<T>& a, const Tensor<T>& b, Function f) {
  Tensor<T> y(broadcast_shape(op, a.shape(), b.shape()));
  const auto left = broadcast_view(a.view(), y.shape()), right = broadcast_view(b.view(), y.shape());
  detail::require_data(op, "a", left);
  detail::require_data(op, "b", right);
  T* out = y.data();
  detail::visit_pairs(left, right,
                      [&](std::int64_t i, std::int64_t j) { *out++ = f(left.data[i], right.data[j]); });
  return y;
}

/// Gradient of repeating: x summed over what was repeated, to `shape`. Sums run in double, in index order.
template <Computed T>
Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Tensor<double> sums = Tensor<double>::zeros(shape);
  const auto into = broadcast_view(sums.view(), x.shape());
  const TensorView<const T> from = x.view();
  detail::visit_pairs(
      from, into, [&](std::int64_t i, std::int64_t j) { into.data[j] += static_cast<double>(from.data[i]); });
  Tensor<T> result(shape);
  for (std::int64_t i = 0; i < result.numel(); ++i) result.data()[i] = static_cast<T>(sums.data()[i]);
  return result;
}

/// a / b, broadcast. Division by 0 gives inf or NaN, as IEEE has it.
template <Computed T>
Tensor<T> div(const Tensor<T>& a, const Tensor<T>& b) {
  return broadcast("div", a, b, [](T p, T q) { return p / q; });
}

}  // namespace stofm::ops

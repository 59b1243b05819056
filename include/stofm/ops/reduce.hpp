// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums, means, maxima and Euclidean norms of the rows or columns of a matrix. Sums run in double, in index
/// order, so they do not depend on threads.

#include <cmath>
#include <limits>
#include <vector>

#include "stofm/core/parallel.hpp"
#include "stofm/ops/checks.hpp"

namespace stofm::ops {

namespace detail {
template <Computed T, class Function>
Tensor<T> reduce_rows(const char* op, const Tensor<T>& x, Function f) {
  require_rank(op, "x", x.view(), 2);
  Tensor<T> y(Shape{x.dim(0)});
  const auto in = x.view();
  parallel_for(x.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y.data()[i] = f(in.row(i), in.dim(1), in.stride(1));
  });
  return y;
}
}  // namespace detail

/// *Shapes* x: [M, N], any strides; result: [M]. A row without elements sums to 0. \throws ShapeError. *Cost*
/// O(M N).
template <Computed T>
Tensor<T> row_sums(const Tensor<T>& x) {
  return detail::reduce_rows("row_sums", x, [](const T* row, std::int64_t n, std::int64_t step) {
    double sum = 0;
    for (std::int64_t j = 0; j < n; ++j) sum += static_cast<double>(row[j * step]);
    return static_cast<T>(sum);
  });
}
/// As row_sums, divided by N; a row without elements gives NaN.
template <Computed T>
Tensor<T> row_means(const Tensor<T>& x) {
  return detail::reduce_rows("row_means", x, [](const T* row, std::int64_t n, std::int64_t step) {
    double sum = 0;
    for (std::int64_t j = 0; j < n; ++j) sum += static_cast<double>(row[j * step]);
    return static_cast<T>(sum / static_cast<double>(n));
  });
}
/// Largest element of each row; -inf for a row without elements, NaN for a row with a NaN.
template <Computed T>
Tensor<T> row_max(const Tensor<T>& x) {
  return detail::reduce_rows("row_max", x, [](const T* row, std::int64_t n, std::int64_t step) {
    T largest = -std::numeric_limits<T>::infinity();
    for (std::int64_t j = 0; j < n; ++j) {
      if (std::isnan(row[j * step])) return row[j * step];
      largest = row[j * step] > largest ? row[j * step] : largest;
    }
    return largest;
  });
}
/// Euclidean norm of each row.
template <Computed T>
Tensor<T> row_norms(const Tensor<T>& x) {
  return detail::reduce_rows("row_norms", x, [](const T* row, std::int64_t n, std::int64_t step) {
    double sum = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      const double v = static_cast<double>(row[j * step]);
      sum += v * v;
    }
    return static_cast<T>(std::sqrt(sum));
  });
}
/// *Shapes* x: [M, N], any strides; result: [N]. Without rows: 0.
template <Computed T>
Tensor<T> column_sums(const Tensor<T>& x) {
  detail::require_rank("column_sums", "x", x.view(), 2);
  const auto in = x.view();
  std::vector<double> sums(static_cast<std::size_t>(in.dim(1)), 0.0);
  for (std::int64_t i = 0; i < in.dim(0); ++i)
    for (std::size_t j = 0; j < sums.size(); ++j)
      sums[j] += static_cast<double>(in.row(i)[static_cast<std::int64_t>(j) * in.stride(1)]);
  Tensor<T> y(Shape{in.dim(1)});
  for (std::size_t j = 0; j < sums.size(); ++j) y.data()[j] = static_cast<T>(sums[j]);
  return y;
}
/// As column_sums, divided by M; without rows NaN.
template <Computed T>
Tensor<T> column_means(const Tensor<T>& x) {
  Tensor<T> y = column_sums(x);
  for (T& v : y.span()) v = static_cast<T>(static_cast<double>(v) / static_cast<double>(x.dim(0)));
  return y;
}

}  // namespace stofm::ops

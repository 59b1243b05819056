// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Views as Eigen matrices: the portable matrix products.

#include <Eigen/Core>

#include "stofm/core/tensor.hpp"

namespace stofm::backend {

template <class T>
using EigenRowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using EigenRows = Eigen::Map<
    std::conditional_t<std::is_const_v<T>, const EigenRowMajor<std::remove_const_t<T>>, EigenRowMajor<T>>, 0,
    Eigen::OuterStride<>>;

/// Rows of `columns` elements, `stride` apart, without a copy.
template <class T>
EigenRows<T> eigen_rows(T* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  return EigenRows<T>(data, rows, columns, Eigen::OuterStride<>(stride));
}

}  // namespace stofm::backend

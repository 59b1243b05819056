// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layouts that the ops ask for, made where a rule is given another one.

#include "stofm/core/tensor.hpp"

namespace stofm::autograd::detail {

/// The tensor itself if it is dense, or a matrix with dense rows; else a dense copy.
template <class T>
Tensor<T> with_dense_rows(const Tensor<T>& x) {
  if (x.rank() == 2 && (x.dim(1) <= 1 || x.stride(1) == 1)) return x;
  return x.contiguous();
}

}  // namespace stofm::autograd::detail

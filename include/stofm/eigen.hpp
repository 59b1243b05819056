// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Eigen's matrices as views of this library, and tensors as Eigen's maps: without copies, with the right
/// strides.
///
///     const Eigen::MatrixXd points = ...;                                  // column-major, Eigen's default
///     auto groups = stofm::cluster::mini_batch_kmeans(stofm::view_of(points));   // takes any strides
///     stofm::map_of(tensor).rowwise().sum();
///
/// A callee that needs dense rows refuses a column-major matrix and names its strides; `points.eval()` as a
/// row-major matrix (Eigen::Matrix<double, -1, -1, Eigen::RowMajor>) is what it takes.

#include <Eigen/Core>
#include <type_traits>

#include "stofm/core/tensor.hpp"

namespace stofm {

namespace detail {

template <class T, class Derived>
TensorView<T> view_of_eigen(T* data, const Derived& x) {
  static_assert((Derived::Flags & Eigen::DirectAccessBit) != 0,
                "stofm::view_of: an expression has no memory of its own; evaluate it into a matrix first");
  TensorView<T> view;
  view.data = data;
  if constexpr (Derived::IsVectorAtCompileTime) {
    view.shape = Shape{x.size()};
    view.strides[0] = x.innerStride();
  } else {
    view.shape = Shape{x.rows(), x.cols()};
    view.strides[0] = Derived::IsRowMajor ? x.outerStride() : x.innerStride();
    view.strides[1] = Derived::IsRowMajor ? x.innerStride() : x.outerStride();
  }
  return view;
}

}  // namespace detail

/// A view of a matrix, block or map of Eigen's, which must outlive it: [rows, columns], or [size] of a vector
/// type, with Eigen's strides, whichever way it is stored. What has no memory (a sum, a product) does not
/// compile.
template <class Derived>
TensorView<const typename Derived::Scalar> view_of(const Eigen::DenseBase<Derived>& x) {
  return detail::view_of_eigen<const typename Derived::Scalar>(x.derived().data(), x.derived());
}
/// The same to write through.
template <class Derived>
TensorView<typename Derived::Scalar> view_of(Eigen::PlainObjectBase<Derived>& x) {
  return detail::view_of_eigen<typename Derived::Scalar>(x.derived().data(), x.derived());
}
/// A matrix that is gone when the view is used.
template <class Derived>
void view_of(Eigen::PlainObjectBase<Derived>&& x) = delete;

/// What map_of gives: a row-major matrix with both strides free.
template <class T>
using EigenMap =
    Eigen::Map<std::conditional_t<std::is_const_v<T>,
                                  const Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic,
                                                      Eigen::RowMajor>,
                                  Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>,
               Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

/// A matrix [M, N] as Eigen sees it; a vector [N] is N x 1, a number 1 x 1. The memory must outlive the map.
/// \throws ShapeError STOFM-1014 for more dimensions.
template <class T>
EigenMap<T> map_of(const TensorView<T>& x) {
  if (x.rank() > 2)
    throw ShapeError({"STOFM-1014", "", "[map_of]", to_string(x.shape), "at most two dimensions",
                      "Take a slice or reshape it."});
  const Eigen::Index rows = x.rank() > 0 ? x.dim(0) : 1, columns = x.rank() > 1 ? x.dim(1) : 1;
  return EigenMap<T>(x.data, rows, columns, {x.rank() > 0 ? x.stride(0) : 1, x.rank() > 1 ? x.stride(1) : 1});
}
template <class T>
EigenMap<T> map_of(Tensor<T>& x) {
  return map_of(x.view());
}
template <class T>
EigenMap<const T> map_of(const Tensor<T>& x) {
  return map_of(x.view());
}
/// A tensor that is gone when the map is used.
template <class T>
void map_of(Tensor<T>&& x) = delete;

}  // namespace stofm

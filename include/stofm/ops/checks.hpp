// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Checks at the door of the ops. Each throws a ShapeError that names the op and both shapes.

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

#include "stofm/core/tensor.hpp"

namespace stofm::ops {

/// Scalars the ops compute with. bfloat16 is a storage type: `cast` it first.
template <class T>
concept Computed = std::same_as<T, float> || std::same_as<T, double>;

/// A read-only argument whose type follows the result: a `TensorView<float>` converts by itself.
template <class T, DeviceTag D = Cpu>
using Input = std::type_identity_t<TensorView<const T, D>>;

namespace detail {

[[noreturn]] inline void refuse(std::string_view op, std::string found, std::string expected,
                                const char* code = "STOFM-1101", const char* remedy = "Check the shapes.") {
  throw ShapeError({code, "", concat("[", op, "]"), std::move(found), std::move(expected), remedy});
}

template <class A, DeviceTag D>
void require_rank(std::string_view op, const char* name, const TensorView<A, D>& a, int rank) {
  if (a.rank() != rank)
    refuse(op, concat(name, " ", to_string(a.shape)), concat(name, " with ", rank, " dimensions"));
}

template <class A, class B, DeviceTag D>
void require_same_shape(std::string_view op, const char* a_name, const TensorView<A, D>& a,
                        const char* b_name, const TensorView<B, D>& b) {
  if (!(a.shape == b.shape))
    refuse(op, concat(a_name, " ", to_string(a.shape), ", ", b_name, " ", to_string(b.shape)),
           "the same shape");
}

template <class A, DeviceTag D>
void require_shape(std::string_view op, const char* name, const TensorView<A, D>& a, const Shape& shape,
                   const char* because) {
  if (!(a.shape == shape))
    refuse(op, concat(name, " ", to_string(a.shape)), concat(to_string(shape), " (", because, ")"));
}

/// A view that says it has elements points to them. (Optional arguments are asked for their data before.)
template <class A, DeviceTag D>
void require_data(std::string_view op, const char* name, const TensorView<A, D>& a) {
  if (a.data == nullptr && a.rank() > 0 && a.numel() > 0)
    refuse(op, concat(name, " ", to_string(a.shape), " without data"), "a view of elements", "STOFM-1107",
           "Was the tensor moved from, or never allocated?");
}

/// Rows may be apart, the elements of a row may not.
template <class A, DeviceTag D>
void require_dense_rows(std::string_view op, const char* name, const TensorView<A, D>& a) {
  require_data(op, name, a);
  const int last = a.rank() - 1;
  if (last >= 0 && a.dim(last) > 1 && a.numel() > 0 && a.stride(last) != 1)
    refuse(op, concat(name, " ", to_string(a.shape), " with stride ", a.stride(last), " within a row"),
           "elements of a row next to each other", "STOFM-1102", "Call contiguous() first.");
}

/// Any tensor with dense rows as a matrix [all but the last, last]. \throws ShapeError if it can not be.
template <class A, DeviceTag D>
TensorView<A, D> as_matrix(std::string_view op, const char* name, const TensorView<A, D>& a) {
  if (a.rank() == 2) {
    require_dense_rows(op, name, a);
    return a;
  }
  require_data(op, name, a);
  if (!a.is_contiguous())
    refuse(op, concat(name, " ", to_string(a.shape), ", a strided view"), "a dense tensor or a matrix",
           "STOFM-1102", "Call contiguous() first.");
  const std::int64_t columns = a.rank() == 0 ? 1 : a.dim(a.rank() - 1);
  std::int64_t rows = 1;
  for (int i = 0; i + 1 < a.rank(); ++i) rows *= a.dim(i);
  const Shape shape{rows, columns};
  return {a.data, shape, shape.row_major_strides(), a.device};
}

}  // namespace detail
}  // namespace stofm::ops

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// NumPy arrays as the library's, and the other way round; without copies.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/array_matrix.hpp"

namespace stofm::python {

namespace nb = nanobind;
using AnyArray = nb::ndarray<nb::ro, nb::device::cpu>;

/// The element type of an array. \throws UsageError (STOFM-2095) one that holds no numbers
inline io::Dtype dtype_of(const AnyArray& array, const char* what) {
  const auto code = static_cast<nb::dlpack::dtype_code>(array.dtype().code);
  const int bits = array.dtype().bits;
  using Code = nb::dlpack::dtype_code;
  if (code == Code::Bool) return io::Dtype::boolean;
  if (code == Code::Float && bits == 16) return io::Dtype::f16;
  if (code == Code::Float && bits == 32) return io::Dtype::f32;
  if (code == Code::Float && bits == 64) return io::Dtype::f64;
  if (code == Code::Int && bits == 8) return io::Dtype::i8;
  if (code == Code::Int && bits == 16) return io::Dtype::i16;
  if (code == Code::Int && bits == 32) return io::Dtype::i32;
  if (code == Code::Int && bits == 64) return io::Dtype::i64;
  if (code == Code::UInt && bits == 8) return io::Dtype::u8;
  if (code == Code::UInt && bits == 16) return io::Dtype::u16;
  if (code == Code::UInt && bits == 32) return io::Dtype::u32;
  if (code == Code::UInt && bits == 64) return io::Dtype::u64;
  throw UsageError({"STOFM-2095", "", what, concat("elements of ", bits, " bits of another kind"),
                    "integers, bools or floats of 16, 32 or 64 bits", "Convert the array."});
}

/// The memory of an array, which must be kept alive. Its strides are not looked at.
inline io::NumberArray numbers_of(const AnyArray& array, const char* what) {
  return {array.data(), dtype_of(array, what), static_cast<std::int64_t>(array.size())};
}

/// A matrix of floats, rows dense, as a view of the array's memory.
using FloatMatrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
inline Tensor<float> copy_of(const FloatMatrix& array) {
  Tensor<float> copy({static_cast<std::int64_t>(array.shape(0)), static_cast<std::int64_t>(array.shape(1))});
  std::copy_n(array.data(), array.size(), copy.data());
  return copy;
}

/// A dense tensor as an array that owns it.
template <class T>
nb::object array_of(Tensor<T> tensor) {
  auto* held = new Tensor<T>(tensor.contiguous());
  const nb::capsule owner(held, [](void* p) noexcept { delete static_cast<Tensor<T>*>(p); });
  std::vector<std::size_t> shape;
  for (int i = 0; i < held->rank(); ++i) shape.push_back(static_cast<std::size_t>(held->dim(i)));
  return nb::cast(nb::ndarray<nb::numpy, T>(held->data(), shape.size(), shape.data(), owner));
}

/// A list of numbers as an array that owns it.
template <class T>
nb::object array_of(std::vector<T> list) {
  auto* held = new std::vector<T>(std::move(list));
  const nb::capsule owner(held, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  const std::size_t count = held->size();
  return nb::cast(nb::ndarray<nb::numpy, T>(held->data(), 1, &count, owner));
}

}  // namespace stofm::python

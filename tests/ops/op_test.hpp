// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the tests of the ops share: inputs with spikes, views with gaps, and every kernel level of this
/// machine.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/cpu_features.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/scalar.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::test {

/// Numbers that repeat on every machine: a multiplicative congruential generator of our own.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed * 2 + 1) {}
  /// In [-1, 1).
  double uniform() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<double>(static_cast<std::int64_t>(state_ >> 11)) * 0x1p-52 - 1.0;
  }
  /// Mostly in [-1, 1), one in eleven up to 16 times larger.
  double spiky() {
    const double value = uniform();
    return uniform() > 9.0 / 11.0 ? 16.0 * value : value;
  }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>((uniform() + 1.0) * 0.5 * static_cast<double>(n));
  }

 private:
  std::uint64_t state_;
};

template <class T>
Tensor<T> spiky(const Shape& shape, std::uint64_t seed, double factor = 1.0) {
  Tensor<T> t(shape);
  Numbers numbers(seed);
  for (T& v : t.span()) v = static_cast<T>(factor * numbers.spiky());
  return t;
}

/// [rows, columns] inside a wider matrix: rows are `gap` elements further apart, NaN between them.
template <class T>
Tensor<T> with_gaps(const Tensor<T>& dense, std::int64_t gap = 5) {
  auto wide = Tensor<T>::full({dense.dim(0), dense.dim(1) + gap}, std::numeric_limits<T>::quiet_NaN());
  for (std::int64_t i = 0; i < dense.dim(0); ++i)
    for (std::int64_t j = 0; j < dense.dim(1); ++j) wide(i, j + 2) = dense(i, j);
  return wide.slice(1, 2, 2 + dense.dim(1));
}

/// Runs `body` at each kernel level this machine has and restores the level.
template <class Body>
void at_every_level(Body body) {
  const CpuKernels before = cpu_kernels();
  for (const CpuKernels level : cpu_kernel_levels()) {
    set_cpu_kernels(level);
    const std::string name(to_string(level));
    CAPTURE(name);
    body(level);
  }
  set_cpu_kernels(before);
}

/// A copy whose numbers are rounded to bfloat16: the operands of MatmulGrade::bfloat16.
inline Tensor<float> rounded_to_bfloat16(const Tensor<float>& x) {
  Tensor<float> copy = x.clone();
  for (float& v : copy.span()) v = static_cast<float>(bfloat16(v));
  return copy;
}

/// Unit roundoff of T.
template <class T>
constexpr double roundoff = static_cast<double>(std::numeric_limits<T>::epsilon()) / 2;

/// Bound of |computed - exact| of a sum of `length` products, relative to the sum of their absolute values:
/// `length` + 1 roundings of T, and on AMX what the three parts of each factor leave out: with u = 2^-9 (half
/// a unit of 8-bit significands), mid lo and lo mid (u^3 each) and lo lo, below 3 u^3.
template <class T>
double product_bound(CpuKernels level, std::int64_t length) {
  const double split = sizeof(T) == 4 && level == CpuKernels::amx ? 3 * 0x1p-27 : 0.0;
  return split + (static_cast<double>(length) + 1) * roundoff<T>;
}

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Buffers for emulated kernel tests: exactly as long as asked (ASan sees one element past the end), between
/// guard bands that are checked, filled with NaN, viewed as matrices with gaps between the rows. What a
/// kernel writes outside of its rows and columns is found.

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "stofm/core/tensor.hpp"

namespace emulator {

/// A matrix [rows, columns] whose rows are `columns + gap` elements apart; gaps and guards hold a pattern.
template <class T>
class Matrix {
 public:
  Matrix(std::int64_t rows, std::int64_t columns, std::int64_t gap = 0)
      : rows_(rows), columns_(columns), stride_(columns + gap) {
    // The last row has no gap behind it, so that an access past its end is past the buffer.
    const std::int64_t count = rows == 0 ? 0 : (rows - 1) * stride_ + columns;
    store_.resize(static_cast<std::size_t>(count) + 2 * guard);
    for (T& x : store_) std::memset(static_cast<void*>(&x), 0xdb, sizeof(T));
    fill(not_a_number());
  }
  static T not_a_number() {
    T x;
    std::memset(static_cast<void*>(&x), 0xff, sizeof(T));  // NaN for floating point, -1 for signed integers
    return x;
  }
  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t stride() const { return stride_; }
  T* data() { return store_.data() + guard; }
  const T* data() const { return store_.data() + guard; }
  T& at(std::int64_t i, std::int64_t j) { return data()[i * stride_ + j]; }
  const T& at(std::int64_t i, std::int64_t j) const { return data()[i * stride_ + j]; }
  void fill(T x) {
    for (std::int64_t i = 0; i < rows_; ++i)
      for (std::int64_t j = 0; j < columns_; ++j) at(i, j) = x;
  }
  /// Normal numbers times `scale`, some of them 30 times as large (spikes).
  Matrix& random(std::uint32_t seed, double scale = 1.0) {
    std::mt19937 bits(seed);
    std::normal_distribution<double> normal;
    for (std::int64_t i = 0; i < rows_; ++i)
      for (std::int64_t j = 0; j < columns_; ++j) {
        const double spike = bits() % 16 == 0 ? 30.0 : 1.0;
        at(i, j) = static_cast<T>(static_cast<float>(normal(bits) * scale * spike));
      }
    return *this;
  }
  stofm::TensorView<T, stofm::Cuda> device_view() { return view_as<T, stofm::Cuda>(data()); }
  stofm::TensorView<const T, stofm::Cuda> device_view() const {
    return view_as<const T, stofm::Cuda>(data());
  }
  stofm::TensorView<T> view() { return view_as<T, stofm::Cpu>(data()); }
  stofm::TensorView<const T> view() const { return view_as<const T, stofm::Cpu>(data()); }
  /// Guards and gaps are as they were.
  bool intact() const {
    const auto pattern = [](const T& x) {
      unsigned char bytes[sizeof(T)];
      std::memcpy(bytes, &x, sizeof(T));
      for (const unsigned char byte : bytes)
        if (byte != 0xdb) return false;
      return true;
    };
    for (std::size_t k = 0; k < guard; ++k)
      if (!pattern(store_[k]) || !pattern(store_[store_.size() - 1 - k])) return false;
    for (std::int64_t i = 0; i + 1 < rows_; ++i)
      for (std::int64_t j = columns_; j < stride_; ++j)
        if (!pattern(data()[i * stride_ + j])) return false;
    return true;
  }
  bool operator==(const Matrix& other) const {
    return store_.size() == other.store_.size() &&
           std::memcmp(store_.data(), other.store_.data(), store_.size() * sizeof(T)) == 0;
  }

 private:
  static constexpr std::size_t guard = 1024 / sizeof(T);
  template <class U, class D, class P>
  stofm::TensorView<U, D> view_as(P* p) const {
    stofm::TensorView<U, D> view;
    view.data = p;
    view.shape = stofm::Shape{rows_, columns_};
    view.strides = view.shape.row_major_strides();
    view.strides[0] = stride_;
    return view;
  }

  std::int64_t rows_, columns_, stride_;
  std::vector<T> store_;
};

/// The largest |a - b| / (absolute + relative |b|); above 1 means out of tolerance, infinity for a NaN on one
/// side.
template <class A, class B>
double worst_ratio(const A& a, const B& b, double absolute, double relative) {
  double worst = 0;
  for (std::int64_t i = 0; i < a.rows(); ++i)
    for (std::int64_t j = 0; j < a.columns(); ++j) {
      const double x = static_cast<double>(a.at(i, j)), y = static_cast<double>(b.at(i, j));
      if (x == y || (x != x && y != y)) continue;
      const double ratio = std::abs(x - y) / (absolute + relative * std::abs(y));
      worst = ratio == ratio ? std::max(worst, ratio) : std::numeric_limits<double>::infinity();
    }
  return worst;
}

}  // namespace emulator

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Buffers for kernel tests, emulated (after emulator.hpp) or on a device (without it): exactly as long as
/// asked (ASan sees one element past the end), between guard bands that are checked, filled with NaN, viewed
/// as matrices with gaps between the rows. What a kernel writes outside of its rows and columns is found.

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "stofm/backend/cuda/memory.hpp"
#include "stofm/core/tensor.hpp"
#include "tests/gpu/support/digest.hpp"

namespace emulator {

/// The device that the boundary functions are called with.
inline constexpr stofm::Cuda device_under_test{0};

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
  /// Everything, guard bands included.
  std::vector<T>& storage() { return store_; }
  const std::vector<T>& storage() const { return store_; }
  static constexpr std::size_t guard = 4096 / sizeof(T);  ///< elements before and behind
  bool operator==(const Matrix& other) const {
    return store_.size() == other.store_.size() &&
           std::memcmp(store_.data(), other.store_.data(), store_.size() * sizeof(T)) == 0;
  }

 private:
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

/// A matrix as the device sees it: the same memory under the emulator, a copy (with its guard bands) on a
/// device.
template <class T>
class Staged {
 public:
  explicit Staged(Matrix<T>& host) : host_(&host), out_(&host) { upload(); }
  explicit Staged(const Matrix<T>& host) : host_(&host) { upload(); }
#if defined(STOFM_KERNEL_EMULATOR)
  T* data() { return out_ != nullptr ? out_->data() : const_cast<T*>(host_->data()); }
  void fetch() { (void)cudaDeviceSynchronize(); }
#else
  T* data() { return reinterpret_cast<T*>(store_.data()) + Matrix<T>::guard; }
  /// Copies what the device wrote back into the matrix, and waits for it.
  void fetch() {
    stofm::backend::copy_rows(device_under_test, out_->storage().data(), 0, store_.data(), 0, bytes(), 1,
                              stofm::backend::CopyDirection::to_host);
    stofm::backend::synchronize(device_under_test, stofm::backend::current_stream(device_under_test));
    stofm::test::add_to_device_digest(out_->storage().data(), out_->storage().size() * sizeof(T));
  }
#endif
  stofm::TensorView<T, stofm::Cuda> view() {
    auto view = host_->device_view();
    stofm::TensorView<T, stofm::Cuda> mine;
    mine.data = data();
    mine.shape = view.shape;
    mine.strides = view.strides;
    mine.device = device_under_test;
    return mine;
  }

 private:
#if defined(STOFM_KERNEL_EMULATOR)
  void upload() {}
#else
  std::int64_t bytes() const { return static_cast<std::int64_t>(host_->storage().size() * sizeof(T)); }
  void upload() {
    store_ = stofm::Tensor<std::uint8_t, stofm::Cuda>(stofm::Shape{bytes()}, device_under_test);
    stofm::backend::copy_rows(device_under_test, store_.data(), 0, host_->storage().data(), 0, bytes(), 1,
                              stofm::backend::CopyDirection::to_device);
  }
  stofm::Tensor<std::uint8_t, stofm::Cuda> store_;
#endif
  const Matrix<T>* host_;
  Matrix<T>* out_ = nullptr;
};
template <class T>
Staged<T> stage(Matrix<T>& host) {
  return Staged<T>(host);
}
template <class T>
Staged<T> stage(const Matrix<T>& host) {
  return Staged<T>(host);
}

/// `run()` under every schedule of the emulator, or twice on a device.
template <class Run>
void for_each_run(const Run& run) {
#if defined(STOFM_KERNEL_EMULATOR)
  for_each_schedule(run);
#else
  run();
  run();
#endif
}

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

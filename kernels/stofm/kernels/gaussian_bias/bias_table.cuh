// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The table of the distance bias on a device (backend/cuda/bias_table.hpp): where each listed distance lies,
/// once a batch for all heads and layers, and the cubic that pair attention reads there. The place is the
/// CPU's to the bit (a search in double); a thread a listed pair. Limiter: bytes, 12 a listed pair.

#include <algorithm>
#include <vector>

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/gaussian_bias/table_bias.cuh"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels {

struct BiasPlacesParams {
  const float* distances = nullptr;  // [entries]
  std::int64_t entries = 0, heads = 0;
  float w = 0.0F, b = 0.0F;
  const double* knots = nullptr;               // [intervals + 1]
  const double* inverse_widths = nullptr;      // [intervals]
  const std::int32_t* bucket_first = nullptr;  // [buckets + 1]
  std::int64_t intervals = 0, buckets = 0;
  double inverse_bucket = 0.0;
  backend::BiasPlace* places = nullptr;  // [entries]
  backend::PairBiasTable table;          // with values
  float* values = nullptr;               // [heads, entries] what pair attention will see, or null
};

static __global__ void __launch_bounds__(256) bias_places_kernel(const BiasPlacesParams p) {
  const std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (e >= p.entries) return;
  const float d = p.distances[e];
  // Two roundings, as the reference: a fused sum would show with narrow Gaussians.
  const auto a = static_cast<double>(__fadd_rn(__fmul_rn(p.w, d), p.b));
  const auto constant = static_cast<std::int32_t>(p.intervals);
  backend::BiasPlace place{constant, 0.0F};
  if (d == 0.0F) {
    place.row = constant + 1;
  } else if (a >= p.knots[0] && a < p.knots[p.intervals]) {
    const double at = (a - p.knots[0]) * p.inverse_bucket, most = static_cast<double>(p.buckets - 1);
    const auto bucket = static_cast<std::int64_t>(at < most ? at : most);
    std::int32_t first = p.bucket_first[bucket], last = p.bucket_first[bucket + 1];
    while (first < last) {  // the last knot that is <= a lies in [first, last]
      const std::int32_t middle = (first + last + 1) / 2;
      if (p.knots[middle] <= a)
        first = middle;
      else
        last = middle - 1;
    }
    place = {first, static_cast<float>((a - p.knots[first]) * p.inverse_widths[first])};
  }
  p.places[e] = place;
  if (p.values == nullptr) return;
  for (std::int64_t h = 0; h < p.heads; ++h)
    p.values[h * p.entries + e] = table_bias(p.table, place, p.heads, h);
}

/// A table in device memory.
class DeviceBiasTable {
 public:
  DeviceBiasTable() = default;
  /// Copies it, ordered on the thread's current stream; the arrays may go after that stream is done.
  DeviceBiasTable(Cuda device, const backend::BiasTableArrays& from)
      : heads_(from.heads),
        w_(from.w),
        b_(from.b),
        inverse_bucket_(from.inverse_bucket),
        largest_distance_(from.largest_distance) {
    const auto rows = static_cast<std::int64_t>(from.coefficients.size()) / (4 * from.padded);
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t h = 0; h < heads_; ++h)
        for (std::int64_t order = 0; order < 4; ++order)
          turned_.push_back(from.coefficients[static_cast<std::size_t>((row * 4 + order) * from.padded + h)]);
    const auto put = [&]<class T>(DeviceArray<T>& to, std::span<const T> values) {
      to = DeviceArray<T>(device, static_cast<std::int64_t>(values.size()));
      if (values.empty()) return;
      STOFM_CUDA_CHECK(cudaMemcpyAsync(to.data(), values.data(), values.size_bytes(), cudaMemcpyHostToDevice,
                                       native(thread_stream(device))));
    };
    put(knots_, from.knots);
    put(inverse_widths_, from.inverse_widths);
    put(bucket_first_, from.bucket_first);
    put(coefficients_, std::span<const float>(turned_));
    put(background_, from.background);
  }

  explicit operator bool() const { return heads_ > 0; }
  float largest_distance() const { return largest_distance_; }
  std::int64_t device_bytes() const {
    return 8 * (knots_.size() + inverse_widths_.size()) +
           4 * (bucket_first_.size() + coefficients_.size() + background_.size());
  }
  /// What pair attention reads, with places from `launch`.
  backend::PairBiasTable view(const backend::BiasPlace* places) const {
    return {places, coefficients_.data(), background_.data()};
  }
  const float* background() const { return background_.data(); }
  /// Finds the places of `distances` [entries]. \param values [heads, entries] bias values too, or null
  void launch(CudaStream stream, const float* distances, std::int64_t entries, backend::BiasPlace* places,
              float* values) const {
    const BiasPlacesParams params{distances,
                                  entries,
                                  heads_,
                                  w_,
                                  b_,
                                  knots_.data(),
                                  inverse_widths_.data(),
                                  bucket_first_.data(),
                                  knots_.size() - 1,
                                  bucket_first_.size() - 1,
                                  inverse_bucket_,
                                  places,
                                  view(places),
                                  values};
    kernels::launch(bias_places_kernel,
                    per_item(entries, stream, "bias_places"),
                    params);
  }

 private:
  std::int64_t heads_ = 0;
  float w_ = 0.0F, b_ = 0.0F;
  double inverse_bucket_ = 0.0;
  float largest_distance_ = 0.0F;
  std::vector<float> turned_;  // read by a copy until the constructor's stream is done
  DeviceArray<double> knots_, inverse_widths_;
  DeviceArray<std::int32_t> bucket_first_;
  DeviceArray<float> coefficients_, background_;
};

}  // namespace stofm::kernels

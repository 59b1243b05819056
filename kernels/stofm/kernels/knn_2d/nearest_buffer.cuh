// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The k nearest candidates that a warp has met, by (squared distance, index): candidates below the bound go
/// to a buffer in shared memory; when it is full the warp sorts it (bitonic) and keeps k, and the k-th is the
/// new bound. The order is total, so what comes out does not depend on the order of the candidates.

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/warp.cuh"
#include "stofm/kernels/common/scalar.cuh"
#include "stofm/kernels/knn_2d/policy.hpp"

namespace stofm::kernels::knn_2d {

inline constexpr std::uint32_t no_point = 0xffffffffU;

__device__ __forceinline__ double infinite_distance() { return static_cast<double>(float_of(0x7f800000U)); }

/// Squared distance with the bits of the CPU code: (a_x - b_x)^2 + (a_y - b_y)^2, each operation rounded. The
/// sign of the differences does not matter.
__device__ __forceinline__ double squared_distance(double ax, double ay, double bx, double by) {
  const double dx = rounded_add(ax, -bx), dy = rounded_add(ay, -by);
  return rounded_add(rounded_multiply(dx, dx), rounded_multiply(dy, dy));
}

/// Nearer, or as near with a lower index.
__device__ __forceinline__ bool comes_before(double d, std::uint32_t i, double other_d,
                                             std::uint32_t other_i) {
  return d < other_d || (d == other_d && i < other_i);
}

class NearestBuffer {
 public:
  /// `shared`: memory of the block; each warp takes `capacity` = buffer_capacity(k) candidates of it.
  __device__ __forceinline__ NearestBuffer(unsigned char* shared, int capacity, std::int64_t k)
      : distances_(reinterpret_cast<double*>(shared + warp() * capacity * candidate_bytes)),
        indices_(reinterpret_cast<std::uint32_t*>(distances_ + capacity)),
        capacity_(capacity),
        k_(static_cast<int>(k)),
        bound_distance_(infinite_distance()) {}

  /// Offers one candidate per lane.
  __device__ __forceinline__ void offer(double distance, std::uint32_t index, bool valid) {
    bool wanted = valid && comes_before(distance, index, bound_distance_, bound_index_);
    std::uint32_t lanes = ballot(wanted);
    if (lanes == 0) return;
    if (count_ + count_bits(lanes) > capacity_) {
      keep_nearest();
      wanted = wanted && comes_before(distance, index, bound_distance_, bound_index_);
      lanes = ballot(wanted);
    }
    if (wanted) {
      const int place = count_ + count_bits(lanes & ((1U << lane()) - 1U));
      distances_[place] = distance;
      indices_[place] = index;
    }
    count_ += count_bits(lanes);
    warp_sync();
  }

  /// Sorts; keeps the k nearest.
  __device__ __forceinline__ void keep_nearest() {
    int size = fan;  // a power of two
    while (size < count_) size *= 2;
    for (int e = count_ + lane(); e < size; e += warp_size) {
      distances_[e] = infinite_distance();
      indices_[e] = no_point;
    }
    warp_sync();
    for (int width = 2; width <= size; width *= 2)
      for (int step = width / 2; step > 0; step /= 2) {
        for (int pair = lane(); pair < size / 2; pair += warp_size) {
          const int a = pair / step * 2 * step + pair % step, b = a + step;
          const bool ascending = (a & width) == 0;
          const double da = distances_[a], db = distances_[b];
          const std::uint32_t ia = indices_[a], ib = indices_[b];
          if (comes_before(db, ib, da, ia) == ascending) {
            distances_[a] = db;
            distances_[b] = da;
            indices_[a] = ib;
            indices_[b] = ia;
          }
        }
        warp_sync();
      }
    if (count_ < k_) return;
    count_ = k_;
    bound_distance_ = distances_[k_ - 1];
    bound_index_ = indices_[k_ - 1];
    warp_sync();  // read before the next candidates are written
  }

  __device__ __forceinline__ int count() const { return count_; }
  __device__ __forceinline__ std::int64_t wanted() const { return k_; }
  /// The k-th nearest after keep_nearest(), infinity while there are fewer.
  __device__ __forceinline__ double bound_distance() const { return bound_distance_; }
  __device__ __forceinline__ std::uint32_t bound_index() const { return bound_index_; }
  __device__ __forceinline__ double distance(int i) const { return distances_[i]; }
  __device__ __forceinline__ std::uint32_t index(int i) const { return indices_[i]; }

 private:
  double* distances_;
  std::uint32_t* indices_;
  int capacity_, k_, count_ = 0;
  double bound_distance_;
  std::uint32_t bound_index_ = no_point;
};

}  // namespace stofm::kernels::knn_2d

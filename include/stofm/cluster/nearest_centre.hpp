// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The nearest of K centres for each of N points, any dimension: d = sum_j (x_j - c_j)^2 in float, in the
/// order of j, each product rounded, so that the bits depend neither on the width of the vectors nor on the
/// build; ties go to the lowest centre.
///
/// Centres are packed 16 side by side, so that one vector instruction serves 16 of them; four points share
/// each load.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "stofm/core/cpu_features.hpp"
#include "stofm/core/exact_rounding.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::cluster {

/// Points in blocks of 16, coordinate by coordinate: value j of point 16 b + l is at (b d + j) 16 + l. Places
/// beyond the last point are at infinity.
class PackedPoints {
 public:
  static constexpr std::int64_t lanes = 16;
  PackedPoints() = default;
  explicit PackedPoints(TensorView<const float> points)
      : points_(points.dim(0)),
        dimension_(points.dim(1)),
        values_(static_cast<std::size_t>(
                    checked_mul((points_ + lanes - 1) / lanes * lanes, dimension_, "points")),
                std::numeric_limits<float>::infinity()) {
    for (std::int64_t i = 0; i < points_; ++i) set(i, points.row(i));
  }
  void set(std::int64_t i, const float* x) {
    float* place = values_.data() + i / lanes * lanes * dimension_ + i % lanes;
    for (std::int64_t j = 0; j < dimension_; ++j) place[j * lanes] = x[j];
  }
  std::int64_t points() const { return points_; }
  std::int64_t dimension() const { return dimension_; }
  std::int64_t blocks() const { return (points_ + lanes - 1) / lanes; }
  const float* data() const { return values_.data(); }

 private:
  std::int64_t points_ = 0, dimension_ = 0;
  std::vector<float> values_;
};

namespace detail {
/// Rows compared at once, each with sixteen centres side by side: plain loops of sixteen, which the compiler
/// turns into vector instructions of the function they are inlined into.
inline constexpr std::int64_t nearest_rows_at_once = 4, centre_lanes = 16;
using LaneSums = float[nearest_rows_at_once][centre_lanes];

/// Squared distances of four rows to one block of 16.
[[gnu::always_inline]] inline void block_distances(const float* const (&x)[nearest_rows_at_once],
                                                   const float* block, std::int64_t d, LaneSums& sum) {
  STOFM_UNFUSED_BODY
  for (auto& row : sum)
    for (float& lane : row) lane = 0.0F;
  for (std::int64_t j = 0; j < d; ++j) {
    const float* centres = block + j * centre_lanes;
    for (std::int64_t a = 0; a < nearest_rows_at_once; ++a) {
      const float value = x[a][j];
      for (std::int64_t l = 0; l < centre_lanes; ++l) {
        const float difference = value - centres[l];
        sum[a][l] += difference * difference;
      }
    }
  }
}

/// Nearest centre of rows [0, count).
[[gnu::always_inline]] inline void nearest_body(const float* rows, std::int64_t stride, std::int64_t count,
                                                const float* packed, std::int64_t blocks, std::int64_t d,
                                                std::int32_t* label, float* distance) {
  for (std::int64_t first = 0; first < count; first += nearest_rows_at_once) {
    const float* x[nearest_rows_at_once];
    LaneSums best, sum;
    std::int32_t where[nearest_rows_at_once][centre_lanes];
    for (std::int64_t a = 0; a < nearest_rows_at_once; ++a) {
      x[a] = rows + (std::min)(first + a, count - 1) * stride;
      for (std::int64_t l = 0; l < centre_lanes; ++l) {
        best[a][l] = (std::numeric_limits<float>::infinity)();
        where[a][l] = 0;
      }
    }
    for (std::int64_t b = 0; b < blocks; ++b) {
      block_distances(x, packed + b * d * centre_lanes, d, sum);
      for (std::int64_t a = 0; a < nearest_rows_at_once; ++a)
        for (std::int64_t l = 0; l < centre_lanes; ++l) {
          const bool nearer = sum[a][l] < best[a][l];
          best[a][l] = nearer ? sum[a][l] : best[a][l];
          where[a][l] = nearer ? static_cast<std::int32_t>(b) : where[a][l];
        }
    }
    for (std::int64_t a = 0; a < (std::min)(nearest_rows_at_once, count - first); ++a) {
      float least = best[a][0];
      std::int32_t centre = where[a][0] * 16;
      for (std::int32_t l = 1; l < 16; ++l) {
        const std::int32_t other = where[a][l] * 16 + l;
        if (best[a][l] < least || (best[a][l] == least && other < centre)) {
          least = best[a][l];
          centre = other;
        }
      }
      label[first + a] = centre;
      distance[first + a] = least;
    }
  }
}

/// Squared distances of one to four rows to every packed point: out[a * 16 * blocks + point].
[[gnu::always_inline]] inline void distances_body(const float* rows, std::int64_t stride, std::int64_t count,
                                                  const float* packed, std::int64_t blocks, std::int64_t d,
                                                  float* out) {
  const float* x[nearest_rows_at_once];
  LaneSums sum;
  for (std::int64_t a = 0; a < nearest_rows_at_once; ++a) x[a] = rows + (std::min)(a, count - 1) * stride;
  for (std::int64_t b = 0; b < blocks; ++b) {
    block_distances(x, packed + b * d * centre_lanes, d, sum);
    for (std::int64_t a = 0; a < count; ++a)
      for (std::int64_t l = 0; l < centre_lanes; ++l) out[(a * blocks + b) * centre_lanes + l] = sum[a][l];
  }
}

#if defined(STOFM_X86_KERNELS)
STOFM_TARGET_AVX2 inline void nearest_avx2(const float* rows, std::int64_t stride, std::int64_t count,
                                           const float* packed, std::int64_t blocks, std::int64_t d,
                                           std::int32_t* label, float* distance) {
  nearest_body(rows, stride, count, packed, blocks, d, label, distance);
}
STOFM_TARGET_AVX2 inline void distances_avx2(const float* rows, std::int64_t stride, std::int64_t count,
                                             const float* packed, std::int64_t blocks, std::int64_t d,
                                             float* out) {
  distances_body(rows, stride, count, packed, blocks, d, out);
}
STOFM_TARGET_AVX512 inline void nearest_avx512(const float* rows, std::int64_t stride, std::int64_t count,
                                               const float* packed, std::int64_t blocks, std::int64_t d,
                                               std::int32_t* label, float* distance) {
  nearest_body(rows, stride, count, packed, blocks, d, label, distance);
}
STOFM_TARGET_AVX512 inline void distances_avx512(const float* rows, std::int64_t stride, std::int64_t count,
                                                 const float* packed, std::int64_t blocks, std::int64_t d,
                                                 float* out) {
  distances_body(rows, stride, count, packed, blocks, d, out);
}
#endif

STOFM_UNFUSED inline void nearest_dispatched(const float* rows, std::int64_t stride, std::int64_t count,
                                             const PackedPoints& centres, std::int32_t* label,
                                             float* distance) {
#if defined(STOFM_X86_KERNELS)
  const CpuKernels level = cpu_kernels();
  if (level >= CpuKernels::avx512)
    return nearest_avx512(rows, stride, count, centres.data(), centres.blocks(), centres.dimension(), label,
                          distance);
  if (level == CpuKernels::avx2)
    return nearest_avx2(rows, stride, count, centres.data(), centres.blocks(), centres.dimension(), label,
                        distance);
#endif
  nearest_body(rows, stride, count, centres.data(), centres.blocks(), centres.dimension(), label, distance);
}
STOFM_UNFUSED inline void distances_dispatched(const float* rows, std::int64_t stride, std::int64_t count,
                                               const PackedPoints& points, float* out) {
#if defined(STOFM_X86_KERNELS)
  const CpuKernels level = cpu_kernels();
  if (level >= CpuKernels::avx512)
    return distances_avx512(rows, stride, count, points.data(), points.blocks(), points.dimension(), out);
  if (level == CpuKernels::avx2)
    return distances_avx2(rows, stride, count, points.data(), points.blocks(), points.dimension(), out);
#endif
  distances_body(rows, stride, count, points.data(), points.blocks(), points.dimension(), out);
}
}  // namespace detail

/// Fills `labels` [N] and `squared_distances` [N]. *Cost* N K d of 3 operations; parallel. *Deterministic*
/// yes. \throws ShapeError if widths or counts differ, or there is no centre.
inline void nearest_centres(TensorView<const float> rows, const PackedPoints& centres,
                            std::span<std::int32_t> labels, std::span<float> squared_distances) {
  if (rows.rank() != 2 || rows.dim(1) != centres.dimension() || (rows.dim(1) > 1 && rows.stride(1) != 1) ||
      centres.points() < 1 || static_cast<std::int64_t>(labels.size()) != rows.dim(0) ||
      labels.size() != squared_distances.size())
    throw ShapeError({"STOFM-1230", "", "[nearest_centres]",
                      concat("rows ", to_string(rows.shape), ", ", centres.points(), " centres of ",
                             centres.dimension(), ", ", labels.size(), " labels"),
                      "rows and centres of one width, a label per row", "Check the shapes."});
  parallel_for(rows.dim(0), 256, [&](std::int64_t begin, std::int64_t end) {
    detail::nearest_dispatched(rows.row(begin), rows.stride(0), end - begin, centres, labels.data() + begin,
                               squared_distances.data() + begin);
  });
}

}  // namespace stofm::cluster

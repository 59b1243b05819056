// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The network of the distance bias as a function of one scalar:
///   psi_k(a) = exp(-((a - mu_k)/s_k)^2 / 2) / (sqrt(2 pi) s_k),   s_k = |sigma_k| + 1e-5
///   z(a) = W1 psi(a) + b1,   Phi(a) = W2 relu(z(a)) + b2  in R^heads
/// evaluated in double, with derivatives where asked for; and a = w d + b with the rounding of the reference.
/// *Source* SPEC section 5. Every function here is exact up to rounding; `bias_table.hpp` makes it cheap.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "stofm/core/cpu_features.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/model/parameters.hpp"

namespace stofm::model {

/// Values (and derivatives by a) of the network at n points, row-major.
struct NetworkPoints {
  std::vector<double> z;        ///< [n, K] inputs of the ReLU
  std::vector<double> z_slope;  ///< [n, K] dz/da; empty if not asked for
  std::vector<double> phi;      ///< [n, H]
};

/// a[i] = round(round(w d[i]) + b), each step in T, never fused.
/// With Gaussians as narrow as 1e-3 one rounding of `a` shows in the fifth digit of the bias, so the sum must
/// round as the reference's does, whatever -march and -ffp-contract the caller compiles with: the products
/// pass through memory that the compiler has to take as changed.
template <Real T>
void affine_arguments(std::span<const T> distances, T w, T b, std::span<T> a) {
  constexpr std::size_t block = 64;
  T product[block];
  for (std::size_t begin = 0; begin < distances.size(); begin += block) {
    const std::size_t count = (std::min)(block, distances.size() - begin);
    for (std::size_t i = 0; i < count; ++i) product[i] = w * distances[begin + i];
    asm volatile("" : : "r"(product) : "memory");
    for (std::size_t i = 0; i < count; ++i) a[begin + i] = product[i] + b;
  }
}

namespace detail {
/// sums[j][p] = start[j] + sum_i w1[j][alive[i]] input[i][p] for eight points p.
struct HiddenBlock {
  static constexpr std::int64_t points = 8, rows = 4;
  struct Arguments {
    const double *w1, *start;  // [units, units]; [units] or null for 0
    const std::int64_t* alive;
    const double* input;  // [alive_count, points]
    double* sums;         // [units, points]
    std::int64_t units, alive_count;
  };

  /// One register of AVX-512, two of AVX2, four of SSE2.
  using Points = double __attribute__((vector_size(points * sizeof(double))));

  template <std::int64_t Rows>
  [[gnu::always_inline]] static void unit_rows(const Arguments& a, std::int64_t j) {
    Points sum[Rows] = {};
    for (std::int64_t r = 0; r < Rows; ++r) sum[r] += a.start != nullptr ? a.start[j + r] : 0.0;
    for (std::int64_t i = 0; i < a.alive_count; ++i) {
      const double* weight = a.w1 + j * a.units + a.alive[i];
      Points x;
      std::memcpy(&x, a.input + i * points, sizeof x);
      for (std::int64_t r = 0; r < Rows; ++r) sum[r] += weight[r * a.units] * x;
    }
    std::memcpy(a.sums + j * points, sum, sizeof sum);
  }
  [[gnu::always_inline]] static void run(const Arguments& a) {
    std::int64_t j = 0;
    for (; j + rows <= a.units; j += rows) unit_rows<rows>(a, j);
    for (; j < a.units; ++j) unit_rows<1>(a, j);
  }
#if defined(STOFM_X86_KERNELS)
  STOFM_TARGET_AVX2 static void run_avx2(const Arguments& a) { run(a); }
  STOFM_TARGET_AVX512 static void run_avx512(const Arguments& a) { run(a); }
#endif
  static void run_generic(const Arguments& a) { run(a); }
  static void run_best(const Arguments& a) {
#if defined(STOFM_X86_KERNELS)
    const CpuKernels level = cpu_kernels();
    if (level >= CpuKernels::avx512) return run_avx512(a);
    if (level == CpuKernels::avx2) return run_avx2(a);
#endif
    run_generic(a);
  }
};
}  // namespace detail

class GaussianNetwork {
 public:
  /// Reads gaussian.{linear,means,stds,proj.0,proj.2} of a checked parameter set. s_k is formed in T, as the
  /// reference does.
  template <Real T>
  explicit GaussianNetwork(const NamedTensors<T>& weights)
      : gaussians_(weights.at("gaussian.means.weight").numel()),
        heads_(weights.at("gaussian.proj.2.bias").numel()) {
    const auto values = [&](const char* name) {
      const Tensor<T> dense = weights.at(name).contiguous();
      return std::vector<double>(dense.data(), dense.data() + dense.numel());
    };
    mean_ = values("gaussian.means.weight");
    for (const double sigma : values("gaussian.stds.weight"))
      width_.push_back(
          static_cast<double>(static_cast<T>(std::abs(static_cast<T>(sigma)) + static_cast<T>(1e-5))));
    w1_ = values("gaussian.proj.0.weight");
    b1_ = values("gaussian.proj.0.bias");
    w2_ = values("gaussian.proj.2.weight");
    b2_ = values("gaussian.proj.2.bias");
    for (std::int64_t j = 0; j < gaussians_; ++j)
      for (std::int64_t h = 0; h < heads_; ++h) w2_by_unit_.push_back(output_weight(h, j));
  }

  std::int64_t gaussians() const { return gaussians_; }
  std::int64_t heads() const { return heads_; }
  double mean(std::int64_t k) const { return mean_[static_cast<std::size_t>(k)]; }
  double width(std::int64_t k) const { return width_[static_cast<std::size_t>(k)]; }
  /// W2[h, j]
  double output_weight(std::int64_t h, std::int64_t j) const {
    return w2_[static_cast<std::size_t>(h * gaussians_ + j)];
  }
  std::span<const double> output_bias() const { return b2_; }

  /// The network at every a[i]. Neighbouring points should be near each other: Gaussians that vanish on a
  /// whole block of points are skipped. *Cost* 2 K^2 FLOP a point (twice that with slopes), parallel over
  /// blocks.
  NetworkPoints evaluate(std::span<const double> a, bool with_slopes) const;

  /// z_j(a) and its derivative, alone.
  std::pair<double, double> unit(std::int64_t j, double a) const {
    double z = b1_[static_cast<std::size_t>(j)], slope = 0;
    const double* row = w1_.data() + j * gaussians_;
    for (std::int64_t k = 0; k < gaussians_; ++k) {
      const auto [psi, psi_slope] = gaussian(k, a);
      z += row[k] * psi;
      slope += row[k] * psi_slope;
    }
    return {z, slope};
  }

  /// Where z_unit, of opposite signs at p < q, is zero: Newton's steps while they stay in the bracket, else
  /// halving.
  double unit_zero(std::int64_t unit_index, double p, double q, bool rising) const {
    double a = 0.5 * (p + q);
    for (int step = 0; step < 60 && q - p > 1e-13 * (1 + std::abs(q)); ++step) {
      const auto [z, slope] = unit(unit_index, a);
      ((z < 0) == rising ? p : q) = a;
      const double newton = a - z / slope;
      if (std::abs(newton - a) < 1e-14 * (1 + std::abs(a))) break;
      a = newton > p && newton < q ? newton : 0.5 * (p + q);
    }
    return a;
  }

 private:
  static constexpr std::int64_t block_points = detail::HiddenBlock::points;

  /// psi_k(a) and its derivative. exp is not called where the result is below the smallest float.
  std::pair<double, double> gaussian(std::int64_t k, double a) const {
    const double s = width(k), x = (a - mean(k)) / s;
    if (!(std::abs(x) < 16.0)) return {std::isnan(x) ? x : 0.0, 0.0};
    const double psi = std::exp(-0.5 * x * x) / (std::sqrt(2.0 * std::numbers::pi) * s);
    return {psi, -psi * x / s};
  }
  void evaluate_block(std::span<const double> a, bool with_slopes, double* z, double* z_slope,
                      double* phi) const;

  std::int64_t gaussians_, heads_;
  std::vector<double> mean_, width_, w1_, b1_, w2_, b2_, w2_by_unit_;
};

inline void GaussianNetwork::evaluate_block(std::span<const double> a, bool with_slopes, double* z,
                                            double* z_slope, double* phi) const {
  const auto count = static_cast<std::int64_t>(a.size());
  // Only Gaussians that are alive somewhere in the block: psi[alive][point].
  std::vector<double> psi, psi_slope;
  std::vector<std::int64_t> alive;
  for (std::int64_t k = 0; k < gaussians_; ++k) {
    double value[block_points] = {}, slope[block_points] = {};
    bool any = false;
    for (std::int64_t p = 0; p < count; ++p) {
      std::tie(value[p], slope[p]) = gaussian(k, a[static_cast<std::size_t>(p)]);
      any = any || value[p] != 0.0;
    }
    if (!any) continue;
    alive.push_back(k);
    psi.insert(psi.end(), value, value + block_points);
    if (with_slopes) psi_slope.insert(psi_slope.end(), slope, slope + block_points);
  }
  const auto product = [&](const std::vector<double>& input, const double* start, double* out) {
    std::vector<double> sums(static_cast<std::size_t>(gaussians_ * block_points));
    detail::HiddenBlock::run_best({w1_.data(), start, alive.data(), input.data(), sums.data(), gaussians_,
                                   static_cast<std::int64_t>(alive.size())});
    for (std::int64_t j = 0; j < gaussians_; ++j)
      for (std::int64_t p = 0; p < count; ++p)
        out[p * gaussians_ + j] = sums[static_cast<std::size_t>(j * block_points + p)];
  };
  product(psi, b1_.data(), z);
  if (with_slopes) product(psi_slope, nullptr, z_slope);
  for (std::int64_t p = 0; p < count; ++p) {
    double* out = phi + p * heads_;
    std::copy(b2_.begin(), b2_.end(), out);
    for (std::int64_t j = 0; j < gaussians_; ++j) {
      const double input = z[p * gaussians_ + j], active = input > 0.0 ? input : 0.0 * input;  // NaN stays
      const double* weights = w2_by_unit_.data() + j * heads_;
      for (std::int64_t h = 0; h < heads_; ++h) out[h] += weights[h] * active;
    }
  }
}

inline NetworkPoints GaussianNetwork::evaluate(std::span<const double> a, bool with_slopes) const {
  const auto count = static_cast<std::int64_t>(a.size());
  NetworkPoints points;
  const auto hidden = static_cast<std::size_t>(checked_mul(count, gaussians_));
  points.z.resize(hidden);
  if (with_slopes) points.z_slope.resize(hidden);
  points.phi.resize(static_cast<std::size_t>(checked_mul(count, heads_)));
  parallel_for(count, block_points, [&](std::int64_t begin, std::int64_t end) {
    evaluate_block(a.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)),
                   with_slopes, points.z.data() + begin * gaussians_,
                   with_slopes ? points.z_slope.data() + begin * gaussians_ : nullptr,
                   points.phi.data() + begin * heads_);
  });
  return points;
}

}  // namespace stofm::model

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The arithmetic of model/distance_bias/gaussian_training.hpp, block by block of neighbouring points (no
/// tape here). One header for forward and backward: the plan of a block and what it fills are read by both.
///
/// Left out of a block's products: Gaussians that vanish on it and units that are off on all of it. In float,
/// Gaussians at least 1.25 times as wide as the block is long are not evaluated at its points either: their
/// part of W1 psi is a polynomial of degree 7 through eight points between the ends (Chebyshev's, rounded to
/// float), with the bound |f^(8)| (0.4 / s)^8 / (2^7 8!) = 105 * 1.3e-10 = 1.4e-8 of the height of a
/// Gaussian, and 1.2e-7 for the two more derivatives in the gradient by s: float rounding. ReLU, whose kinks
/// no polynomial follows, is applied at the points. So W1 is multiplied with 8 + (narrow Gaussians) columns
/// instead of K. The way back is the transpose: the gradients of z are gathered onto the eight points and go
/// through the Gaussians there.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/gaussian.hpp"
#include "stofm/model/distance_bias/gaussian_network.hpp"
#include "stofm/ops/linear.hpp"

namespace stofm::model::detail {

/// The network's parameters and how to compute.
template <Real T>
struct GaussianSettings {
  std::vector<T> mean, width, sign;  ///< [K]; width = |sigma| + 1e-5
  T w, b;
  Tensor<T> w1, b1, w2, b2;
  std::int64_t block = 512;
  bool interpolate = true;
};

/// Sums of gradients, in double, in the order of the parameters.
struct GaussianGradients {
  GaussianGradients(std::int64_t gaussians, std::int64_t heads)
      : means(static_cast<std::size_t>(gaussians)),
        stds(means),
        w1(static_cast<std::size_t>(gaussians * gaussians)),
        b1(means),
        w2(static_cast<std::size_t>(heads * gaussians)),
        b2(static_cast<std::size_t>(heads)) {}
  double w = 0, b = 0;
  std::vector<double> means, stds, w1, b1, w2, b2;

  void add(const GaussianGradients& other) {
    const auto sum = [](std::vector<double>& to, const std::vector<double>& from) {
      for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
    };
    w += other.w;
    b += other.b;
    sum(means, other.means);
    sum(stds, other.stds);
    sum(w1, other.w1);
    sum(b1, other.b1);
    sum(w2, other.w2);
    sum(b2, other.b2);
  }
};

template <Real T>
class GaussianBlocks {
 public:
  GaussianBlocks(std::vector<T> distances, GaussianSettings<T> settings);

  std::int64_t points() const { return static_cast<std::int64_t>(distances_.size()); }
  std::int64_t heads() const { return s_.w2.dim(0); }
  /// out: [points, heads]
  void forward(T* out) const;
  /// grad_phi: [points, heads]
  GaussianGradients backward(const T* grad_phi) const;

 private:
  static constexpr std::int64_t nodes = 8, task_blocks = 8;
  /// How a block is computed.
  struct Plan {
    std::int64_t begin = 0, count = 0;
    std::int64_t nodes = 0;             // 0: without a polynomial
    std::vector<std::int64_t> columns;  // Gaussians evaluated at every point
    std::array<double, 8> place{}, factor{};
    double middle = 0, half = 1;  // of the block's arguments
    std::int64_t width() const { return nodes + static_cast<std::int64_t>(columns.size()); }
  };
  /// A task: some blocks, and the polynomials' points of all of them.
  struct Work {
    Work(const GaussianBlocks& owner, std::int64_t begin, std::int64_t end);
    std::vector<T> a;  // arguments of the task's points
    std::vector<Plan> plans;
    std::vector<T> node_a;
    Tensor<T> node_psi, node_z, node_grad;                                  // [nodes of the task, K]
    Tensor<T> features, hidden, grad_z, turned, weights, product, grad_w2;  // of one block
    std::vector<T> grad_a, grad_mean, grad_width, grad_b1, grad_phi, mean, inverse_width, peak;
    std::vector<std::uint8_t> live;
  };

  Plan make_plan(std::span<const T> a, std::int64_t begin) const;
  /// A row of the Gaussians of a plan, in the vectors of `work`.
  backend::GaussianRow<T> gaussian_row(Work& work, const std::vector<std::int64_t>& columns) const;
  void hidden_units(Work& work, const Plan& plan, std::int64_t task_begin, std::int64_t first_node) const;
  void backward_block(Work& work, const Plan& plan, std::int64_t task_begin, std::int64_t first_node,
                      const T* grad_phi, GaussianGradients& sums) const;
  void backward_nodes(Work& work, GaussianGradients& sums) const;
  /// Adds the gradients by the arguments and shapes of Gaussians from those of psi.
  void add_gaussian_gradients(Work& work, const std::vector<std::int64_t>& columns, const T* grad_psi,
                              const T* psi, std::int64_t stride, std::span<const T> a, std::span<const T> d,
                              GaussianGradients& sums) const;
  std::int64_t task_points() const {
    const std::int64_t blocks = (points() + s_.block - 1) / s_.block;
    return s_.block * (std::max<std::int64_t>)(task_blocks, (blocks + 63) / 64);
  }

  std::vector<T> distances_;
  GaussianSettings<T> s_;
  std::int64_t units_;
  ops::PackedLinear<T> output_, inner_, inner_back_;
  std::vector<std::int64_t> all_;
};

template <Real T>
GaussianBlocks<T>::GaussianBlocks(std::vector<T> distances, GaussianSettings<T> settings)
    : distances_(std::move(distances)),
      s_(std::move(settings)),
      units_(static_cast<std::int64_t>(s_.mean.size())),
      output_(s_.w2, s_.b2),
      inner_(s_.w1),
      inner_back_(s_.w1.transpose(0, 1).contiguous()) {
  for (std::int64_t k = 0; k < units_; ++k) all_.push_back(k);
}

template <Real T>
typename GaussianBlocks<T>::Plan GaussianBlocks<T>::make_plan(std::span<const T> a,
                                                              std::int64_t begin) const {
  Plan plan;
  plan.begin = begin;
  plan.count = static_cast<std::int64_t>(a.size());
  T low = a[0], high = low;
  for (const T value : a) {
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  const T span = high - low, largest = (std::max)(std::abs(low), std::abs(high));
  // Beyond this many widths exp(-u^2/2) is 1e-14 of the peak (float), or zero (double).
  const T reach = std::is_same_v<T, float> ? T(8) : T(40);
  std::vector<std::int64_t> narrow;
  for (std::int64_t k = 0; k < units_; ++k) {
    const T mu = s_.mean[static_cast<std::size_t>(k)], s = s_.width[static_cast<std::size_t>(k)];
    if (mu < low - reach * s || mu > high + reach * s) continue;  // NaN stays
    plan.columns.push_back(k);
    if (!(s >= T(1.25) * span)) narrow.push_back(k);
  }
  // Worth it where columns are saved; possible where eight floats stand apart between the ends.
  const bool apart = span > T(1e-4) * largest && plan.count >= 4 * nodes;
  const auto kept = nodes + static_cast<std::int64_t>(narrow.size());
  if (!std::is_same_v<T, float> || !s_.interpolate || !apart || 4 * kept > 3 * plan.width()) return plan;
  plan.nodes = nodes;
  plan.columns = std::move(narrow);
  plan.middle = 0.5 * (static_cast<double>(low) + static_cast<double>(high));
  plan.half = 0.5 * static_cast<double>(span);
  for (std::size_t i = 0; i < 8; ++i) {
    const double chebyshev = -std::cos((static_cast<double>(i) + 0.5) * std::numbers::pi / 8.0);
    const T rounded = static_cast<T>(plan.middle + plan.half * chebyshev);
    plan.place[i] = (static_cast<double>(rounded) - plan.middle) / plan.half;
  }
  for (std::size_t i = 0; i < 8; ++i) {
    plan.factor[i] = 1.0;
    for (std::size_t j = 0; j < 8; ++j)
      if (j != i) plan.factor[i] /= plan.place[i] - plan.place[j];
  }
  return plan;
}

template <Real T>
GaussianBlocks<T>::Work::Work(const GaussianBlocks& owner, std::int64_t begin, std::int64_t end)
    : a(static_cast<std::size_t>(end - begin)),
      features({owner.s_.block, owner.units_}),
      hidden({owner.s_.block, owner.units_}),
      grad_z({owner.s_.block, owner.units_}),
      turned({2, owner.s_.block * owner.units_}),
      weights({owner.units_, owner.units_}),
      product({owner.units_, owner.units_}),
      grad_w2({owner.heads(), owner.units_}),
      live(static_cast<std::size_t>(owner.units_)) {
  const GaussianSettings<T>& s = owner.s_;
  affine_arguments<T>({owner.distances_.data() + begin, a.size()}, s.w, s.b, a);
  for (std::int64_t at = begin; at < end; at += s.block) {
    const std::int64_t count = (std::min)(s.block, end - at);
    plans.push_back(owner.make_plan({a.data() + (at - begin), static_cast<std::size_t>(count)}, at));
    const Plan& plan = plans.back();
    for (std::size_t i = 0; i < static_cast<std::size_t>(plan.nodes); ++i)
      node_a.push_back(static_cast<T>(plan.middle + plan.half * plan.place[i]));
  }
  const auto count = static_cast<std::int64_t>(node_a.size());
  if (count == 0) return;
  node_psi = Tensor<T>(Shape{count, owner.units_});
  node_z = Tensor<T>(Shape{count, owner.units_});
  node_grad = Tensor<T>::zeros(Shape{count, owner.units_});
  const auto row = owner.gaussian_row(*this, owner.all_);
  backend::gaussian_values(node_psi.data(), owner.units_, node_a.data(), count, row);
  // Those that are evaluated at the points themselves do not count here.
  std::int64_t node = 0;
  for (const Plan& plan : plans)
    for (std::int64_t i = 0; i < plan.nodes; ++i, ++node)
      for (const std::int64_t k : plan.columns) node_psi.data()[node * owner.units_ + k] = T(0);
  owner.inner_.apply_into(node_z.view(), std::as_const(node_psi).view());
}

template <Real T>
backend::GaussianRow<T> GaussianBlocks<T>::gaussian_row(Work& work,
                                                        const std::vector<std::int64_t>& columns) const {
  work.mean.clear();
  work.inverse_width.clear();
  work.peak.clear();
  for (const std::int64_t k : columns) {
    const T s = s_.width[static_cast<std::size_t>(k)];
    work.mean.push_back(s_.mean[static_cast<std::size_t>(k)]);
    work.inverse_width.push_back(T(1) / s);
    work.peak.push_back(T(1) / (static_cast<T>(std::sqrt(2.0 * std::numbers::pi)) * s));
  }
  return {work.mean.data(), work.inverse_width.data(), work.peak.data(),
          static_cast<std::int64_t>(columns.size())};
}

/// features [count, width]: Lagrange's polynomials, then psi of the plan's Gaussians; relu(features weights^T
/// + b1).
template <Real T>
void GaussianBlocks<T>::hidden_units(Work& work, const Plan& plan, std::int64_t task_begin,
                                     std::int64_t first_node) const {
  const std::int64_t width = plan.width();
  const T* a = work.a.data() + (plan.begin - task_begin);
  if (plan.nodes > 0)
    for (std::int64_t p = 0; p < plan.count; ++p) {
      const double t = (static_cast<double>(a[p]) - plan.middle) / plan.half;
      double before[8], after = 1.0;
      before[0] = 1.0;
      for (std::size_t i = 1; i < 8; ++i) before[i] = before[i - 1] * (t - plan.place[i - 1]);
      for (std::size_t i = 8; i-- > 0;) {
        work.features.data()[p * width + static_cast<std::int64_t>(i)] =
            static_cast<T>(before[i] * after * plan.factor[i]);
        after *= t - plan.place[i];
      }
    }
  const auto row = gaussian_row(work, plan.columns);
  backend::gaussian_values(work.features.data() + plan.nodes, width, a, plan.count, row);
  for (std::int64_t j = 0; j < units_; ++j) {
    T* to = work.weights.data() + j * width;
    for (std::int64_t i = 0; i < plan.nodes; ++i) *to++ = work.node_z.data()[(first_node + i) * units_ + j];
    for (const std::int64_t k : plan.columns) *to++ = s_.w1.data()[j * units_ + k];
  }
  ops::linear_into<T>(matrix_view(work.hidden.data(), plan.count, units_),
                      matrix_view(std::as_const(work.features).data(), plan.count, width),
                      matrix_view(std::as_const(work.weights).data(), units_, width), s_.b1.view(),
                      {.activation = ops::Activation::relu});
}

template <Real T>
void GaussianBlocks<T>::forward(T* out) const {
  parallel_for(points(), task_points(), [&](std::int64_t begin, std::int64_t end) {
    Work work(*this, begin, end);
    std::int64_t node = 0;
    for (const Plan& plan : work.plans) {
      hidden_units(work, plan, begin, node);
      node += plan.nodes;
      const auto phi = matrix_view(out + plan.begin * heads(), plan.count, heads());
      output_.apply_into(phi, matrix_view(std::as_const(work.hidden).data(), plan.count, units_));
      for (std::int64_t p = 0; p < plan.count; ++p)
        if (distances_[static_cast<std::size_t>(plan.begin + p)] == T(0))
          std::fill_n(phi.row(p), heads(), T(0));
    }
  });
}

template <Real T>
void GaussianBlocks<T>::backward_block(Work& work, const Plan& plan, std::int64_t task_begin,
                                       std::int64_t first_node, const T* grad_phi,
                                       GaussianGradients& sums) const {
  hidden_units(work, plan, task_begin, first_node);
  const std::int64_t count = plan.count, width = plan.width(), h = heads();
  const std::span<const T> d(distances_.data() + plan.begin, static_cast<std::size_t>(count));
  // Nothing flows through a distance of 0.
  work.grad_phi.assign(grad_phi + plan.begin * h, grad_phi + (plan.begin + count) * h);
  for (std::int64_t p = 0; p < count; ++p)
    if (d[static_cast<std::size_t>(p)] == T(0)) std::fill_n(work.grad_phi.data() + p * h, h, T(0));
  for (std::int64_t p = 0; p < count; ++p)
    for (std::int64_t i = 0; i < h; ++i)
      sums.b2[static_cast<std::size_t>(i)] +=
          static_cast<double>(work.grad_phi[static_cast<std::size_t>(p * h + i)]);

  const auto add = [](std::vector<double>& to, const T* from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += static_cast<double>(from[i]);
  };
  std::fill_n(work.grad_w2.data(), h * units_, T(0));
  backend::output_weight_gradients(work.grad_w2.data(), work.live.data(), work.grad_phi.data(),
                                   work.hidden.data(), count, h, units_);
  add(sums.w2, work.grad_w2.data());
  std::vector<std::int64_t> rows;  // units that are on somewhere
  for (std::int64_t j = 0; j < units_; ++j)
    if (work.live[static_cast<std::size_t>(j)] != 0) rows.push_back(j);
  const auto on = static_cast<std::int64_t>(rows.size());
  work.grad_b1.assign(static_cast<std::size_t>(units_), T(0));
  backend::hidden_gradients(work.grad_z.data(), on, work.grad_b1.data(), work.live.data(),
                            work.grad_phi.data(), s_.w2.data(), work.hidden.data(), count, h, units_);
  add(sums.b1, work.grad_b1.data());
  if (on == 0 || width == 0) return;

  // dz^T features: gradients of z at the polynomial's points, then of W1.
  T *grad_z_turned = work.turned.data(), *features_turned = grad_z_turned + s_.block * units_;
  backend::transpose_block<T>(grad_z_turned, work.grad_z.data(), on, count, on);
  backend::transpose_block<T>(features_turned, work.features.data(), width, count, width);
  ops::linear_into<T>(matrix_view(work.product.data(), on, width),
                      matrix_view<const T>(grad_z_turned, on, count),
                      matrix_view<const T>(features_turned, width, count));
  const auto narrow = static_cast<std::int64_t>(plan.columns.size());
  for (std::int64_t j = 0; j < on; ++j) {
    const std::int64_t unit = rows[static_cast<std::size_t>(j)];
    const T* from = work.product.data() + j * width;
    for (std::int64_t i = 0; i < plan.nodes; ++i)
      work.node_grad.data()[(first_node + i) * units_ + unit] = *from++;
    double* to = sums.w1.data() + unit * units_;
    for (const std::int64_t k : plan.columns) to[k] += static_cast<double>(*from++);
  }
  if (narrow == 0) return;

  // dpsi = dz W1, in the place of the hidden units.
  for (std::int64_t i = 0; i < narrow; ++i)
    for (std::int64_t j = 0; j < on; ++j)
      work.weights.data()[i * on + j] =
          s_.w1
              .data()[rows[static_cast<std::size_t>(j)] * units_ + plan.columns[static_cast<std::size_t>(i)]];
  T* grad_psi = work.hidden.data();
  ops::linear_into<T>(matrix_view(grad_psi, count, narrow),
                      matrix_view(std::as_const(work.grad_z).data(), count, on),
                      matrix_view(std::as_const(work.weights).data(), narrow, on));
  add_gaussian_gradients(work, plan.columns, grad_psi, work.features.data() + plan.nodes, width,
                         {work.a.data() + (plan.begin - task_begin), d.size()}, d, sums);
}

template <Real T>
void GaussianBlocks<T>::add_gaussian_gradients(Work& work, const std::vector<std::int64_t>& columns,
                                               const T* grad_psi, const T* psi, std::int64_t stride,
                                               std::span<const T> a, std::span<const T> d,
                                               GaussianGradients& sums) const {
  const auto row = gaussian_row(work, columns);
  work.grad_a.assign(a.size(), T(0));
  work.grad_mean.assign(columns.size(), T(0));
  work.grad_width.assign(columns.size(), T(0));
  backend::gaussian_gradients<T>(work.grad_a.data(), work.grad_mean.data(), work.grad_width.data(), grad_psi,
                                 psi, stride, a.data(), static_cast<std::int64_t>(a.size()), row);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto k = static_cast<std::size_t>(columns[i]);
    const auto inverse = static_cast<double>(work.inverse_width[i]);
    sums.means[k] += static_cast<double>(work.grad_mean[i]) * inverse;
    sums.stds[k] += static_cast<double>(work.grad_width[i]) * inverse * static_cast<double>(s_.sign[k]);
  }
  for (std::size_t p = 0; p < a.size(); ++p) {
    const auto grad = static_cast<double>(work.grad_a[p]);
    sums.w += grad * static_cast<double>(d[p]);
    sums.b += grad;
  }
}

/// The polynomials' points are points of the network like any other, with the gradients of z gathered on
/// them.
template <Real T>
void GaussianBlocks<T>::backward_nodes(Work& work, GaussianGradients& sums) const {
  const auto count = static_cast<std::int64_t>(work.node_a.size());
  if (count == 0) return;
  Tensor<T> grad_turned({units_, count}), psi_turned({units_, count});
  backend::transpose_block<T>(grad_turned.data(), work.node_grad.data(), units_, count, units_);
  backend::transpose_block<T>(psi_turned.data(), work.node_psi.data(), units_, count, units_);
  ops::linear_into<T>(work.product.view(), std::as_const(grad_turned).view(),
                      std::as_const(psi_turned).view());
  for (std::size_t i = 0; i < sums.w1.size(); ++i) sums.w1[i] += static_cast<double>(work.product.data()[i]);
  inner_back_.apply_into(work.node_z.view(), std::as_const(work.node_grad).view());
  std::vector<T> d;  // the distance of each point: a = w d + b, and w is not 0 where there are any
  for (const T a : work.node_a)
    d.push_back(
        static_cast<T>((static_cast<double>(a) - static_cast<double>(s_.b)) / static_cast<double>(s_.w)));
  add_gaussian_gradients(work, all_, work.node_z.data(), work.node_psi.data(), units_, work.node_a, d, sums);
}

template <Real T>
GaussianGradients GaussianBlocks<T>::backward(const T* grad_phi) const {
  const std::int64_t step = task_points(), tasks = (points() + step - 1) / step;
  std::vector<GaussianGradients> partial(static_cast<std::size_t>(tasks), GaussianGradients(units_, heads()));
  parallel_for(points(), step, [&](std::int64_t begin, std::int64_t end) {
    Work work(*this, begin, end);
    GaussianGradients& sums = partial[static_cast<std::size_t>(begin / step)];
    std::int64_t node = 0;
    for (const Plan& plan : work.plans) {
      backward_block(work, plan, begin, node, grad_phi, sums);
      node += plan.nodes;
    }
    backward_nodes(work, sums);
  });
  GaussianGradients sums(units_, heads());
  for (const GaussianGradients& part : partial) sums.add(part);
  return sums;
}

}  // namespace stofm::model::detail

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The network of the distance bias as a differentiable op:
///   a = w d + b,  s_k = |sigma_k| + 1e-5,  psi_k(a) = exp(-((a - mu_k)/s_k)^2 / 2) / (sqrt(2 pi) s_k)
///   Phi(d) = W2 relu(W1 psi + b1) + b2;  Phi(0) = 0, through which no gradient flows.
/// With g = dL/dPhi: dW2 = g^T hidden, dz = (g W2) [z > 0], dW1 = dz^T psi, dpsi = dz W1, t = dpsi psi, u =
/// (a - mu)/s:
///   da = -sum_k t u / s,  dmu = sum t u / s,  ds = sum t (u^2 - 1) / s,  dsigma = ds sign(sigma),  dw = da
///   d,  db = da.
/// Points are taken in blocks and psi and the hidden units computed again for backward, so the memory is that
/// of a few blocks. In a block of neighbouring distances many Gaussians vanish and many units are off: both
/// are left out of the products, which changes nothing beyond rounding. Source: SPEC section 5.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numbers>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/tape.hpp"
#include "stofm/backend/cpu/gaussian.hpp"
#include "stofm/model/gaussian_network.hpp"
#include "stofm/ops/linear.hpp"

namespace stofm::model {

/// In which precision a double model keeps the centres and widths of its Gaussians.
enum class GaussianRounding {
  own,      ///< in the type of the model
  float32,  ///< rounded to float32 first, as the reference does whatever the model's type
};

struct GaussianBiasOptions {
  GaussianRounding rounding = GaussianRounding::own;
  std::int64_t block = 512;  ///< points computed together
};

/// The parameters gaussian.* on a tape.
template <Real T>
struct GaussianVariables {
  autograd::Variable<T> w, b;         ///< gaussian.linear: one number each
  autograd::Variable<T> means, stds;  ///< [1, K]
  autograd::Variable<T> w1, b1;       ///< gaussian.proj.0: [K, K], [K]
  autograd::Variable<T> w2, b2;       ///< gaussian.proj.2: [H, K], [H]
};

/// Those of `set` under `prefix`. \throws UsageError if one is missing.
template <Real T>
GaussianVariables<T> gaussian_variables(autograd::Tape<T>& tape, const autograd::ParameterSet<T>& set,
                                        const std::string& prefix = "") {
  const auto at = [&](const char* name) { return tape.parameter(set.at(prefix + "gaussian." + name)); };
  return {at("linear.weight"), at("linear.bias"), at("means.weight"),  at("stds.weight"),
          at("proj.0.weight"), at("proj.0.bias"), at("proj.2.weight"), at("proj.2.bias")};
}

/// Phi of each distance. *Shapes* distances: [D]; result [D, H]. Ascending distances are the cheap order.
/// *Saved* distances and parameters. \throws ShapeError if the parameters do not fit each other.
/// *Cost* at most 2 K^2 FLOP a distance forward, 6 K^2 backward. *Memory* O(block * K) per thread, and at
/// most 64 partial sums of the gradients. *Deterministic* yes, for any number of threads.
template <Real T>
autograd::Variable<T> gaussian_bias(std::vector<T> distances, const GaussianVariables<T>& parameters,
                                    const GaussianBiasOptions& options = {});

namespace detail {

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

/// The network's values, prepared for blocks of points.
template <Real T>
class GaussianBlocks {
 public:
  GaussianBlocks(std::vector<T> distances, const GaussianVariables<T>& p, const GaussianBiasOptions& options);

  std::int64_t points() const { return static_cast<std::int64_t>(distances_.size()); }
  std::int64_t heads() const { return w2_.dim(0); }
  /// out: [points, heads]
  void forward(T* out) const;
  /// grad_phi: [points, heads]
  GaussianGradients backward(const T* grad_phi) const;

 private:
  /// What a block of points needs, kept from one block to the next.
  struct Workspace;
  void hidden_units(Workspace& work, std::int64_t begin, std::int64_t count) const;
  void backward_block(Workspace& work, const T* grad_phi, std::int64_t begin, std::int64_t count,
                      GaussianGradients& sums) const;
  /// Blocks of one task: neighbours, at most 64 tasks.
  std::int64_t task_points() const {
    const std::int64_t blocks = (points() + block_ - 1) / block_;
    return block_ * (std::max<std::int64_t>)(4, (blocks + 63) / 64);
  }

  std::vector<T> distances_;
  Tensor<T> w1_, b1_, w2_, b2_;
  ops::PackedLinear<T> output_;
  std::vector<T> mean_, width_, sign_;
  T w_, b_;
  std::int64_t units_, block_;
};

template <Real T>
struct GaussianBlocks<T>::Workspace {
  Workspace(std::int64_t block, std::int64_t units, std::int64_t heads)
      : psi({block, units}),
        hidden({block, units}),
        grad_z({block, units}),
        turned({2, block * units}),
        weights({units, units}),
        product({units, units}),
        grad_w2({heads, units}) {}
  Tensor<T> psi, hidden, grad_z, turned, weights, product, grad_w2;
  std::vector<T> a, mean, inverse_width, peak, grad_a, grad_mean, grad_width, grad_b1, grad_phi;
  std::vector<std::int64_t> alive;  // Gaussians that do not vanish on the block
  std::vector<std::uint8_t> live;   // units that are on somewhere in it
  backend::GaussianRow<T> row{};
};

template <Real T>
GaussianBlocks<T>::GaussianBlocks(std::vector<T> distances, const GaussianVariables<T>& p,
                                  const GaussianBiasOptions& options)
    : distances_(std::move(distances)),
      w1_(p.w1.value()),
      b1_(p.b1.value()),
      w2_(p.w2.value()),
      b2_(p.b2.value()),
      units_(p.means.value().numel()),
      block_(options.block) {
  const auto require = [&](const char* name, const autograd::Variable<T>& value, const Shape& shape) {
    if (!(value.shape() == shape))
      throw ShapeError({"STOFM-1340", "", concat("[gaussian_bias] ", name), to_string(value.shape()),
                        to_string(shape), "Take all gaussian.* parameters from one model."});
  };
  require("linear.weight", p.w, Shape{1, 1});
  require("linear.bias", p.b, Shape{1});
  require("means", p.means, Shape{1, units_});
  require("stds", p.stds, Shape{1, units_});
  require("proj.0.weight", p.w1, Shape{units_, units_});
  require("proj.0.bias", p.b1, Shape{units_});
  require("proj.2.weight", p.w2, Shape{p.b2.value().numel(), units_});
  require("proj.2.bias", p.b2, Shape{p.b2.value().numel()});
  if (block_ < 1)
    throw UsageError(
        {"STOFM-1341", "", "[gaussian_bias] block", std::to_string(block_), "at least 1", "Leave it out."});
  w_ = p.w.value().data()[0];
  b_ = p.b.value().data()[0];
  output_ = ops::PackedLinear<T>(w2_, b2_);
  const bool narrow = options.rounding == GaussianRounding::float32;
  for (std::int64_t k = 0; k < units_; ++k) {
    const T mu = p.means.value().data()[k], sigma = p.stds.value().data()[k];
    mean_.push_back(narrow ? static_cast<T>(static_cast<float>(mu)) : mu);
    width_.push_back(narrow ? static_cast<T>(std::abs(static_cast<float>(sigma)) + 1e-5F)
                            : static_cast<T>(std::abs(sigma) + static_cast<T>(1e-5)));
    sign_.push_back(static_cast<T>(sigma > T(0) ? 1 : sigma < T(0) ? -1 : 0));
  }
}

/// psi of the Gaussians that are alive, and relu(W1 psi + b1), of points [begin, begin + count).
template <Real T>
void GaussianBlocks<T>::hidden_units(Workspace& work, std::int64_t begin, std::int64_t count) const {
  const auto points = static_cast<std::size_t>(count);
  work.a.resize(points);
  affine_arguments<T>({distances_.data() + begin, points}, w_, b_, work.a);
  T low = work.a[0], high = low;
  for (const T a : work.a) {
    low = a < low ? a : low;
    high = a > high ? a : high;
  }
  // Beyond this many widths exp(-u^2/2) is 1e-14 of the peak (float), or zero (double).
  const T reach = std::is_same_v<T, float> ? T(8) : T(40);
  work.alive.clear();
  work.mean.clear();
  work.inverse_width.clear();
  work.peak.clear();
  for (std::int64_t k = 0; k < units_; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const T mu = mean_[at], s = width_[at];
    if (mu < low - reach * s || mu > high + reach * s) continue;  // NaN stays
    work.alive.push_back(k);
    work.mean.push_back(mu);
    work.inverse_width.push_back(T(1) / s);
    work.peak.push_back(T(1) / (static_cast<T>(std::sqrt(2.0 * std::numbers::pi)) * s));
  }
  const auto width = static_cast<std::int64_t>(work.alive.size());
  work.row = {work.mean.data(), work.inverse_width.data(), work.peak.data(), width};
  backend::gaussian_values(work.psi.data(), work.a.data(), count, work.row);
  for (std::int64_t j = 0; j < units_; ++j)
    for (std::int64_t i = 0; i < width; ++i)
      work.weights.data()[j * width + i] = w1_.data()[j * units_ + work.alive[static_cast<std::size_t>(i)]];
  ops::linear_into<T>(matrix_view(work.hidden.data(), count, units_),
                      matrix_view(std::as_const(work.psi).data(), count, width),
                      matrix_view(std::as_const(work.weights).data(), units_, width), b1_.view(),
                      {.activation = ops::Activation::relu});
}

template <Real T>
void GaussianBlocks<T>::forward(T* out) const {
  parallel_for(points(), task_points(), [&](std::int64_t task_begin, std::int64_t task_end) {
    Workspace work(block_, units_, heads());
    for (std::int64_t begin = task_begin; begin < task_end; begin += block_) {
      const std::int64_t count = (std::min)(block_, task_end - begin);
      hidden_units(work, begin, count);
      const auto phi = matrix_view(out + begin * heads(), count, heads());
      output_.apply_into(phi, matrix_view(std::as_const(work.hidden).data(), count, units_));
      for (std::int64_t p = 0; p < count; ++p)
        if (distances_[static_cast<std::size_t>(begin + p)] == T(0)) std::fill_n(phi.row(p), heads(), T(0));
    }
  });
}

template <Real T>
void GaussianBlocks<T>::backward_block(Workspace& work, const T* grad_phi, std::int64_t begin,
                                       std::int64_t count, GaussianGradients& sums) const {
  hidden_units(work, begin, count);
  const auto width = static_cast<std::int64_t>(work.alive.size());
  const auto units = static_cast<std::size_t>(units_);
  const std::int64_t h = heads();
  // Nothing flows through a distance of 0.
  work.grad_phi.assign(grad_phi + begin * h, grad_phi + (begin + count) * h);
  for (std::int64_t p = 0; p < count; ++p)
    if (distances_[static_cast<std::size_t>(begin + p)] == T(0))
      std::fill_n(work.grad_phi.data() + p * h, h, T(0));
  for (std::int64_t p = 0; p < count; ++p)
    for (std::int64_t i = 0; i < h; ++i)
      sums.b2[static_cast<std::size_t>(i)] +=
          static_cast<double>(work.grad_phi[static_cast<std::size_t>(p * h + i)]);

  const auto add = [](std::vector<double>& to, const T* from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += static_cast<double>(from[i]);
  };
  work.live.resize(units);
  std::fill_n(work.grad_w2.data(), h * units_, T(0));
  backend::output_weight_gradients(work.grad_w2.data(), work.live.data(), work.grad_phi.data(),
                                   work.hidden.data(), count, h, units_);
  add(sums.w2, work.grad_w2.data());
  std::vector<std::int64_t> rows;  // units that are on
  for (std::int64_t j = 0; j < units_; ++j)
    if (work.live[static_cast<std::size_t>(j)] != 0) rows.push_back(j);
  const auto on = static_cast<std::int64_t>(rows.size());
  work.grad_b1.assign(units, T(0));
  backend::hidden_gradients(work.grad_z.data(), on, work.grad_b1.data(), work.live.data(),
                            work.grad_phi.data(), w2_.data(), work.hidden.data(), count, h, units_);
  add(sums.b1, work.grad_b1.data());
  if (on == 0 || width == 0) return;

  // dW1 = dz^T psi
  T* grad_z_turned = work.turned.data();
  T* psi_turned = grad_z_turned + block_ * units_;
  backend::transpose_block<T>(grad_z_turned, work.grad_z.data(), on, count, on);
  backend::transpose_block<T>(psi_turned, work.psi.data(), width, count, width);
  ops::linear_into<T>(matrix_view(work.product.data(), on, width),
                      matrix_view<const T>(grad_z_turned, on, count),
                      matrix_view<const T>(psi_turned, width, count));
  for (std::int64_t j = 0; j < on; ++j)
    for (std::int64_t i = 0; i < width; ++i)
      sums.w1[static_cast<std::size_t>(rows[static_cast<std::size_t>(j)] * units_ +
                                       work.alive[static_cast<std::size_t>(i)])] +=
          static_cast<double>(work.product.data()[j * width + i]);

  // dpsi = dz W1, in the place of the hidden units
  for (std::int64_t i = 0; i < width; ++i)
    for (std::int64_t j = 0; j < on; ++j)
      work.weights.data()[i * on + j] =
          w1_.data()[rows[static_cast<std::size_t>(j)] * units_ + work.alive[static_cast<std::size_t>(i)]];
  T* grad_psi = work.hidden.data();
  ops::linear_into<T>(matrix_view(grad_psi, count, width),
                      matrix_view(std::as_const(work.grad_z).data(), count, on),
                      matrix_view(std::as_const(work.weights).data(), width, on));
  work.grad_a.assign(static_cast<std::size_t>(count), T(0));
  work.grad_mean.assign(work.alive.size(), T(0));
  work.grad_width.assign(work.alive.size(), T(0));
  backend::gaussian_gradients<T>(work.grad_a.data(), work.grad_mean.data(), work.grad_width.data(), grad_psi,
                                 work.psi.data(), work.a.data(), count, work.row);
  for (std::size_t i = 0; i < work.alive.size(); ++i) {
    const auto k = static_cast<std::size_t>(work.alive[i]);
    const auto inverse = static_cast<double>(work.inverse_width[i]);
    sums.means[k] += static_cast<double>(work.grad_mean[i]) * inverse;
    sums.stds[k] += static_cast<double>(work.grad_width[i]) * inverse * static_cast<double>(sign_[k]);
  }
  for (std::int64_t p = 0; p < count; ++p) {
    const auto grad = static_cast<double>(work.grad_a[static_cast<std::size_t>(p)]);
    sums.w += grad * static_cast<double>(distances_[static_cast<std::size_t>(begin + p)]);
    sums.b += grad;
  }
}

template <Real T>
GaussianGradients GaussianBlocks<T>::backward(const T* grad_phi) const {
  const std::int64_t step = task_points(), tasks = (points() + step - 1) / step;
  std::vector<GaussianGradients> partial(static_cast<std::size_t>(tasks), GaussianGradients(units_, heads()));
  parallel_for(points(), step, [&](std::int64_t task_begin, std::int64_t task_end) {
    Workspace work(block_, units_, heads());
    for (std::int64_t begin = task_begin; begin < task_end; begin += block_)
      backward_block(work, grad_phi, begin, (std::min)(block_, task_end - begin),
                     partial[static_cast<std::size_t>(task_begin / step)]);
  });
  GaussianGradients sums(units_, heads());
  for (const GaussianGradients& part : partial) sums.add(part);
  return sums;
}

}  // namespace detail

template <Real T>
autograd::Variable<T> gaussian_bias(std::vector<T> distances, const GaussianVariables<T>& p,
                                    const GaussianBiasOptions& options) {
  const auto blocks = std::make_shared<const detail::GaussianBlocks<T>>(std::move(distances), p, options);
  Tensor<T> phi({blocks->points(), blocks->heads()});
  blocks->forward(phi.data());
  return autograd::record<T>("gaussian_bias", std::move(phi),
                             {p.w, p.b, p.means, p.stds, p.w1, p.b1, p.w2, p.b2},
                             [blocks](const Tensor<T>& grad_phi, autograd::Gradients<T>& into) {
                               const detail::GaussianGradients sums = blocks->backward(grad_phi.data());
                               const auto put = [&into](std::size_t input, std::span<const double> values) {
                                 if (!into.wanted(input)) return;
                                 Tensor<T>& grad = into.accumulator(input);
                                 for (std::size_t i = 0; i < values.size(); ++i)
                                   grad.data()[i] += static_cast<T>(values[i]);
                               };
                               put(0, {&sums.w, 1});
                               put(1, {&sums.b, 1});
                               put(2, sums.means);
                               put(3, sums.stds);
                               put(4, sums.w1);
                               put(5, sums.b1);
                               put(6, sums.w2);
                               put(7, sums.b2);
                             });
}

}  // namespace stofm::model

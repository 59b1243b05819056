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
/// of a few blocks; how a block is computed, and what is left out of it:
/// model/distance_bias/gaussian_blocks.hpp. *Source* SPEC section 5.

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/tape.hpp"
#include "stofm/model/distance_bias/gaussian_blocks.hpp"

namespace stofm::model {

/// In which precision a double model keeps the centres and widths of its Gaussians.
enum class GaussianRounding {
  own,      ///< in the type of the model
  float32,  ///< rounded to float32 first, as the reference does whatever the model's type
};

struct GaussianBiasOptions {
  GaussianRounding rounding = GaussianRounding::own;
  std::int64_t block = 512;  ///< points computed together
  bool interpolate = true;  ///< float only: wide Gaussians by polynomials over a block, within float rounding
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

/// Values for `GaussianBlocks`, checked.
template <Real T>
GaussianSettings<T> gaussian_settings(const GaussianVariables<T>& p, const GaussianBiasOptions& options) {
  const std::int64_t units = p.means.value().numel(), heads = p.b2.value().numel();
  const auto require = [&](const char* name, const autograd::Variable<T>& value, const Shape& shape) {
    if (!(value.shape() == shape))
      throw ShapeError({"STOFM-1340", "", concat("[gaussian_bias] ", name), to_string(value.shape()),
                        to_string(shape), "Take all gaussian.* parameters from one model."});
  };
  require("linear.weight", p.w, Shape{1, 1});
  require("linear.bias", p.b, Shape{1});
  require("means", p.means, Shape{1, units});
  require("stds", p.stds, Shape{1, units});
  require("proj.0.weight", p.w1, Shape{units, units});
  require("proj.0.bias", p.b1, Shape{units});
  require("proj.2.weight", p.w2, Shape{heads, units});
  require("proj.2.bias", p.b2, Shape{heads});
  if (options.block < 1)
    throw UsageError({"STOFM-1341", "", "[gaussian_bias] block", std::to_string(options.block), "at least 1",
                      "Leave it out."});
  GaussianSettings<T> s{
      {},           {},           {},           p.w.value().data()[0], p.b.value().data()[0], p.w1.value(),
      p.b1.value(), p.w2.value(), p.b2.value(), options.block,         options.interpolate};
  const bool narrow = options.rounding == GaussianRounding::float32;
  for (std::int64_t k = 0; k < units; ++k) {
    const T mu = p.means.value().data()[k], sigma = p.stds.value().data()[k];
    s.mean.push_back(narrow ? static_cast<T>(static_cast<float>(mu)) : mu);
    s.width.push_back(narrow ? static_cast<T>(std::abs(static_cast<float>(sigma)) + 1e-5F)
                             : static_cast<T>(std::abs(sigma) + static_cast<T>(1e-5)));
    s.sign.push_back(static_cast<T>(sigma > T(0) ? 1 : sigma < T(0) ? -1 : 0));
  }
  return s;
}

}  // namespace detail

template <Real T>
autograd::Variable<T> gaussian_bias(std::vector<T> distances, const GaussianVariables<T>& p,
                                    const GaussianBiasOptions& options) {
  const auto blocks = std::make_shared<const detail::GaussianBlocks<T>>(
      std::move(distances), detail::gaussian_settings(p, options));
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

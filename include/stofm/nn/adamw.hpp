// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// AdamW: Adam with decoupled weight decay. For step t of a parameter x with gradient g:
///     x <- x - rate * decay * x
///     m <- m + (1 - beta1)(g - m),   v <- beta2 v + (1 - beta2) g^2
///     x <- x - rate / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
/// *Source* Loshchilov & Hutter, ICLR 2019; order of operations as torch.optim.AdamW.

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "stofm/core/compiled.hpp"
#include "stofm/core/lower_case.hpp"
#include "stofm/nn/clip_gradients.hpp"
#include "stofm/ops/adamw.hpp"

namespace stofm::nn {

struct AdamWOptions {
  double learning_rate = 1e-4;
  double beta1 = 0.9;  ///< with beta2, epsilon, weight_decay: defaults of torch.optim.AdamW
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.01;
  bool decay_all = false;  ///< true: biases and norms decay too

  /// \throws UsageError STOFM-1510.
  void validate() const {
    const bool good = learning_rate >= 0 && beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1 &&
                      epsilon >= 0 && weight_decay >= 0 && std::isfinite(learning_rate);
    if (!good)
      throw UsageError({"STOFM-1510", "", "[adamw]",
                        concat("learning rate ", learning_rate, ", betas ", beta1, " ", beta2, ", epsilon ",
                               epsilon, ", decay ", weight_decay),
                        "none below zero, betas below 1", "Check the options."});
  }
};

/// False for biases and norms, told by the parts of the name between '.' and '/': one is "bias", or contains
/// "norm" in any case.
inline bool decays_by_name(std::string_view name) {
  std::string part;
  for (std::size_t i = 0; i <= name.size(); ++i) {
    if (i < name.size() && name[i] != '.' && name[i] != '/') {
      part += lower_case(name[i]);
      continue;
    }
    if (part == "bias" || part.find("norm") != std::string::npos) return false;
    part.clear();
  }
  return true;
}

/// The moments of the parameters of a set. The set must outlive it. A parameter joins when it is first
/// trainable in a step; each counts its own steps, so parts that are thawed later start as if new.
template <ops::Computed T>
class AdamW {
 public:
  explicit AdamW(autograd::ParameterSet<T>& set, const AdamWOptions& options = {})
      : set_(set), options_(options) {
    options.validate();
  }

  /// One step of all trainable parameters at the rate of the options.
  void step() { step(options_.learning_rate); }
  /// At this rate, gradients multiplied by `gradient_factor` first (`clip_coefficient`: clips without a pass
  /// of its own). *Cost* one pass over values, gradients and moments, in parallel. *Deterministic* yes, on
  /// all kernel levels.
  void step(double learning_rate, double gradient_factor = 1.0);

  /// "<name>/m", "<name>/v" and "<name>/t" (one number: steps so far) of every parameter that has joined.
  /// They share memory with the optimizer: write or clone them before the next step.
  std::map<std::string, Tensor<T>> state() const;
  /// Replaces all moments by copies of these. \throws UsageError STOFM-1511 for a name that is not of the set
  /// or that is incomplete, ShapeError STOFM-1512 for another shape.
  void load_state(const std::map<std::string, Tensor<T>>& state);
  /// The most steps any parameter has made.
  std::int64_t step_count() const {
    std::int64_t most = 0;
    for (const auto& [name, moments] : moments_) most = (std::max)(most, moments.steps);
    return most;
  }
  const AdamWOptions& options() const { return options_; }

 private:
  struct Moments {
    Tensor<T> m, v;
    std::int64_t steps = 0;
  };
  autograd::ParameterSet<T>& set_;
  AdamWOptions options_;
  std::map<std::string, Moments> moments_;
};

// ---- definitions

template <ops::Computed T>
void AdamW<T>::step(double learning_rate, double gradient_factor) {
  struct Work {
    T *x, *m, *v;
    const T* grad;
    ops::AdamWStep<T> step;
  };
  std::map<const autograd::Parameter<T>*, Work> plan;
  for (autograd::Parameter<T>* parameter : set_.list()) {
    if (!parameter->trainable) continue;
    const auto [at, is_new] = moments_.try_emplace(parameter->name());
    Moments& moments = at->second;
    if (is_new) {
      moments.m = Tensor<T>::zeros(parameter->value().shape());
      moments.v = Tensor<T>::zeros(parameter->value().shape());
    }
    const double t = static_cast<double>(++moments.steps);
    const bool decays = options_.decay_all || decays_by_name(parameter->name());
    ops::AdamWStep<T> step;
    step.keep = static_cast<T>(1.0 - (decays ? learning_rate * options_.weight_decay : 0.0));
    step.gradient_factor = static_cast<T>(gradient_factor);
    step.one_minus_beta1 = static_cast<T>(1.0 - options_.beta1);
    step.beta2 = static_cast<T>(options_.beta2);
    step.one_minus_beta2 = static_cast<T>(1.0 - options_.beta2);
    step.step_size = static_cast<T>(learning_rate / (1.0 - std::pow(options_.beta1, t)));
    step.root_correction = static_cast<T>(std::sqrt(1.0 - std::pow(options_.beta2, t)));
    step.epsilon = static_cast<T>(options_.epsilon);
    plan.emplace(parameter, Work{parameter->changing().data(), moments.m.data(), moments.v.data(),
                                 parameter->grad().data(), step});
  }
  const auto pieces = detail::parameter_pieces(set_);
  parallel_for(static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const auto& piece = pieces[static_cast<std::size_t>(i)];
      const Work& work = plan.at(piece.parameter);
      const auto count = static_cast<std::size_t>(piece.end - piece.begin);
      ops::adamw_step<T>({work.x + piece.begin, count}, {work.m + piece.begin, count},
                         {work.v + piece.begin, count}, {work.grad + piece.begin, count}, work.step);
    }
  });
}

template <ops::Computed T>
std::map<std::string, Tensor<T>> AdamW<T>::state() const {
  std::map<std::string, Tensor<T>> result;
  for (const auto& [name, moments] : moments_) {
    result.emplace(name + "/m", moments.m);
    result.emplace(name + "/v", moments.v);
    result.emplace(name + "/t", Tensor<T>::full(Shape{1}, static_cast<T>(moments.steps)));
  }
  return result;
}

template <ops::Computed T>
void AdamW<T>::load_state(const std::map<std::string, Tensor<T>>& state) {
  std::map<std::string, Moments> loaded;
  for (const auto& [key, tensor] : state) {
    const std::string name = key.substr(0, key.size() < 2 ? 0 : key.size() - 2);
    const bool known = key.ends_with("/m") || key.ends_with("/v") || key.ends_with("/t");
    const auto other = [&](const char* part) { return state.contains(name + part); };
    if (!known || !set_.contains(name) || !other("/m") || !other("/v") || !other("/t"))
      throw UsageError({"STOFM-1511", "", "[AdamW::load_state]", "state " + stofm::quoted(key),
                        "m, v and t of each parameter of the set, and nothing else",
                        "Give the state that was saved with this model."});
    const Shape expected = key.ends_with("/t") ? Shape{1} : set_.at(name).value().shape();
    if (!(tensor.shape() == expected))
      throw ShapeError({"STOFM-1512", "", "[AdamW::load_state]",
                        concat(stofm::quoted(key), " ", to_string(tensor.shape())), to_string(expected),
                        "Give the state that was saved with this model."});
    Moments& moments = loaded[name];
    if (key.ends_with("/m")) moments.m = tensor.clone();
    if (key.ends_with("/v")) moments.v = tensor.clone();
    if (key.ends_with("/t")) moments.steps = static_cast<std::int64_t>(tensor.contiguous().data()[0]);
  }
  moments_ = std::move(loaded);
}

STOFM_INSTANCE(class AdamW<float>)

}  // namespace stofm::nn

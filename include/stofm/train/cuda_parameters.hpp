// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parameters and optimizer of a run whose training is on a CUDA device: what the device takes, what comes
/// back for checkpoints and validation, and the engine that the loop of training_loop.hpp calls. `Trainer` is
/// one of the trainers of backend/cuda, `State` its struct of one parameter.

#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/gradients.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/train/training_loop.hpp"

namespace stofm::train {

template <class Trainer, class State>
class CudaParameters {
 public:
  /// Both must outlive it. \param prefix of the names that this is about, cut off for the device
  CudaParameters(autograd::ParameterSet<float>& parameters, nn::AdamW<float>& optimizer, std::string prefix)
      : parameters_(parameters), optimizer_(optimizer), prefix_(std::move(prefix)) {}

  /// The host's values and moments as the device takes them, with what they point to.
  struct HostState {
    std::map<std::string, Tensor<float>> moments;
    std::vector<State> list;
  };
  HostState host_state() const {
    HostState state{optimizer_.state(), {}};
    for (const auto& [name, parameter] : parameters_.map()) {
      if (!name.starts_with(prefix_)) continue;
      State entry{.name = name.substr(prefix_.size()),
                  .decays = optimizer_.options().decay_all || nn::decays_by_name(name),
                  .value = parameter->changing().span()};
      if (const auto m = state.moments.find(name + "/m"); m != state.moments.end()) {
        entry.m = m->second.span();
        entry.v = state.moments.at(name + "/v").span();
        entry.steps = static_cast<std::int64_t>(state.moments.at(name + "/t").data()[0]);
      }
      state.list.push_back(entry);
    }
    return state;
  }
  const nn::AdamWOptions& adamw() const { return optimizer_.options(); }

  /// What the loop calls in place of its own norm and update. This and the trainer must outlive it.
  StepEngine engine(Trainer& trainer) {
    return {.gradient_norm = [&trainer] { return trainer.gradient_norm(); },
            .update =
                [this, &trainer](double rate, double factor) {
                  trainer.update(rate, factor);
                  changed_ = true;
                },
            .fetch = [this, &trainer] { fetch(trainer); },
            .store =
                [this, &trainer] {
                  trainer.upload(host_state().list);
                  changed_ = false;
                },
            .nan_gradient = [this, &trainer] { return nan_gradient(trainer); }};
  }

 private:
  void fetch(const Trainer& trainer) {
    if (!changed_) return;
    HostState state = host_state();
    std::map<std::string, Tensor<float>> moments;
    for (const auto& [name, tensor] : state.moments)  // what this is not about stays
      if (!name.starts_with(prefix_)) moments.emplace(name, tensor.clone());
    for (State& entry : state.list) {
      const std::string name = prefix_ + entry.name;
      const Shape& shape = std::as_const(parameters_.at(name)).value().shape();
      entry.m = moments.emplace(name + "/m", Tensor<float>(shape)).first->second.span();
      entry.v = moments.emplace(name + "/v", Tensor<float>(shape)).first->second.span();
    }
    trainer.download(state.list);
    for (const State& entry : state.list)
      moments.emplace(prefix_ + entry.name + "/t",
                      Tensor<float>::full(Shape{1}, static_cast<float>(entry.steps)));
    optimizer_.load_state(moments);
    changed_ = false;
  }
  std::string nan_gradient(const Trainer& trainer) const {
    for (const auto& [name, parameter] : parameters_.map()) {
      if (!name.starts_with(prefix_)) continue;
      std::vector<float> gradient(static_cast<std::size_t>(std::as_const(*parameter).value().numel()));
      trainer.download_gradient(name.substr(prefix_.size()), gradient);
      for (std::size_t i = 0; i < gradient.size(); ++i)
        if (std::isnan(gradient[i])) return concat(name, ", element ", i);
    }
    return {};
  }

  autograd::ParameterSet<float>& parameters_;
  nn::AdamW<float>& optimizer_;
  std::string prefix_;
  bool changed_ = false;
};

/// Sums gradients over processes where they are, on the device; empty: through the host, or one process.
struct DeviceGradientSums {
  /// During the last backward of a step: those from `from` on are final, as backend::GradientsReady.
  std::function<void(const backend::CudaGradients&, std::int64_t from)> ready = {};
  /// After it: sends the rest and waits.
  std::function<void(const backend::CudaGradients&)> finish = {};

  explicit operator bool() const { return static_cast<bool>(finish); }
  /// What the trainer's last backward of a step calls; nothing to call where this is empty. Both must outlive
  /// it.
  template <class Trainer>
  backend::GradientsReady listener(Trainer& trainer) const {
    if (!ready) return {};
    return [this, gradients = trainer.gradients()](std::int64_t from) { ready(gradients, from); };
  }
};

/// Sums the gradients of a trainer over processes through the host.
template <class Trainer, class Sum>
void sum_gradients_of(Trainer& trainer, const Sum& sum) {
  std::vector<float> gradients(static_cast<std::size_t>(trainer.gradient_count()));
  trainer.download_gradients(gradients);
  sum(std::span<float>(gradients));
  trainer.upload_gradients(gradients);
}

}  // namespace stofm::train

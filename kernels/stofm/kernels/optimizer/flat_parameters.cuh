// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parameters that a runner trains: values, moments and gradients in one buffer each, of one layout, on the
/// thread's current stream; by name to the host and back. Host code.

#include <algorithm>
#include <initializer_list>
#include <map>
#include <string>

#include "stofm/backend/cuda/adamw.hpp"
#include "stofm/backend/cuda/gradients.hpp"
#include "stofm/kernels/optimizer/policy.hpp"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels {

using backend::CudaParameterState;

class FlatParameters {
 public:
  FlatParameters() = default;
  /// Zeros. \param code of errors about what is given \param places in the order in which norms add them
  FlatParameters(Cuda device, std::string code, std::vector<ParameterPlace> places, std::int64_t total)
      : device_(device), code_(std::move(code)), places_(std::move(places)), states_(places_.size()) {
    for (DeviceArray<float>* buffer : {&values_, &m_, &v_, &gradients_}) {
      *buffer = DeviceArray<float>(device_, total);
      clear(*buffer, {"", 0, total});
    }
    for (std::size_t i = 0; i < places_.size(); ++i) number_[places_[i].name] = i;
  }

  float* values() const { return values_.data(); }
  float* gradients() const { return gradients_.data(); }
  std::int64_t total() const { return values_.size(); }
  std::int64_t device_bytes() const { return 4 * values_.bytes(); }

  void zero_gradients() { clear(gradients_, all()); }
  double gradient_norm() const { return backend::global_norm(device_, list()); }
  /// The next step of every parameter by the AdamW options of a trainer; gradients are zero after it.
  template <class TrainerOptions>
  void update(const TrainerOptions& options, double learning_rate, double gradient_factor) {
    for (State& state : states_) ++state.steps;
    backend::CudaAdamWOptions step;  // by member: nvcc 13 can't name them in braces inside a template
    step.learning_rate = learning_rate;
    step.beta1 = options.beta1;
    step.beta2 = options.beta2;
    step.epsilon = options.epsilon;
    step.weight_decay = options.weight_decay;
    step.gradient_factor = gradient_factor;
    step.clear_gradients = true;
    backend::adamw_step(device_, list(), step);
  }

  /// The first values: every parameter once. \throws UsageError
  void start(std::span<const CudaParameterState> given) {
    for (const ParameterPlace& place : places_)
      if (std::none_of(given.begin(), given.end(), [&](const auto& state) { return state.name == place.name; }))
        refuse(place.name, "no such parameter", concat(place.count, " values"));
    upload(given);
  }
  /// \throws UsageError for another name or count
  void upload(std::span<const CudaParameterState> states) {
    for (const CudaParameterState& from : states) {
      const std::size_t number = number_of(from.name);
      const ParameterPlace& at = places_[number];
      put(values_, at, from.value);
      for (const auto& [to, moments] : {std::pair{&m_, from.m}, std::pair{&v_, from.v}})
        if (moments.empty())
          clear(*to, at);
        else
          put(*to, at, moments);
      states_[number] = {from.decays, from.steps};
    }
    wait();
  }
  /// Empty spans are left out; waits.
  void download(std::span<CudaParameterState> states) const {
    for (CudaParameterState& to : states) {
      const std::size_t number = number_of(to.name);
      get(values_, places_[number], to.value);
      get(m_, places_[number], to.m);
      get(v_, places_[number], to.v);
      to.decays = states_[number].decays;
      to.steps = states_[number].steps;
    }
    wait();
  }
  void download_gradient(const std::string& name, std::span<float> gradient) const {
    get(gradients_, places_[number_of(name)], gradient);
    wait();
  }
  void download_gradients(std::span<float> gradients) const {
    get(gradients_, all(), gradients);
    wait();
  }
  void upload_gradients(std::span<const float> gradients) {
    put(gradients_, all(), gradients);
    wait();
  }

 private:
  struct State {
    bool decays = true;
    std::int64_t steps = 0;
  };

  ParameterPlace all() const { return {"all gradients", 0, gradients_.size()}; }
  [[noreturn]] void refuse(const std::string& name, const std::string& found,
                           const std::string& expected) const {
    throw UsageError(
        {code_, "", name, found, expected, "Give the parameters of the checked model, each of its size."});
  }
  std::size_t number_of(const std::string& name) const {
    const auto found = number_.find(name);
    if (found == number_.end()) refuse(name, "no parameter of this model", "a name of the model's parameters");
    return found->second;
  }
  void check_count(std::size_t count, const ParameterPlace& at) const {
    if (static_cast<std::int64_t>(count) != at.count)
      refuse(at.name, concat(count, " values"), concat(at.count, " values"));
  }
  void put(const DeviceArray<float>& to, const ParameterPlace& at, std::span<const float> from) const {
    check_count(from.size(), at);
    backend::copy_rows(device_, to.data() + at.offset, 0, from.data(), 0, 4 * at.count, 1,
                       backend::CopyDirection::to_device);
  }
  void get(const DeviceArray<float>& from, const ParameterPlace& at, std::span<float> to) const {
    if (to.empty()) return;
    check_count(to.size(), at);
    backend::copy_rows(device_, to.data(), 0, from.data() + at.offset, 0, 4 * at.count, 1,
                       backend::CopyDirection::to_host);
  }
  void clear(const DeviceArray<float>& to, const ParameterPlace& at) const {
    backend::fill_bytes(device_, to.data() + at.offset, 0, 4 * at.count);
  }
  void wait() const { backend::synchronize(device_, thread_stream(device_)); }
  std::vector<backend::CudaParameter> list() const {
    std::vector<backend::CudaParameter> result;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const std::int64_t at = places_[i].offset;
      result.push_back({values_.data() + at, m_.data() + at, v_.data() + at, gradients_.data() + at,
                        places_[i].count, states_[i].decays, states_[i].steps});
    }
    return result;
  }

  Cuda device_;
  std::string code_;
  std::vector<ParameterPlace> places_;
  std::vector<State> states_;
  std::map<std::string, std::size_t> number_;
  DeviceArray<float> values_, m_, v_, gradients_;
};

}  // namespace stofm::kernels

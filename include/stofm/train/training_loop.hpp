// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The loop around a training step: schedule, clipping, optimizer, log, validation, checkpoints, and the ways
/// to stop. It knows nothing of the model: a step is a function that adds gradients and reports its loss.
///
/// One step k (from 1): zero gradients -> `step(k)` -> sum over processes -> norm -> checks -> AdamW at the
/// scheduled rate, clipped in the same pass -> log -> validation -> checkpoint. What it computes depends on
/// the parameters, the optimizer's state, k and the caller's own state alone, all of which are in the
/// checkpoint: a resumed run gives the bits of one that was never stopped.
///
/// Stops, always before the weights are touched (rows R19, R20): a NaN in the loss or a gradient, a loss
/// above `explosion_factor` times its running mean, or `max_skipped` steps in a row whose loss or gradient
/// norm is infinite (each of them is skipped and counted).

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/parameter.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/nn/clip_gradients.hpp"
#include "stofm/nn/schedule.hpp"
#include "stofm/train/checkpoint.hpp"
#include "stofm/train/progress.hpp"
#include "stofm/train/run_log.hpp"

namespace stofm::train {

/// What a step says of itself.
struct StepReport {
  double loss = 0;                                     ///< what the gradients are of
  std::vector<std::pair<std::string, double>> losses;  ///< its parts by name, unweighted
  std::int64_t cells = 0;
  double epoch = 0;
  std::string where;  ///< slices and pieces, for messages
};

struct LoopOptions {
  std::int64_t steps = 1000;
  nn::ScheduleOptions schedule = {};
  double clip_norm = 1.0;             ///< largest global gradient norm; 0: no clipping
  std::int64_t checkpoint_every = 0;  ///< steps; 0: at the end only
  std::int64_t validate_every = 0;    ///< steps, with one before the first step; 0: at the end only
  std::int64_t max_skipped = 10;      ///< infinite steps in a row before the run stops
  double explosion_factor =
      1000.0;  ///< 0: off. Against the running mean (fading by 0.98 a step), from step 20 on

  /// \throws UsageError STOFM-4550.
  void validate() const;
};

/// Where gradients, their norm and the update are computed elsewhere, on a device: all members or none. Then
/// `LoopHooks::step` adds gradients there, starting from zeros, and the parameters and the optimizer that the
/// loop was given are copies that are brought up to date when somebody reads them.
struct StepEngine {
  std::function<double()> gradient_norm = {};  ///< of what `step` has added, as nn::global_norm
  /// One optimizer step at this rate, gradients multiplied by the factor first, as nn::AdamW::step.
  std::function<void(double learning_rate, double gradient_factor)> update = {};
  std::function<void()> fetch = {};                ///< parameters and optimizer of the loop <- the device's
  std::function<void()> store = {};                ///< the reverse, after a checkpoint was loaded into them
  std::function<std::string()> nan_gradient = {};  ///< the first parameter by name with a NaN, or ""

  explicit operator bool() const { return static_cast<bool>(update); }
};

/// What the loop calls. Only `step` is needed.
template <ops::Computed T>
struct LoopHooks {
  std::function<StepReport(std::int64_t step)> step = {};  ///< adds the gradients of step k to the parameters
  std::function<void(autograd::ParameterSet<T>&)> reduce_gradients = {};  ///< sums them over processes
  std::function<nlohmann::json(std::int64_t step)> validate = {};  ///< figures by name; changes no state
  StepEngine engine = {};                                          ///< empty: everything on the host
  std::function<nlohmann::json()> save_state = {};                 ///< of the sampler, into the checkpoint
  std::function<void(const nlohmann::json&)> load_state = {};
  std::function<void(std::int64_t step)>
      begin_step;  ///< before anything else of the step (thawing a part, say)
  std::function<void(std::int64_t step)> after_update =
      {};  ///< after the optimizer, before the step is logged, judged or saved: keeping parameters in bounds
  std::function<int()> stop_signal = {};  ///< number of the signal that asks to stop, or 0
  std::function<void(const TrainingProgress&)> progress = {};
  std::function<void(std::int64_t step, const nlohmann::json& figures)> validated = {};
  std::function<void(const Notice&)> notice = {};
};

/// Where a run writes. Null members: nothing is written (all processes but the first).
struct LoopOutputs {
  CheckpointDirectory* checkpoints = nullptr;
  RunLog* log = nullptr;
  nlohmann::json config = nlohmann::json::object();  ///< as Checkpoint::config
  std::string data_sha256 = {};
};

struct LoopResult {
  std::int64_t steps = 0;                              ///< done in all, those before the resume included
  int signal = 0;                                      ///< the run was stopped by this one, with a checkpoint
  std::int64_t skipped = 0;                            ///< steps without an update
  std::vector<std::pair<std::string, double>> losses;  ///< of the last step
  nlohmann::json validation = nlohmann::json::object();  ///< the last figures
  std::string checkpoint;                                ///< the last one written
};

/// Runs it, from `resume` if that is given (parameters, optimizer, counters and the caller's state are loaded
/// first). \throws DataError STOFM-4551 NaN, 4552 explosion, 4553 too many infinite steps: step, slices and
/// last checkpoint;
///   the state before the step is in DIR/failed-step-N.safetensors. FileError STOFM-4554 if `resume` does not
///   fit the parameters. Whatever the hooks throw, and ResourceError of the writes.
template <ops::Computed T>
LoopResult run_training(autograd::ParameterSet<T>& parameters, nn::AdamW<T>& optimizer,
                        const LoopOptions& options, const LoopHooks<T>& hooks, const LoopOutputs& outputs,
                        const Checkpoint* resume = nullptr);

/// The parameters and the optimizer's state as the tensors of a checkpoint.
inline std::map<std::string, Tensor<float>> checkpoint_tensors(
    const autograd::ParameterSet<float>& parameters, const nn::AdamW<float>& optimizer) {
  std::map<std::string, Tensor<float>> tensors;
  for (const auto& [name, tensor] : parameters.values()) tensors.emplace("parameters/" + name, tensor);
  for (const auto& [name, tensor] : optimizer.state()) tensors.emplace("optimizer/" + name, tensor);
  return tensors;
}

/// The reverse. \throws FileError STOFM-4554 unless names and shapes are those of the set.
inline void load_checkpoint_tensors(const Checkpoint& checkpoint, autograd::ParameterSet<float>& parameters,
                                    nn::AdamW<float>& optimizer);

namespace detail {

/// Counters of the loop that a resume needs.
struct LoopState {
  std::int64_t skipped = 0, skipped_in_a_row = 0, averaged = 0;
  double average = 0;

  nlohmann::json to_json() const {
    return {{"skipped", skipped},
            {"skipped_in_a_row", skipped_in_a_row},
            {"averaged", averaged},
            {"average", average}};
  }
  static LoopState from_json(const nlohmann::json& json) {
    return {json.at("skipped").get<std::int64_t>(), json.at("skipped_in_a_row").get<std::int64_t>(),
            json.at("averaged").get<std::int64_t>(), json.at("average").get<double>()};
  }
  /// Bias-corrected, so that it is a mean from the first step on.
  double mean() const { return average / (1.0 - std::pow(0.98, static_cast<double>(averaged))); }
  void add(double loss) {
    average = 0.98 * average + 0.02 * loss;
    ++averaged;
  }
};

/// Losses by name; null for one that is not finite.
inline nlohmann::json losses_json(const std::vector<std::pair<std::string, double>>& losses) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, value] : losses)
    json[name] = std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
  return json;
}
/// The reverse, from the state of a checkpoint: a run that is resumed after its last step knows them, too.
/// Checkpoints of version 0.1.0 have none.
inline std::vector<std::pair<std::string, double>> losses_from_json(const nlohmann::json& state) {
  std::vector<std::pair<std::string, double>> losses;
  if (state.contains("losses"))
    for (const auto& [name, value] : state.at("losses").items())
      losses.emplace_back(name,
                          value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  return losses;
}

/// The first parameter by name whose gradient has a NaN, or "".
template <class T>
std::string first_nan_gradient(const autograd::ParameterSet<T>& parameters) {
  for (const auto& [name, parameter] : parameters.map()) {
    if (!parameter->trainable) continue;
    const Tensor<T>& grad = std::as_const(*parameter).grad();
    for (std::int64_t i = 0; i < grad.numel(); ++i)
      if (std::isnan(grad.data()[i])) return stofm::concat(name, ", element ", i);
  }
  return {};
}

}  // namespace detail

}  // namespace stofm::train

#include "stofm/train/training_loop_run.hpp"

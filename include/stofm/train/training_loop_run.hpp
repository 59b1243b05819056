// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The body of train/training_loop.hpp, which includes it.

#include "stofm/core/compiled.hpp"
#include "stofm/train/training_loop.hpp"

namespace stofm::train {

inline void LoopOptions::validate() const {
  const bool counts = steps >= 0 && checkpoint_every >= 0 && validate_every >= 0 && max_skipped >= 1;
  const bool numbers = clip_norm >= 0 && std::isfinite(clip_norm) && explosion_factor >= 0;
  if (!counts || !numbers)
    throw UsageError({"STOFM-4550", "", "[run_training]",
                      concat(steps, " steps, checkpoint every ", checkpoint_every, ", validation every ",
                             validate_every, ", clip ", clip_norm, ", max_skipped ", max_skipped),
                      "none below zero, max_skipped at least 1", "Check the options."});
  schedule.validate();
}

inline void load_checkpoint_tensors(const Checkpoint& checkpoint, autograd::ParameterSet<float>& parameters,
                                    nn::AdamW<float>& optimizer) {
  const auto values = tensors_below(checkpoint, "parameters/");
  const auto refuse = [&](const std::string& name, const std::string& found, const std::string& expected) {
    throw FileError({"STOFM-4554", "",
                     stofm::concat("checkpoint of step ", checkpoint.step, ", tensor ", stofm::quoted(name)),
                     found, expected, "Resume with the model the checkpoint was made with."});
  };
  for (const auto& [name, value] : values)
    if (!parameters.contains(name)) refuse(name, "a parameter of another model", "one of this model");
  for (const auto& [name, parameter] : parameters.map()) {
    const auto found = values.find(name);
    if (found == values.end()) refuse(name, "nothing", "every parameter of the model");
    const Shape& shape = std::as_const(*parameter).value().shape();
    if (!(found->second.shape() == shape)) refuse(name, to_string(found->second.shape()), to_string(shape));
  }
  for (const auto& [name, value] : values) {
    Tensor<float>& into = parameters.at(name).changing();
    std::copy_n(value.data(), value.numel(), into.data());
  }
  optimizer.load_state(tensors_below(checkpoint, "optimizer/"));
}

namespace detail {

/// One run; its members are what the steps share.
template <class T>
class LoopRun {
 public:
  LoopRun(autograd::ParameterSet<T>& parameters, nn::AdamW<T>& optimizer, const LoopOptions& options,
          const LoopHooks<T>& hooks, const LoopOutputs& outputs)
      : parameters_(parameters), optimizer_(optimizer), options_(options), hooks_(hooks), outputs_(outputs) {}

  LoopResult run(const Checkpoint* resume) {
    std::int64_t saved = -1;
    if (resume != nullptr) {
      load(*resume);
      saved = resume->step;
    } else if (options_.validate_every > 0) {
      validate();
    }
    StepTimer timer;
    while (result_.steps < options_.steps) {
      one_step(timer);
      const bool last = result_.steps == options_.steps;
      if (options_.validate_every > 0 && (last || result_.steps % options_.validate_every == 0)) validate();
      result_.signal = hooks_.stop_signal ? hooks_.stop_signal() : 0;
      const bool due = options_.checkpoint_every > 0 && result_.steps % options_.checkpoint_every == 0;
      if (due || last || result_.signal != 0) {
        save();
        saved = result_.steps;
      }
      if (result_.signal != 0) {
        write_log("signal", {{"signal", result_.signal}});
        fetch();
        return result_;
      }
      timer.lap();  // what was written is not time of the next step
    }
    if (result_.validation.empty()) validate();
    if (saved != result_.steps) save();
    fetch();
    write_log("end", {{"skipped", state_.skipped}});
    return result_;
  }

 private:
  void one_step(StepTimer& timer) {
    const std::int64_t step = result_.steps + 1;
    if (hooks_.begin_step) hooks_.begin_step(step);
    const StepEngine& engine = hooks_.engine;
    if (!engine) parameters_.zero_grad();
    const StepReport report = hooks_.step(step);
    if (hooks_.reduce_gradients) hooks_.reduce_gradients(parameters_);
    const double norm = engine ? engine.gradient_norm() : nn::global_norm(parameters_);
    const double rate = nn::learning_rate_at(options_.schedule, result_.steps);
    refuse_nan(step, report, norm);
    const bool infinite = !std::isfinite(report.loss) || !std::isfinite(norm);
    if (infinite) {
      skip(step, report, norm);
    } else {
      refuse_explosion(step, report);
      const double factor = options_.clip_norm > 0 ? nn::clip_coefficient(norm, options_.clip_norm) : 1.0;
      if (engine)
        engine.update(rate, factor);
      else
        optimizer_.step(rate, factor);
      if (hooks_.after_update) hooks_.after_update(step);
      state_.add(report.loss);
      state_.skipped_in_a_row = 0;
    }
    result_.steps = step;
    result_.losses = report.losses;
    const double seconds = timer.lap();
    timer.add(seconds, report.cells);
    nlohmann::json line = {
        {"epoch", report.epoch},
        {"loss", report.loss},
        {"learning_rate", rate},
        {"gradient_norm", norm},
        {"seconds", seconds},
        {"cells", report.cells},
        {"cells_per_second", seconds > 0 ? static_cast<double>(report.cells) / seconds : 0.0}};
    for (const auto& [name, value] : report.losses) line["loss_" + name] = value;
    if (infinite) line["skipped"] = true;
    write_log("step", line);
    if (hooks_.progress)
      hooks_.progress({step, options_.steps, report.epoch, report.loss, report.losses, rate, norm, seconds,
                       timer.cells_per_second(),
                       timer.seconds_per_step() * static_cast<double>(options_.steps - step)});
  }

  void skip(std::int64_t step, const StepReport& report, double norm) {
    ++state_.skipped;
    result_.skipped = state_.skipped;
    const std::string found = stofm::concat("loss ", report.loss, ", gradient norm ", norm);
    if (++state_.skipped_in_a_row >= options_.max_skipped)
      stop("STOFM-4553", step, report,
           stofm::concat(state_.skipped_in_a_row, " steps in a row without a finite gradient, the last with ",
                         found),
           "finite losses and gradients");
    if (hooks_.notice)
      hooks_.notice(
          {"STOFM-W4551", stofm::concat("step ", step, " skipped: ", found, " (", report.where, ")"), 1});
  }
  void refuse_nan(std::int64_t step, const StepReport& report, double norm) {
    for (const auto& [name, value] : report.losses)
      if (std::isnan(value)) stop("STOFM-4551", step, report, "NaN as loss " + name, "a finite loss");
    if (std::isnan(report.loss))
      stop("STOFM-4551", step, report, "NaN as the sum of the losses", "a finite loss");
    if (!std::isnan(norm)) return;
    stop("STOFM-4551", step, report,
         "NaN in the gradient of " +
             (hooks_.engine ? hooks_.engine.nan_gradient() : first_nan_gradient(parameters_)),
         "finite gradients");
  }
  void refuse_explosion(std::int64_t step, const StepReport& report) {
    if (options_.explosion_factor <= 0 || state_.averaged < 20) return;
    const double limit = options_.explosion_factor * state_.mean();
    if (report.loss > limit)
      stop(
          "STOFM-4552", step, report, stofm::concat("loss ", report.loss),
          stofm::concat("at most ", options_.explosion_factor, " times its running mean of ", state_.mean()));
  }
  [[noreturn]] void stop(const char* code, std::int64_t step, const StepReport& report,
                         const std::string& found, const std::string& expected) {
    std::string remedy = "Lower the learning rate or the clipping norm, or look at that slice.";
    if (outputs_.checkpoints != nullptr) {
      const auto good = outputs_.checkpoints->list();
      remedy += good.empty() ? std::string(" There is no checkpoint yet.")
                             : " The last checkpoint is " + good.back().path.string() + ".";
      const auto dump = outputs_.checkpoints->path() / stofm::concat("failed-step-", step, ".safetensors");
      try {
        write_checkpoint(dump, snapshot());
        remedy += " The state before the step is in " + dump.string() + ".";
      } catch (const Error&) {  // the run ends with what it found; a full disk does not hide it
      }
    }
    write_log("stop", {{"found", found}, {"where", report.where}, {"failed_step", step}});
    throw DataError({code, "",
                     stofm::concat("step ", step, report.where.empty() ? "" : " on " + report.where), found,
                     expected, remedy});
  }

  /// What is read from here on is what the device holds.
  void fetch() const {
    if (hooks_.engine) hooks_.engine.fetch();
  }
  Checkpoint snapshot() const {
    fetch();
    Checkpoint checkpoint;
    checkpoint.step = result_.steps;
    checkpoint.config = outputs_.config;
    checkpoint.data_sha256 = outputs_.data_sha256;
    checkpoint.state = {{"loop", state_.to_json()},
                        {"losses", losses_json(result_.losses)},
                        {"run", hooks_.save_state ? hooks_.save_state() : nullptr}};
    checkpoint.tensors = checkpoint_tensors(parameters_, optimizer_);
    return checkpoint;
  }
  void save() {
    if (outputs_.checkpoints == nullptr) return;
    Notices notices;
    result_.checkpoint = outputs_.checkpoints->save(snapshot(), &notices).string();
    for (const Notice& notice : notices)
      if (hooks_.notice) hooks_.notice(notice);
    write_log("checkpoint", {{"file", std::filesystem::path(result_.checkpoint).filename().string()}});
  }
  void load(const Checkpoint& checkpoint) {
    load_checkpoint_tensors(checkpoint, parameters_, optimizer_);
    if (hooks_.engine) hooks_.engine.store();
    try {
      state_ = LoopState::from_json(checkpoint.state.at("loop"));
      result_.losses = losses_from_json(checkpoint.state);
      if (hooks_.load_state) hooks_.load_state(checkpoint.state.at("run"));
    } catch (const nlohmann::json::exception&) {
      throw FileError({"STOFM-4554", "", stofm::concat("checkpoint of step ", checkpoint.step, ", state"),
                       "counters of another kind of run", "those of this one",
                       "Resume with the verb that wrote it."});
    }
    result_.steps = checkpoint.step;
    result_.skipped = state_.skipped;
    write_log("resume", nlohmann::json::object());
  }
  void validate() {
    if (!hooks_.validate) return;
    fetch();
    result_.validation = hooks_.validate(result_.steps);
    write_log("validation", result_.validation);
    if (hooks_.validated) hooks_.validated(result_.steps, result_.validation);
  }
  void write_log(std::string_view event, const nlohmann::json& fields) {
    if (outputs_.log != nullptr) outputs_.log->write(event, result_.steps, fields);
  }

  autograd::ParameterSet<T>& parameters_;
  nn::AdamW<T>& optimizer_;
  const LoopOptions& options_;
  const LoopHooks<T>& hooks_;
  const LoopOutputs& outputs_;
  LoopState state_;
  LoopResult result_;
};

}  // namespace detail

template <ops::Computed T>
LoopResult run_training(autograd::ParameterSet<T>& parameters, nn::AdamW<T>& optimizer,
                        const LoopOptions& options, const LoopHooks<T>& hooks, const LoopOutputs& outputs,
                        const Checkpoint* resume) {
  options.validate();
  return detail::LoopRun<T>(parameters, optimizer, options, hooks, outputs).run(resume);
}

STOFM_INSTANCE(LoopResult run_training<float>(autograd::ParameterSet<float>&, nn::AdamW<float>&,
                                              const LoopOptions&, const LoopHooks<float>&, const LoopOutputs&,
                                              const Checkpoint*))

}  // namespace stofm::train

// SPDX-License-Identifier: MIT
// The training loop around a toy model: resume to the bit (R22), NaN and infinite steps (R19, R20), signals,
// the log.
#include <doctest/doctest.h>

#include <fstream>
#include <limits>

#include "stofm/core/random.hpp"
#include "stofm/train/training_loop.hpp"
#include "tests/support/file_bytes.hpp"
#include "tests/support/io_faults.hpp"
#include "tests/support/paths.hpp"

namespace fs = std::filesystem;
using namespace stofm;
using namespace stofm::train;
using stofm::test::bytes_of;

namespace {

/// y = w x with x drawn by step: loss (w - w*)^2 summed over x^2, gradients by hand. The sampler's position
/// is the caller's state.
struct Toy {
  autograd::ParameterSet<float> parameters;
  nn::AdamW<float> optimizer{parameters, {.learning_rate = 0.05}};
  std::int64_t drawn = 0;
  std::int64_t poison_step = -1;
  float poison = 0;
  LoopOptions options{.steps = 12, .schedule = {.learning_rate = 0.05, .warmup_steps = 3, .total_steps = 12}};

  Toy() {
    parameters.add("a.weight", Tensor<float>::full(Shape{40}, 1.0F));
    parameters.add("b.bias", Tensor<float>::full(Shape{3}, -1.0F));
  }
  LoopHooks<float> hooks() {
    LoopHooks<float> result;
    result.step = [this](std::int64_t step) {
      StepReport report;
      Random random(5, static_cast<std::uint64_t>(++drawn));  // by its own counter, not by the step
      for (autograd::Parameter<float>* parameter : parameters.list()) {
        const Tensor<float>& w = std::as_const(*parameter).value();
        double loss = 0;
        for (std::int64_t i = 0; i < w.numel(); ++i) {
          const double x = random.uniform(), error = static_cast<double>(w.data()[i]) - 0.25;
          loss += x * error * error;
          parameter->grad().data()[i] += static_cast<float>(2 * x * error);
        }
        report.losses.emplace_back(parameter->name(), loss);
        report.loss += loss;
      }
      if (step == poison_step) parameters.at("a.weight").grad().data()[7] = poison;
      report.cells = 43;
      report.where = "slice toy";
      return report;
    };
    result.save_state = [this] { return nlohmann::json{{"drawn", drawn}}; };
    result.load_state = [this](const nlohmann::json& state) {
      drawn = state.at("drawn").get<std::int64_t>();
    };
    result.validate = [this](std::int64_t) {
      return nlohmann::json{
          {"first", static_cast<double>(std::as_const(parameters.at("a.weight")).value().data()[0])}};
    };
    return result;
  }
  std::vector<float> bits() const {
    std::vector<float> all;
    for (const auto& [name, tensor] : checkpoint_tensors(parameters, optimizer))
      all.insert(all.end(), tensor.data(), tensor.data() + tensor.numel());
    return all;
  }
};

}  // namespace

TEST_CASE("The loop lowers the loss, logs every step, validates and saves") {
  const test::ScratchDir dir;
  Toy toy;
  toy.options.steps = toy.options.schedule.total_steps = 60;
  toy.options.checkpoint_every = 20;
  toy.options.validate_every = 25;
  CheckpointDirectory checkpoints(dir / "c", {.keep = 2});
  RunLog log(dir / "log.jsonl");
  std::int64_t told = 0;
  auto hooks = toy.hooks();
  hooks.progress = [&](const TrainingProgress& progress) {
    ++told;
    CHECK(progress.step == told);
    CHECK(progress.steps == 60);
  };
  const LoopResult result = run_training<float>(toy.parameters, toy.optimizer, toy.options, hooks,
                                                {.checkpoints = &checkpoints, .log = &log});
  CHECK(result.steps == 60);
  CHECK(result.signal == 0);
  CHECK(told == 60);
  CHECK(result.checkpoint.ends_with("step-00000060.safetensors"));
  CHECK(checkpoints.list().size() == 2);
  std::map<std::string, std::vector<std::int64_t>> events;
  std::vector<double> losses;
  for (const auto& line : read_run_log(dir / "log.jsonl")) {
    events[line["event"].get<std::string>()].push_back(line["step"].get<std::int64_t>());
    if (line["event"] == "step") losses.push_back(line["loss"].get<double>());
  }
  CHECK(losses.size() == 60);
  CHECK(losses.back() < losses.front() / 20);
  CHECK(events["validation"] == std::vector<std::int64_t>{0, 25, 50, 60});
  CHECK(events["checkpoint"] == std::vector<std::int64_t>{20, 40, 60});
  CHECK(events["end"] == std::vector<std::int64_t>{60});
}

TEST_CASE(
    "R22: stopped at any step and resumed, on another number of threads too, the bits are those of one run") {
  Toy whole;
  (void)run_training<float>(whole.parameters, whole.optimizer, whole.options, whole.hooks(), {});
  const int threads = thread_count();
  for (std::int64_t k = 0; k <= 12; ++k) {
    const test::ScratchDir dir;
    CheckpointDirectory checkpoints(dir / "c");
    Toy first;
    first.options.steps = k;
    (void)run_training<float>(first.parameters, first.optimizer, first.options, first.hooks(),
                              {.checkpoints = &checkpoints});
    set_thread_count(k % 2 == 0 ? 1 : 4);
    Toy second;
    const auto resume = checkpoints.load_newest();
    REQUIRE(resume);
    const LoopResult result =
        run_training<float>(second.parameters, second.optimizer, second.options, second.hooks(),
                            {.checkpoints = &checkpoints}, &resume->checkpoint);
    CHECK(result.steps == 12);
    CHECK(second.bits() == whole.bits());
    CHECK(second.drawn == whole.drawn);
    CHECK_FALSE(result.validation.empty());
  }
  set_thread_count(threads);
}

TEST_CASE("A resume cuts the log back to its checkpoint") {
  const test::ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c");
  {
    Toy toy;
    toy.options.steps = 6;
    RunLog log(dir / "log.jsonl");
    (void)run_training<float>(toy.parameters, toy.optimizer, toy.options, toy.hooks(),
                              {.checkpoints = &checkpoints, .log = &log});
  }
  {
    RunLog log(dir / "log.jsonl", 6);
    log.write("step", 7, {{"loss", 1.0}});
  }
  std::ofstream(dir / "log.jsonl", std::ios::app) << "[1]\nno json\n{\"event\":\"step\",\"step\":8,\"lo";
  Toy toy;
  const auto resume = checkpoints.load_newest();
  RunLog log(dir / "log.jsonl", resume->checkpoint.step);
  (void)run_training<float>(toy.parameters, toy.optimizer, toy.options, toy.hooks(),
                            {.checkpoints = &checkpoints, .log = &log}, &resume->checkpoint);
  std::vector<std::int64_t> steps;
  for (const auto& line : read_run_log(dir / "log.jsonl"))
    if (line["event"] == "step") steps.push_back(line["step"].get<std::int64_t>());
  CHECK(steps == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
}

TEST_CASE(
    "R19: a NaN gradient stops before the weights are touched and names step, slice, tensor and checkpoint") {
  const test::ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c");
  RunLog log(dir / "log.jsonl");
  Toy toy;
  toy.options.checkpoint_every = 4;
  toy.poison_step = 6;
  toy.poison = std::numeric_limits<float>::quiet_NaN();
  try {
    (void)run_training<float>(toy.parameters, toy.optimizer, toy.options, toy.hooks(),
                              {.checkpoints = &checkpoints, .log = &log});
    FAIL_CHECK("went on");
  } catch (const DataError& error) {
    const std::string text = error.what();
    CAPTURE(text);
    CHECK(error.exit_code() == 4);
    CHECK(error.code() == "STOFM-4551");
    for (const char* word : {"step 6", "slice toy", "a.weight, element 7", "step-00000004.safetensors",
                             "failed-step-6.safetensors"})
      CHECK(text.find(word) != std::string::npos);
  }
  Toy five;
  five.options.steps = 5;
  (void)run_training<float>(five.parameters, five.optimizer, five.options, five.hooks(), {});
  CHECK(toy.bits() == five.bits());
  CHECK(read_checkpoint(dir / "c" / "failed-step-6.safetensors").step == 5);
  CHECK(checkpoints.load_newest()->checkpoint.step == 4);  // the dump is no checkpoint of the run
  CHECK(bytes_of(dir / "log.jsonl").find("\"failed_step\":6") != std::string::npos);
}

TEST_CASE("R19: a NaN loss is named, an exploding one stops") {
  Toy toy;
  auto hooks = toy.hooks();
  double value = std::numeric_limits<double>::quiet_NaN();
  hooks.step = [&, inner = hooks.step](std::int64_t step) {
    StepReport report = inner(step);
    if (step == 30) report.loss = report.losses[1].second = value;
    return report;
  };
  toy.options.steps = toy.options.schedule.total_steps = 40;
  const auto code = [&] {
    Toy fresh;
    try {
      (void)run_training<float>(toy.parameters, toy.optimizer, toy.options, hooks, {});
    } catch (const DataError& error) {
      CHECK(std::string(error.what()).find("step 30") != std::string::npos);
      if (std::isnan(value)) CHECK(error.found().find("b.bias") != std::string::npos);
      return error.code();
    }
    return std::string();
  };
  CHECK(code() == "STOFM-4551");
  value = 1e9;
  CHECK(code() == "STOFM-4552");
  toy.options.explosion_factor = 0;
  CHECK(code().empty());
}

TEST_CASE("R20: infinite steps are skipped and counted; too many in a row stop the run") {
  Toy toy;
  toy.poison_step = 5;
  toy.poison = std::numeric_limits<float>::infinity();
  std::int64_t notices = 0;
  auto hooks = toy.hooks();
  hooks.notice = [&](const Notice& notice) {
    ++notices;
    CHECK(notice.text.find("step 5 skipped") != std::string::npos);
  };
  const LoopResult result = run_training<float>(toy.parameters, toy.optimizer, toy.options, hooks, {});
  CHECK(result.steps == 12);
  CHECK(result.skipped == 1);
  CHECK(notices == 1);
  CHECK(toy.optimizer.step_count() == 11);

  toy.options.max_skipped = 3;
  hooks = toy.hooks();
  std::int64_t asked = 0;
  hooks.step = [&, inner = hooks.step](std::int64_t step) {
    StepReport report = inner(step);
    if (step > 4) report.loss = std::numeric_limits<double>::infinity();
    asked = step;
    return report;
  };
  CHECK_THROWS_AS((void)run_training<float>(toy.parameters, toy.optimizer, toy.options, hooks, {}),
                  DataError);
  CHECK(asked == 7);
}

TEST_CASE("A signal ends the run after its step, with a checkpoint that goes on") {
  const test::ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c");
  Toy toy;
  auto hooks = toy.hooks();
  hooks.stop_signal = [&] { return toy.drawn == 5 ? 15 : 0; };
  const LoopResult result =
      run_training<float>(toy.parameters, toy.optimizer, toy.options, hooks, {.checkpoints = &checkpoints});
  CHECK(result.signal == 15);
  CHECK(result.steps == 5);
  CHECK(checkpoints.load_newest()->checkpoint.step == 5);
}

TEST_CASE("A checkpoint of another model is refused by tensor and shape") {
  const test::ScratchDir dir;
  Toy toy;
  Checkpoint checkpoint;
  checkpoint.tensors = checkpoint_tensors(toy.parameters, toy.optimizer);
  const auto code = [&] {
    try {
      load_checkpoint_tensors(checkpoint, toy.parameters, toy.optimizer);
    } catch (const FileError& error) {
      return error.code() + " " + error.where();
    }
    return std::string();
  };
  CHECK(code().empty());
  checkpoint.tensors.at("parameters/b.bias") = Tensor<float>(Shape{4});
  CHECK(code().find("STOFM-4554") == 0);
  checkpoint.tensors.erase("parameters/b.bias");
  CHECK(code().find("b.bias") != std::string::npos);
  checkpoint.tensors.emplace("parameters/c", Tensor<float>(Shape{1}));
  CHECK(code().find("\"c\"") != std::string::npos);
}

TEST_CASE("R05: a full disk under the log is an error with exit code 5, and the log stays whole") {
  const test::ScratchDir dir;
  RunLog log(dir / "log.jsonl");
  log.write("step", 1, {{"loss", 0.5}, {"note", "a\nb\"\xc3\xa9"}});
  {
    const test::IoFaults injected(1, {.error = ENOSPC}, true);
    CHECK_THROWS_AS(log.write("step", 2), ResourceError);
  }
  log.write("step", 2);
  const auto lines = read_run_log(dir / "log.jsonl");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["note"] == "a\nb\"\xc3\xa9");
  CHECK(bytes_of(dir / "log.jsonl").starts_with("{\"event\":\"step\",\"step\":1,"));
}

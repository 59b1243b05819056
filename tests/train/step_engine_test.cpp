// SPDX-License-Identifier: MIT
/// \file
/// The loop with an engine that holds parameters and moments of its own, as a device does: the same bits as
/// without, also over a resume, and what is saved and read is the engine's state.
#include <doctest/doctest.h>

#include <cmath>

#include "stofm/core/random.hpp"
#include "stofm/train/training_loop.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using namespace stofm::train;

namespace {

struct Side {
  autograd::ParameterSet<float> parameters;
  nn::AdamW<float> optimizer{parameters, {.learning_rate = 0.05}};
  Side() {
    parameters.add("a.weight", Tensor<float>::full(Shape{40}, 1.0F));
    parameters.add("b.bias", Tensor<float>::full(Shape{3}, -1.0F));
  }
  std::vector<float> bits() const {
    std::vector<float> all;
    for (const auto& [name, tensor] : checkpoint_tensors(parameters, optimizer))
      all.insert(all.end(), tensor.data(), tensor.data() + tensor.numel());
    return all;
  }
};

void copy_side(const Side& from, Side& to) {
  for (const auto& [name, tensor] : from.parameters.values())
    std::copy_n(tensor.data(), tensor.numel(), to.parameters.at(name).changing().data());
  to.optimizer.load_state(from.optimizer.state());
}

/// The loop's side, and one that only the engine touches.
struct Run {
  Side host, device;
  std::int64_t drawn = 0, poison_step = -1, fetches = 0;
  LoopOptions options{.steps = 12,
                      .schedule = {.learning_rate = 0.05, .warmup_steps = 3, .total_steps = 12},
                      .clip_norm = 0.5};

  LoopHooks<float> hooks(bool with_engine) {
    LoopHooks<float> result;
    Side& side = with_engine ? device : host;
    result.step = [this, &side](std::int64_t step) {
      Random random(5, static_cast<std::uint64_t>(++drawn));
      StepReport report;
      for (autograd::Parameter<float>* parameter : side.parameters.list())
        for (std::int64_t i = 0; i < parameter->value().numel(); ++i) {
          const double x = random.uniform(),
                       error = static_cast<double>(std::as_const(*parameter).value().data()[i]) - 0.25;
          report.loss += x * error * error;
          parameter->grad().data()[i] += static_cast<float>(2 * x * error);
        }
      if (step == poison_step) side.parameters.at("a.weight").grad().data()[7] = NAN;
      return report;
    };
    result.save_state = [this] { return nlohmann::json{{"drawn", drawn}}; };
    result.load_state = [this](const nlohmann::json& state) {
      drawn = state.at("drawn").get<std::int64_t>();
    };
    result.validate = [this](std::int64_t) {
      return nlohmann::json{
          {"first", static_cast<double>(std::as_const(host.parameters.at("a.weight")).value().data()[0])}};
    };
    if (!with_engine) return result;
    result.engine = {.gradient_norm = [this] { return nn::global_norm(device.parameters); },
                     .update =
                         [this](double rate, double factor) {
                           device.optimizer.step(rate, factor);
                           device.parameters.zero_grad();
                         },
                     .fetch =
                         [this] {
                           ++fetches;
                           copy_side(device, host);
                         },
                     .store = [this] { copy_side(host, device); },
                     .nan_gradient = [this] { return train::detail::first_nan_gradient(device.parameters); }};
    return result;
  }
  LoopResult go(bool with_engine, CheckpointDirectory* checkpoints = nullptr,
                const Checkpoint* resume = nullptr) {
    return run_training<float>(host.parameters, host.optimizer, options, hooks(with_engine),
                               {.checkpoints = checkpoints}, resume);
  }
};

}  // namespace

TEST_CASE("an engine gives the bits of the host, validation and checkpoints included") {
  const test::ScratchDir dir;
  Run plain, engine;
  plain.options.validate_every = engine.options.validate_every = 5;
  plain.options.checkpoint_every = engine.options.checkpoint_every = 4;
  CheckpointDirectory of_plain(dir / "p", {}), of_engine(dir / "e", {});
  const LoopResult expected = plain.go(false, &of_plain), found = engine.go(true, &of_engine);
  CHECK(found.steps == 12);
  CHECK(found.validation == expected.validation);
  CHECK(engine.host.bits() == plain.host.bits());
  CHECK(engine.device.bits() == plain.host.bits());
  const auto a = of_plain.load_newest(false), b = of_engine.load_newest(false);
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  for (const auto& [name, tensor] : a->checkpoint.tensors) {
    const Tensor<float>& other = b->checkpoint.tensors.at(name);
    CHECK(std::equal(tensor.data(), tensor.data() + tensor.numel(), other.data()));
  }
}

TEST_CASE("a checkpoint of the host goes on in an engine, and the other way round") {
  for (const bool host_first : {true, false}) {
    CAPTURE(host_first);
    const test::ScratchDir dir;
    Run whole;
    whole.go(false);
    Run first;
    first.options.steps = 5;
    CheckpointDirectory checkpoints(dir / "c", {});
    first.go(!host_first, &checkpoints);
    const auto point = checkpoints.load_newest(false);
    REQUIRE(point.has_value());
    Run second;
    second.go(host_first, nullptr, &point->checkpoint);
    CHECK(second.host.bits() == whole.host.bits());
  }
}

TEST_CASE("a NaN in a gradient of an engine is named, before its weights are touched") {
  Run run;
  run.poison_step = 4;
  try {
    run.go(true);
    FAIL("no error");
  } catch (const DataError& e) {
    CHECK(e.code() == "STOFM-4551");
    CHECK(e.found() == "NaN in the gradient of a.weight, element 7");
  }
  for (const float value : run.device.bits()) CHECK(std::isfinite(value));
}

TEST_CASE("what is read seldom is fetched seldom") {
  Run run;
  run.go(true);
  CHECK(run.fetches <= 3);  // the validation after the last step, the end
}

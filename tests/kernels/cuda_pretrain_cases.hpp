// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pretraining with the device's steps, its kernels run on the host: the losses and weights of the CPU within
/// rounding, checkpoints that go on on the other side, batches that do not fit at once.
/// Included by the emulated test and by the one on a device.

#include <doctest/doctest.h>

#include "stofm/train/cuda_pretrain.hpp"
#include "stofm/train/masked_input.hpp"
#include "tests/support/paths.hpp"
#include "tests/train/pretrain_fixture.hpp"

using namespace stofm;
using namespace stofm::train;

namespace {

/// A run of a few steps, on the CPU or on the device.
struct Run {
  explicit Run(bool on_device) : device(on_device) {
    neutralise_rows(parameters.at("se2/embedding_layer.weight"));
  }

  LoopResult go(std::int64_t steps, CheckpointDirectory* checkpoints = nullptr,
                const Checkpoint* resume = nullptr) {
    const PretrainOptions options{.seed = 5};
    PretrainStep step(config, parameters, options);
    CudaPretrain on_device(config, parameters, optimizer, options,
                           {.precision = backend::Precision::float32, .neutral_input = true});
    LoopHooks<float> hooks;
    hooks.step = [&](std::int64_t k) {
      const TrainingBatch batch = world.batch(k);
      const StepReport report = device ? on_device.run(batch) : step.run(batch);
      losses.push_back(report.loss);
      return report;
    };
    autograd::Parameter<float>& input = parameters.at("se2/embedding_layer.weight");
    if (device) {
      hooks.engine = on_device.engine();
    } else {
      hooks.reduce_gradients = [&input](autograd::ParameterSet<float>&) { project_gradient_rows(input); };
      hooks.after_update = [&input](std::int64_t) { neutralise_rows(input); };
    }
    return run_training<float>(parameters, optimizer,
                               {.steps = steps, .schedule = {.learning_rate = 2e-3, .total_steps = 6}}, hooks,
                               {.checkpoints = checkpoints}, resume);
  }

  model::Se2Config config = test::tiny_config();
  test::World world;
  bool device;
  autograd::ParameterSet<float> parameters = pretraining_parameters(config, {}, 3);
  nn::AdamW<float> optimizer{parameters, {.weight_decay = 0.05}};
  std::vector<double> losses;
};

double largest_difference(const Run& a, const Run& b) {
  const auto x = test::flat(a.parameters, false), y = test::flat(b.parameters, false);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
  return worst;
}

}  // namespace

TEST_CASE("a run on the device is that of the CPU within rounding, and goes on from its checkpoint") {
  const test::ScratchDir dir;
  Run cpu(false), gpu(true), other(true);
  CheckpointDirectory of_cpu(dir / "cpu", {}), of_gpu(dir / "gpu", {});
  cpu.go(2, &of_cpu);
  gpu.go(2, &of_gpu);
  REQUIRE(gpu.losses.size() == 2);
  for (std::size_t i = 0; i < gpu.losses.size(); ++i)
    CHECK(gpu.losses[i] == doctest::Approx(cpu.losses[i]).epsilon(1e-4));
  CHECK(largest_difference(cpu, gpu) <=
        1e-3);  // two steps of at most 2e-3: signs of tiny gradients are rounding
  CHECK(has_neutral_rows(std::as_const(gpu.parameters.at("se2/embedding_layer.weight")).value()));

  const auto from_cpu = of_cpu.load_newest(false), from_gpu = of_gpu.load_newest(false);
  REQUIRE(from_cpu.has_value());
  REQUIRE(from_gpu.has_value());
  CHECK(from_cpu->checkpoint.tensors.size() == from_gpu->checkpoint.tensors.size());
  for (const auto& [name, tensor] : from_cpu->checkpoint.tensors) {
    REQUIRE(from_gpu->checkpoint.tensors.contains(name));
    CHECK(from_gpu->checkpoint.tensors.at(name).shape() == tensor.shape());
  }
  Run whole(false), back(false);
  whole.go(3);
  other.go(3, nullptr, &from_cpu->checkpoint);  // CPU, then device
  back.go(3, nullptr, &from_gpu->checkpoint);   // device, then CPU
  CHECK(other.losses.back() == doctest::Approx(whole.losses.back()).epsilon(1e-4));
  CHECK(back.losses.back() == doctest::Approx(whole.losses.back()).epsilon(1e-3));
}

#if defined(STOFM_KERNEL_EMULATOR)
TEST_CASE("a batch that does not fit goes in parts") {
  Run whole(true), parts(true);
  whole.go(1);
  const std::size_t before = emulator::device().memory_bytes;
  const PretrainOptions options{.seed = 5};
  CudaPretrain on_device(parts.config, parts.parameters, parts.optimizer, options,
                         {.precision = backend::Precision::float32, .neutral_input = true});
  emulator::device().memory_bytes =
      emulator::device().used_bytes + (std::size_t{5} << 18);  // some of four pieces
  std::int64_t launches = emulator::launches();
  const StepReport report = on_device.run(parts.world.batch(1));
  const std::int64_t in_parts = emulator::launches() - launches;
  emulator::device().memory_bytes = before;
  CudaPretrain roomy(parts.config, parts.parameters, parts.optimizer, options,
                     {.precision = backend::Precision::float32, .neutral_input = true});
  launches = emulator::launches();
  roomy.run(parts.world.batch(1));
  CHECK(in_parts >= 2 * (emulator::launches() - launches));
  CHECK(report.loss == doctest::Approx(whole.losses.front()).epsilon(1e-5));
}
#endif

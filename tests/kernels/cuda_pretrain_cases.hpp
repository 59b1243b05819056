// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pretraining with the device's steps, its kernels run on the host: the losses and weights of the CPU within
/// rounding, checkpoints that go on on the other side, batches that do not fit at once.
/// Included by the emulated test and by the one on a device.

#include <doctest/doctest.h>

#include <functional>
#include <map>

#include "stofm/train/cuda_pretrain.hpp"
#include "stofm/train/masked_input.hpp"
#include "stofm/train/pretrain_validation.hpp"
#include "tests/support/paths.hpp"
#include "tests/train/joint_fixture.hpp"

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
    std::map<std::int64_t, TrainingBatch> drawn;
    const auto batch_of = [&](std::int64_t k) -> const TrainingBatch& {
      return drawn.try_emplace(k, world.batch(k)).first->second;
    };
    hooks.step = [&](std::int64_t k) {
      const TrainingBatch& batch = batch_of(k);
      std::function<const TrainingBatch*()> next;
      if (ahead && k < steps) next = [&, k] { return &batch_of(k + 1); };
      const StepReport report = device ? on_device.run(batch, next) : step.run(batch);
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
  bool ahead = false;  // the lists of the next batch are made while one is computed
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

TEST_CASE("lists made ahead give the bits of those made when their step begins") {
  Run ahead(true), then(true);
  ahead.ahead = true;
  ahead.go(4);
  then.go(4);
  CHECK(ahead.losses == then.losses);
  CHECK(largest_difference(ahead, then) == 0.0);
}

TEST_CASE("validation on the device gives the figures of the CPU") {
  Run run(false);
  run.go(2);  // predictions that are not those of random heads
  const PretrainOptions options{.seed = 5};
  PretrainStep step(run.config, run.parameters, options);
  CudaPretrain on_device(run.config, run.parameters, run.optimizer, options,
                         {.precision = backend::Precision::float32, .neutral_input = true});
  const JudgedModel judge = [&](const LoadedPiece& piece, std::int64_t masked, const TouchedPairs& pairs) {
    return on_device.judge(piece, masked, pairs);
  };
  for (std::int64_t p = 0; p < 2; ++p) {
    MaskedPiece piece;
    piece.loaded = test::piece_of(run.world.slices[0], 0, p, 1000);
    piece.sub = run.world.slices[0]->sub_slice(p);
    piece.draws = draw_masks(72, masking_key(piece.loaded.ref, MaskDraws::each_epoch, 1));
    const ValidationSums cpu = validate_piece(piece, step, {}), gpu = validate_piece(piece, judge, {});
    CHECK(gpu.cells == cpu.cells);
    CHECK(gpu.pairs == cpu.pairs);
    REQUIRE(cpu.cells > 0);
    REQUIRE(cpu.pairs > 0);
    // Both compute in float32: predictions differ by some 1e-6 of their size.
    CHECK(std::abs(gpu.mcm_cosine - cpu.mcm_cosine) <= 1e-5 * cpu.cells);
    CHECK(gpu.pdr_squares == doctest::Approx(cpu.pdr_squares).epsilon(1e-5));
    CHECK(gpu.neighbour_cosine == cpu.neighbour_cosine);
    CHECK(gpu.moved_squares == cpu.moved_squares);
  }
}

namespace {

/// A run that trains the cell encoder too, from the second step on.
struct JointRun {
  static constexpr std::int64_t frozen_steps = 1;

  explicit JointRun(bool device) {
    if (device) {
      encoder = std::make_shared<CudaJointEncoder>(encoder_config, world.parameters, optimizer, joint, Cuda{},
                                                   backend::Precision::float32);
      gpu = std::make_unique<CudaPretrain>(config, world.parameters, optimizer, options,
                                           CudaPretrainOptions{.precision = backend::Precision::float32});
      gpu->add_encoder(encoder);
    }
    features = [this](autograd::Tape<float>& tape, const LoadedPiece& piece) {
      return joint_features(tape, piece, cpu_encoder, joint);
    };
  }
  void thaw(bool thawed) {
    thaw_joint_parameters(world.parameters, thawed);
    if (gpu) gpu->joint_stage = thawed;
    step.node_features = thawed ? features : NodeFeatures();
  }
  StepReport run(std::int64_t k) { return gpu ? gpu->run(world.batch(k)) : step.run(world.batch(k)); }
  void go(std::int64_t steps, CheckpointDirectory* checkpoints = nullptr,
          const Checkpoint* resume = nullptr) {
    LoopHooks<float> hooks;
    hooks.begin_step = [this](std::int64_t k) { thaw(k > frozen_steps); };
    hooks.step = [this](std::int64_t k) {
      const StepReport report = run(k);
      losses.push_back(report.loss);
      return report;
    };
    if (gpu) hooks.engine = gpu->engine();
    run_training<float>(world.parameters, optimizer,
                        {.steps = steps, .schedule = {.learning_rate = 2e-3, .total_steps = 6}}, hooks,
                        {.checkpoints = checkpoints}, resume);
  }

  model::Se2Config config = config_with_dropout();
  model::CellEncoderConfig encoder_config = encoder_with_dropout();
  PretrainOptions options{.seed = 5};
  JointOptions joint{.cells_with_gradient = 7, .seed = 5};
  test::JointWorld world;
  nn::AdamW<float> optimizer{world.parameters, {.weight_decay = 0.05}};
  PretrainStep step{config, world.parameters, options};
  model::CellEncoderTrainer<float> cpu_encoder{encoder_config, world.parameters, "cell_encoder/"};
  std::shared_ptr<CudaJointEncoder> encoder;
  std::unique_ptr<CudaPretrain> gpu;
  NodeFeatures features;
  std::vector<double> losses;

 private:
  static model::Se2Config config_with_dropout() {
    model::Se2Config c = test::tiny_config();
    c.dropout = c.attention_dropout = c.activation_dropout = 0.1;
    return c;
  }
  static model::CellEncoderConfig encoder_with_dropout() {
    model::CellEncoderConfig c = test::encoder_config();
    c.hidden_dropout_prob = c.attention_probs_dropout_prob = 0.1;
    return c;
  }
};

}  // namespace

TEST_CASE("a joint step has the losses and the gradients of the CPU, with its dropout masks") {
  JointRun cpu(false), gpu(true);
  cpu.thaw(true);
  gpu.thaw(true);
  const StepReport expected = cpu.run(1), found = gpu.run(1);
  CHECK(found.loss == doctest::Approx(expected.loss).epsilon(1e-5));
  double largest = 0;
  for (const auto& entry : cpu.world.parameters.map()) {
    const std::string& name = entry.first;  // bindings can not be captured
    CAPTURE(name);
    const std::span<const float> gradient = std::as_const(*entry.second).grad().span();
    std::vector<float> mine(gradient.size());
    const bool of_encoder = name.starts_with("cell_encoder/");
    if (of_encoder)
      gpu.encoder->trainer().download_gradient(name.substr(13), mine);
    else
      gpu.gpu->trainer().download_gradient(name.substr(4), mine);
    double most = 0, error = 0;
    for (std::size_t i = 0; i < mine.size(); ++i) {
      most = std::max(most, std::abs(static_cast<double>(gradient[i])));
      error = std::max(error, std::abs(static_cast<double>(mine[i]) - static_cast<double>(gradient[i])));
    }
    if (of_encoder) largest = std::max(largest, most);
    // As in se2_trainer_cases.hpp: float32 on both sides; what is zero but for rounding is measured by its
    // neighbours (biases of keys do not change a softmax).
    CHECK(error <= 2e-4 * most + 1e-6);
  }
  CHECK(largest > 1e-3);  // of gradients that must not be there by accident
  CHECK(gpu.gpu->engine().gradient_norm() ==
        doctest::Approx(nn::global_norm(cpu.world.parameters)).epsilon(1e-4));
}

TEST_CASE("a run that thaws the encoder is that of the CPU, and goes on across the start of the stage") {
  const test::ScratchDir dir;
  JointRun cpu(false), whole(true);
  cpu.go(3);
  whole.go(3);
  REQUIRE(whole.losses.size() == 3);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(whole.losses[i] == doctest::Approx(cpu.losses[i]).epsilon(1e-3));  // steps of 2e-3, as above
  for (const std::int64_t stop : {1, 2}) {                                   // before the stage, in it
    CAPTURE(stop);
    CheckpointDirectory checkpoints(dir / concat("gpu", stop), {});
    JointRun first(true), second(true), on_cpu(false);
    first.go(stop, &checkpoints);
    const auto checkpoint = checkpoints.load_newest(false);
    REQUIRE(checkpoint.has_value());
    CHECK(checkpoint->checkpoint.tensors.contains("optimizer/cell_encoder/proj.weight/m") == (stop == 2));
    second.go(3, nullptr, &checkpoint->checkpoint);
    CHECK(second.losses.back() == whole.losses.back());  // the same device: to the bit
    on_cpu.go(3, nullptr, &checkpoint->checkpoint);
    CHECK(on_cpu.losses.back() == doctest::Approx(cpu.losses.back()).epsilon(1e-3));
  }
}

TEST_CASE("validation in the joint stage asks the encoder as it is") {
  JointRun gpu(true);
  gpu.go(2);
  MaskedPiece piece;
  piece.loaded = test::piece_of(gpu.world.slice, 0, 1, 1000);
  piece.sub = gpu.world.slice->sub_slice(1);
  piece.draws = draw_masks(32, masking_key(piece.loaded.ref, MaskDraws::each_epoch, 1));
  gpu.gpu->engine().fetch();  // the CPU's step of the same run reads what is fetched
  const ValidationSums expected = validate_piece(piece, gpu.step, {}),
                       found = validate_piece(
                           piece,
                           [&](const LoadedPiece&loaded, std::int64_t masked, const TouchedPairs&pairs) {
                             return gpu.gpu->judge(loaded, masked, pairs);
                           },
                           {});
  REQUIRE(expected.cells > 0);
  CHECK(std::abs(found.mcm_cosine - expected.mcm_cosine) <= 1e-5 * expected.cells);
  CHECK(found.pdr_squares == doctest::Approx(expected.pdr_squares).epsilon(1e-5));
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

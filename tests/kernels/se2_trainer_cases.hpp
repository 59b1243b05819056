// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Training steps of the SE(2) Transformer with all kernels run on the host, against the tape: losses, every
/// gradient with dropout on, norm, AdamW, state up and down, the same bits in any order of blocks.
/// Included by the emulated test and by the one on a device.

#include <doctest/doctest.h>

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/train/masked_input.hpp"
#include "tests/kernels/se2_trainer_case.hpp"

using namespace stofm;
using backend::Precision;

namespace {

constexpr Cuda device{0};

/// The largest error over all parameters, each against the largest element of its gradient.
double gradient_error(const test::TrainingCase& c, backend::CudaSe2Trainer& trainer,
                      std::string* worst_name) {
  double worst = 0;
  for (const auto& [name, parameter] : c.parameters.map()) {
    std::vector<float> found(static_cast<std::size_t>(parameter->value().numel()));
    trainer.download_gradient(name, found);
    const double error = test::relative_error(found, std::as_const(*parameter).grad().span());
    if (error > worst) {
      worst = error;
      *worst_name = name;
    }
  }
  return worst;
}

/// Runs it twice; in the emulator under several orders of blocks and threads.
template <class Run>
void several_times(const Run& run) {
#if defined(STOFM_KERNEL_EMULATOR)
  emulator::for_each_schedule(run);
#else
  run();
  run();
#endif
}

}  // namespace

TEST_CASE("losses and all gradients are those of the tape, in every configuration, with dropout") {
  struct Grade {
    Precision precision;
    bool even;  // se2_config_of_widths
    double bar;
  };
  for (const bool pre : {false, true})
    for (const char* activation : {"relu", "gelu"})
      for (const Grade& grade :
           {Grade{Precision::float32, false, 1e-4}, Grade{Precision::split_bf16, false, 2e-3},
            Grade{Precision::split_bf16, true, 2e-3}}) {
        const bool split = grade.precision == Precision::split_bf16;
        if (split && (activation[0] != 'g' || pre != grade.even)) continue;
        auto config = split ? test::se2_config_of_widths(grade.even, pre, activation)
                            : test::small_se2_config(pre, activation);
        config.dropout = 0.2;
        config.attention_dropout = 0.15;
        config.activation_dropout = 0.1;
        test::TrainingCase c(config, true);
        c.run_on_tape(0.7, 0.01);
        CAPTURE(pre);
        CAPTURE(activation);
        CAPTURE(grade.even);
        CAPTURE(static_cast<int>(grade.precision));
        auto trainer = c.trainer(device, grade.precision);
        const auto losses = trainer.accumulate(c.slices, c.labels, 0.7, 0.01);
        CHECK(losses.masked_cells == doctest::Approx(c.masked_loss).epsilon(grade.bar / 10));
        CHECK(losses.pair_distances == doctest::Approx(c.pair_loss).epsilon(grade.bar / 10));
        std::string name;
        const double error = gradient_error(c, trainer, &name);
        INFO(name);
        CHECK(error <= grade.bar);
        CHECK(trainer.gradient_norm() ==
              doctest::Approx(nn::global_norm(c.parameters)).epsilon(grade.bar / 10));
      }
#if defined(STOFM_KERNEL_EMULATOR)
  CHECK(emulator::device().blocks.empty());
#endif
}

TEST_CASE("batches add up, an update is AdamW's, and the state goes down and up") {
  auto config = test::small_se2_config(false, "gelu");
  test::TrainingCase c(config, false);
  c.run_on_tape(1.0, 0.02);
  auto trainer = c.trainer(device, Precision::float32);
  for (std::size_t i = 0; i < c.slices.size(); ++i)
    trainer.accumulate({&c.slices[i], 1}, {&c.labels[i], 1}, 1.0, 0.02);
  std::string name;
  CHECK(gradient_error(c, trainer, &name) <= 1e-4);
  const double norm = nn::global_norm(c.parameters), factor = nn::clip_coefficient(norm, 0.1);
  CHECK(trainer.gradient_norm() == doctest::Approx(norm).epsilon(1e-5));
  nn::AdamW<float> optimizer(c.parameters, {.weight_decay = 0.05});
  optimizer.step(1e-3, factor);
  trainer.update(1e-3, factor);
  CHECK(trainer.gradient_norm() == 0.0);

  test::TrainingState state(c.parameters);
  trainer.download(state.list);
  double worst = 0;
  for (const auto& entry : state.list) {
    CHECK(entry.steps == 1);
    const auto& expected = std::as_const(c.parameters.at(entry.name)).value();
    for (std::size_t i = 0; i < entry.value.size(); ++i)
      worst = std::max(
          worst, std::abs(static_cast<double>(entry.value[i]) - static_cast<double>(expected.span()[i])));
  }
  CHECK(worst <= 2e-4);  // a step moves by 1e-3; the sign of a gradient near 0 may be rounding

  auto other = c.trainer(device, Precision::float32);
  other.upload(state.list);
  const auto again = trainer.accumulate(c.slices, c.labels, 1.0, 0.02);
  const auto same = other.accumulate(c.slices, c.labels, 1.0, 0.02);
  CHECK(again.masked_cells == same.masked_cells);
  CHECK(again.pair_distances == same.pair_distances);
  std::vector<float> a(static_cast<std::size_t>(trainer.gradient_count())), b(a.size());
  trainer.download_gradients(a);
  other.download_gradients(b);
  CHECK(a == b);
  for (float& value : a) value *= 2;
  trainer.upload_gradients(a);
  CHECK(trainer.gradient_norm() == doctest::Approx(2 * other.gradient_norm()).epsilon(1e-6));
}

TEST_CASE("an evaluation gives the losses without dropout and leaves the gradients") {
  auto config = test::small_se2_config(true, "gelu");
  config.dropout = config.attention_dropout = config.activation_dropout = 0.3;
  const test::TrainingCase c(config, true);
  test::TrainingCase plain(config, false);
  plain.run_on_tape(1.0, 0.01);
  auto trainer = c.trainer(device, Precision::float32);
  const auto dropped = trainer.accumulate(c.slices, c.labels, 1.0, 0.01);
  CHECK(std::abs(dropped.masked_cells - plain.masked_loss) > 1e-3 * plain.masked_loss);
  std::vector<float> before(static_cast<std::size_t>(trainer.gradient_count())), after(before.size());
  trainer.download_gradients(before);
  const auto losses = trainer.evaluate(c.slices, c.labels);
  CHECK(losses.masked_cells == doctest::Approx(plain.masked_loss).epsilon(1e-5));
  CHECK(losses.pair_distances == doctest::Approx(plain.pair_loss).epsilon(1e-5));
  trainer.download_gradients(after);
  CHECK(before == after);
  CHECK(trainer.accumulate(c.slices, c.labels, 1.0, 0.01).masked_cells == dropped.masked_cells);
}

TEST_CASE("a batch prepared while another is computed gives the bits of accumulate") {
  auto config = test::small_se2_config(false, "gelu");
  config.dropout = config.attention_dropout = config.activation_dropout = 0.1;
  const test::TrainingCase c(config, true);
  auto trainer = c.trainer(device, Precision::float32), other = c.trainer(device, Precision::float32);
  const auto slices = std::span(c.slices);
  const auto labels = std::span(c.labels);
  trainer.prepare(slices.first(1), labels.first(1));
  const auto first =
      trainer.accumulate_prepared(1.0, 0.01, {}, [&] { trainer.prepare(slices.last(2), labels.last(2)); });
  (void)trainer.evaluate(slices.first(2), labels.first(2));  // takes other buffers
  const auto second = trainer.accumulate_prepared(1.0, 0.01);
  CHECK(first.masked_cells == other.accumulate(slices.first(1), labels.first(1), 1.0, 0.01).masked_cells);
  CHECK(second.pair_distances == other.accumulate(slices.last(2), labels.last(2), 1.0, 0.01).pair_distances);
  std::vector<float> a(static_cast<std::size_t>(trainer.gradient_count())), b(a.size());
  trainer.download_gradients(a);
  other.download_gradients(b);
  CHECK(a == b);
  CHECK_THROWS_AS(trainer.accumulate_prepared(1.0, 0.01), UsageError);
}

TEST_CASE("the gradient of the features is the tape's, with dropout") {
  for (const bool pre : {false, true}) {
    auto config = test::small_se2_config(pre, "gelu");
    config.dropout = config.attention_dropout = config.activation_dropout = 0.1;
    test::TrainingCase c(config, true);
    auto trainer = c.trainer(device, Precision::float32);
    trainer.accumulate(c.slices, c.labels, 0.7, 0.01);
    std::vector<float> found, expected;
    const model::Se2Trainer<float> on_tape(config, c.parameters);
    const model::PretrainingHeads<float> heads(config, c.parameters);
    for (std::size_t i = 0; i < c.pieces.size(); ++i) {
      autograd::ParameterSet<float> input;
      auto& features = input.add("features", c.pieces[i].features.clone());
      autograd::Tape<float> tape;
      const auto output = on_tape.forward(tape, tape.parameter(features), c.pieces[i].distances,
                                          c.pieces[i].types, {.dropout = true, .key = c.key(i)});
      const auto cells = heads.masked_cell_loss(tape, output.last_hidden, c.masked[i], c.features[i]);
      const auto pairs = heads.pair_distance_loss(tape, output, c.rows[i], c.columns[i], c.targets[i]);
      tape.backward(autograd::add(autograd::scale(cells.sum, 0.7F), autograd::scale(pairs.sum, 0.01F)));
      const auto gradient = std::as_const(features).grad().span();
      expected.insert(expected.end(), gradient.begin(), gradient.end());
    }
    found.resize(expected.size());
    trainer.feature_gradient(found);
    CHECK(test::relative_error(found, expected) <= 1e-4);  // as the gradients of the parameters
    found.pop_back();
    CHECK_THROWS_AS(trainer.feature_gradient(found), UsageError);
  }
}

TEST_CASE("rows of a neutral input layer stay at sum zero") {
  test::TrainingCase c(test::small_se2_config(true, "relu"), false);
  train::neutralise_rows(c.parameters.at("embedding_layer.weight"));
  auto trainer = c.trainer(device, Precision::float32, true);
  for (int step = 0; step < 2; ++step) {
    trainer.accumulate(c.slices, c.labels, 1.0, 0.02);
    trainer.gradient_norm();
    std::vector<float> gradient(static_cast<std::size_t>(c.config.embedding_dim * c.config.input_dim));
    trainer.download_gradient("embedding_layer.weight", gradient);
    Tensor<float> g({c.config.embedding_dim, c.config.input_dim});
    std::copy(gradient.begin(), gradient.end(), g.data());
    CHECK(train::has_neutral_rows(g));
    trainer.update(1e-2, 1.0);
    test::TrainingState state(c.parameters);
    trainer.download(state.list);
    for (const auto& entry : state.list)
      if (entry.name == "embedding_layer.weight") std::copy(entry.value.begin(), entry.value.end(), g.data());
    CHECK(train::has_neutral_rows(g));
  }
}

TEST_CASE("two runs give the same bits, in any order of blocks") {
  auto config = test::se2_config_of_widths(true, false, "gelu");
  config.dropout = config.attention_dropout = config.activation_dropout = 0.1;
  test::TrainingCase c(config, true);
  std::vector<float> first;
  several_times([&] {
    auto trainer = c.trainer(device, Precision::split_bf16);
    trainer.accumulate(c.slices, c.labels, 1.0, 0.01);
    std::vector<float> bits(static_cast<std::size_t>(trainer.gradient_count()));
    trainer.download_gradients(bits);
    if (first.empty()) first = bits;
    CHECK(std::memcmp(bits.data(), first.data(), bits.size() * sizeof(float)) == 0);
  });
}

TEST_CASE("steps of one shape are one launch of forward and backward, with the bits of single launches") {
  auto config = test::small_se2_config(false, "gelu");
  config.dropout = config.attention_dropout = config.activation_dropout = 0.1;
  const test::TrainingCase c(config, true);
  auto trainer = c.trainer(device, Precision::split_bf16),
       single = c.trainer(device, Precision::split_bf16, false, false);
  auto labels = c.labels;
  const auto slices = std::span(c.slices).first(1), others = std::span(c.slices).last(1);
  std::vector<float> a(static_cast<std::size_t>(trainer.gradient_count())), b(a.size());
  for (const auto& [weight, replayed] : {std::pair{0.01, 0}, {0.01, 1}, {0.02, 1}, {0.01, 2}}) {
    const double pair_scale = weight;  // bindings can not be captured
    CAPTURE(pair_scale);
    for (auto& label : labels) label.dropout_key = label.dropout_key.child(1);  // other masks in each step
    const auto found = trainer.accumulate(slices, std::span(labels).first(1), 1.0, pair_scale);
    const auto expected = single.accumulate(slices, std::span(labels).first(1), 1.0, pair_scale);
    CHECK(found.masked_cells == expected.masked_cells);
    CHECK(found.pair_distances == expected.pair_distances);
    trainer.download_gradients(a);
    single.download_gradients(b);
    CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
    CHECK(trainer.graph_use().replayed == replayed);
    for (backend::CudaSe2Trainer* each : {&trainer, &single}) each->update(1e-3, 1.0);
  }
  CHECK(trainer.graph_use().captured == 1);
  CHECK(trainer.graph_use().notices.empty());
  CHECK(single.graph_use().captured == 0);
  CHECK(trainer.accumulate(others, std::span(labels).last(1), 1.0, 0.01).masked_cells ==
        single.accumulate(others, std::span(labels).last(1), 1.0, 0.01).masked_cells);
  CHECK(trainer.graph_use().replayed == 2);
}

#if defined(STOFM_KERNEL_EMULATOR)
TEST_CASE("launches of a training step: so many a layer, whatever the batch and the precision") {
  for (const std::int64_t layers : {1, 4})
    for (const std::size_t count : {1U, 2U})
      for (const Precision precision : {Precision::split_bf16, Precision::bf16}) {
        auto config = test::se2_config_of_widths(true, false, "gelu");
        config.dropout = config.attention_dropout = config.activation_dropout = 0.1;
        config.num_hidden_layers = layers;
        const test::TrainingCase c(config, true);
        auto trainer = c.trainer(device, precision, false, false);
        const std::int64_t before = emulator::launches() + emulator::products();
        trainer.accumulate(std::span(c.slices).first(count), std::span(c.labels).first(count), 1.0, 0.01);
        trainer.update(1e-3, 1.0);
        std::vector<float> waits(static_cast<std::size_t>(trainer.gradient_count()));
        trainer.download_gradients(waits);
        CHECK(emulator::launches() + emulator::products() - before == 28 + 20 * layers);
      }
}
#endif

TEST_CASE("labels and parameters that do not fit are refused") {
  test::TrainingCase c(test::small_se2_config(false, "relu"), false);
  const auto code = [](const auto& run) {
    try {
      run();
    } catch (const Error& e) {
      return e.code();
    }
    return std::string("none");
  };
  test::TrainingState state(c.parameters);
  CHECK(code([&] {
          backend::CudaSe2Trainer(device, pipeline::device_sizes(c.config), std::span(state.list).subspan(1));
        }) == "STOFM-6061");
  auto trainer = c.trainer(device, Precision::float32);
  auto labels = c.labels;
  const std::vector<std::int64_t> twice{3, 3};
  labels[0].masked_nodes = twice;
  CHECK(code([&] { trainer.accumulate(c.slices, labels, 1, 1); }) == "STOFM-6062");
  labels = c.labels;
  labels.pop_back();
  CHECK(code([&] { trainer.accumulate(c.slices, labels, 1, 1); }) == "STOFM-6062");
  std::vector<float> none(3);
  CHECK(code([&] { trainer.download_gradient("nothing", none); }) == "STOFM-6061");
  CHECK(code([&] { trainer.download_gradient("lm_head.0.bias", none); }) == "STOFM-6061");
}

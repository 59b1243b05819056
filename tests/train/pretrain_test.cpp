// SPDX-License-Identifier: MIT
// Steps of pretraining on a made slice: resume and thread count to the bit, batches cut over processes,
// validation beside predictors without a model, tiny pieces (D37).
#include "stofm/train/pretrain.hpp"

#include <doctest/doctest.h>

#include "stofm/train/masked_input.hpp"
#include "stofm/train/pretrain_validation.hpp"
#include "tests/train/pretrain_fixture.hpp"

using namespace stofm;
using namespace stofm::train;
using namespace stofm::test;

TEST_CASE("A step has the same gradients to the bit on 1 and 4 threads, dropout included") {
  const World world;
  const int threads = thread_count();
  std::vector<std::vector<float>> all;
  for (const int count : {1, 4, 3}) {
    set_thread_count(count);
    auto parameters = pretraining_parameters(tiny_config(), {}, 3);
    PretrainStep step(tiny_config(), parameters, {.seed = 5});
    const StepReport report = step.run(world.batch(0));
    CHECK(report.cells == 244);
    CHECK(report.losses[0].second > 0.2);
    all.push_back(flat(parameters, true));
  }
  set_thread_count(threads);
  CHECK(all[0] == all[1]);
  CHECK(all[0] == all[2]);
}

TEST_CASE("Pieces divided over two processes give the gradients of one, within rounding") {
  const World world;
  auto whole = pretraining_parameters(tiny_config(), {}, 3);
  PretrainStep one(tiny_config(), whole, {.seed = 5});
  const StepReport together = one.run(world.batch(0));
  // What a sum over processes gives, by running both shares twice: once for the counts, once with them.
  std::vector<std::vector<double>> totals;
  const auto run_half = [&](int half, std::size_t pass) {
    auto parameters = pretraining_parameters(tiny_config(), {}, 3);
    PretrainStep step(tiny_config(), parameters, {.seed = 5});
    std::size_t call = 0;
    step.sum_over_processes = [&](std::vector<double>& numbers) {
      if (totals.size() <= call) totals.emplace_back(numbers.size(), 0.0);
      if (pass == call)
        for (std::size_t i = 0; i < numbers.size(); ++i) totals[call][i] += numbers[i];
      if (pass > call) numbers = totals[call];
      ++call;
    };
    TrainingBatch mine = world.batch(0);
    mine.pieces = half == 0 ? std::vector<LoadedPiece>(mine.pieces.begin(), mine.pieces.begin() + 2)
                            : std::vector<LoadedPiece>(mine.pieces.begin() + 2, mine.pieces.end());
    const StepReport report = step.run(mine);
    return std::pair{flat(parameters, true), report.loss};
  };
  for (std::size_t pass = 0; pass < 2; ++pass) (void)run_half(0, pass), (void)run_half(1, pass);
  const auto [first, first_loss] = run_half(0, 2);
  const auto [second, second_loss] = run_half(1, 2);
  CHECK(first_loss == doctest::Approx(together.loss).epsilon(1e-9));
  CHECK(second_loss == first_loss);
  const std::vector<float> expected = flat(whole, true);
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double sum = static_cast<double>(first[i]) + static_cast<double>(second[i]),
                 e = static_cast<double>(expected[i]);
    difference += (sum - e) * (sum - e);
    norm += e * e;
  }
  CHECK(std::sqrt(difference / norm) < 1e-5);
}

TEST_CASE("Each objective is learnt, and validation sees it") {
  const World world;
  for (const bool cells : {true, false}) {
    auto parameters = pretraining_parameters(tiny_config(), {}, 3);
    start_pair_head(parameters, world.batch(0).pieces);
    PretrainStep step(
        tiny_config(), parameters,
        {.mcm_weight = cells ? 1.0 : 0.0, .pdr_weight = cells ? 0.0 : 1.0, .dropout = false, .seed = 5});
    nn::AdamW<float> optimizer(parameters, {.learning_rate = 5e-3});
    const LoopOptions options{.steps = 300,
                              .schedule = {.learning_rate = 5e-3, .warmup_steps = 5, .total_steps = 300}};
    LoopHooks<float> hooks;
    std::vector<double> losses;
    hooks.step = [&](std::int64_t k) {
      StepReport report = step.run(world.batch(k));
      losses.push_back(report.loss);
      return report;
    };
    autograd::Parameter<float>& input = parameters.at("se2/embedding_layer.weight");
    neutralise_rows(input);
    hooks.reduce_gradients = [&](autograd::ParameterSet<float>&) { project_gradient_rows(input); };
    hooks.after_update = [&](std::int64_t) { neutralise_rows(input); };
    (void)run_training<float>(parameters, optimizer, options, hooks, {});
    CHECK(losses.back() < 0.7 * losses.front());

    ValidationSums sums;
    for (std::int64_t p = 0; p < 2; ++p) {
      MaskedPiece piece;
      piece.loaded = piece_of(world.slices[0], 0, p, 1000);
      piece.sub = world.slices[0]->sub_slice(p);
      piece.draws = draw_masks(72, masking_key(piece.loaded.ref, MaskDraws::each_epoch, 1));
      sums.add(validate_piece(piece, step, {}));
    }
    const nlohmann::json figures = ValidationSums::from_numbers(sums.numbers()).figures();
    CAPTURE(figures.dump());
    const auto figure = [&](const char* name) { return figures[name].get<double>(); };
    CHECK(figure("cells") == 16);  // int(0.12 * 72), twice
    CHECK(figure("mcm_cosine_neighbours") > figure("mcm_cosine_mean"));
    CHECK(figure("pdr_error_kind") <= figure("pdr_error_constant") * (1 + 1e-12));
    if (cells) CHECK(figure("mcm_cosine") > figure("mcm_cosine_mean"));
    if (!cells) CHECK(figure("pdr_error") < figure("pdr_error_as_moved"));
    if (!cells) CHECK(figure("pdr_error") < 0.8 * figure("pdr_error_constant"));
  }
}

TEST_CASE("D37: a batch of pieces with eight cells or fewer has no loss, no gradient and no NaN") {
  const auto small = std::make_shared<PreparedSlice>(make_slice(4, 3));  // two pieces of 8 cells
  auto parameters = pretraining_parameters(tiny_config(), {}, 3);
  PretrainStep step(tiny_config(), parameters, {.seed = 5});
  TrainingBatch batch;
  batch.pieces.push_back(piece_of(small, 0, 0, 0));
  batch.pieces.push_back(piece_of(small, 0, 1, 0));
  CHECK(batch.usable() == 0);
  const StepReport report = step.run(batch);
  CHECK(report.loss == 0.0);
  CHECK(report.cells == 0);
  for (const float g : flat(parameters, true)) CHECK(g == 0.0F);
}

TEST_CASE("Pretraining starts from given weights where there are some") {
  const auto config = tiny_config();
  auto start = model::initial_parameters<float>(config, {.seed = 9});
  const auto without_heads = pretraining_parameters(config, start, 3);
  CHECK(without_heads.contains("se2/lm_head.2.weight"));
  CHECK(std::as_const(without_heads.at("se2/embedding_layer.weight")).value().data()[5] ==
        start.at("embedding_layer.weight").data()[5]);
  start.emplace("pair_head.2.bias", Tensor<float>::full(Shape{1}, 7.0F));
  CHECK(
      std::as_const(pretraining_parameters(config, start, 3).at("se2/pair_head.2.bias")).value().data()[0] ==
      7.0F);
  start.erase("embedding_layer.weight");
  auto broken = pretraining_parameters(config, start, 3);
  CHECK_THROWS_AS(PretrainStep(config, broken, {}), FileError);
  auto good = pretraining_parameters(config, {}, 3);
  CHECK_THROWS_AS(PretrainStep(config, good, {.mcm_weight = -1}), UsageError);
}

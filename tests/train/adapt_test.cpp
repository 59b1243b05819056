// SPDX-License-Identifier: MIT
#include "stofm/train/adapt.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <set>

#include "stofm/nn/adamw.hpp"

namespace {

using namespace stofm;

model::CellEncoderConfig small_config() {
  model::CellEncoderConfig config;
  config.vocab_size = 40;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_attention_heads = 4;
  config.num_hidden_layers = 2;
  config.max_position_embeddings = 48;
  config.type_vocab_size = 2;
  config.hidden_act = "gelu";
  config.hidden_dropout_prob = 0.1;
  config.attention_probs_dropout_prob = 0.1;
  config.projection_dim = 16;
  return config;
}

/// Cells of two kinds: each kind has genes of its own, in random order, and shares some.
train::CellBatch two_kinds(std::int64_t cells, std::uint64_t seed) {
  Random random(seed);
  train::CellBatch batch;
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    batch.tokens.push_back(39);
    std::set<std::int32_t> genes;
    while (genes.size() < 10)
      genes.insert(static_cast<std::int32_t>(
          random.below(3) == 0 ? 2 + random.below(8)
                               : 10 + 14 * static_cast<std::uint64_t>(cell % 2) + random.below(14)));
    std::vector<std::int32_t> order(genes.begin(), genes.end());
    for (std::size_t i = 0; i < order.size(); ++i)
      std::swap(order[i], order[i + random.below(order.size() - i)]);
    batch.tokens.insert(batch.tokens.end(), order.begin(), order.end());
    batch.offsets.push_back(static_cast<std::int64_t>(batch.tokens.size()));
  }
  std::vector<std::int32_t> measured;
  for (std::int32_t token = 2; token < 39; ++token) measured.push_back(token);
  batch.panel =
      std::make_shared<train::GenePanel>(train::make_gene_panel(measured, batch.tokens, batch.offsets, 39));
  return batch;
}

}  // namespace

TEST_CASE("the gradient of a step is that of its loss") {
  const auto config = small_config();
  const train::CellBatch batch = two_kinds(6, 1);
  for (const auto kinds : {train::CellViews::masked_and_dropped, train::CellViews::both_dropped}) {
    autograd::ParameterSet<double> parameters(
        train::adapt_parameters<double>(config, {}, {.seed = 3, .standard_deviation = 0.2}));
    train::AdaptStep<double> step(config, parameters,
                                  {.view_kinds = kinds, .temperature = 0.5, .gene_weight = 0.7});
    const RandomKey key{5, 6, 7};
    step.accumulate(batch, key);
    Random random(8);
    std::map<std::string, Tensor<double>> direction;
    double along = 0;
    for (const auto& [name, parameter] : parameters.map()) {
      Tensor<double> d(parameter->value().shape());
      for (double& value : d.span()) value = random.normal();
      for (std::int64_t i = 0; i < d.numel(); ++i) along += d.data()[i] * parameter->grad().data()[i];
      direction.emplace(name, d);
    }
    const auto moved = [&](double by) {
      for (const auto& [name, parameter] : parameters.map()) {
        const auto& d = direction.at(name);
        Tensor<double>& value = parameter->changing();
        for (std::int64_t i = 0; i < d.numel(); ++i) value.data()[i] += by * d.data()[i];
      }
      return step.accumulate(batch, key).total;
    };
    const double h = 1e-5, ahead = moved(h), behind = moved(-2 * h);
    CHECK((ahead - behind) / (2 * h) == doctest::Approx(along).epsilon(1e-6));
  }
}

TEST_CASE("a step has the same bits on any number of threads") {
  const auto config = small_config();
  const train::CellBatch batch = two_kinds(40, 2);
  std::vector<Tensor<float>> first;
  const int before = thread_count();
  for (const int threads : {1, 2, 4}) {
    set_thread_count(threads);
    autograd::ParameterSet<float> parameters(train::adapt_parameters<float>(config, {}));
    nn::AdamW<float> optimizer(parameters, {.learning_rate = 1e-3});
    train::AdaptStep<float> step(config, parameters);
    for (std::uint64_t k = 0; k < 3; ++k) {
      parameters.zero_grad();
      step.accumulate(batch, {1, 2, k});
      optimizer.step();
    }
    std::size_t i = 0;
    for (const auto* parameter : parameters.list()) {
      if (threads == 1) {
        first.push_back(parameter->value().clone());
        continue;
      }
      INFO(parameter->name());
      CHECK(std::memcmp(first[i].data(), std::as_const(*parameter).value().data(),
                        static_cast<std::size_t>(first[i].numel()) * sizeof(float)) == 0);
      ++i;
    }
  }
  set_thread_count(before);
}

TEST_CASE("steps learn to name hidden genes and to tell cells apart") {
  const auto config = small_config();
  const train::CellBatch other = two_kinds(64, 5);
  autograd::ParameterSet<float> parameters(train::adapt_parameters<float>(config, {}));
  nn::AdamW<float> optimizer(parameters, {.learning_rate = 3e-3});
  train::AdaptStep<float> step(config, parameters, {.cell_weight = 1.0});
  const train::AdaptLosses before = step.evaluate(other, {9, 9, 9});
  CHECK(before.gene_entropy == doctest::Approx(std::log(37.0)).epsilon(0.02));
  for (std::uint64_t k = 0; k < 200; ++k) {
    parameters.zero_grad();
    step.accumulate(two_kinds(64, 100 + k), {1, 2, k});
    optimizer.step();
  }
  const train::AdaptLosses after = step.evaluate(other, {9, 9, 9});
  MESSAGE(before.gene_entropy << " -> " << after.gene_entropy << ", " << before.cells << " -> "
                              << after.cells);
  CHECK(after.gene_entropy < 3.3);  // two kinds of 22 genes: log 22 = 3.09 is the best
  CHECK(after.cells < before.cells);
  CHECK(after.cell_accuracy > 4.0 / 64);  // chance: 1 / 64
}

TEST_CASE("what an encoder adapts to loads as an encoder") {
  const auto config = small_config();
  autograd::ParameterSet<float> parameters(train::adapt_parameters<float>(config, {}), "x/");
  const auto tensors = train::encoder_parameters(config, parameters, "x/");
  const model::CellEncoder<float> encoder(config, tensors);
  const train::CellBatch batch = two_kinds(5, 6);
  const Tensor<float> embedded = encoder.embed(batch.tokens, batch.offsets);
  const model::CellEncoderTrainer<float> trainer(config, parameters, "x/");
  autograd::Tape<float> tape;
  const Tensor<float> trained = trainer.embed(tape, batch.tokens, batch.offsets).value();
  for (std::int64_t i = 0; i < embedded.numel(); ++i)
    CHECK(trained.data()[i] == doctest::Approx(embedded.data()[i]).epsilon(1e-4));
  // Tensors of a head in a bundle are known, and left out.
  auto with_head = parameters.values("x/");
  CHECK(model::CellEncoder<float>(config, with_head).report().notices.empty());
}

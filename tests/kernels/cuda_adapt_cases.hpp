// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Domain adaptation with the passes of the device against AdaptStep: losses, gradients with dropout on, an
/// update, the engine of the loop. Included by the emulated test and by the one on a device.

#include <doctest/doctest.h>

#include <set>

#include "stofm/train/cuda_adapt.hpp"
#include "tests/kernels/se2_case.hpp"

namespace {

using namespace stofm;

model::CellEncoderConfig adapt_config() {
  model::CellEncoderConfig config;
  config.vocab_size = 40;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_attention_heads = 2;
  config.num_hidden_layers = 2;
  config.max_position_embeddings = 48;
  config.type_vocab_size = 2;
  config.hidden_act = "gelu";
  config.hidden_dropout_prob = 0.1;
  config.attention_probs_dropout_prob = 0.1;
  config.projection_dim = 16;
  return config;
}

train::CellBatch adapt_batch(std::int64_t cells, std::uint64_t seed) {
  Random random(seed);
  train::CellBatch batch;
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    batch.tokens.push_back(39);
    std::set<std::int32_t> genes;
    while (genes.size() < 6 + static_cast<std::size_t>(cell))
      genes.insert(static_cast<std::int32_t>(2 + random.below(36)));
    batch.tokens.insert(batch.tokens.end(), genes.begin(), genes.end());
    batch.offsets.push_back(static_cast<std::int64_t>(batch.tokens.size()));
  }
  std::vector<std::int32_t> measured;
  for (std::int32_t token = 2; token < 39; ++token) measured.push_back(token);
  batch.panel =
      std::make_shared<train::GenePanel>(train::make_gene_panel(measured, batch.tokens, batch.offsets, 39));
  return batch;
}

autograd::ParameterSet<float> adapt_set() {
  return autograd::ParameterSet<float>(
      train::adapt_parameters<float>(adapt_config(), {}, {.seed = 3, .standard_deviation = 0.2}));
}

}  // namespace

TEST_CASE("a step of adaptation on the device is that of the CPU, by the engine of the loop too") {
  const auto batch = adapt_batch(5, 1);
  const RandomKey key{5, 6, 7};
  for (const auto kinds : {train::CellViews::masked_and_dropped, train::CellViews::both_dropped}) {
    const train::AdaptOptions options{.view_kinds = kinds, .temperature = 0.5, .gene_weight = 0.7};
    auto cpu = adapt_set(), gpu = adapt_set();
    nn::AdamW<float> of_cpu(cpu), of_gpu(gpu);
    train::AdaptStep<float> step(adapt_config(), cpu, options);
    train::CudaAdapt device(adapt_config(), gpu, of_gpu, options, {.precision = backend::Precision::float32});
    const auto expected = step.accumulate(batch, key), found = device.accumulate(batch, key);
    CHECK(found.total == doctest::Approx(expected.total).epsilon(1e-5));
    CHECK(found.genes == doctest::Approx(expected.genes).epsilon(1e-5));
    CHECK(found.cells == doctest::Approx(expected.cells).epsilon(1e-5));
    CHECK(found.gene_entropy == doctest::Approx(expected.gene_entropy).epsilon(1e-5));
    CHECK(found.gene_accuracy == expected.gene_accuracy);
    CHECK(found.cell_accuracy == expected.cell_accuracy);
    CHECK(found.hidden_genes == expected.hidden_genes);

    // Gradients, as processes sum them: here the numbers of both sides by way of the norm and of one step.
    auto engine = device.engine();
    CHECK(engine.gradient_norm() == doctest::Approx(nn::global_norm(cpu)).epsilon(1e-4));
    CHECK(engine.nan_gradient().empty());
    engine.update(1e-3, 0.5);
    of_cpu.step(1e-3, 0.5);
    engine.fetch();
    std::vector<double> apart;
    for (const auto& [name, parameter] : cpu.map()) {
      const auto mine = std::as_const(gpu.at(name)).value().span(),
                 other = std::as_const(*parameter).value().span();
      for (std::size_t i = 0; i < other.size(); ++i)
        apart.push_back(std::abs(static_cast<double>(mine[i]) - static_cast<double>(other[i])));
    }
    // AdamW's first step is the sign of the gradient: all but gradients near 0 must agree.
    std::sort(apart.begin(), apart.end());
    CHECK(apart[apart.size() * 98 / 100] <= 2e-5);
    CHECK(of_gpu.step_count() == 1);
    CHECK(of_gpu.state().size() == of_cpu.state().size());
    for (const auto& [name, tensor] : of_cpu.state())
      if (name.ends_with("/m") &&
          name.find("key.bias") == std::string::npos) {  // that gradient is 0 but for rounding
        const std::string parameter = name;
        INFO(parameter);
        double size = 0;
        for (const float value : tensor.span()) size = std::max(size, std::abs(static_cast<double>(value)));
        if (size > 1e-9) CHECK(test::relative_error(of_gpu.state().at(name).span(), tensor.span()) <= 1e-3);
      }
  }
}

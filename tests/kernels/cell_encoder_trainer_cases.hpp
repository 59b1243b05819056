// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Training passes of the cell encoder of the CUDA backend against the CPU's tape in double: emulated and on
/// a device.

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/reduce.hpp"
#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/pipeline/verify_case.hpp"
#include "stofm/train/gene_masking_head.hpp"
#include "tests/kernels/support/device_array.hpp"
#include "tests/model/golden_model.hpp"
#include "tests/model/random_model.hpp"

namespace cell_encoder_trainer_cases {

using namespace stofm;
using backend::CellEncoderParameterState;
using backend::CudaCellEncoderTrainer;
using backend::Precision;

inline model::CellEncoderConfig tiny(const char* activation, std::int64_t layers) {
  model::CellEncoderConfig c;
  c.vocab_size = 23;
  c.hidden_size = 24;
  c.intermediate_size = 20;
  c.num_attention_heads = 2;
  c.num_hidden_layers = layers;
  c.max_position_embeddings = 80;
  c.type_vocab_size = 2;
  c.hidden_act = activation;
  c.hidden_dropout_prob = 0.125;
  c.attention_probs_dropout_prob = 0.25;
  c.projection_dim = 7;
  return c;
}

/// Model, head and inputs of one test.
struct Case {
  model::CellEncoderConfig config;
  model::NamedTensors<float> weights;
  std::vector<std::int32_t> tokens, gene_rows{1, 3, 4}, first_rows{0, 2, 5}, panel{4, 9, 2, 17, 11},
      targets{3, 0, 4};
  std::vector<std::int64_t> offsets{0, 3, 70, 75}, places{0, 1, 3, 40, 69, 70, 74};
  std::vector<float> gene_weights{1.0F, 0.5F, 2.0F};
  RandomKey key{3, 1, 4};
  double factor = 0.4;

  Case(const char* activation, std::int64_t layers) : config(tiny(activation, layers)) {
    weights = test::random_parameters(config, 3, 1.0);
    Random random(9);
    for (const auto& spec : train::gene_head_parameters(config)) {
      Tensor<float> tensor(spec.shape);
      const bool norm = spec.name.find("orm.weight") != std::string::npos;
      for (float& x : tensor.span()) x = static_cast<float>((norm ? 1.0 : 0.0) + 0.2 * random.normal());
      weights.emplace(spec.name, tensor);
    }
    for (std::int64_t i = 0; i < offsets.back(); ++i)
      tokens.push_back(
          static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size))));
  }
  /// What stands for the gradient of a later part: any numbers.
  static double given(std::int64_t i) { return std::sin(static_cast<double>(i) + 1.0); }
  backend::CudaCellEncoderSizes sizes() const {
    backend::CudaCellEncoderSizes s;
    s.vocab_size = config.vocab_size;
    s.hidden_size = config.hidden_size;
    s.intermediate_size = config.intermediate_size;
    s.heads = config.num_attention_heads;
    s.layers = config.num_hidden_layers;
    s.positions = config.max_position_embeddings;
    s.token_types = config.type_vocab_size;
    s.projection_dim = config.projection_dim;
    s.activation = model::detail::activation_of(config.hidden_act);
    s.layer_norm_eps = config.layer_norm_eps;
    return s;
  }
  std::vector<CellEncoderParameterState> states() {
    std::vector<CellEncoderParameterState> result;
    for (auto& [name, tensor] : weights)
      result.push_back({name, nn::decays_by_name(name), tensor.span(), {}, {}, 0});
    return result;
  }
  CudaCellEncoderTrainer trainer(Precision precision) {
    const auto list = states();
    return {emulator::device_under_test,
            sizes(),
            list,
            {.precision = precision,
             .hidden_dropout = config.hidden_dropout_prob,
             .attention_dropout = config.attention_probs_dropout_prob}};
  }
};

/// The CPU's states, embeddings, losses and gradients.
struct Reference {
  Tensor<double> states, embeddings;
  double loss = 0, unweighted = 0;
  std::int64_t right = 0;
  std::map<std::string, Tensor<double>> gradients;

  Reference(const Case& c, bool dropout, bool twice) {
    model::NamedTensors<double> wide;
    for (const auto& [name, tensor] : c.weights) {
      Tensor<double> copy(tensor.shape());
      for (std::int64_t i = 0; i < copy.numel(); ++i) copy.data()[i] = static_cast<double>(tensor.data()[i]);
      wide.emplace(name, copy);
    }
    autograd::ParameterSet<double> parameters(wide);
    const model::CellEncoderTrainer<double> encoder(c.config, parameters);
    const train::GeneHead<double> head(encoder, parameters);
    autograd::Tape<double> tape;
    const auto pass = [&](const RandomKey& key) {
      return encoder.hidden_at(tape, c.tokens, c.offsets, c.places, {key, dropout});
    };
    const auto weighted = [](const autograd::Variable<double>& x) {
      Tensor<double> weights(x.shape());
      for (std::int64_t i = 0; i < weights.numel(); ++i) weights.data()[i] = Case::given(i);
      return autograd::sum(autograd::mul(x, autograd::constant(weights)));
    };
    const auto hidden = pass(c.key);
    const auto rows = [&](const std::vector<std::int32_t>& which) {
      return autograd::take_rows<double, std::int64_t>(hidden,
                                                       std::vector<std::int64_t>(which.begin(), which.end()));
    };
    const auto embedding = encoder.project(tape, rows(c.first_rows));
    const auto genes =
        head.loss(tape, rows(c.gene_rows), c.panel,
                  std::vector<std::int64_t>(c.targets.begin(), c.targets.end()), c.gene_weights);
    states = hidden.value().clone();
    embeddings = embedding.value().clone();
    loss = *genes.sum.value().data();
    unweighted = genes.unweighted;
    right = genes.right;
    auto total = autograd::add(autograd::scale(genes.sum, c.factor),
                               autograd::add(weighted(embedding), weighted(hidden)));
    if (twice) total = autograd::add(total, weighted(pass(c.key.child(7))));
    tape.backward(total);
    for (const auto* parameter : parameters.list())
      gradients.emplace(parameter->name(), parameter->grad().clone());
  }
};

/// ||x - y|| and ||y||.
inline std::pair<double, double> apart(std::span<const float> x, const Tensor<double>& y) {
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const double d = static_cast<double>(x[static_cast<std::size_t>(i)]) - y.data()[i];
    difference += d * d;
    norm += y.data()[i] * y.data()[i];
  }
  return {std::sqrt(difference), std::sqrt(norm)};
}
inline std::vector<float> given(std::int64_t count) {
  std::vector<float> result;
  for (std::int64_t i = 0; i < count; ++i) result.push_back(static_cast<float>(Case::given(i)));
  return result;
}

/// 1e-4 for float gradients is the project's bar; split operands keep 16 bits, TF32 10, bfloat16 8.
inline double tolerance(Precision precision) {
  return precision == Precision::float32 ? 2e-5 : precision == Precision::split_bf16 ? 2e-4 : 8e-2;
}

inline void accumulate(CudaCellEncoderTrainer& trainer, const Case& c, bool dropout, bool twice) {
  trainer.forward(0, {c.tokens, c.offsets, c.places, c.key, dropout});
  if (twice) trainer.forward(1, {c.tokens, c.offsets, c.places, c.key.child(7), dropout});
  std::vector<float> embeddings(c.first_rows.size() * 7);
  const auto count = static_cast<std::int64_t>(c.places.size()) * c.config.hidden_size;
  trainer.project(0, c.first_rows, embeddings);
  trainer.gene_loss(0, c.gene_rows, c.panel, c.targets, c.gene_weights, c.factor);
  trainer.project_gradient(0, given(static_cast<std::int64_t>(embeddings.size())));
  trainer.add_state_gradient(0, given(count));
  trainer.backward(0);
  if (!twice) return;
  trainer.add_state_gradient(1, given(count));
  trainer.backward(1);
}

inline void check(const char* activation, std::int64_t layers, bool dropout, Precision precision,
                  bool twice) {
  CAPTURE(activation);
  CAPTURE(layers);
  CAPTURE(dropout);
  CAPTURE(static_cast<int>(precision));
  Case c(activation, layers);
  const Reference expected(c, dropout, twice);
  CudaCellEncoderTrainer trainer = c.trainer(precision);
  trainer.forward(0, {c.tokens, c.offsets, c.places, c.key, dropout});
  std::vector<float> states(static_cast<std::size_t>(expected.states.numel())),
      embeddings(static_cast<std::size_t>(expected.embeddings.numel()));
  trainer.states(0, states);
  trainer.project(0, c.first_rows, embeddings);
  const auto near = [&](std::span<const float> x, const Tensor<double>& y) {
    const auto both = apart(x, y);
    const double difference = both.first, norm = both.second;
    CAPTURE(difference / norm);
    CHECK(difference <= tolerance(precision) * norm);
  };
  near(states, expected.states);
  near(embeddings, expected.embeddings);
  const auto sums = trainer.gene_loss(0, c.gene_rows, c.panel, c.targets, c.gene_weights, c.factor);
  CHECK(sums.weighted == doctest::Approx(expected.loss).epsilon(tolerance(precision)));
  CHECK(sums.unweighted == doctest::Approx(expected.unweighted).epsilon(tolerance(precision)));
  CHECK(sums.right == expected.right);
  trainer.zero_gradients();
  accumulate(trainer, c, dropout, twice);
  for (const auto& entry : expected.gradients) {
    const std::string& name = entry.first;
    const Tensor<double>& reference = entry.second;
    std::vector<float> gradient(static_cast<std::size_t>(reference.numel()));
    trainer.download_gradient(name, gradient);
    const auto both = apart(gradient, reference);
    const double difference = both.first, norm = both.second;
    CAPTURE(name);
    CAPTURE(difference / norm);
    // Keys' biases leave the softmax alone: their gradient is rounding noise beside that of the queries'.
    const double floor = name.find("key.bias") != std::string::npos ? 1.0 : 1e-6;
    CHECK(difference <= tolerance(precision) * (norm + floor));
  }
}

TEST_CASE("states, losses and the gradients of all parameters are the CPU's, with its dropout masks") {
  check("gelu", 2, true, Precision::float32, true);
  check("relu", 3, true, Precision::float32, false);
  check("gelu", 1, false, Precision::float32, false);
}

TEST_CASE("the same on the tensor cores") {
  check("gelu", 2, true, Precision::split_bf16, false);
  check("gelu", 2, false, Precision::bf16, false);
}

TEST_CASE("two runs, in any order of blocks and threads, give the same bits; a step is AdamW's") {
  Case c("gelu", 2);
  std::vector<float> first;
  emulator::for_each_run([&] {
    CudaCellEncoderTrainer trainer = c.trainer(Precision::split_bf16);
    accumulate(trainer, c, true, false);
    std::vector<float> gradients(static_cast<std::size_t>(trainer.gradient_count()));
    trainer.download_gradients(gradients);
    test::add_to_device_digest(gradients.data(), gradients.size() * sizeof(float));
    if (first.empty()) first = gradients;
    CHECK(gradients == first);
    double squares = 0;
    for (const float g : gradients) squares += static_cast<double>(g) * static_cast<double>(g);
    CHECK(trainer.gradient_norm() == doctest::Approx(std::sqrt(squares)).epsilon(1e-9));

    const std::string name = "bert/encoder.layer.0.intermediate.dense.weight";
    const auto& before = c.weights.at(name);
    std::vector<float> gradient(static_cast<std::size_t>(before.numel())), after(gradient.size()),
        m(gradient.size());
    trainer.download_gradient(name, gradient);
    trainer.update(1e-3, 0.5);
    std::vector<CellEncoderParameterState> wanted{{name, true, after, m, {}, 0}};
    trainer.download(wanted);
    CHECK(wanted[0].steps == 1);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      // The first step moves by the rate, whatever the gradient, after the decay.
      const double g = 0.5 * static_cast<double>(gradient[i]), old = static_cast<double>(before.data()[i]);
      CHECK(static_cast<double>(m[i]) == doctest::Approx(0.1 * g).epsilon(1e-5));
      CHECK(static_cast<double>(after[i]) ==
            doctest::Approx(old * (1 - 1e-5) - 1e-3 * g / (std::abs(g) + 1e-8)).epsilon(1e-5));
    }
    // The next pass sees the new weights, also where products read copies of them.
    trainer.forward(0, {c.tokens, c.offsets, c.places, c.key, false});
    std::vector<float> states(c.places.size() * 24), others(states.size());
    trainer.states(0, states);
    CudaCellEncoderTrainer fresh = c.trainer(Precision::split_bf16);
    fresh.forward(0, {c.tokens, c.offsets, c.places, c.key, false});
    fresh.states(0, others);
    CHECK(states != others);
    std::vector<CellEncoderParameterState> all;
    std::map<std::string, std::vector<float>> values;
    for (const auto& [parameter, tensor] : c.weights) {
      auto& value = values[parameter];
      value.resize(static_cast<std::size_t>(tensor.numel()));
      all.push_back({parameter, true, value, {}, {}, 0});
    }
    trainer.download(all);
    fresh.upload(all);
    fresh.forward(0, {c.tokens, c.offsets, c.places, c.key, false});
    fresh.states(0, others);
    CHECK(states == others);
  });
}

TEST_CASE("hidden states of all tokens are the golden ones: what verify compares on a device") {
  for (const char* name : {"cell_encoder_small", "cell_encoder_gelu"}) {
    CAPTURE(name);
    const auto golden = test::GoldenModel::load(name);
    if (!golden) {
      MESSAGE("skipped: no golden case");
      continue;
    }
    auto config = golden->cell_encoder_config();
    const auto weights = golden->weights<float>("cell_encoder/");
    config.projection_dim = weights.at("proj.weight").dim(0);
    const auto encoder = std::make_shared<const model::CellEncoder<float>>(config, weights);
    for (const Precision precision : {Precision::float32, Precision::bf16}) {
      auto models = pipeline::CaseModels::on_cpu(nullptr, encoder.get());
      models.cells->token_states =
          pipeline::cuda_token_states(encoder, emulator::device_under_test, precision);
      pipeline::VerifyOptions options;  // the bars: 2e-5 in float32, 2e-2 of unit rows in bf16
      if (precision == Precision::bf16) options = {.tolerance = 2e-2, .unit_rows = true};
      const auto entries = pipeline::verify_case(models, golden->case_path(), options);
      REQUIRE(entries.front().tensor == "last_hidden_state");
      CAPTURE(entries.front().max_abs_diff);
      CHECK(entries.front().ok);
      // Not the CPU's: another order of sums, or operands of eight bits.
      CHECK(entries.front().max_abs_diff > (precision == Precision::bf16 ? 1e-4 : 0.0));
    }
  }
}

TEST_CASE("wrong calls are refused") {
  Case c("relu", 2);
  {
    CudaCellEncoderTrainer trainer = c.trainer(Precision::float32);
    const auto code = [&](const auto& act) {
      try {
        act();
      } catch (const Error& error) {
        return error.code();
      }
      return std::string("none");
    };
    CHECK(code([&] { trainer.backward(0); }) == "STOFM-6044");
    CHECK(code([&] { trainer.forward(3, {c.tokens, c.offsets, c.places}); }) == "STOFM-6044");
    for (const std::vector<std::int64_t>& places : {std::vector<std::int64_t>{}, {3, 2}, {2, 2}, {75}, {-1}})
      CHECK(code([&] { trainer.forward(0, {c.tokens, c.offsets, places}); }) == "STOFM-6044");
    trainer.forward(0, {c.tokens, c.offsets, c.places});
    const std::vector<std::int32_t> outside{7};
    std::vector<float> seven(7);
    CHECK(code([&] { trainer.project(0, outside, seven); }) == "STOFM-6044");
    CHECK(code([&] { trainer.gene_loss(0, c.gene_rows, c.panel, outside, c.gene_weights, 1.0); }) ==
          "STOFM-6047");
    CHECK(code([&] { trainer.download_gradient("unknown", seven); }) == "STOFM-6041");
    c.weights.erase("bert/encoder.layer.1.output.dense.bias");
    CHECK(code([&] { c.trainer(Precision::float32); }) == "STOFM-6041");
  }
#if defined(STOFM_KERNEL_EMULATOR)
  CHECK(emulator::device().blocks.empty());  // nothing is left on the device
#endif
}

}  // namespace cell_encoder_trainer_cases

// SPDX-License-Identifier: MIT
/// The training step against PyTorch: losses, every gradient, ten steps of AdamW; and the forward pass
/// against the encoder of inference. The case's README is that of the golden folder; its weights stand beside
/// it as safetensors.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "stofm/model/pretraining_heads.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/ops/cast.hpp"
#include "tests/model/golden_model.hpp"
#include "tests/model/random_model.hpp"
#include "tests/support/kernel_levels.hpp"

using namespace stofm;
using namespace stofm::model;

namespace {

/// One sample of the case's batch.
struct Sample {
  Tensor<float> features;
  PairDistances distances;
  std::vector<std::int32_t> types;
  std::vector<std::int64_t> nodes, rows, columns;
  Tensor<float> cell_targets;
  std::vector<float> pair_targets;
};

struct Case {
  Se2Config config;
  NamedTensors<float> weights;
  std::vector<Sample> samples;
  std::int64_t cells = 0, pairs = 0;
  std::shared_ptr<io::SafetensorsFile> file;

  Tensor<double> expected(const std::string& name) const { return file->read<double>(name); }
};

/// Nothing if the case is absent. Weights may come from the repository while the case comes from
/// $STOFM_GOLDEN.
std::optional<Case> load_case() {
  const auto folder = test::golden_dir() / "se2_training";
  auto weights = folder / "weights.safetensors";
  if (!std::filesystem::exists(weights))
    weights = test::source_dir() / "tests" / "golden" / "se2_training" / "weights.safetensors";
  if (!std::filesystem::exists(folder / "case.safetensors") || !std::filesystem::exists(weights))
    return std::nullopt;
  Case result;
  const io::SafetensorsFile tensors = io::SafetensorsFile::open(weights);
  for (const std::string& name : tensors.names()) result.weights.emplace(name, tensors.read<float>(name));
  std::ifstream text(folder / "config.json");
  result.config = pipeline::parse_se2_config(nlohmann::json::parse(text), (folder / "config.json").string());
  result.file = std::make_shared<io::SafetensorsFile>(io::SafetensorsFile::open(folder / "case.safetensors"));
  const auto features = result.file->read<float>("token_embeddings"),
             distances = result.file->read<float>("distances"), labels = result.file->read<float>("labels"),
             pair_labels = result.file->read<float>("pair_labels");
  const auto types = result.file->read<std::int64_t>("token_types");
  const std::int64_t n = features.dim(1), width = features.dim(2);
  for (std::int64_t b = 0; b < features.dim(0); ++b) {
    Sample sample;
    sample.features = features.select(0, b).contiguous();
    sample.distances = pair_distances_from_dense(std::as_const(distances).select(0, b).view());
    std::vector<float> targets;
    for (std::int64_t i = 0; i < n; ++i) {
      sample.types.push_back(static_cast<std::int32_t>(types(b, i)));
      if (labels(b, i, 0) != -100.0F) {
        sample.nodes.push_back(i);
        for (std::int64_t c = 0; c < width; ++c) targets.push_back(labels(b, i, c));
      }
      for (std::int64_t j = 0; j < n; ++j) {
        if (pair_labels(b, i, j) == -100.0F) continue;
        sample.rows.push_back(i);
        sample.columns.push_back(j);
        sample.pair_targets.push_back(pair_labels(b, i, j));
      }
    }
    const auto labelled = static_cast<std::int64_t>(sample.nodes.size());
    sample.cell_targets = Tensor<float>::from({labelled, width}, targets);
    result.cells += labelled;
    result.pairs += static_cast<std::int64_t>(sample.pair_targets.size());
    result.samples.push_back(std::move(sample));
  }
  return result;
}

/// Gradients of the batch into the parameters; the two losses.
template <class T>
std::pair<double, double> add_gradients(const Case& golden, autograd::ParameterSet<T>& set,
                                        const GaussianBiasOptions& bias) {
  const Se2Trainer<T> trainer(golden.config, set, "model.", bias);
  const PretrainingHeads<T> heads(golden.config, set);
  double mcm = 0, pdr = 0;
  for (const Sample& sample : golden.samples) {
    autograd::Tape<T> tape;
    const auto output = trainer.forward(tape, autograd::constant(ops::cast<T>(sample.features)),
                                        sample.distances, sample.types);
    const auto cells =
        heads.masked_cell_loss(tape, output.last_hidden, sample.nodes, ops::cast<T>(sample.cell_targets));
    const auto pairs =
        heads.pair_distance_loss(tape, output, sample.rows, sample.columns, sample.pair_targets);
    tape.backward(combined_loss(cells, golden.cells, pairs, golden.pairs));
    mcm += static_cast<double>(cells.sum.value().data()[0]) / static_cast<double>(golden.cells);
    pdr += static_cast<double>(pairs.sum.value().data()[0]) / static_cast<double>(golden.pairs);
  }
  return {mcm, pdr};
}

/// Worst relative Frobenius error of a gradient, with its name.
template <class T>
std::pair<double, std::string> worst_gradient(const Case& golden, const autograd::ParameterSet<T>& set) {
  std::pair<double, std::string> worst{0.0, ""};
  for (const auto& [name, parameter] : set.map()) {
    const double error = test::relative_difference(parameter->grad(), golden.expected("grad." + name));
    if (!(error <= worst.first)) worst = {error, name};
  }
  return worst;
}

double relative(double a, double b) { return std::abs(a - b) / std::abs(b); }

}  // namespace

TEST_CASE("both losses and every gradient are PyTorch's, in double") {
  const auto golden = load_case();
  if (!golden) {
    MESSAGE("skipped: no golden case se2_training");
    return;
  }
  autograd::ParameterSet<double> set(cast_parameters<double>(golden->weights));
  const auto [mcm, pdr] = add_gradients(*golden, set, {.rounding = GaussianRounding::float32});
  CHECK(relative(mcm, golden->expected("loss_mcm").data()[0]) < 1e-10);
  CHECK(relative(pdr, golden->expected("loss_pdr").data()[0]) < 1e-10);
  const auto [worst, name] = worst_gradient(*golden, set);
  MESSAGE("worst gradient: " << name << " " << worst);
  CHECK(worst <= 1e-6);
}

TEST_CASE("every gradient is within 1e-4 of PyTorch's float64 in float, at every kernel level") {
  const auto golden = load_case();
  if (!golden) {
    MESSAGE("skipped: no golden case se2_training");
    return;
  }
  test::for_each_level([&](CpuKernels level) {
    autograd::ParameterSet<float> set(golden->weights);
    const auto [mcm, pdr] = add_gradients(*golden, set, {});
    CHECK(relative(mcm, golden->expected("loss_mcm").data()[0]) < 1e-6);
    CHECK(relative(pdr, golden->expected("loss_pdr").data()[0]) < 1e-6);
    const auto [worst, name] = worst_gradient(*golden, set);
    MESSAGE(to_string(level) << ": worst gradient: " << name << " " << worst);
    CHECK(worst <= 1e-4);
  });
}

TEST_CASE("ten steps of AdamW follow PyTorch's losses and end at its parameters") {
  const auto golden = load_case();
  if (!golden) {
    MESSAGE("skipped: no golden case se2_training");
    return;
  }
  test::for_each_level([&](CpuKernels level) {
    autograd::ParameterSet<float> set(golden->weights);
    nn::AdamW<float> optimizer(set, {.learning_rate = 1e-3, .weight_decay = 0.01, .decay_all = true});
    const auto curve = golden->expected("loss_curve");
    double worst_loss = 0;
    for (std::int64_t step = 0; step < curve.dim(0); ++step) {
      set.zero_grad();
      const auto [mcm, pdr] = add_gradients(*golden, set, {});
      worst_loss = std::max({worst_loss, relative(mcm, curve(step, 0)), relative(pdr, curve(step, 1))});
      nn::clip_gradients(set, 1.0);
      optimizer.step(1e-3);
    }
    double worst = 0;
    std::string name;
    for (const auto& [key, parameter] : set.map()) {
      const double error = test::relative_difference(parameter->value(), golden->expected("after10." + key));
      if (error > worst) name = key;
      worst = std::max(worst, error);
    }
    MESSAGE(to_string(level) << ": losses " << worst_loss << ", parameters " << worst << " (" << name << ")");
    CHECK(worst_loss <= 1e-4);
    CHECK(worst <= 1e-4);
  });
}

TEST_CASE("without dropout the forward pass is the encoder's") {
  for (const std::string name : {"se2_small", "se2_ragged", "se2_prenorm", "se2_published"}) {
    const auto model = test::GoldenModel::load(name);
    if (!model) {
      MESSAGE("skipped: no golden case " << name);
      continue;
    }
    CAPTURE(name);
    const auto file = model->open_case();
    const auto features = file.read<float>("token_embeddings"), distances = file.read<float>("distances"),
               expected = file.read<float>("last_hidden_state");
    const auto types = file.read<std::int64_t>("token_types");
    autograd::ParameterSet<float> set(model->weights<float>("se2/"));
    const Se2Trainer<float> trainer(model->se2_config(), set);
    for (std::int64_t b = 0; b < features.dim(0); ++b) {
      std::vector<std::int32_t> kinds;
      for (std::int64_t i = 0; i < types.dim(1); ++i) kinds.push_back(static_cast<std::int32_t>(types(b, i)));
      autograd::Tape<float> tape;
      const auto output = trainer.forward(tape, autograd::constant(features.select(0, b).contiguous()),
                                          pair_distances_from_dense(distances.select(0, b).view()), kinds);
      double worst = 0, scale = 0;
      std::vector<std::int64_t> rows, columns;
      for (std::int64_t i = 0; i < types.dim(1); ++i) {
        const bool padding = kinds[static_cast<std::size_t>(i)] == 3;
        for (std::int64_t c = 0; c < expected.dim(2); ++c) {
          const float found = output.last_hidden.value()(i, c), wanted = padding ? 0.0F : expected(b, i, c);
          worst = std::max(worst, std::abs(static_cast<double>(found - wanted)));
          scale = std::max(scale, std::abs(static_cast<double>(wanted)));
        }
        for (std::int64_t j = 0; j < types.dim(1) && !padding; ++j)
          if (kinds[static_cast<std::size_t>(j)] != 3) {
            rows.push_back(output.position[static_cast<std::size_t>(i)]);
            columns.push_back(output.position[static_cast<std::size_t>(j)]);
          }
      }
      // Attention of training splits floats in two on AMX (relative error 2^-16 of a product), inference in
      // three.
      CHECK(worst <= 2e-5 * scale);
      if (!file.contains("pair_rep")) continue;
      const auto pair_rep = file.read<float>("pair_rep");
      const auto pairs = output.pairs->pair_values(rows, columns).value();
      double worst_pair = 0, pair_scale = 0;
      std::int64_t at = 0;
      for (std::int64_t i = 0; i < types.dim(1); ++i)
        for (std::int64_t j = 0; j < types.dim(1); ++j) {
          if (kinds[static_cast<std::size_t>(i)] == 3 || kinds[static_cast<std::size_t>(j)] == 3) continue;
          for (std::int64_t h = 0; h < pair_rep.dim(3); ++h) {
            const double wanted = static_cast<double>(pair_rep(b, i, j, h));
            worst_pair = std::max(worst_pair, std::abs(static_cast<double>(pairs(at, h)) - wanted));
            pair_scale = std::max(pair_scale, std::abs(wanted));
          }
          ++at;
        }
      MESSAGE(name << " " << b << ": hidden " << worst << ", pairs " << worst_pair / pair_scale);
      CHECK(worst_pair <= 1e-5 * pair_scale);
    }
  }
}

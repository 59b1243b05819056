// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Slices whose labels hang on places that single cells tell little of, and a tiny model.

#include <cmath>
#include <vector>

#include "stofm/model/init.hpp"
#include "stofm/tasks/fine_tune.hpp"

namespace stofm::test {

inline constexpr std::int64_t tissue_width = 6;

inline pipeline::Model tissue_model(std::uint64_t seed = 1) {
  model::Se2Config config;
  config.input_dim = tissue_width;
  config.embedding_dim = 8;
  config.ffn_embedding_dim = 12;
  config.num_attention_heads = 2;
  config.num_hidden_layers = 2;
  config.gaussian_hidden_dim = 6;
  config.dropout = 0.05;
  pipeline::ModelParts parts;
  parts.se2_config = config;
  parts.se2 = model::initial_parameters<float>(config, {.seed = seed, .standard_deviation = 0.2});
  return pipeline::make_model(std::move(parts), {.file = "tissue.safetensors"});
}

/// A square of side x side cells in three bands; a cell's features are those of its band under noise of twice
/// their size, so that its neighbours tell more than itself. Two pieces.
struct TissueSlice {
  train::PreparedSlice slice;
  std::vector<std::int32_t> bands;

  TissueSlice(std::int64_t side, std::uint64_t seed, double noise = 1.0) {
    slice.name = concat("tissue-", seed);
    const std::int64_t n = side * side;
    slice.features = Tensor<float>({n, tissue_width});
    train::PreparedFrame frame;
    frame.xy = Tensor<double>({n, 2});
    Random random(seed);
    for (std::int64_t i = 0; i < n; ++i) {
      frame.cells.push_back(i);
      frame.xy(i, 0) = 3 * (static_cast<double>(i % side) + 0.3 * random.uniform());
      frame.xy(i, 1) = 3 * (static_cast<double>(i / side) + 0.3 * random.uniform());
      bands.push_back(static_cast<std::int32_t>(3 * (i % side) / side));
      for (std::int64_t c = 0; c < tissue_width; ++c)
        slice.features(i, c) =
            static_cast<float>((c % 3 == bands.back() ? 1.0 : 0.0) + noise * random.normal());
    }
    frame.labels.assign(static_cast<std::size_t>(n), 0);
    frame.virtual_xy = Tensor<double>::zeros({1, 2});
    frame.virtual_features = Tensor<float>::zeros({1, tissue_width});
    frame.pieces.resize(2);
    for (std::int64_t i = 0; i < n; ++i) frame.pieces[i < n / 2 ? 0 : 1].push_back(i);
    slice.frames.push_back(std::move(frame));
  }
  double accuracy(const Tensor<double>& probabilities) const {
    const auto found = tasks::most_probable(probabilities.view());
    double right = 0;
    for (std::size_t i = 0; i < bands.size(); ++i) right += found[i] == bands[i];
    return right / static_cast<double>(bands.size());
  }
};

inline const std::vector<std::string>& tissue_classes() {
  static const std::vector<std::string> names{"left", "middle", "right"};
  return names;
}

/// Small and quick; every test changes what it is about.
inline tasks::FineTuneOptions tissue_options() {
  tasks::FineTuneOptions options;
  options.epochs = 3;
  options.least_steps = 2;
  options.split = 60;
  options.head.hidden = 8;
  options.seed = 3;
  return options;
}

/// Every weight of a classifier, one after the other.
inline std::vector<float> weights_of(const tasks::Classifier& classifier) {
  std::vector<float> all;
  for (const auto* tensors : {&classifier.se2, &classifier.head})
    for (const auto& [name, tensor] : *tensors)
      all.insert(all.end(), tensor.data(), tensor.data() + tensor.numel());
  return all;
}

}  // namespace stofm::test

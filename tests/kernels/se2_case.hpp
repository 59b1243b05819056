// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Small random models and sub-slices for the tests of the runners of the SE(2) Transformer.

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/model/init.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/pipeline/device_encoders.hpp"

namespace stofm::test {

inline model::Se2Config small_se2_config(bool pre_layernorm, const std::string& activation) {
  model::Se2Config config;
  config.input_dim = 12;
  config.embedding_dim = 24;
  config.ffn_embedding_dim = 20;
  config.num_attention_heads = 3;
  config.num_hidden_layers = 2;
  config.gaussian_hidden_dim = 6;
  config.activation_fn = activation;
  config.pre_layernorm = pre_layernorm;
  return config;
}

/// The same with widths that let every product of bfloat16 parts end in a pass of its own, or none
/// (row_product/policy.hpp).
inline model::Se2Config se2_config_of_widths(bool even, bool pre_layernorm, const std::string& activation) {
  model::Se2Config config = small_se2_config(pre_layernorm, activation);
  config.input_dim = even ? 16 : 12;
  config.embedding_dim = even ? 24 : 20;
  config.ffn_embedding_dim = even ? 24 : 12;
  config.num_attention_heads = even ? 3 : 2;
  return config;
}

/// Random parameters, wide enough for every part to matter; biases and norms too.
inline model::NamedTensors<float> random_parameters(const std::vector<model::ParameterSpec>& list,
                                                    std::uint64_t seed, double width = 0.2) {
  model::NamedTensors<float> result;
  Random random(seed);
  for (const model::ParameterSpec& spec : list) {
    Tensor<float> tensor(spec.shape);
    const bool norm = spec.name.find("layer_norm.weight") != std::string::npos;
    for (float& value : tensor.span())
      value = static_cast<float>((norm ? 1.0 : 0.0) + width * (2.0 * random.uniform() - 1.0));
    result.emplace(spec.name, std::move(tensor));
  }
  // Gaussians over the distances that occur, not too narrow.
  result.at("gaussian.linear.weight").data()[0] = 0.05F;
  for (float& value : result.at("gaussian.means.weight").span())
    value = static_cast<float>(5.0 * random.uniform());
  for (float& value : result.at("gaussian.stds.weight").span())
    value = static_cast<float>(0.7 + random.uniform());
  return result;
}

/// Nodes on a line with CLS first and one virtual cell; near ones are listed, and repeat their distances.
inline pipeline::PieceInput random_piece(std::int64_t nodes, std::int64_t width, std::uint64_t seed) {
  Random random(seed);
  pipeline::PieceInput piece;
  piece.features = Tensor<float>({nodes, width});
  for (float& value : piece.features.span()) value = static_cast<float>(2.0 * random.uniform() - 1.0);
  piece.distances.nodes = nodes;
  for (std::int64_t i = 0; i < nodes; ++i) {
    piece.types.push_back(i == 0 ? 1 : i == 1 ? 2 : 0);
    for (std::int64_t j = 0; j < nodes; ++j) {
      const std::int64_t apart = i > j ? i - j : j - i;
      if (i != 0 && j != 0 && apart > 3 && (i * j) % 7 != 1) continue;
      piece.distances.columns.push_back(static_cast<std::int32_t>(j));
      piece.distances.values.push_back(i == 0 || j == 0 || apart == 0 ? 0.0F
                                                                      : static_cast<float>(apart) * 1.75F +
                                                                            static_cast<float>((i + j) % 5));
    }
    piece.distances.row_offsets.push_back(piece.distances.entries());
  }
  return piece;
}

/// The largest |a - b| over the largest |b|.
inline double relative_error(std::span<const float> a, std::span<const float> b) {
  double worst = 0, size = 1e-30;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    worst = difference <= worst ? worst : std::isnan(difference) ? HUGE_VAL : difference;
    size = (std::max)(size, std::abs(static_cast<double>(b[i])));
  }
  return worst / size;
}

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A small world to pretrain in: two made slices of two pieces each, and a tiny model.

#include <cmath>
#include <memory>
#include <vector>

#include "stofm/train/pretrain.hpp"

namespace stofm::test {

using namespace stofm::train;

inline constexpr std::int64_t feature_width = 12;

inline model::Se2Config tiny_config() {
  model::Se2Config config;
  config.input_dim = feature_width;
  config.embedding_dim = 16;
  config.ffn_embedding_dim = 24;
  config.num_attention_heads = 4;
  config.num_hidden_layers = 2;
  config.gaussian_hidden_dim = 8;
  return config;
}

/// Cells on a jittered grid whose features depend on where they are: something to be learnt.
inline PreparedSlice make_slice(std::int64_t side, std::uint64_t seed) {
  PreparedSlice slice;
  slice.name = concat("made-", seed);
  slice.hash = slice.name;
  const std::int64_t n = side * side;
  slice.features = Tensor<float>({n, feature_width});
  PreparedFrame frame;
  frame.xy = Tensor<double>({n, 2});
  Random random(seed);
  for (std::int64_t i = 0; i < n; ++i) {
    frame.cells.push_back(i);
    const double x = static_cast<double>(i % side) + 0.3 * random.uniform(),
                 y = static_cast<double>(i / side) + 0.3 * random.uniform();
    frame.xy(i, 0) = 4 * x;
    frame.xy(i, 1) = 4 * y;
    double squares = 0;
    for (std::int64_t c = 0; c < feature_width; ++c) {
      const double value = std::sin(0.4 * x * static_cast<double>(c % 4)) +
                           std::cos(0.3 * y * static_cast<double>(c % 3)) + 0.2 * random.normal();
      slice.features(i, c) = static_cast<float>(value);
      squares += value * value;
    }
    for (std::int64_t c = 0; c < feature_width; ++c)
      slice.features(i, c) /= static_cast<float>(std::sqrt(squares));
  }
  frame.labels.assign(static_cast<std::size_t>(n), 0);
  frame.virtual_xy = Tensor<double>::zeros({1, 2});
  frame.virtual_features = Tensor<float>::zeros({1, feature_width});
  for (std::int64_t half = 0; half < 2; ++half) {
    frame.pieces.emplace_back();
    for (std::int64_t i = half * n / 2; i < (half + 1) * n / 2; ++i) frame.pieces.back().push_back(i);
  }
  slice.frames.push_back(std::move(frame));
  return slice;
}

inline LoadedPiece piece_of(const std::shared_ptr<const PreparedSlice>& slice, std::int64_t index,
                            std::int64_t piece, std::int64_t epoch) {
  LoadedPiece loaded;
  loaded.ref = {index, piece, epoch};
  loaded.slice = slice;
  const auto sub = slice->sub_slice(piece);
  loaded.node_cells = sub.node_cells;
  const auto draws =
      draw_masks(sub.nodes() - sub.first_cell(), masking_key(loaded.ref, MaskDraws::each_epoch, 1));
  loaded.sample = mask_sub_slice(sub, slice->node_features(sub, piece), draws);
  return loaded;
}

struct World {
  std::vector<std::shared_ptr<const PreparedSlice>> slices{
      std::make_shared<PreparedSlice>(make_slice(12, 1)), std::make_shared<PreparedSlice>(make_slice(10, 2))};
  /// Batch number b: all four pieces, epoch b.
  TrainingBatch batch(std::int64_t b) const {
    TrainingBatch result;
    for (std::int64_t s = 0; s < 2; ++s)
      for (std::int64_t p = 0; p < 2; ++p)
        result.pieces.push_back(piece_of(slices[static_cast<std::size_t>(s)], s, p, b));
    return result;
  }
};

inline std::vector<float> flat(const autograd::ParameterSet<float>& parameters, bool gradients) {
  std::vector<float> all;
  for (const auto* parameter : parameters.list()) {
    const Tensor<float>& tensor = gradients ? parameter->grad() : parameter->value();
    all.insert(all.end(), tensor.data(), tensor.data() + tensor.numel());
  }
  return all;
}

}  // namespace stofm::test

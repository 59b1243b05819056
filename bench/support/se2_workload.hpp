// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The published SE(2) Transformer (random weights) and sub-slices with the sparsity of real ones, as the
/// device takes them, with the operations and bytes that a pass can not do without.

#include <deque>
#include <vector>

#include "stofm/backend/cuda/device.hpp"
#include "stofm/backend/cuda/se2_trainer.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "tests/model/random_model.hpp"

namespace stofm::bench {

inline model::Se2Config published() {
  model::Se2Config config;
  config.input_dim = config.embedding_dim = config.ffn_embedding_dim = 256;
  config.num_attention_heads = 8;
  config.num_hidden_layers = 4;
  config.gaussian_hidden_dim = 128;
  return config;
}

/// Makes the stream of a runner the thread's current one while it lives.
struct OnStream {
  explicit OnStream(backend::CudaStream stream) { backend::set_current_stream(Cuda{0}, stream); }
  OnStream(const OnStream&) = delete;
  OnStream& operator=(const OnStream&) = delete;
  ~OnStream() { backend::set_current_stream(Cuda{0}, {}); }
};

/// CLS, 49 virtual cells, the rest cells, 49 neighbours.
struct Se2Workload {
  Se2Workload(std::int64_t count, std::int64_t node_count) : batch(count), nodes(node_count) {
    for (std::int64_t i = 0; i < count; ++i) {
      pieces.push_back(test::random_sub_slice(nodes, 49, 256, static_cast<std::uint64_t>(i + 1), 49));
      numbers.push_back(pipeline::number_distances(pieces.back().distances));
      slices.push_back(pipeline::device_slice(pieces.back().embeddings.view(), pieces.back().distances,
                                              numbers.back(), pieces.back().types));
    }
  }

  /// Products of a forward pass of the whole batch, 2 per multiply-add (a split_bf16 pass does three times as
  /// many); in training with those of the distance bias, which inference reads from a table.
  double forward_flop() const { return flop(0.0); }
  double training_flop() const { return flop(2 * 128.0 * 128.0); }

  /// \param each of a distinct distance
  double flop(double each) const {
    const auto n = static_cast<double>(nodes), e = 256.0, f = 256.0, c = 256.0, layers = 4.0;
    double sum = 0;
    for (const auto& slice : slices) {
      const double linear = 2 * n * c * e + layers * 2 * n * (4 * e * e + 2 * e * f);
      const double attention = 2 * n * n * e * (layers * (layers + 1) / 2 + layers);
      sum += linear + attention + each * static_cast<double>(slice.distances.size());
    }
    return sum;
  }
  /// Input, output and the listed pairs once per layer; weights once.
  double bytes() const {
    double sum = 4.0 * 1.6e6;
    for (const auto& slice : slices)
      sum += 4.0 * static_cast<double>(nodes) * (256 + 256) +
             static_cast<double>(slice.columns.size()) * (12 + 4 * (6 + 8.0));
    return sum;
  }

  std::int64_t batch, nodes;
  std::deque<test::RandomSubSlice> pieces;
  std::deque<pipeline::NumberedDistances> numbers;
  std::vector<backend::Se2Slice> slices;
};

/// 150 predicted nodes of each sub-slice, and 150 x 150 labelled pairs.
struct Se2Labels {
  explicit Se2Labels(std::int64_t count) : targets({150, 256}), distances(150 * 150, 1.0F) {
    for (float& value : targets.span()) value = 0.0625F;
    for (std::int64_t i = 0; i < 150; ++i) {
      nodes.push_back(60 + 5 * i);
      for (std::int64_t j = 0; j < 150; ++j) {
        rows.push_back(60 + 5 * i);
        columns.push_back(61 + 5 * j);
      }
    }
    for (std::int64_t i = 0; i < count; ++i)
      list.push_back({nodes, targets.data(), rows, columns, distances,
                      RandomKey{.seed = 1}.child(static_cast<std::uint64_t>(i))});
  }
  Tensor<float> targets;
  std::vector<float> distances;
  std::vector<std::int64_t> nodes, rows, columns;
  std::vector<backend::Se2TrainingSlice> list;
};

}  // namespace stofm::bench

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The seam between the pipeline and a device: what a slice needs of the two encoders, as callables, so that
/// the pipeline names no device. Empty members leave their part to the CPU encoders of `Model`, which stay
/// the source of configurations and weights. pipeline/cuda_encoders.hpp fills it for CUDA.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/tensor.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/ops/pair_distances.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "stofm/pipeline/virtual_cells.hpp"

namespace stofm::pipeline {

/// One piece as the SE(2) Transformer takes it.
struct PieceInput {
  Tensor<float> features{};           ///< [N, input_dim], dense
  PairDistances distances{};          ///< over N nodes
  std::vector<std::int32_t> types{};  ///< [N] model::NodeType; no padding
};

/// Pieces as cells at their places, for a device that lists the distances itself.
struct PieceCells {
  std::span<const std::vector<std::int64_t>> pieces{};  ///< cells of each
  TensorView<const double> xy{};                        ///< [cells of the slice, 2] normalised
  TensorView<const double> virtual_xy{};                ///< [K, 2] normalised
  SubSliceOptions sub_slice{};
  /// Writes the features of the nodes of one piece, [N, input_dim], dense; called from several threads at
  /// once.
  std::function<void(std::size_t piece, float* features)> write_features{};
};

/// Size of one piece as it was computed.
struct PieceSize {
  std::int64_t nodes = 0, listed = 0, coincident_pairs = 0;
};

/// Pieces several at a time, computed while the caller builds the next ones.
struct PieceBatches {
  std::int64_t most_pieces = 0;  ///< in one batch; 0: pieces are computed on the CPU
  std::int64_t most_nodes = 0;   ///< in one batch, but one piece is always taken
  /// Queues a batch and returns; at most two are under way. The pieces are copied. \throws DataError for a
  /// distance that can not be; DeviceError
  std::function<void(std::span<const PieceInput>)> submit = {};
  /// The same for pieces that the device builds: the same hidden states, to the bit. May be empty.
  std::function<std::vector<PieceSize>(const PieceCells&)> submit_cells = {};
  std::int64_t most_neighbours = 0;  ///< that submit_cells takes
  /// Waits for the oldest batch: the hidden states [N, embedding_dim] of each of its pieces, in order.
  std::function<std::vector<Tensor<float>>()> collect = {};

  explicit operator bool() const { return most_pieces > 0; }
};

/// Encoders on a device. Not to be used from two threads at once.
struct DeviceEncoders {
  /// Packed tokens [T] and offsets [cells + 1] -> [cells, width], or [T, hidden_size].
  using TokenFunction = std::function<Tensor<float>(std::span<const std::int32_t> tokens,
                                                    std::span<const std::int64_t> offsets)>;
  /// As model::Se2Encoder::forward.
  using PieceFunction =
      std::function<model::Se2Output<float>(TensorView<const float>, const PairDistances&,
                                            std::span<const std::int32_t>, const model::Se2ForwardOptions&)>;

  std::string device = {};          ///< "cuda:0", for plans and reports
  TokenFunction embed_cells = {};   ///< as model::CellEncoder::embed
  TokenFunction token_states = {};  ///< as model::CellEncoder::last_hidden_state
  PieceBatches pieces = {};
  PieceFunction piece_forward = {};  ///< one piece with everything that can be asked for: to verify
  PointFunctions points = {};        ///< for clusters
};

}  // namespace stofm::pipeline

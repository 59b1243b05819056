// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The micro scale: every piece of a slice through the SE(2) Transformer, the hidden states of its cells back
/// into one matrix. Pieces are built, computed and dropped one by one (or one a thread). Source: SPEC
/// sections 4 and 5.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/embed_memory.hpp"
#include "stofm/pipeline/sub_slices.hpp"

namespace stofm::pipeline {

/// What all pieces of a slice (or of one library) share. Rows of every matrix are dense.
struct PieceFrame {
  TensorView<const double> xy{};               ///< [cells, 2] normalised
  TensorView<const double> virtual_xy{};       ///< [K, 2] normalised
  TensorView<const float> virtual_features{};  ///< [K, input_dim]
  TensorView<const float> features{};          ///< [cells, input_dim] cell embeddings
  TensorView<float> output{};                  ///< [cells, embedding_dim]; may be the memory of `features`
  std::span<const std::vector<std::int64_t>> pieces{};  ///< cells of each; every cell in exactly one
  SubSliceOptions sub_slice{};
  std::string file{};  ///< names the slice in messages
};

/// Size of one piece as it was computed.
struct PieceSize {
  std::int64_t nodes = 0, listed = 0, coincident_pairs = 0;
};

namespace detail {

/// Input of the nodes: 0 for CLS, mean embeddings for virtual cells, cell embeddings. [nodes, input_dim]
inline Tensor<float> node_embeddings(const SubSlice& sub, const PieceFrame& frame) {
  const std::int64_t width = frame.features.dim(1);
  Tensor<float> result({sub.nodes(), width});
  std::fill_n(result.data(), width, 0.0F);
  for (std::int64_t v = 0; v < sub.virtual_cells; ++v)
    std::copy_n(frame.virtual_features.row(v), width, result.data() + (1 + v) * width);
  for (std::int64_t node = sub.first_cell(); node < sub.nodes(); ++node)
    std::copy_n(frame.features.row(sub.node_cells[static_cast<std::size_t>(node)]), width,
                result.data() + node * width);
  return result;
}

inline PieceSize embed_piece(const model::Se2Encoder<float>& encoder, const PieceFrame& frame,
                             std::size_t piece) {
  const SubSlice sub = build_sub_slice(frame.pieces[piece], frame.xy, frame.virtual_xy, frame.sub_slice);
  const Tensor<float> nodes = node_embeddings(sub, frame);
  const auto states = encoder.forward(nodes.view(), sub.distances, sub.token_types).last_hidden_state;
  const std::int64_t width = states.dim(1);
  for (std::int64_t node = sub.first_cell(); node < sub.nodes(); ++node) {
    const std::int64_t cell = sub.node_cells[static_cast<std::size_t>(node)];
    const float* row = states.data() + node * width;
    require_finite_row(row, width, cell, frame.file, "embedding");
    std::copy_n(row, width, frame.output.row(cell));
  }
  return {sub.nodes(), sub.distances.entries(), sub.coincident_pairs};
}

}  // namespace detail

/// Computes all pieces. With two pieces a thread or more, each thread takes pieces of its own; below that the
/// threads share each piece. Either way the same bits at any thread count. \param done_before, total for the
/// progress, if pieces of several libraries are counted together \throws DataError for a hidden state that is
/// not finite; Interrupted; as build_sub_slice and Se2Encoder::forward.
inline std::vector<PieceSize> embed_pieces(const model::Se2Encoder<float>& encoder, const PieceFrame& frame,
                                           const Progress& progress = {}, std::int64_t done_before = 0,
                                           std::int64_t total = 0) {
  const auto count = static_cast<std::int64_t>(frame.pieces.size());
  if (total == 0) total = count;
  std::vector<PieceSize> sizes(frame.pieces.size());
  progress.report("pieces", done_before, total, "pieces");
  const auto caller = std::this_thread::get_id();
  std::atomic<std::int64_t> done{done_before};
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      progress.check();
      sizes[static_cast<std::size_t>(p)] = detail::embed_piece(encoder, frame, static_cast<std::size_t>(p));
      const std::int64_t now = ++done;
      if (std::this_thread::get_id() == caller && now < done_before + count)
        progress.report("pieces", now, total, "pieces");
    }
  };
  if (detail::concurrent_pieces(count) > 1)
    parallel_for(count, 1, run);
  else
    run(0, count);
  progress.report("pieces", done_before + count, total, "pieces");
  return sizes;
}

}  // namespace stofm::pipeline

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The micro scale: every piece of a slice through the SE(2) Transformer, the hidden states of its cells back
/// into one matrix. On the CPU, pieces are built, computed and dropped one by one (or one a thread); on a
/// device in batches, the next one being built while one is computed: by the device, or by all threads.
/// *Source* SPEC sections 4 and 5.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stofm/pipeline/device_encoders.hpp"
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

namespace detail {

/// Input of the nodes: 0 for CLS, mean embeddings for virtual cells, cell embeddings. [nodes, input_dim]
inline void write_node_embeddings(const std::vector<std::int64_t>& cells, const PieceFrame& frame,
                                  float* row) {
  const std::int64_t width = frame.features.dim(1), virtual_cells = frame.virtual_xy.dim(0);
  std::fill_n(row, width, 0.0F);
  row += width;
  for (std::int64_t v = 0; v < virtual_cells; ++v, row += width)
    std::copy_n(frame.virtual_features.row(v), width, row);
  for (const std::int64_t cell : cells) {
    std::copy_n(frame.features.row(cell), width, row);
    row += width;
  }
}
inline Tensor<float> node_embeddings(const std::vector<std::int64_t>& cells, const PieceFrame& frame) {
  Tensor<float> result(
      {1 + frame.virtual_xy.dim(0) + static_cast<std::int64_t>(cells.size()), frame.features.dim(1)});
  write_node_embeddings(cells, frame, result.data());
  return result;
}

/// Hidden states [N, embedding_dim] of the cells of a piece to their rows. \throws DataError if not finite
inline void put_states(const std::vector<std::int64_t>& cells, const Tensor<float>& states,
                       const PieceFrame& frame) {
  const std::int64_t width = states.dim(1);
  const float* row = states.data() + (1 + frame.virtual_xy.dim(0)) * width;
  for (const std::int64_t cell : cells) {
    require_finite_row(row, width, cell, frame.file, "embedding");
    std::copy_n(row, width, frame.output.row(cell));
    row += width;
  }
}

inline PieceSize embed_piece(const model::Se2Encoder<float>& encoder, const PieceFrame& frame,
                             std::size_t piece) {
  const std::vector<std::int64_t>& cells = frame.pieces[piece];
  const SubSlice sub = build_sub_slice(cells, frame.xy, frame.virtual_xy, frame.sub_slice);
  const Tensor<float> nodes = node_embeddings(cells, frame);
  put_states(cells, encoder.forward(nodes.view(), sub.distances, sub.token_types).last_hidden_state, frame);
  return {sub.nodes(), sub.distances.entries(), sub.coincident_pairs};
}

/// Pieces begin .. end of a frame on their way through a device.
struct PieceFlight {
  std::size_t begin = 0, end = 0;
};

/// Waits for what is still under way when an error leaves the caller, so that the device is free again.
class PieceFlights {
 public:
  PieceFlights(const PieceBatches& batches, const PieceFrame& frame) : batches_(batches), frame_(frame) {}
  PieceFlights(const PieceFlights&) = delete;
  PieceFlights& operator=(const PieceFlights&) = delete;
  ~PieceFlights() {
    try {
      for (std::size_t i = 0; i < under_way_.size(); ++i) (void)batches_.collect();
    } catch (const std::exception&) {  // the error that is on its way says more
    }
  }

  /// Builds the next pieces, as many as fit a batch, and queues them. On the device if it can: then it is
  /// sent coordinates and features. \return the first piece after them
  std::size_t submit(std::size_t begin, std::vector<PieceSize>& sizes) {
    const std::int64_t virtual_cells = frame_.virtual_xy.dim(0);
    std::size_t end = begin;
    for (std::int64_t nodes = 0; end < frame_.pieces.size(); ++end) {
      nodes += 1 + virtual_cells + static_cast<std::int64_t>(frame_.pieces[end].size());
      const auto taken = static_cast<std::int64_t>(end - begin);
      if (taken > 0 && (taken == batches_.most_pieces || nodes > batches_.most_nodes)) break;
    }
    if (batches_.submit_cells && frame_.sub_slice.neighbours <= batches_.most_neighbours)
      submit_cells(begin, end, sizes);
    else
      submit_built(begin, end, sizes);
    under_way_.push_back({begin, end});
    return end;
  }
  /// Waits for the oldest batch and writes its rows. \return its number of pieces
  std::int64_t collect() {
    const PieceFlight flight = std::move(under_way_.front());
    under_way_.pop_front();
    const std::vector<Tensor<float>> states = batches_.collect();
    for_each_piece(flight.begin, flight.end,
                   [&](std::size_t i) { put_states(frame_.pieces[flight.begin + i], states[i], frame_); });
    return static_cast<std::int64_t>(flight.end - flight.begin);
  }
  bool empty() const { return under_way_.empty(); }

 private:
  /// Calls `run(i)` for each piece begin + i, on all threads.
  template <class Run>
  static void for_each_piece(std::size_t begin, std::size_t end, const Run& run) {
    parallel_for(static_cast<std::int64_t>(end - begin), 1, [&](std::int64_t first, std::int64_t last) {
      for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) run(i);
    });
  }
  void submit_cells(std::size_t begin, std::size_t end, std::vector<PieceSize>& sizes) {
    const std::vector<PieceSize> built = batches_.submit_cells(
        {frame_.pieces.subspan(begin, end - begin), frame_.xy, frame_.virtual_xy, frame_.sub_slice,
         [&](std::size_t i, float* rows) { write_node_embeddings(frame_.pieces[begin + i], frame_, rows); }});
    std::copy(built.begin(), built.end(), sizes.begin() + static_cast<std::ptrdiff_t>(begin));
  }
  void submit_built(std::size_t begin, std::size_t end, std::vector<PieceSize>& sizes) {
    std::vector<PieceInput> inputs(end - begin);
    for_each_piece(begin, end, [&](std::size_t i) {
      const std::vector<std::int64_t>& cells = frame_.pieces[begin + i];
      SubSlice sub = build_sub_slice(cells, frame_.xy, frame_.virtual_xy, frame_.sub_slice);
      sizes[begin + i] = {sub.nodes(), sub.distances.entries(), sub.coincident_pairs};
      inputs[i] = {node_embeddings(cells, frame_), std::move(sub.distances), std::move(sub.token_types)};
    });
    batches_.submit(inputs);
  }

  const PieceBatches& batches_;
  const PieceFrame& frame_;
  std::deque<PieceFlight> under_way_;
};

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

/// The same on a device, in batches: one is computed while the next is built. Rows of a piece do not depend
/// on the pieces beside it. \throws as above; DeviceError
inline std::vector<PieceSize> embed_pieces(const PieceBatches& batches, const PieceFrame& frame,
                                           const Progress& progress = {}, std::int64_t done_before = 0,
                                           std::int64_t total = 0) {
  if (total == 0) total = static_cast<std::int64_t>(frame.pieces.size());
  std::vector<PieceSize> sizes(frame.pieces.size());
  detail::PieceFlights flights(batches, frame);
  std::int64_t done = done_before;
  progress.report("pieces", done, total, "pieces");
  for (std::size_t next = 0; next < frame.pieces.size() || !flights.empty();) {
    progress.check();
    const bool waits = !flights.empty();
    if (next < frame.pieces.size()) next = flights.submit(next, sizes);
    if (!waits) continue;
    done += flights.collect();
    progress.report("pieces", done, total, "pieces");
  }
  return sizes;
}

}  // namespace stofm::pipeline

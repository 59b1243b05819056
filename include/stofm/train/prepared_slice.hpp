// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice as pretraining needs it: cell features, virtual cells, pieces, and tokens if asked for. The steps
/// are those of embedding (pipeline/embed.hpp) up to the SE(2) Transformer. Pieces keep their cells only:
/// their nodes and distances are built when one is drawn (1 to 2 ms for 1,000 cells), which is cheaper than
/// to keep or to read them. *Source* SPEC sections 1 to 4.

#include <bit>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/pipeline/embed_plan.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "stofm/pipeline/virtual_cells.hpp"
#include "stofm/train/cell_features.hpp"

namespace stofm::train {

struct PrepareOptions {
  /// Used: genes, max_tokens, clustering, clusters, alpha, resolution, seed, split, geometry,
  /// merge_slivers.
  pipeline::EmbedOptions embed{};
  bool keep_tokens = false;  ///< keep the token sequence of every cell (training the cell encoder jointly)

  /// Everything that changes the result, as text: part of cache keys.
  std::string identity() const;
};

/// One library of a slice, the whole slice mostly: a frame of its own.
struct PreparedFrame {
  std::vector<std::int64_t> cells{};                ///< [M] rows of the slice
  Tensor<double> xy{};                              ///< [M, 2] normalised coordinates
  std::vector<std::int32_t> labels{};               ///< [M] virtual cell of each
  Tensor<double> virtual_xy{};                      ///< [K, 2]
  Tensor<float> virtual_features{};                 ///< [K, C]
  std::vector<std::vector<std::int64_t>> pieces{};  ///< indices into `cells`; every cell in exactly one
};

/// Immutable once made; may be used by several threads at once.
struct PreparedSlice {
  std::string name{};        ///< of the file, without directory and .h5ad
  std::string hash{};        ///< cache key: SHA-256 of input, features and options
  Tensor<float> features{};  ///< [n, C] in the order of the slice
  std::vector<PreparedFrame> frames{};
  std::vector<std::int64_t> token_offsets{};  ///< [n + 1], or empty if not kept
  std::vector<std::int32_t> tokens{};         ///< packed sequences, <cls> first
  pipeline::SubSliceOptions sub_slice_options{};
  Notices notices{};

  std::int64_t cells() const { return features.dim(0); }
  std::int64_t width() const { return features.dim(1); }
  bool has_tokens() const { return !token_offsets.empty(); }
  /// Pieces of all frames, numbered one frame after another.
  std::int64_t pieces() const {
    std::int64_t count = 0;
    for (const auto& frame : frames) count += static_cast<std::int64_t>(frame.pieces.size());
    return count;
  }
  /// Cells of a piece, as rows of the slice. \throws ShapeError outside [0, pieces()).
  std::vector<std::int64_t> piece_cells(std::int64_t piece) const;
  /// Nodes and distances of a piece; `node_cells` are rows of the slice. \throws as piece_cells.
  /// *Cost* about 1.5 us a cell, one thread.
  pipeline::SubSlice sub_slice(std::int64_t piece) const;
  /// F of the nodes of a piece: 0 for CLS, means for virtual cells, features of cells. [N, C]
  Tensor<float> node_features(const pipeline::SubSlice& sub, std::int64_t piece) const;
  /// Token sequence of a cell, <cls> first. \throws UsageError if tokens were not kept; ShapeError.
  std::span<const std::int32_t> cell_tokens(std::int64_t cell) const;
  /// Bytes held, about.
  std::int64_t bytes() const;
};

/// Prepares a slice. \throws DataError, UsageError, ResourceError as embed_slice before its SE(2) part.
/// *Cost* that of the cell features plus about 12 us a cell. *Deterministic* the same bits at any thread
/// count.
PreparedSlice prepare_slice(const io::Slice& slice, const CellFeatures& features,
                            const PrepareOptions& options = {}, const pipeline::Progress& progress = {});

namespace detail {

/// The frame and the index within it of a piece of the slice.
inline std::pair<const PreparedFrame*, std::size_t> locate_piece(const PreparedSlice& slice,
                                                                 std::int64_t piece) {
  std::int64_t left = piece;
  for (const auto& frame : slice.frames) {
    const auto count = static_cast<std::int64_t>(frame.pieces.size());
    if (left >= 0 && left < count) return {&frame, static_cast<std::size_t>(left)};
    left -= count;
  }
  throw ShapeError({"STOFM-4515", slice.name, "piece", concat(piece), concat("0 to ", slice.pieces() - 1),
                    "Check the piece."});
}

/// Frame, clusters and virtual cells of one library.
inline PreparedFrame prepare_frame(pipeline::detail::LibraryFrame library, const Tensor<float>& features,
                                   const pipeline::EmbedOptions& options, Notices& notices) {
  PreparedFrame frame;
  const bool whole = library.cells.empty();
  const Tensor<float> rows = whole ? features : pipeline::detail::gather_rows(features, library.cells);
  pipeline::VirtualCells clusters =
      pipeline::find_virtual_cells(std::as_const(library.coordinates.xy).view(), rows.view(),
                                   {.method = options.clustering,
                                    .alpha = options.alpha,
                                    .resolution = options.resolution,
                                    .clusters = options.clusters,
                                    .seed = options.seed});
  pipeline::detail::append_notices(notices, clusters.notices);
  frame.cells = std::move(library.cells);
  if (whole) {
    frame.cells.resize(static_cast<std::size_t>(features.dim(0)));
    std::iota(frame.cells.begin(), frame.cells.end(), std::int64_t{0});
  }
  frame.xy = library.coordinates.xy;
  frame.labels = std::move(clusters.labels);
  frame.virtual_xy = clusters.xy;
  frame.virtual_features = clusters.features;
  frame.pieces = std::move(library.pieces);
  return frame;
}

inline void keep_tokens(PreparedSlice& prepared, const io::Slice& slice, const pipeline::GeneMapping& mapping,
                        std::int64_t max_tokens) {
  prepared.token_offsets.assign(1, 0);
  pipeline::for_token_blocks(
      slice, mapping, {.max_tokens = max_tokens}, [&](const pipeline::TokenizedCells& block) {
        const auto begin = static_cast<std::int64_t>(prepared.tokens.size());
        prepared.tokens.insert(prepared.tokens.end(), block.tokens.begin(), block.tokens.end());
        for (std::size_t c = 1; c < block.offsets.size(); ++c)
          prepared.token_offsets.push_back(begin + block.offsets[c]);
      });
}

}  // namespace detail

inline std::string PrepareOptions::identity() const {
  const auto bits = [](double v) { return std::bit_cast<std::uint64_t>(v); };
  return concat("prepared slice 2; tokens ", keep_tokens, " of ", embed.max_tokens, "; genes ",
                static_cast<int>(embed.genes.species), " ", static_cast<int>(embed.genes.naming), " ",
                embed.genes.fold_symbol_case, " ", embed.genes.control_features_count, "; clusters ",
                static_cast<int>(embed.clustering), " ", embed.clusters, " ", bits(embed.alpha), " ",
                bits(embed.resolution), " ", embed.seed, "; pieces ", embed.split, " ",
                static_cast<int>(embed.geometry), embed.merge_slivers ? "; slivers merged" : "");
}

inline std::vector<std::int64_t> PreparedSlice::piece_cells(std::int64_t piece) const {
  const auto [frame, at] = detail::locate_piece(*this, piece);
  std::vector<std::int64_t> rows = frame->pieces[at];
  for (std::int64_t& cell : rows) cell = frame->cells[static_cast<std::size_t>(cell)];
  return rows;
}

inline pipeline::SubSlice PreparedSlice::sub_slice(std::int64_t piece) const {
  const auto [frame, at] = detail::locate_piece(*this, piece);
  pipeline::SubSlice sub = pipeline::build_sub_slice(frame->pieces[at], frame->xy.view(),
                                                     frame->virtual_xy.view(), sub_slice_options);
  for (std::int64_t& cell : sub.node_cells)
    if (cell >= 0) cell = frame->cells[static_cast<std::size_t>(cell)];
  return sub;
}

inline Tensor<float> PreparedSlice::node_features(const pipeline::SubSlice& sub, std::int64_t piece) const {
  const auto [frame, at] = detail::locate_piece(*this, piece);
  if (sub.virtual_cells != frame->virtual_xy.dim(0) ||
      sub.nodes() != 1 + sub.virtual_cells + static_cast<std::int64_t>(frame->pieces[at].size()))
    throw ShapeError({"STOFM-4516", name, "[node_features]", concat(sub.nodes(), " nodes"),
                      concat("the sub-slice of piece ", piece), "Build it with sub_slice(piece)."});
  const std::int64_t columns = width();
  Tensor<float> nodes({sub.nodes(), columns});
  std::fill_n(nodes.data(), columns, 0.0F);
  std::copy_n(frame->virtual_features.data(), sub.virtual_cells * columns, nodes.data() + columns);
  for (std::int64_t node = sub.first_cell(); node < sub.nodes(); ++node)
    std::copy_n(features.data() + sub.node_cells[static_cast<std::size_t>(node)] * columns, columns,
                nodes.data() + node * columns);
  return nodes;
}

inline std::span<const std::int32_t> PreparedSlice::cell_tokens(std::int64_t cell) const {
  if (!has_tokens())
    throw UsageError({"STOFM-4517", name, "tokens", "not kept", "the tokens of every cell",
                      "Prepare the slice with keep_tokens."});
  if (cell < 0 || cell >= cells())
    throw ShapeError(
        {"STOFM-4518", name, "cell", concat(cell), concat("0 to ", cells() - 1), "Check the cell."});
  const auto begin = static_cast<std::size_t>(token_offsets[static_cast<std::size_t>(cell)]);
  const auto end = static_cast<std::size_t>(token_offsets[static_cast<std::size_t>(cell) + 1]);
  return std::span(tokens).subspan(begin, end - begin);
}

inline std::int64_t PreparedSlice::bytes() const {
  std::int64_t total = 4 * features.numel() + 8 * static_cast<std::int64_t>(token_offsets.size()) +
                       4 * static_cast<std::int64_t>(tokens.size());
  for (const auto& frame : frames)
    total += 36 * static_cast<std::int64_t>(frame.cells.size()) + 8 * frame.virtual_xy.numel() +
             4 * frame.virtual_features.numel() + 24 * static_cast<std::int64_t>(frame.pieces.size());
  return total;
}

STOFM_INLINE PreparedSlice prepare_slice(const io::Slice& slice, const CellFeatures& features,
                                         const PrepareOptions& options, const pipeline::Progress& progress);

}  // namespace stofm::train

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto train::prepare_slice(const io::Slice& slice, const CellFeatures& features,
                                       const PrepareOptions& options, const pipeline::Progress& progress)
    -> PreparedSlice {
  options.embed.validate();
  if (slice.cells < 1)
    throw DataError(
        {"STOFM-4341", slice.path, "cells", "0 cells", "at least one", "Check how the file was filtered."});
  PreparedSlice prepared;
  prepared.sub_slice_options.geometry = options.embed.geometry;
  pipeline::detail::append_notices(prepared.notices, slice.notices);
  const pipeline::GeneMapping mapping =
      pipeline::map_genes(slice, *features.genes, *features.mouse_map, options.embed.genes);
  pipeline::detail::append_notices(prepared.notices, mapping.notices);
  pipeline::detail::PreparedEmbedding frames;
  pipeline::detail::prepare_frames(frames, slice, options.embed);
  pipeline::detail::append_notices(prepared.notices, frames.plan.notices);

  const std::int64_t max_tokens = features.token_limit(options.embed.max_tokens);
  prepared.features = features.compute(slice, mapping, max_tokens, progress);
  if (prepared.features.rank() != 2 || prepared.features.dim(0) != slice.cells ||
      prepared.features.dim(1) != features.width || !prepared.features.is_contiguous())
    throw ShapeError({"STOFM-4519", slice.path, "cell features", to_string(prepared.features.shape()),
                      concat("[", slice.cells, ", ", features.width, "], rows dense"),
                      "What computes the features is at fault."});
  for (auto& library : frames.libraries)
    prepared.frames.push_back(
        detail::prepare_frame(std::move(library), prepared.features, options.embed, prepared.notices));
  if (options.keep_tokens) detail::keep_tokens(prepared, slice, mapping, max_tokens);
  if (slice.stream_notices) pipeline::detail::append_notices(prepared.notices, slice.stream_notices());
  return prepared;
}

}  // namespace stofm
#endif

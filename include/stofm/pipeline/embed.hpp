// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice in, one vector per cell out: tokens, cell encoder, virtual cells, pieces, SE(2) Transformer.
/// Cell embeddings are overwritten by the final ones piece by piece (every cell is in exactly one, and
/// virtual cells were averaged before), so a slice holds one [cells, 256] matrix, not two. *Source* SPEC
/// sections 1 to 5.

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/machine.hpp"
#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/embed_pieces.hpp"
#include "stofm/pipeline/embed_plan.hpp"
#include "stofm/pipeline/embed_slice.hpp"
#include "stofm/pipeline/virtual_cells.hpp"

namespace stofm::pipeline {

namespace detail {

/// Adds the time since its birth under a name.
class StageTimer {
 public:
  StageTimer(std::vector<StageTime>& times, std::string stage) : times_(times), stage_(std::move(stage)) {}
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;
  ~StageTimer() {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    for (auto& time : times_)
      if (time.stage == stage_) {
        time.seconds += seconds;
        return;
      }
    try {
      times_.push_back({stage_, seconds});
    } catch (const std::bad_alloc&) {  // a time less
    }
  }

 private:
  std::vector<StageTime>& times_;
  std::string stage_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

inline void note_cells(Notices& notices, const char* code, const char* what,
                       const std::vector<std::int64_t>& cells) {
  if (cells.empty()) return;
  std::string list;
  for (std::size_t i = 0; i < cells.size() && i < 5; ++i) list += (i ? ", " : "") + std::to_string(cells[i]);
  notices.push_back({code,
                     concat(cells.size(), " cells ", what, ": embedded as [<cls>] alone; cells ", list,
                            cells.size() > 5 ? ", ..." : ""),
                     static_cast<std::int64_t>(cells.size())});
}

/// Cell embeddings: the given ones, or computed and reported.
inline Tensor<float> cell_stage(const io::Slice& slice, const Model& model, const EmbedOptions& options,
                                const PreparedEmbedding& prepared, const Progress& progress,
                                EmbedResult& result) {
  if (options.cell_embeddings.numel() > 0) return options.cell_embeddings.contiguous();
  const StageTimer timer(result.timings, "cells");
  CellEmbeddings cells =
      embed_cells(slice, model, prepared.mapping, token_limit(model, options.max_tokens), progress);
  note_cells(result.notices, "STOFM-W4301", "without any count", cells.zero_count_cells);
  note_cells(result.notices, "STOFM-W4302", "without a count in the vocabulary", cells.no_gene_cells);
  if (cells.truncated_cells > 0)
    result.notices.push_back(
        {"STOFM-W4303",
         concat(cells.truncated_cells, " cells with more than ", token_limit(model, options.max_tokens) - 1,
                " genes keep their highest ranks"),
         cells.truncated_cells});
  if (slice.stream_notices) append_notices(result.notices, slice.stream_notices());
  result.zero_count_cells = std::move(cells.zero_count_cells);
  result.no_gene_cells = std::move(cells.no_gene_cells);
  result.truncated_cells = cells.truncated_cells;
  result.tokens = cells.tokens;
  return cells.features;
}

/// Bounding box of a piece in the unit of the file.
inline PieceInfo describe_piece(const io::Slice& slice, const LibraryFrame& frame,
                                const std::vector<std::int64_t>& piece, const PieceSize& size,
                                std::int32_t library) {
  PieceInfo info{.library = library,
                 .cells = static_cast<std::int64_t>(piece.size()),
                 .nodes = size.nodes,
                 .listed = size.listed};
  bool first = true;
  for (const std::int64_t i : piece) {
    const std::int64_t cell = frame.cells.empty() ? i : frame.cells[static_cast<std::size_t>(i)];
    for (int axis = 0; axis < 2; ++axis) {
      const double v = slice.coordinates(cell, axis);
      info.low[axis] = first ? v : (std::min)(info.low[axis], v);
      info.high[axis] = first ? v : (std::max)(info.high[axis], v);
    }
    first = false;
  }
  return info;
}

/// Macro and micro scale of one library: reads and (may) overwrite its rows.
/// \param features [cells of the library, input_dim]; \param output of the same cells, may be the same memory
inline std::int64_t library_stage(const io::Slice& slice, const Model& model, const EmbedOptions& options,
                                  const LibraryFrame& frame, const Tensor<float>& features,
                                  Tensor<float>& output, const Progress& progress, EmbedResult& result) {
  const auto library = static_cast<std::int32_t>(result.libraries.size());
  const std::int64_t cells = features.dim(0);
  LibraryInfo info;
  info.cells = cells;
  info.diagonal = frame.coordinates.diagonal;
  std::copy_n(frame.coordinates.centre, 2, info.centre);
  VirtualCells clusters;
  {
    const StageTimer timer(result.timings, "virtual cells");
    progress.report("virtual cells", 0, cells, "cells");
    clusters = find_virtual_cells(frame.coordinates.xy.view(), features.view(),
                                  {.method = options.clustering,
                                   .alpha = options.alpha,
                                   .resolution = options.resolution,
                                   .max_passes = options.leiden_passes,
                                   .walk = options.leiden_walk,
                                   .clusters = options.clusters,
                                   .seed = options.seed,
                                   .points = model.device ? model.device->points : PointFunctions{},
                                   .stop = StopCheck([&] { progress.check(); })});
    progress.report("virtual cells", cells, cells, "cells");
  }
  append_notices(result.notices, clusters.notices);
  info.virtual_cells = clusters.xy.dim(0);
  info.first_label = static_cast<std::int32_t>(result.virtual_cells());
  info.modularity = clusters.modularity;
  info.virtual_xy = clusters.xy;
  const StageTimer timer(result.timings, "pieces");
  const PieceFrame pieces{.xy = std::as_const(frame.coordinates.xy).view(),
                          .virtual_xy = std::as_const(clusters.xy).view(),
                          .virtual_features = std::as_const(clusters.features).view(),
                          .features = features.view(),
                          .output = output.view(),
                          .pieces = frame.pieces,
                          .sub_slice = {.geometry = options.geometry},
                          .file = slice.path};
  const auto done = static_cast<std::int64_t>(result.pieces.size());
  const bool on_device = model.device && model.device->pieces;
  const auto sizes = on_device
                         ? embed_pieces(model.device->pieces, pieces, progress, done, result.plan.pieces)
                         : embed_pieces(*model.se2, pieces, progress, done, result.plan.pieces);
  for (std::size_t p = 0; p < frame.pieces.size(); ++p) {
    const auto index = static_cast<std::int32_t>(result.pieces.size());
    for (const std::int64_t i : frame.pieces[p]) {
      const auto at = static_cast<std::size_t>(i);
      const std::size_t cell = frame.cells.empty() ? at : static_cast<std::size_t>(frame.cells[at]);
      result.piece_of_cell[cell] = index;
      result.macro_labels[cell] = info.first_label + clusters.labels[at];
    }
    result.pieces.push_back(describe_piece(slice, frame, frame.pieces[p], sizes[p], library));
  }
  result.libraries.push_back(std::move(info));
  return count_cells_at_one_place(std::as_const(frame.coordinates.xy).view());
}

}  // namespace detail

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE pipeline::EmbedResult pipeline::embed_slice(const io::Slice& slice, const Model& model,
                                                         const EmbedOptions& options,
                                                         const Progress& progress) {
  EmbedResult result;
  detail::PreparedEmbedding prepared;
  {
    const detail::StageTimer timer(result.timings, "plan");
    prepared = detail::prepare_embedding(slice, model, options);
  }
  result.plan = prepared.plan;
  result.coverage = prepared.plan.coverage;
  result.notices = slice.notices;
  detail::append_notices(result.notices, prepared.plan.notices);
  if (result.plan.estimated_bytes > result.plan.allowed_bytes)
    throw ResourceError(
        {"STOFM-4342", slice.path, "memory",
         concat("about ", result.plan.estimated_bytes, " bytes needed for ", slice.cells, " cells"),
         concat("at most ", result.plan.allowed_bytes),
         "Use smaller pieces (EmbedOptions::split), fewer threads, or raise EmbedOptions::max_memory."});
  Tensor<float> features = detail::cell_stage(slice, model, options, prepared, progress, result);
  if (options.target == EmbedTarget::cells_only) {
    result.embeddings = std::move(features);
    result.peak_memory = peak_resident_memory();
    return result;
  }

  const bool own =
      options.cell_embeddings.numel() == 0 && model.se2->config().embedding_dim == features.dim(1);
  const std::int64_t width = model.se2->config().embedding_dim;
  result.embeddings = own ? features : Tensor<float>({slice.cells, width});
  result.macro_labels.assign(static_cast<std::size_t>(slice.cells), 0);
  result.piece_of_cell.assign(static_cast<std::size_t>(slice.cells), 0);
  std::int64_t coincident = 0;
  for (auto& frame : prepared.libraries) {
    if (frame.cells.empty()) {
      coincident +=
          detail::library_stage(slice, model, options, frame, features, result.embeddings, progress, result);
    } else {
      const Tensor<float> rows = detail::gather_rows(features, frame.cells);
      Tensor<float> output = width == rows.dim(1) ? rows : Tensor<float>({rows.dim(0), width});
      coincident += detail::library_stage(slice, model, options, frame, rows, output, progress, result);
      for (std::size_t i = 0; i < frame.cells.size(); ++i)
        std::copy_n(output.data() + static_cast<std::int64_t>(i) * width, width,
                    result.embeddings.data() + frame.cells[i] * width);
    }
    frame = {};
  }
  if (coincident > 0 && options.geometry == Geometry::reference)
    result.notices.push_back(
        {"STOFM-W4304",
         concat(
             coincident,
             " cells share their place with another cell and count as far from it, as the published weights "
             "were trained; EmbedOptions::geometry = stable makes them neighbours"),
         coincident});
  result.peak_memory = peak_resident_memory();
  return result;
}

}  // namespace stofm
#endif

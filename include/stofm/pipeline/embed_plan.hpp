// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Everything that can be known before the work starts: genes matched, libraries, frames, pieces, memory.
/// What can not work is refused here. Rows D01, D09 to D14, D31, R11.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/io/slice.hpp"
#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/embed_memory.hpp"
#include "stofm/pipeline/embed_slice.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/pipeline/merge_slivers.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/pipeline/split_cells.hpp"

namespace stofm::pipeline {

namespace detail {

/// One library: its cells, frame and pieces.
struct LibraryFrame {
  std::vector<std::int64_t> cells{};  ///< of the slice; empty: all of them
  NormalisedCoordinates coordinates{};
  std::vector<std::vector<std::int64_t>> pieces{};  ///< indices within the library
};

/// A plan with what was computed on the way to it.
struct PreparedEmbedding {
  GeneMapping mapping{};
  std::vector<LibraryFrame> libraries{};
  EmbedPlan plan{};
};

inline void append_notices(Notices& all, const Notices& more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// Rows D31, D36: cell embeddings from elsewhere must be finite and fit slice and model.
inline void check_given_embeddings(const io::Slice& slice, const Model& model, const EmbedOptions& options) {
  const Tensor<float>& given = options.cell_embeddings;
  const std::string file =
      options.cell_embeddings_source.empty() ? "cell embeddings" : options.cell_embeddings_source;
  if (given.rank() != 2 || given.dim(0) != slice.cells)
    throw DataError(
        {"STOFM-4331", file, "rows", to_string(given.shape()),
         concat("[", slice.cells, ", ", model.cell_width(), "], a row for each cell of ", slice.path),
         "Compute them from this very file."});
  if (given.dim(1) != model.cell_width())
    throw DataError({"STOFM-4332", file, "columns", concat(given.dim(1), " components"),
                     concat("input_dim = ", model.cell_width()),
                     "Use the cell encoder that belongs to these weights."});
  std::int64_t bad = 0, first = -1;
  for (std::int64_t i = 0; i < given.dim(0); ++i) {
    const float* row = given.view().row(i);
    bool finite = true;
    for (std::int64_t c = 0; c < given.dim(1); ++c)
      finite = finite && std::isfinite(row[c * given.stride(1)]);
    if (!finite && bad++ == 0) first = i;
  }
  if (bad > 0)
    throw DataError({"STOFM-4333", file, concat("row ", first), concat("NaN or inf in ", bad, " rows"),
                     "finite numbers", "Compute them again."});
}

/// What the options ask for must be there.
inline void check_model(const Model& model, const EmbedOptions& options) {
  const bool given = options.cell_embeddings.numel() > 0, whole = options.target == EmbedTarget::slice;
  const auto refuse = [&](const char* code, const char* found, const char* expected, const char* remedy) {
    throw UsageError({code, model.file, "weights", found, expected, remedy});
  };
  if (whole && !model.se2)
    refuse("STOFM-4334", "no SE(2) Transformer", "one, to embed a slice",
           "Convert both halves, or ask for cell embeddings only.");
  if (!given && !model.cell_encoder)
    refuse("STOFM-4335", "no cell encoder", "one, or cell embeddings from elsewhere",
           "Convert both halves, or give cell embeddings.");
  if (!given && !model.genes)
    refuse("STOFM-4336", "no gene table", "one, to read counts",
           "Convert the weights with their gene table.");
  if (given && !whole)
    refuse("STOFM-4337", "cell embeddings given and nothing else asked for", "one of the two",
           "Ask for the embedding of the slice.");
}

/// Cells of each library, in the order of the slice.
inline std::vector<std::vector<std::int64_t>> library_cells(const io::Slice& slice) {
  std::vector<std::vector<std::int64_t>> cells((std::max<std::size_t>)(slice.library_names.size(), 1));
  if (cells.size() == 1) return cells;
  if (static_cast<std::int64_t>(slice.library.size()) != slice.cells)
    throw ShapeError({"STOFM-4338", slice.path, "libraries", concat(slice.library.size(), " cells"),
                      concat(slice.cells), "Give the library of every cell."});
  for (std::int64_t i = 0; i < slice.cells; ++i) {
    const std::int32_t library = slice.library[static_cast<std::size_t>(i)];
    if (library < 0 || library >= static_cast<std::int64_t>(cells.size()))
      throw DataError({"STOFM-4339", slice.path, concat("library of cell ", i), concat(library),
                       concat("0 to ", cells.size() - 1), "Give every cell a library."});
    cells[static_cast<std::size_t>(library)].push_back(i);
  }
  return cells;
}

/// Rows of a dense matrix.
template <class T>
Tensor<T> gather_rows(const Tensor<T>& matrix, const std::vector<std::int64_t>& rows) {
  const std::int64_t width = matrix.dim(1);
  Tensor<T> result({static_cast<std::int64_t>(rows.size()), width});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(matrix.data() + rows[i] * width, width, result.data() + static_cast<std::int64_t>(i) * width);
  return result;
}

inline void prepare_frames(PreparedEmbedding& prepared, const io::Slice& slice, const EmbedOptions& options) {
  EmbedPlan& plan = prepared.plan;
  if (slice.coordinates.rank() != 2 || slice.coordinates.dim(0) != slice.cells ||
      slice.coordinates.dim(1) != 2)
    throw ShapeError({"STOFM-4340", slice.path, "coordinates", to_string(slice.coordinates.shape()),
                      concat("[", slice.cells, ", 2]"), "Give x and y of each cell."});
  const Tensor<double> all = slice.coordinates.contiguous();
  for (auto& cells : library_cells(slice)) {
    LibraryFrame frame;
    frame.cells = std::move(cells);
    if (frame.cells.empty() && slice.library_names.size() > 1) continue;
    try {
      const Tensor<double> xy = frame.cells.empty() ? all : gather_rows(all, frame.cells);
      frame.coordinates = normalise_coordinates(xy.view());
    } catch (const DataError& e) {  // it knows no file
      ErrorParts parts = e.parts();
      parts.file = slice.path;
      throw DataError(std::move(parts));
    }
    frame.pieces = split_cells(std::as_const(frame.coordinates.xy).view(), options.split);
    if (options.merge_slivers)
      merge_slivers(frame.pieces, std::as_const(frame.coordinates.xy).view(), options.split);
    const Slivers slivers = count_slivers(frame.pieces, options.split);
    plan.slivers += slivers.pieces;
    plan.sliver_cells += slivers.cells;
    append_notices(plan.notices, frame.coordinates.notices);
    plan.pieces += static_cast<std::int64_t>(frame.pieces.size());
    for (const auto& piece : frame.pieces)
      plan.largest_piece = (std::max)(plan.largest_piece, static_cast<std::int64_t>(piece.size()));
    prepared.libraries.push_back(std::move(frame));
  }
}

inline PreparedEmbedding prepare_embedding(const io::Slice& slice, const Model& model,
                                           const EmbedOptions& options) {
  options.validate();
  PreparedEmbedding prepared;
  EmbedPlan& plan = prepared.plan;
  plan.cells = slice.cells;
  plan.threads = thread_count();
  if (model.device) plan.device = model.device->device;
  if (slice.cells < 1)
    throw DataError(
        {"STOFM-4341", slice.path, "cells", "0 cells", "at least one", "Check how the file was filtered."});
  check_model(model, options);
  if (options.cell_embeddings.numel() > 0) {
    check_given_embeddings(slice, model, options);
  } else {
    prepared.mapping = map_genes(slice, *model.genes, *model.mouse_map, options.genes);
    plan.coverage = prepared.mapping.coverage;
    append_notices(plan.notices, prepared.mapping.notices);
  }
  plan.width = options.target == EmbedTarget::slice ? model.width() : model.cell_width();
  if (options.target == EmbedTarget::slice) prepare_frames(prepared, slice, options);
  plan.estimated_bytes = estimate_bytes(slice.cells, plan.largest_piece, plan.pieces, model, options);
  plan.allowed_bytes = options.max_memory > 0 ? options.max_memory : free_memory() / 10 * 8;
  return prepared;
}

}  // namespace detail

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE pipeline::EmbedPlan pipeline::plan_embed(const io::Slice& slice, const Model& model,
                                                      const EmbedOptions& options) {
  return detail::prepare_embedding(slice, model, options).plan;
}

}  // namespace stofm
#endif

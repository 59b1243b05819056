// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice prepared for the SE(2) Transformer from cell rows that are there already: those of the cell
/// encoder, or what stands in for them. Frames, virtual cells and pieces are those of embedding.

#include "stofm/tasks/checks.hpp"
#include "stofm/train/prepared_slice.hpp"

namespace stofm::tasks {

/// \param rows [cells, C], in the order of the slice; shared, not copied, if dense
/// \param options clustering, clusters, alpha, resolution, seed, split, geometry and merge_slivers are used
/// \throws ShapeError STOFM-4519 for another number of rows; DataError STOFM-4341 without cells, 4703 for a
/// value that is not finite; as prepare_slice. *Cost* about 12 us a cell. *Deterministic* yes, any thread
/// count.
inline train::PreparedSlice prepare_rows(const io::Slice& slice, const Tensor<float>& rows,
                                         const pipeline::EmbedOptions& options = {}) {
  options.validate();
  if (slice.cells < 1)
    throw DataError(
        {"STOFM-4341", slice.path, "cells", "0 cells", "at least one", "Check how the file was filtered."});
  if (rows.rank() != 2 || rows.dim(0) != slice.cells || rows.dim(1) < 1)
    throw ShapeError({"STOFM-4519", slice.path, "cell features", to_string(rows.shape()),
                      concat("[", slice.cells, ", columns]"), "Give one row per cell."});
  train::PreparedSlice prepared;
  prepared.name = slice.path;
  prepared.features = rows.contiguous();
  detail::require_finite_rows("[prepare_rows]", std::as_const(prepared.features).view());
  prepared.sub_slice_options.geometry = options.geometry;
  pipeline::detail::append_notices(prepared.notices, slice.notices);
  pipeline::detail::PreparedEmbedding frames;
  pipeline::detail::prepare_frames(frames, slice, options);
  pipeline::detail::append_notices(prepared.notices, frames.plan.notices);
  for (auto& library : frames.libraries)
    prepared.frames.push_back(
        train::detail::prepare_frame(std::move(library), prepared.features, options, prepared.notices));
  return prepared;
}

}  // namespace stofm::tasks

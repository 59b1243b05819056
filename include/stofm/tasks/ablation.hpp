// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parts of the model taken away: what the gene scale, the micro scale (cells of a sub-slice) and the macro
/// scale (virtual cells of the whole slice) contribute.
///
/// The micro scale alone has two honest constructions, and neither is what the weights were trained on: no
/// virtual cells at all (nodes: CLS and the cells), and one virtual cell, the mean of the slice at its centre
/// (k-means with one cluster), which says nothing of where things are. The difference to the whole model is
/// what many virtual cells add, and what leaving the usual input breaks; the two constructions bracket it.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/pipeline/embed.hpp"
#include "stofm/tasks/frozen_head.hpp"

namespace stofm::tasks {

/// Embedding [cells, width] of a slice without virtual cells. options.cell_embeddings as in embed_slice.
/// \throws as embed_slice. *Cost* as embed_slice without clustering. *Deterministic* yes, any thread count.
inline Tensor<float> embed_without_virtual_cells(const io::Slice& slice, const pipeline::Model& model,
                                                 const pipeline::EmbedOptions& options,
                                                 const pipeline::Progress& progress = {}) {
  pipeline::EmbedResult result;
  const pipeline::detail::PreparedEmbedding prepared =
      pipeline::detail::prepare_embedding(slice, model, options);
  const Tensor<float> features =
      pipeline::detail::cell_stage(slice, model, options, prepared, progress, result);
  const std::int64_t width = model.se2->config().embedding_dim;
  Tensor<float> embedding({slice.cells, width});
  const Tensor<double> no_places({0, 2});
  const Tensor<float> no_features({0, features.dim(1)});
  std::int64_t done = 0;
  for (const pipeline::detail::LibraryFrame& frame : prepared.libraries) {
    const bool whole = frame.cells.empty();
    const Tensor<float> rows = whole ? features : pipeline::detail::gather_rows(features, frame.cells);
    Tensor<float> states({rows.dim(0), width});
    const pipeline::PieceFrame pieces{.xy = std::as_const(frame.coordinates.xy).view(),
                                      .virtual_xy = no_places.view(),
                                      .virtual_features = no_features.view(),
                                      .features = rows.view(),
                                      .output = states.view(),
                                      .pieces = frame.pieces,
                                      .sub_slice = {.geometry = options.geometry},
                                      .file = slice.path};
    pipeline::embed_pieces(*model.se2, pieces, progress, done, prepared.plan.pieces);
    done += static_cast<std::int64_t>(frame.pieces.size());
    for (std::int64_t i = 0; i < rows.dim(0); ++i)
      std::copy_n(states.data() + i * width, width,
                  embedding.data() + (whole ? i : frame.cells[static_cast<std::size_t>(i)]) * width);
  }
  return embedding;
}

/// Labelled cells of several slices, and which of them judge.
struct AblationTask {
  std::vector<std::vector<std::int32_t>> labels;  ///< by slice: [cells], -1: none
  std::vector<CellRoles> roles;                   ///< by slice: train or test
  std::int64_t classes = 0;
};

/// One figure of a row: head fitted to a draw of the training cells, judged by all test cells.
/// \param rows by slice: [cells, C]; \param draw share of the training cells of each class in (0, 1].
/// \throws DataError for no labelled test cells (STOFM-4701) or one class (4710); as fit_frozen_head. *Cost*
/// that of the head. *Deterministic* yes for a key, any thread count.
inline ClassificationScores ablation_scores(const AblationTask& task, std::span<const Tensor<float>> rows,
                                            double draw, const RandomKey& key,
                                            const FrozenHeadOptions& head = {}) {
  constexpr const char* op = "[ablation_scores]";
  detail::require_same_count(op, rows.size(), task.labels.size(), "slices with rows and with labels");
  std::vector<CellRoles> roles = task.roles;
  if (draw < 1) keep_some_labels(roles, task.labels, {.share = draw}, key.child(1));
  std::int64_t cells = 0, judged = 0;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    detail::require_rows(op, rows[s].view());
    detail::require_same_count(op, static_cast<std::size_t>(rows[s].dim(0)), roles[s].size(),
                               "rows and cells");
    for (const CellRole role : roles[s]) cells += role == CellRole::train, judged += role == CellRole::test;
  }
  detail::require_some(op, static_cast<std::size_t>(judged));
  const std::int64_t width = rows[0].dim(1);
  Tensor<float> train({cells, width}), test({judged, width});
  std::vector<std::int32_t> labels, truth;
  float *to_train = train.data(), *to_test = test.data();
  for (std::size_t s = 0; s < rows.size(); ++s)
    for (std::size_t i = 0; i < roles[s].size(); ++i) {
      if (roles[s][i] != CellRole::train && roles[s][i] != CellRole::test) continue;
      const float* row = rows[s].data() + static_cast<std::int64_t>(i) * width;
      if (roles[s][i] == CellRole::train) {
        to_train = std::copy_n(row, width, to_train);
        labels.push_back(task.labels[s][i]);
      } else {
        to_test = std::copy_n(row, width, to_test);
        truth.push_back(task.labels[s][i]);
      }
    }
  const FrozenHead fitted =
      fit_frozen_head(std::as_const(train).view(), labels, task.classes, key.child(2), head);
  const std::vector<std::int32_t> predicted =
      most_probable(predict_probabilities(fitted.model, std::as_const(test).view()).view());
  return classification_scores(truth, predicted, task.classes);
}

}  // namespace stofm::tasks

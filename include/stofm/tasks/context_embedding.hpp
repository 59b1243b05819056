// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// X_stofm_context: each cell as the model predicts it from its surroundings. In every pass some cells of a
/// piece are masked as in pretraining and predicted by its masked-cell head; each cell is masked in as many
/// passes, and the unit vectors predicted for it are averaged. So the embedding says what belongs at a place,
/// not what the cell there is. *Source* SPEC section 6.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/ops/l2_normalize.hpp"
#include "stofm/pipeline/embed.hpp"
#include "stofm/tasks/checks.hpp"
#include "stofm/train/masking.hpp"
#include "stofm/train/prepared_slice.hpp"

namespace stofm::tasks {

struct ContextOptions {
  std::int64_t rounds = 2;  ///< how often each cell is masked
  double share = 0.12;      ///< of the cells of a piece, masked at once (SPEC section 6)
  std::uint64_t seed = 0;

  /// Passes over each piece. \throws UsageError STOFM-4756 for options out of range.
  std::int64_t passes() const {
    if (rounds < 1 || rounds > 1000 || !(share > 0 && share <= 1))
      throw UsageError({"STOFM-4756", "", "context", concat("rounds ", rounds, ", share ", share),
                        "rounds from 1 to 1000, a share above 0 and at most 1",
                        "The published share is 0.12; a few rounds are enough."});
    return rounds * groups();
  }
  /// Groups of cells, each masked in a pass of its own.
  std::int64_t groups() const { return static_cast<std::int64_t>(std::ceil(1 / share)); }
};

namespace detail {

/// Frames, virtual cells and pieces of a slice over given cell features.
inline train::PreparedSlice prepare_given(const io::Slice& slice, const Tensor<float>& features,
                                          const pipeline::EmbedOptions& options) {
  train::PreparedSlice prepared;
  prepared.sub_slice_options.geometry = options.geometry;
  prepared.features = features.contiguous();
  pipeline::detail::PreparedEmbedding frames;
  pipeline::detail::prepare_frames(frames, slice, options);
  prepared.notices = frames.plan.notices;
  for (auto& library : frames.libraries)
    prepared.frames.push_back(
        train::detail::prepare_frame(std::move(library), prepared.features, options, prepared.notices));
  return prepared;
}

/// One pass: features of the nodes with `masked` hidden through the model, predictions into unit rows.
inline void predict_masked(const pipeline::Model& model, const pipeline::SubSlice& sub,
                           const Tensor<float>& nodes, const std::vector<std::int64_t>& masked,
                           const std::string& file, float* out) {
  const std::int64_t width = nodes.dim(1), state_width = model.se2->config().embedding_dim;
  Tensor<float> hidden = nodes.clone();
  for (const std::int64_t node : masked)
    std::fill_n(hidden.data() + node * width, width, train::masked_feature);
  const Tensor<float> states =
      model.se2->forward(std::as_const(hidden).view(), sub.distances, sub.token_types).last_hidden_state;
  Tensor<float> rows({static_cast<std::int64_t>(masked.size()), state_width});
  for (std::size_t i = 0; i < masked.size(); ++i)
    std::copy_n(states.data() + masked[i] * state_width, state_width,
                rows.data() + static_cast<std::int64_t>(i) * state_width);
  Tensor<float> predicted = model.masked_cell_head->predict(rows);
  for (std::size_t i = 0; i < masked.size(); ++i)
    pipeline::detail::require_finite_row(predicted.data() + static_cast<std::int64_t>(i) * width, width,
                                         sub.node_cells[static_cast<std::size_t>(masked[i])], file,
                                         "prediction");
  ops::l2_normalize_rows_into(predicted.view(), std::as_const(predicted).view());
  std::copy_n(predicted.data(), predicted.numel(), out);
}

}  // namespace detail

/// Predictions [cells, input_dim] for every cell of a slice from its surroundings. `features` [cells,
/// input_dim]: what the SE(2) Transformer is given of each cell, such as the cell embeddings of embed_slice;
/// of `embed` geometry, clustering and seed of the virtual cells are used. A piece of one cell is predicted
/// from its virtual cells alone. \throws UsageError for a model without an SE(2) Transformer or masked-cell
/// head (STOFM-4757), options out of range (4756); ShapeError (4758) for features that do not fit; DataError
/// for values that are not finite (4703, 4321); Interrupted. *Cost* options.passes() forward passes of every
/// piece, on the CPU. *Deterministic* yes for a seed, any thread count.
STOFM_INLINE Tensor<float> context_embedding(const io::Slice& slice, const pipeline::Model& model,
                                             const Tensor<float>& features,
                                             const pipeline::EmbedOptions& embed = {},
                                             const ContextOptions& options = {},
                                             const pipeline::Progress& progress = {});

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::context_embedding(const io::Slice& slice, const pipeline::Model& model,
                                           const Tensor<float>& features, const pipeline::EmbedOptions& embed,
                                           const ContextOptions& options, const pipeline::Progress& progress)
    -> Tensor<float> {
  constexpr const char* op = "[context_embedding]";
  embed.validate();
  const std::int64_t passes = options.passes(), groups = options.groups();
  if (!model.se2 || !model.masked_cell_head)
    throw UsageError(
        {"STOFM-4757", model.file, "weights",
         model.se2 ? "no masked-cell head (lm_head)" : "no SE(2) Transformer",
         "an SE(2) Transformer with the masked-cell head of its pretraining",
         "Convert a checkpoint that has the head, or use another embedding (SliceFeatureOptions::kind)."});
  if (features.rank() != 2 || features.dim(0) != slice.cells || features.dim(1) != model.cell_width())
    throw ShapeError({"STOFM-4758", slice.path, op, to_string(features.shape()),
                      concat("[", slice.cells, ", ", model.cell_width(), "]"),
                      "Give what the SE(2) Transformer takes of each cell."});
  const Tensor<float> dense = features.contiguous();
  detail::require_finite_rows(op, std::as_const(dense).view());
  const train::PreparedSlice prepared = detail::prepare_given(slice, dense, embed);
  const std::int64_t width = features.dim(1), pieces = prepared.pieces();
  Tensor<float> result = Tensor<float>::zeros({slice.cells, width});
  const RandomKey key{.seed = options.seed, .stream = 0x636f6e74657874ULL};
  progress.report("context", 0, pieces * passes, "passes");
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const pipeline::SubSlice sub = prepared.sub_slice(piece);
    const Tensor<float> nodes = prepared.node_features(sub, piece);
    const std::vector<std::int64_t> cells = train::detail::cell_nodes(sub);
    std::vector<std::vector<std::int64_t>> masked;
    for (std::int64_t round = 0; round < options.rounds; ++round) {
      const auto order = train::detail::random_permutation(
          static_cast<std::int64_t>(cells.size()),
          key.child(static_cast<std::uint64_t>(piece)).child(static_cast<std::uint64_t>(round)).generator());
      for (std::int64_t g = 0; g < groups; ++g) {
        const auto size = static_cast<std::int64_t>(order.size());
        std::vector<std::int64_t> group;
        for (std::int64_t i = size * g / groups; i < size * (g + 1) / groups; ++i)
          group.push_back(cells[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
        if (!group.empty()) masked.push_back(std::move(group));
      }
    }
    std::vector<std::vector<float>> predicted(masked.size());
    parallel_for(static_cast<std::int64_t>(masked.size()), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto p = static_cast<std::size_t>(begin); p < static_cast<std::size_t>(end); ++p) {
        progress.check();
        predicted[p].resize(masked[p].size() * static_cast<std::size_t>(width));
        detail::predict_masked(model, sub, nodes, masked[p], slice.path, predicted[p].data());
      }
    });
    for (std::size_t p = 0; p < masked.size(); ++p)
      for (std::size_t i = 0; i < masked[p].size(); ++i) {
        float* to = result.data() + sub.node_cells[static_cast<std::size_t>(masked[p][i])] * width;
        const float* from = predicted[p].data() + i * static_cast<std::size_t>(width);
        for (std::int64_t c = 0; c < width; ++c) to[c] += from[c] / static_cast<float>(options.rounds);
      }
    progress.report("context", (piece + 1) * passes, pieces * passes, "passes");
  }
  return result;
}

}  // namespace stofm
#endif

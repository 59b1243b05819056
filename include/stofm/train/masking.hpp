// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a piece is turned into before the model sees it in pretraining: some cells hidden (MCM), some moved
/// (PDR), and what is to be found again.
///
///     masked cells F = -100, labels F;  moved cells xy += sigma N(0, 1), sigma = 5 sqrt(W H / n), labels D
///
/// Works on listed pairs: the rows and columns of moved cells become full, nothing else is added. *Source*
/// SPEC section 6 (the authors' collator); rows D37 and D38.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/ops/pair_distances.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "stofm/train/masking_draws.hpp"

namespace stofm::train {

/// What a masked component of F carries. *Source* SPEC section 6.
inline constexpr float masked_feature = -100.0F;

/// Whether a sample can be learned from. What can not is skipped and counted, never an error.
enum class SampleState {
  usable,
  too_few_cells,  ///< no cell would be masked or moved: 8 cells or fewer with the published shares (row D37)
  nothing_labelled  ///< no pair is left to be predicted: all at one place, or all far apart (row D38)
};

/// One piece, ready for the model.
struct TrainingSample {
  Tensor<float> features{};                 ///< [N, C] of every node; masked ones are `masked_feature`
  PairDistances distances{};                ///< after the moves; symmetric
  std::vector<std::int32_t> token_types{};  ///< [N] pipeline::NodeType
  std::vector<std::int64_t> mcm_nodes{};    ///< [m] nodes whose F is predicted: masked ones, then kept ones
  Tensor<float> mcm_targets{};              ///< [m, C] their F
  std::vector<std::int64_t> pair_rows{};  ///< [p] labelled pairs, both orders, ascending by row, then column
  std::vector<std::int64_t> pair_columns{};  ///< [p]
  std::vector<float> pair_targets{};         ///< [p] distance before the moves
  SampleState state = SampleState::usable;

  std::int64_t nodes() const { return distances.nodes; }
  bool usable() const { return state == SampleState::usable; }
  /// Bytes held, about.
  std::int64_t bytes() const {
    return 4 * (features.numel() + mcm_targets.numel()) + 8 * distances.entries() + 12 * nodes() +
           20 * static_cast<std::int64_t>(pair_rows.size());
  }
};

/// Samples that were left out, for the report of a run.
struct SkippedSamples {
  std::int64_t too_few_cells = 0, nothing_labelled = 0;

  void add(SampleState state) {
    too_few_cells += state == SampleState::too_few_cells;
    nothing_labelled += state == SampleState::nothing_labelled;
  }
  std::int64_t total() const { return too_few_cells + nothing_labelled; }
};

/// Hides and moves cells of a piece as drawn.
/// *Shapes* `features` [N, C] of all nodes, CLS and virtual cells included, rows dense (not changed). In
/// `sub`, CLS lists every node at distance 0 and is listed by every node, as build_sub_slice makes it. A
/// sample that is skipped carries its state and nothing else. \throws ShapeError for other shapes or draws of
/// another number of cells; DataError for a feature that is not finite. *Cost* O(listed pairs + moved * N)
/// time and memory, one thread. *Deterministic* yes.
TrainingSample mask_sub_slice(const pipeline::SubSlice& sub, const Tensor<float>& features,
                              const MaskingDraws& draws, const MaskingOptions& options = {});

namespace detail {

/// Nodes that are cells, ascending.
inline std::vector<std::int64_t> cell_nodes(const pipeline::SubSlice& sub) {
  std::vector<std::int64_t> nodes;
  for (std::size_t i = 0; i < sub.token_types.size(); ++i)
    if (sub.token_types[i] == static_cast<std::int32_t>(pipeline::NodeType::cell))
      nodes.push_back(static_cast<std::int64_t>(i));
  return nodes;
}

/// Marks of the first `count` drawn cells, by node.
inline std::vector<std::uint8_t> mark_nodes(const std::vector<std::int64_t>& cells,
                                            const std::vector<std::int64_t>& permutation, std::int64_t count,
                                            std::int64_t nodes) {
  std::vector<std::uint8_t> marks(static_cast<std::size_t>(nodes), 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    marks[static_cast<std::size_t>(cells[static_cast<std::size_t>(permutation[i])])] = 1;
  return marks;
}

/// Coordinates after the moves. [N, 2]
inline Tensor<double> moved_coordinates(const pipeline::SubSlice& sub, const std::vector<std::int64_t>& cells,
                                        const MaskingDraws& draws, std::int64_t moved, double sigma_factor) {
  Tensor<double> xy = sub.xy.clone();
  double extent[2] = {0, 0};
  for (int axis = 0; axis < 2; ++axis) {
    double low = sub.xy(cells[0], axis), high = low;
    for (const std::int64_t node : cells) {
      low = (std::min)(low, sub.xy(node, axis));
      high = (std::max)(high, sub.xy(node, axis));
    }
    extent[axis] = high - low;
  }
  const double sigma = sigma_factor * std::sqrt(extent[0] * extent[1] / static_cast<double>(cells.size()));
  for (std::int64_t i = 0; i < moved; ++i) {
    const std::int64_t node =
        cells[static_cast<std::size_t>(draws.pdr_permutation[static_cast<std::size_t>(i)])];
    for (int axis = 0; axis < 2; ++axis) xy(node, axis) += sigma * draws.pdr_noise(i, axis);
  }
  return xy;
}

/// The listed pairs after the moves: full rows and columns for moved nodes, as before elsewhere.
inline PairDistances moved_distances(const pipeline::SubSlice& sub, const Tensor<double>& xy,
                                     const std::vector<std::uint8_t>& moved) {
  const PairDistances& before = sub.distances;
  const auto n = static_cast<std::size_t>(before.nodes);
  std::vector<std::int32_t> moved_nodes;
  for (std::size_t i = 0; i < n; ++i)
    if (moved[i] != 0) moved_nodes.push_back(static_cast<std::int32_t>(i));
  const auto is_cls = [&](std::size_t i) {
    return sub.token_types[i] == static_cast<std::int32_t>(pipeline::NodeType::cls);
  };
  const double* const at = xy.data();
  const auto apart = [&](std::size_t i, std::size_t j) {
    if (i == j || is_cls(i) || is_cls(j)) return 0.0F;
    const double dx = at[2 * i] - at[2 * j], dy = at[2 * i + 1] - at[2 * j + 1];
    return static_cast<float>(std::sqrt(dx * dx + dy * dy));
  };
  PairDistances after;
  after.nodes = before.nodes;
  after.row_offsets.assign(n + 1, 0);
  const std::size_t room = before.columns.size() + 2 * moved_nodes.size() * n;
  after.columns.reserve(room);
  after.values.reserve(room);
  const auto put = [&after](std::size_t column, float value) {
    after.columns.push_back(static_cast<std::int32_t>(column));
    after.values.push_back(value);
  };
  for (std::size_t i = 0; i < n; ++i) {
    if (moved[i] != 0) {
      for (std::size_t j = 0; j < n; ++j) put(j, apart(i, j));
    } else {
      auto e = static_cast<std::size_t>(before.row_offsets[i]);
      const auto end = static_cast<std::size_t>(before.row_offsets[i + 1]);
      for (const std::int32_t next : moved_nodes) {
        for (; e < end && before.columns[e] < next; ++e)
          put(static_cast<std::size_t>(before.columns[e]), before.values[e]);
        if (e < end && before.columns[e] == next) ++e;
        put(static_cast<std::size_t>(next), apart(i, static_cast<std::size_t>(next)));
      }
      for (; e < end; ++e) put(static_cast<std::size_t>(before.columns[e]), before.values[e]);
    }
    after.row_offsets[i + 1] = after.entries();
  }
  return after;
}

/// Labelled pairs: listed before the moves, two different cells, one of them chosen at least.
inline void label_pairs(const pipeline::SubSlice& sub, const std::vector<std::uint8_t>& chosen,
                        TrainingSample& sample) {
  const PairDistances& d = sub.distances;
  const auto is_cell = [&](std::size_t i) {
    return sub.token_types[i] == static_cast<std::int32_t>(pipeline::NodeType::cell);
  };
  for (std::size_t i = 0; i < static_cast<std::size_t>(d.nodes); ++i) {
    if (!is_cell(i)) continue;
    for (auto e = static_cast<std::size_t>(d.row_offsets[i]);
         e < static_cast<std::size_t>(d.row_offsets[i + 1]); ++e) {
      const auto j = static_cast<std::size_t>(d.columns[e]);
      if (j == i || !is_cell(j) || (chosen[i] | chosen[j]) == 0 || d.values[e] == far_distance) continue;
      sample.pair_rows.push_back(static_cast<std::int64_t>(i));
      sample.pair_columns.push_back(static_cast<std::int64_t>(j));
      sample.pair_targets.push_back(d.values[e]);
    }
  }
}

inline void check_masking(const pipeline::SubSlice& sub, const Tensor<float>& features,
                          const MaskingDraws& draws, std::int64_t cells, std::int64_t moved) {
  const std::int64_t n = sub.nodes();
  const auto refuse = [](const char* what, std::string found, std::string expected) {
    throw ShapeError({"STOFM-4501", "", concat("[mask_sub_slice] ", what), std::move(found),
                      std::move(expected), "Take features and draws of this very piece."});
  };
  if (features.rank() != 2 || features.dim(0) != n || !features.is_contiguous())
    refuse("features", to_string(features.shape()), concat("[", n, ", C], rows dense"));
  if (sub.distances.nodes != n || sub.xy.rank() != 2 || sub.xy.dim(0) != n || sub.xy.dim(1) != 2)
    refuse("sub-slice",
           concat(sub.distances.nodes, " nodes in its distances, xy ", to_string(sub.xy.shape())),
           concat(n, " nodes in both"));
  require_permutation(draws.mcm_permutation, cells);
  require_permutation(draws.pdr_permutation, cells);
  if (draws.pdr_noise.rank() != 2 || draws.pdr_noise.dim(0) < moved || draws.pdr_noise.dim(1) != 2)
    refuse("noise", to_string(draws.pdr_noise.shape()), concat("[", moved, ", 2]"));
  for (const float v : features.span())
    if (!std::isfinite(v))
      throw DataError({"STOFM-4502", "", "[mask_sub_slice] features", concat(v), "finite numbers",
                       "Check what computed the cell features."});
}

}  // namespace detail

STOFM_INLINE TrainingSample mask_sub_slice(const pipeline::SubSlice& sub, const Tensor<float>& features,
                                           const MaskingDraws& draws, const MaskingOptions& options);

}  // namespace stofm::train

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto train::mask_sub_slice(const pipeline::SubSlice& sub, const Tensor<float>& features,
                                        const MaskingDraws& draws, const MaskingOptions& options)
    -> TrainingSample {
  options.validate();
  const std::vector<std::int64_t> cells = detail::cell_nodes(sub);
  const auto count = static_cast<std::int64_t>(cells.size());
  const MaskingCounts counts = masking_counts(count, options);
  detail::check_masking(sub, features, draws, count, counts.moved);
  TrainingSample sample;
  if (count == 0 || counts.starved(options)) {
    sample.state = SampleState::too_few_cells;
    return sample;
  }
  const std::int64_t n = sub.nodes(), width = features.dim(1);
  if (counts.moved + counts.pdr_kept > 0) {
    detail::label_pairs(
        sub, detail::mark_nodes(cells, draws.pdr_permutation, counts.moved + counts.pdr_kept, n), sample);
    if (sample.pair_rows.empty()) {
      sample.state = SampleState::nothing_labelled;
      return sample;
    }
  }
  sample.token_types = sub.token_types;
  sample.features = features.clone();
  const std::int64_t predicted = counts.masked + counts.mcm_kept;
  sample.mcm_targets = Tensor<float>({predicted, width});
  for (std::int64_t i = 0; i < predicted; ++i) {
    const std::int64_t node =
        cells[static_cast<std::size_t>(draws.mcm_permutation[static_cast<std::size_t>(i)])];
    sample.mcm_nodes.push_back(node);
    std::copy_n(features.data() + node * width, width, sample.mcm_targets.data() + i * width);
    if (i < counts.masked) std::fill_n(sample.features.data() + node * width, width, masked_feature);
  }
  sample.distances =
      counts.moved == 0
          ? sub.distances
          : detail::moved_distances(
                sub, detail::moved_coordinates(sub, cells, draws, counts.moved, options.sigma_factor),
                detail::mark_nodes(cells, draws.pdr_permutation, counts.moved, n));
  return sample;
}

}  // namespace stofm
#endif

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Whether pretraining learns something: both objectives on held-out pieces with masks that never change,
/// beside what predictors without a model reach on the same cells and pairs.
///
///   MCM  cosine of prediction and F over masked cells;
///        mean F of the 10 visible cells nearest at the places that the model sees (some cells are moved, and
///        that may be the masked one); mean F of the piece
///   PDR  mean squared error over labelled pairs that a move touched;
///        the best constant; the best constant for each kind of pair (one end moved, both); the distance as
///        it was moved
///
/// The constants are fitted on the very pairs they are judged on, so they are as strong as constants get.
/// Predicted but unmasked or unmoved cells are left out: there the answer is in the input.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "stofm/train/judged_model.hpp"

namespace stofm::train {

struct ValidationOptions {
  std::int64_t most_pieces = 64;  ///< spread evenly over all pieces of the held-out slices
  std::uint64_t seed = 0x76616c;  ///< of the masks; not that of the run, so that runs can be compared
};

/// A held-out piece with what it was made from.
struct MaskedPiece {
  LoadedPiece loaded;
  pipeline::SubSlice sub;
  MaskingDraws draws;
};

/// Sums over cells and pairs.
struct ValidationSums {
  double cells = 0, pairs = 0;
  double mcm_cosine = 0, neighbour_cosine = 0, mean_cosine = 0;
  double pdr_squares = 0, moved_squares = 0;
  std::array<double, 2> kind_count{}, kind_sum{}, kind_squares{};  ///< one end moved, both: target distances

  void add(const ValidationSums& other);
  /// As a list, to be summed over processes, and back.
  std::vector<double> numbers() const;
  static ValidationSums from_numbers(const std::vector<double>& numbers);
  /// Figures by name. Empty without cells.
  nlohmann::json figures() const;
};

/// Held-out pieces.
class PretrainValidation {
 public:
  PretrainValidation(Corpus& corpus, const std::vector<std::int64_t>& slices, const MaskingOptions& masking,
                     const ValidationOptions& options = {});

  std::int64_t pieces() const { return static_cast<std::int64_t>(refs_.size()); }
  /// Evaluates this process's share of the pieces. *Cost* one forward pass a piece. *Deterministic* yes.
  ValidationSums evaluate(const JudgedModel& model, int rank = 0, int ranks = 1);

 private:
  Corpus& corpus_;
  MaskingOptions masking_;
  ValidationOptions options_;
  std::vector<PieceRef> refs_;
};

/// One piece; nothing is recorded.
inline ValidationSums validate_piece(const MaskedPiece& piece, const JudgedModel& model,
                                     const MaskingOptions& masking);
inline ValidationSums validate_piece(const MaskedPiece& piece, const PretrainStep& step,
                                     const MaskingOptions& masking) {
  return validate_piece(piece, judged_model(step), masking);
}

namespace detail {

/// Mean of given rows of [nodes, C].
inline std::vector<float> mean_of_rows(const Tensor<float>& rows, const std::vector<std::int64_t>& which) {
  const std::int64_t width = rows.dim(1);
  std::vector<double> sum(static_cast<std::size_t>(width));
  for (const std::int64_t row : which)
    for (std::int64_t c = 0; c < width; ++c)
      sum[static_cast<std::size_t>(c)] += static_cast<double>(rows.data()[row * width + c]);
  std::vector<float> mean(sum.size());
  for (std::size_t c = 0; c < sum.size(); ++c)
    mean[c] = static_cast<float>(sum[c] / static_cast<double>((std::max<std::size_t>)(which.size(), 1)));
  return mean;
}

/// The `count` visible cells nearest to a node; ties by index. \param xy [nodes, 2]
inline std::vector<std::int64_t> nearest_visible(const Tensor<double>& xy, std::int64_t node,
                                                 const std::vector<std::int64_t>& visible,
                                                 std::size_t count) {
  std::vector<std::pair<double, std::int64_t>> order;
  order.reserve(visible.size());
  for (const std::int64_t other : visible) {
    const double dx = xy(other, 0) - xy(node, 0), dy = xy(other, 1) - xy(node, 1);
    order.emplace_back(dx * dx + dy * dy, other);
  }
  count = (std::min)(count, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end());
  std::vector<std::int64_t> nearest;
  for (std::size_t i = 0; i < count; ++i) nearest.push_back(order[i].second);
  return nearest;
}

/// What trivial predictors reach on the masked cells.
inline void validate_cells(const MaskedPiece& piece, const MaskingCounts& counts, double sigma_factor,
                           ValidationSums& sums) {
  const std::int64_t masked = counts.masked;
  const Tensor<double> seen =
      moved_coordinates(piece.sub, cell_nodes(piece.sub), piece.draws, counts.moved, sigma_factor);
  const TrainingSample& sample = piece.loaded.sample;
  const std::int64_t width = sample.mcm_targets.dim(1);
  std::vector<std::uint8_t> hidden(static_cast<std::size_t>(sample.nodes()), 0);
  for (std::int64_t i = 0; i < masked; ++i)
    hidden[static_cast<std::size_t>(sample.mcm_nodes[static_cast<std::size_t>(i)])] = 1;
  std::vector<std::int64_t> visible;
  for (std::int64_t node = piece.sub.first_cell(); node < sample.nodes(); ++node)
    if (hidden[static_cast<std::size_t>(node)] == 0) visible.push_back(node);
  const std::vector<float> mean = mean_of_rows(sample.features, visible);
  for (std::int64_t i = 0; i < masked; ++i) {
    const float* target = sample.mcm_targets.data() + i * width;
    const std::int64_t node = sample.mcm_nodes[static_cast<std::size_t>(i)];
    const auto around = mean_of_rows(sample.features, nearest_visible(seen, node, visible, 10));
    sums.cells += 1;
    sums.neighbour_cosine += cosine(around.data(), target, width);
    sums.mean_cosine += cosine(mean.data(), target, width);
  }
}

inline TouchedPairs touched_pairs(const MaskedPiece& piece, std::int64_t moved, ValidationSums& sums) {
  const TrainingSample& sample = piece.loaded.sample;
  const auto marks = mark_nodes(cell_nodes(piece.sub), piece.draws.pdr_permutation, moved, sample.nodes());
  TouchedPairs touched;
  for (std::size_t p = 0; p < sample.pair_targets.size(); ++p) {
    const auto i = static_cast<std::size_t>(sample.pair_rows[p]),
               j = static_cast<std::size_t>(sample.pair_columns[p]);
    if ((marks[i] | marks[j]) == 0) continue;
    const double target = static_cast<double>(sample.pair_targets[p]);
    touched.rows.push_back(sample.pair_rows[p]);
    touched.columns.push_back(sample.pair_columns[p]);
    touched.targets.push_back(sample.pair_targets[p]);
    const std::size_t kind = marks[i] & marks[j];
    sums.kind_count[kind] += 1;
    sums.kind_sum[kind] += target;
    sums.kind_squares[kind] += target * target;
    const PairDistances& d = sample.distances;
    const auto begin = d.columns.begin() + d.row_offsets[i], end = d.columns.begin() + d.row_offsets[i + 1];
    const auto at = std::lower_bound(begin, end, static_cast<std::int32_t>(j));
    const double seen = at != end && *at == static_cast<std::int32_t>(j)
                            ? static_cast<double>(d.values[static_cast<std::size_t>(at - d.columns.begin())])
                            : static_cast<double>(far_distance);
    sums.moved_squares += (seen - target) * (seen - target);
  }
  return touched;
}

inline MaskedPiece held_out_piece(Corpus& corpus, const PieceRef& ref, const MaskingOptions& masking,
                                  std::uint64_t seed) {
  MaskedPiece piece;
  piece.loaded.ref = ref;
  piece.loaded.slice = corpus.slice(ref.slice);
  const PreparedSlice& slice = *piece.loaded.slice;
  piece.sub = slice.sub_slice(ref.piece);
  piece.loaded.node_cells = piece.sub.node_cells;
  piece.draws = draw_masks(piece.sub.nodes() - piece.sub.first_cell(),
                           masking_key(ref, MaskDraws::fixed, seed), masking);
  piece.loaded.sample =
      mask_sub_slice(piece.sub, slice.node_features(piece.sub, ref.piece), piece.draws, masking);
  return piece;
}

}  // namespace detail

inline ValidationSums validate_piece(const MaskedPiece& piece, const JudgedModel& model,
                                     const MaskingOptions& masking) {
  ValidationSums sums;
  if (!piece.loaded.sample.usable()) return sums;
  const MaskingCounts counts = masking_counts(piece.sub.nodes() - piece.sub.first_cell(), masking);
  detail::validate_cells(piece, counts, masking.sigma_factor, sums);
  const TouchedPairs touched = detail::touched_pairs(piece, counts.moved, sums);
  sums.pairs = static_cast<double>(touched.targets.size());
  const ModelSums reached = model(piece.loaded, counts.masked, touched);
  sums.mcm_cosine = reached.cosines;
  sums.pdr_squares = reached.squares;
  return sums;
}

inline PretrainValidation::PretrainValidation(Corpus& corpus, const std::vector<std::int64_t>& slices,
                                              const MaskingOptions& masking, const ValidationOptions& options)
    : corpus_(corpus), masking_(masking), options_(options) {
  std::vector<PieceRef> all;
  for (const SlicePieces& slice : corpus.pieces_of(slices))
    for (std::int64_t p = 0; p < slice.pieces; ++p) all.push_back({slice.slice, p, 0});
  const auto count = static_cast<std::int64_t>(all.size());
  const std::int64_t take = (std::min)(count, options_.most_pieces);
  for (std::int64_t i = 0; i < take; ++i) refs_.push_back(all[static_cast<std::size_t>(i * count / take)]);
}

inline ValidationSums PretrainValidation::evaluate(const JudgedModel& model, int rank, int ranks) {
  ValidationSums sums;
  for (auto i = static_cast<std::size_t>(rank); i < refs_.size(); i += static_cast<std::size_t>(ranks))
    sums.add(
        validate_piece(detail::held_out_piece(corpus_, refs_[i], masking_, options_.seed), model, masking_));
  return sums;
}

inline void ValidationSums::add(const ValidationSums& o) {
  cells += o.cells, pairs += o.pairs;
  mcm_cosine += o.mcm_cosine, neighbour_cosine += o.neighbour_cosine, mean_cosine += o.mean_cosine;
  pdr_squares += o.pdr_squares, moved_squares += o.moved_squares;
  for (std::size_t k = 0; k < 2; ++k) {
    kind_count[k] += o.kind_count[k];
    kind_sum[k] += o.kind_sum[k];
    kind_squares[k] += o.kind_squares[k];
  }
}

inline std::vector<double> ValidationSums::numbers() const {
  std::vector<double> list{cells,       pairs,       mcm_cosine,   neighbour_cosine,
                           mean_cosine, pdr_squares, moved_squares};
  for (const auto* kinds : {&kind_count, &kind_sum, &kind_squares})
    list.insert(list.end(), kinds->begin(), kinds->end());
  return list;
}

inline ValidationSums ValidationSums::from_numbers(const std::vector<double>& n) {
  return {n.at(0),
          n.at(1),
          n.at(2),
          n.at(3),
          n.at(4),
          n.at(5),
          n.at(6),
          {n.at(7), n.at(8)},
          {n.at(9), n.at(10)},
          {n.at(11), n.at(12)}};
}

inline nlohmann::json ValidationSums::figures() const {
  nlohmann::json result = nlohmann::json::object();
  if (cells > 0) {
    result["cells"] = cells;
    result["mcm_cosine"] = mcm_cosine / cells;
    result["mcm_cosine_neighbours"] = neighbour_cosine / cells;
    result["mcm_cosine_mean"] = mean_cosine / cells;
  }
  if (pairs > 0) {
    const auto spread = [](double count, double sum, double squares) {
      return count > 0 ? squares - sum * sum / count : 0;
    };
    result["pairs"] = pairs;
    result["pdr_error"] = pdr_squares / pairs;
    result["pdr_error_constant"] =
        spread(pairs, kind_sum[0] + kind_sum[1], kind_squares[0] + kind_squares[1]) / pairs;
    result["pdr_error_kind"] = (spread(kind_count[0], kind_sum[0], kind_squares[0]) +
                                spread(kind_count[1], kind_sum[1], kind_squares[1])) /
                               pairs;
    result["pdr_error_as_moved"] = moved_squares / pairs;
  }
  return result;
}

}  // namespace stofm::train

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// In which order pieces are drawn. An epoch visits every piece once, or pieces_per_slice pieces of each
/// slice; epochs follow each other without a gap, so a batch may span two of them. The order is a pure
/// function of (seed, epoch, the list of slices, pieces_per_slice, window_bytes): position {epoch, index} is
/// all there is to save, and global batch b is the same list whatever the number of ranks, rank r taking
/// places r * batch to (r + 1) * batch of it.
///
/// Windows: slices are shuffled, then grouped in that order until a group holds `window_bytes`; pieces are
/// shuffled within a group. So a corpus that is larger than memory is read once an epoch and not once a
/// piece. With half the memory of the corpus as the window, the next group is read while this one is in use.
/// *Source* our own choice.

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "stofm/core/random_key.hpp"
#include "stofm/train/masking_draws.hpp"

namespace stofm::train {

/// One slice as the sampler sees it.
struct SlicePieces {
  std::int64_t slice = 0;  ///< index in the corpus
  std::int64_t pieces = 0;
  std::int64_t bytes = 0;  ///< in memory; for windows only
};

struct SamplerOptions {
  std::uint64_t seed = 0;
  std::int64_t batch = 1;  ///< pieces per rank and batch
  int rank = 0, ranks = 1;
  bool shuffle = true;  ///< false: in the order of the list (validation)
  std::int64_t window_bytes =
      0;  ///< 0: one window. Changes the order: keep it over a run, whatever the memory
  /// 0: an epoch visits every piece once. N: it takes N pieces of every slice, so that slices count alike
  /// however large they are. A slice of more pieces goes on in the next epoch where it stopped; one of fewer
  /// begins again, in another order.
  std::int64_t pieces_per_slice = 0;

  /// \throws UsageError for values out of range.
  void validate() const {
    if (batch < 1 || ranks < 1 || rank < 0 || rank >= ranks || window_bytes < 0 || pieces_per_slice < 0)
      throw UsageError({"STOFM-4535", "", "sampler",
                        concat("batch ", batch, ", rank ", rank, " of ", ranks, ", window ", window_bytes,
                               ", pieces per slice ", pieces_per_slice),
                        "batch >= 1, 0 <= rank < ranks, window >= 0, pieces per slice >= 0",
                        "Check the options."});
  }
};

/// Where a sampler is: `index` pieces of `epoch` have been drawn by all ranks together. 0 <= index < pieces.
struct SamplerPosition {
  std::int64_t epoch = 0, index = 0;
  friend bool operator==(const SamplerPosition&, const SamplerPosition&) = default;
};

/// A piece that was drawn.
struct PieceRef {
  std::int64_t slice = 0;  ///< index in the corpus
  std::int64_t piece = 0;  ///< of PreparedSlice
  std::int64_t epoch = 0;  ///< how often the pieces of the slice had been drawn before: masks differ by it
  friend bool operator==(const PieceRef&, const PieceRef&) = default;
};

/// Draws pieces. Not for several threads at once. Copies go on independently.
class CorpusSampler {
 public:
  /// \throws UsageError for options out of range or without any piece.
  CorpusSampler(std::vector<SlicePieces> slices, const SamplerOptions& options);

  /// This rank's pieces of the next global batch. *Cost* O(1) a piece, O(pieces) where an epoch begins.
  std::vector<PieceRef> next();
  /// The next global batch, all ranks' pieces: [batch * ranks].
  std::vector<PieceRef> next_global();

  SamplerPosition position() const { return position_; }
  /// \throws UsageError (STOFM-4537) for a position that this corpus does not have.
  void restore(const SamplerPosition& position);

  const SamplerOptions& options() const { return options_; }
  std::int64_t pieces_per_epoch() const { return pieces_; }
  /// Pieces of all ranks in a batch.
  std::int64_t global_batch() const { return options_.batch * options_.ranks; }
  /// Batches until `epochs` epochs are over, from the very start; the last may reach into the next epoch.
  std::int64_t batches_in(std::int64_t epochs) const {
    return (checked_mul(epochs, pieces_, "batches") + global_batch() - 1) / global_batch();
  }
  /// The order of an epoch: a pure function of it.
  std::vector<PieceRef> epoch_order(std::int64_t epoch) const;

 private:
  const PieceRef& draw();
  /// Pieces of a slice that an epoch draws.
  std::int64_t drawn(const SlicePieces& slice) const {
    return slice.pieces > 0 && options_.pieces_per_slice > 0 ? options_.pieces_per_slice : slice.pieces;
  }
  void append_pieces(const SlicePieces& slice, std::int64_t epoch, std::vector<PieceRef>& order) const;

  std::vector<SlicePieces> slices_;
  SamplerOptions options_;
  std::int64_t pieces_ = 0;
  SamplerPosition position_;
  std::int64_t ordered_epoch_ = -1;  ///< epoch that `order_` is of
  std::vector<PieceRef> order_;
};

namespace detail {
inline constexpr std::uint64_t slice_order_purpose = 0x736c69636573, piece_order_purpose = 0x706965636573,
                               visit_order_purpose = 0x7669736974;
}  // namespace detail

inline CorpusSampler::CorpusSampler(std::vector<SlicePieces> slices, const SamplerOptions& options)
    : slices_(std::move(slices)), options_(options) {
  options_.validate();
  checked_mul(options_.batch, options_.ranks, "global batch");
  for (const auto& slice : slices_) pieces_ = checked_add(pieces_, drawn(slice), "pieces");
  if (pieces_ == 0)
    throw UsageError({"STOFM-4536", "", "sampler", concat(slices_.size(), " slices without a piece"),
                      "at least one piece", "Check the list of slices."});
}

inline void CorpusSampler::append_pieces(const SlicePieces& slice, std::int64_t epoch,
                                         std::vector<PieceRef>& order) const {
  if (options_.pieces_per_slice == 0) {
    for (std::int64_t p = 0; p < slice.pieces; ++p) order.push_back({slice.slice, p, epoch});
    return;
  }
  // Draw k of a slice is place k % pieces of its visit k / pieces, and each visit has an order of its own.
  const std::int64_t first = checked_mul(epoch, options_.pieces_per_slice, "pieces");
  std::int64_t visit = -1;
  std::vector<std::int64_t> pieces;
  for (std::int64_t k = first; k < first + drawn(slice); ++k) {
    if (visit != k / slice.pieces) {
      visit = k / slice.pieces;
      pieces.resize(static_cast<std::size_t>(slice.pieces));
      std::iota(pieces.begin(), pieces.end(), std::int64_t{0});
      const RandomKey key{.seed = options_.seed, .step = static_cast<std::uint64_t>(visit)};
      if (options_.shuffle)
        pieces = detail::random_permutation(slice.pieces, key.child(detail::visit_order_purpose)
                                                              .child(static_cast<std::uint64_t>(slice.slice))
                                                              .generator());
    }
    order.push_back({slice.slice, pieces[static_cast<std::size_t>(k % slice.pieces)], visit});
  }
}

inline std::vector<PieceRef> CorpusSampler::epoch_order(std::int64_t epoch) const {
  std::vector<std::int64_t> slice_order(slices_.size());
  std::iota(slice_order.begin(), slice_order.end(), std::int64_t{0});
  const RandomKey key{.seed = options_.seed, .step = static_cast<std::uint64_t>(epoch)};
  if (options_.shuffle)
    slice_order = detail::random_permutation(static_cast<std::int64_t>(slices_.size()),
                                             key.child(detail::slice_order_purpose).generator());
  std::vector<PieceRef> order;
  order.reserve(static_cast<std::size_t>(pieces_));
  std::uint64_t window = 0;
  for (std::size_t at = 0; at < slice_order.size(); ++window) {
    const std::size_t begin = order.size();
    std::int64_t bytes = 0;
    do {
      const SlicePieces& slice = slices_[static_cast<std::size_t>(slice_order[at])];
      append_pieces(slice, epoch, order);
      bytes += slice.bytes;
      ++at;
    } while (at < slice_order.size() &&
             (options_.window_bytes == 0 ||
              bytes + slices_[static_cast<std::size_t>(slice_order[at])].bytes <= options_.window_bytes));
    if (!options_.shuffle) continue;
    Random random = key.child(detail::piece_order_purpose).child(window).generator();
    for (std::size_t i = order.size() - begin; i > 1; --i)
      std::swap(order[begin + i - 1], order[begin + random.below(i)]);
  }
  return order;
}

inline const PieceRef& CorpusSampler::draw() {
  if (ordered_epoch_ != position_.epoch) {
    order_ = epoch_order(position_.epoch);
    ordered_epoch_ = position_.epoch;
  }
  const PieceRef& piece = order_[static_cast<std::size_t>(position_.index)];
  if (++position_.index == pieces_) position_ = {position_.epoch + 1, 0};
  return piece;
}

inline std::vector<PieceRef> CorpusSampler::next_global() {
  std::vector<PieceRef> batch;
  for (std::int64_t i = 0; i < global_batch(); ++i) batch.push_back(draw());
  return batch;
}

inline std::vector<PieceRef> CorpusSampler::next() {
  const std::vector<PieceRef> all = next_global();
  const auto begin = all.begin() + options_.rank * options_.batch;
  return {begin, begin + options_.batch};
}

inline void CorpusSampler::restore(const SamplerPosition& position) {
  if (position.epoch < 0 || position.index < 0 || position.index >= pieces_)
    throw UsageError(
        {"STOFM-4537", "", "position", concat("piece ", position.index, " of epoch ", position.epoch),
         concat("0 to ", pieces_ - 1), "The corpus has changed since: train on the same slices."});
  position_ = position;
}

}  // namespace stofm::train

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// In which order cells are drawn. An epoch visits every cell once, in batches of cells of one slice: they
/// share the panel of candidate genes, and telling cells of one tissue apart is harder than telling tissues
/// apart. Slices are shuffled and taken `slices_at_once` at a time; the batches of those are shuffled
/// together. So few slices need to be in memory. All of it follows from (seed, epoch, cells and tokens of the
/// slices): the position, two numbers, is all there is to save. *Source* our own choice.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <vector>

#include "stofm/train/adapt_slices.hpp"

namespace stofm::train {

struct CellBatchOptions {
  std::uint64_t seed = 0;
  std::int64_t cells = 128;          ///< of a batch, at most
  std::int64_t tokens = 65536;       ///< of a batch, about at most: slices of long cells have smaller batches
  std::int64_t slices_at_once = 16;  ///< changes the order: keep it over a run
  std::int64_t rank = 0, ranks = 1;  ///< each process takes every `ranks`-th batch
  bool shuffle = true;               ///< false: in the order of the files (validation)

  /// \throws UsageError STOFM-4574.
  void validate() const {
    if (cells < 1 || tokens < 1 || slices_at_once < 1 || ranks < 1 || rank < 0 || rank >= ranks)
      throw UsageError({"STOFM-4574", "", "batches",
                        concat(cells, " cells, ", tokens, " tokens, ", slices_at_once, " slices, rank ", rank,
                               " of ", ranks),
                        "sizes of at least 1, 0 <= rank < ranks", "Check the options."});
  }
};

/// Cells to train on at once.
struct CellBatch {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};  ///< [cells + 1]
  std::shared_ptr<const GenePanel> panel;
  std::int64_t slice = 0, epoch = 0;
  std::vector<std::int64_t> cells;  ///< which cells of the TokenSlice

  std::int64_t size() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

/// Where a sampler is: `batch` global batches of `epoch` have been drawn.
struct CellBatchPosition {
  std::int64_t epoch = 0, batch = 0;
  friend bool operator==(const CellBatchPosition&, const CellBatchPosition&) = default;
};

/// Copies the given cells of a slice. \p cells are indices in the TokenSlice
inline CellBatch gather_cells(const TokenSlice& slice, std::vector<std::int64_t> cells) {
  CellBatch batch;
  for (const std::int64_t cell : cells) {
    const auto c = static_cast<std::size_t>(cell);
    batch.tokens.insert(batch.tokens.end(), slice.tokens.begin() + slice.offsets[c],
                        slice.tokens.begin() + slice.offsets[c + 1]);
    batch.offsets.push_back(static_cast<std::int64_t>(batch.tokens.size()));
  }
  batch.panel = slice.panel;
  batch.cells = std::move(cells);
  return batch;
}

/// Draws batches. Refers to the corpus, which must outlive it. Not for several threads at once.
class CellBatches {
 public:
  /// \throws UsageError as `validate`, or STOFM-4574 if there are fewer batches than processes.
  CellBatches(TokenCorpus& corpus, const CellBatchOptions& options) : corpus_(&corpus), options_(options) {
    options.validate();
    for (const auto& entry : corpus.entries()) {
      const std::int64_t length = (entry.tokens + entry.cells - 1) / entry.cells;
      const std::int64_t most =
          (std::max<std::int64_t>)((std::min)(options.cells, options.tokens / length), 1);
      counts_.push_back((entry.cells + most - 1) / most);
      batches_ += counts_.back();
    }
    if (batches_ < options.ranks)
      throw UsageError({"STOFM-4574", "", "batches",
                        concat(batches_, " batches for ", options.ranks, " processes"), "at least one each",
                        "Use fewer processes or smaller batches."});
  }

  /// This process's next batch. Epochs follow each other.
  CellBatch next() {
    if (position_.batch >= batches_per_epoch()) position_ = {position_.epoch + 1, 0};
    order();
    const Place place = order_[static_cast<std::size_t>(position_.batch * options_.ranks + options_.rank)];
    CellBatch batch = gather_cells(*corpus_->slice(place.slice), cells_of(place));
    batch.slice = place.slice;
    batch.epoch = position_.epoch;
    ++position_.batch;
    return batch;
  }

  CellBatchPosition position() const { return position_; }
  /// \throws UsageError STOFM-4574 for a position that this corpus does not have.
  void restore(const CellBatchPosition& position) {
    if (position.epoch < 0 || position.batch < 0 || position.batch > batches_per_epoch())
      throw UsageError(
          {"STOFM-4574", "", "position", concat("batch ", position.batch, " of epoch ", position.epoch),
           concat("0 to ", batches_per_epoch()), "Resume with the slices and options of the run."});
    position_ = position;
  }
  /// Batches of each process in an epoch; up to ranks - 1 batches are left out at its end.
  std::int64_t batches_per_epoch() const { return batches_ / options_.ranks; }
  const CellBatchOptions& options() const { return options_; }

 private:
  struct Place {
    std::int64_t slice, part;  // part of counts_[slice]
  };
  template <class Item>
  static void shuffle(std::vector<Item>& items, std::size_t begin, std::size_t end, Random random) {
    for (std::size_t i = begin; i + 1 < end; ++i) std::swap(items[i], items[i + random.below(end - i)]);
  }
  RandomKey key(std::uint64_t purpose) const {
    return RandomKey{options_.seed, 0x63656c6c73, static_cast<std::uint64_t>(position_.epoch)}.child(purpose);
  }
  /// The order of the epoch at hand.
  void order() {
    if (ordered_ == position_.epoch) return;
    std::vector<std::int64_t> slices(counts_.size());
    std::iota(slices.begin(), slices.end(), 0);
    if (options_.shuffle) shuffle(slices, 0, slices.size(), key(0).generator());
    order_.clear();
    order_.reserve(static_cast<std::size_t>(batches_));
    for (std::size_t first = 0; first < slices.size();) {
      const std::size_t begin = order_.size();
      const std::size_t last =
          (std::min)(slices.size(), first + static_cast<std::size_t>(options_.slices_at_once));
      for (; first < last; ++first)
        for (std::int64_t part = 0; part < counts_[static_cast<std::size_t>(slices[first])]; ++part)
          order_.push_back({slices[first], part});
      if (options_.shuffle) shuffle(order_, begin, order_.size(), key(1).child(first).generator());
    }
    permutations_.clear();
    ordered_ = position_.epoch;
  }
  /// Cells of a part: the slice's shuffled cells cut into nearly equal parts.
  std::vector<std::int64_t> cells_of(const Place& place) {
    const std::int64_t cells = corpus_->entries()[static_cast<std::size_t>(place.slice)].cells,
                       parts = counts_[static_cast<std::size_t>(place.slice)];
    if (!permutations_.contains(place.slice)) {
      if (static_cast<std::int64_t>(permutations_.size()) >= 2 * options_.slices_at_once)
        permutations_.clear();
      std::vector<std::int64_t> all(static_cast<std::size_t>(cells));
      std::iota(all.begin(), all.end(), 0);
      if (options_.shuffle)
        shuffle(all, 0, all.size(), key(2).child(static_cast<std::uint64_t>(place.slice)).generator());
      permutations_.emplace(place.slice, std::move(all));
    }
    const auto& all = permutations_.at(place.slice);
    const std::int64_t size = cells / parts, longer = cells % parts;
    const std::int64_t begin = place.part * size + (std::min)(place.part, longer);
    const std::int64_t end = begin + size + (place.part < longer ? 1 : 0);
    std::vector<std::int64_t> result(all.begin() + begin, all.begin() + end);
    std::sort(result.begin(), result.end());
    return result;
  }

  TokenCorpus* corpus_;
  CellBatchOptions options_;
  std::vector<std::int64_t> counts_;  // batches of each slice
  std::int64_t batches_ = 0;
  CellBatchPosition position_;
  std::int64_t ordered_ = -1;
  std::vector<Place> order_;
  std::map<std::int64_t, std::vector<std::int64_t>> permutations_;
};

}  // namespace stofm::train

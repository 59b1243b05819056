// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which pairs of a batch of sub-slices have a listed bias, or are asked for, in the order in which the
/// kernels of pair attention meet them. Host C++: built once per batch, copied to the device in one piece,
/// used by all layers.
///
/// The [n, n] pairs of a sub-slice are cut into strips of 16 x 64, once by rows (16 queries x 64 keys) and
/// once by columns (16 keys x 64 queries): what one warp holds in its accumulators. A strip without entries
/// costs the kernels one comparison.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "stofm/backend/cuda/pair_strips.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/parallel.hpp"

namespace stofm::backend {

/// Pairs by strip. Device pointers; `offsets` null: none.
struct PairStrips {
  const std::int64_t* offsets = nullptr;     ///< [strips + 1] into the others
  const std::uint16_t* positions = nullptr;  ///< own % 16 * 64 + other % 64; ascending in a strip
  const std::int32_t* entries = nullptr;     ///< number of the pair in the caller's order
};

/// What the kernels read. Device pointers.
struct PairBatch {
  std::int64_t slices = 0;
  std::int64_t nodes = 0;                      ///< of all sub-slices
  std::int64_t tiles = 0;                      ///< of 64 nodes
  std::int64_t entries = 0;                    ///< listed bias pairs of all sub-slices
  std::int64_t pairs = 0;                      ///< asked pairs of all sub-slices
  const std::int32_t* node_offsets = nullptr;  ///< [slices + 1]
  const std::int32_t* tile_slice = nullptr;    ///< [tiles] sub-slice
  const std::int32_t* tile_first = nullptr;    ///< [tiles] first node, from the start of the sub-slice
  const std::int64_t* first_strip = nullptr;   ///< [slices]
  PairStrips bias_by_row, bias_by_column;
  PairStrips pairs_by_row, pairs_by_column;
};

/// Which strips a plan has: backward walks over columns too.
enum class PairSides { rows, rows_and_columns };

/// Collects sub-slices, then says what to copy. *Memory* 12 bytes per entry and pair, and 32 n^2 / 1024; half
/// of it without columns.
class PairBatchPlan {
 public:
  /// Appends sub-slices; their lists must lie where they are until they are written. Entries and pairs of
  /// later ones are numbered on. \throws ResourceError STOFM-6051 beyond 2^31 - 1 nodes, entries or pairs in
  /// one batch.
  void add(std::span<const SlicePairs> slices, PairSides sides = PairSides::rows_and_columns);
  /// Appends one.
  void add(std::span<const std::int64_t> row_offsets, std::span<const std::int32_t> columns,
           std::span<const std::int64_t> asked_rows = {}, std::span<const std::int64_t> asked_columns = {}) {
    const SlicePairs one{row_offsets, columns, asked_rows, asked_columns};
    add({&one, 1});
  }

  /// Appends the nodes of a sub-slice whose listed pairs the device sorts itself
  /// (kernels/pair_index/): nodes, tiles and strips are numbered on, no pair is listed. \throws as
  /// add().
  void add_nodes(std::int64_t n);

  std::int64_t slices() const { return static_cast<std::int64_t>(first_strip_.size()); }
  std::int64_t nodes() const { return node_offsets_.back(); }
  std::int64_t entries() const { return entries_; }
  std::int64_t pairs() const { return pairs_; }
  std::int64_t strips() const { return strips_; }  ///< by row; as many by column
  std::span<const std::int32_t> node_offsets() const { return node_offsets_; }

  /// Bytes of the copy.
  std::int64_t bytes() const {
    Place place{nullptr, 0};
    layout(place);
    return place.at;
  }
  /// Writes them to host memory (pinned, if the copy is to overlap), 8-byte aligned: sub-slices are put in
  /// order side by side on all threads. *Deterministic* at any thread count.
  void write(std::byte* to) const;
  /// The batch, once those bytes stand at `device` (8-byte aligned).
  PairBatch view(const std::byte* device) const {
    Place place{device, 0};
    return layout(place);
  }
  void clear() { *this = PairBatchPlan(); }

 private:
  /// \throws ResourceError STOFM-6051 if so much more does not fit a batch.
  void check_room(std::int64_t n, std::int64_t listed, std::int64_t asked) const;
  /// A sub-slice and where it stands in the batch.
  struct Part {
    SlicePairs slice;
    std::int64_t strips = 0, entries = 0, pairs = 0;
  };
  /// Strips of one sub-slice in a section of the copy; none if the section is not there.
  static detail::StripPlaces places(const PairStrips& section, std::int64_t strips, std::int64_t before) {
    if (section.offsets == nullptr) return {};
    return {writable(section.offsets) + strips + 1, writable(section.positions) + before,
            writable(section.entries) + before};
  }
  template <class V>
  static V* writable(const V* place) {  // in the memory that `write` was given
    return const_cast<V*>(place);
  }
  /// Sections one after the other, each at a multiple of 8 bytes.
  struct Place {
    const std::byte* base;
    std::int64_t at;
    template <class V>
    const V* take(std::int64_t count) {
      const auto* place = base != nullptr ? reinterpret_cast<const V*>(base + at) : nullptr;
      at += (count * static_cast<std::int64_t>(sizeof(V)) + 7) / 8 * 8;
      return place;
    }
  };
  /// One order of parts for counting, writing and viewing.
  PairBatch layout(Place& to) const {
    PairBatch batch;
    batch.slices = slices();
    batch.nodes = nodes();
    batch.tiles = static_cast<std::int64_t>(tile_slice_.size());
    batch.entries = entries_;
    batch.pairs = pairs_;
    batch.node_offsets = to.take<std::int32_t>(slices() + 1);
    batch.tile_slice = to.take<std::int32_t>(batch.tiles);
    batch.tile_first = to.take<std::int32_t>(batch.tiles);
    batch.first_strip = to.take<std::int64_t>(slices());
    const auto strips = [&](std::int64_t count) {
      PairStrips result;
      result.offsets = to.take<std::int64_t>(strips_ + 1);
      result.positions = to.take<std::uint16_t>(count);
      result.entries = to.take<std::int32_t>(count);
      return result;
    };
    const bool columns = sides_ == PairSides::rows_and_columns;
    if (entries_ > 0) batch.bias_by_row = strips(entries_);
    if (entries_ > 0 && columns) batch.bias_by_column = strips(entries_);
    if (pairs_ > 0) batch.pairs_by_row = strips(pairs_);
    if (pairs_ > 0 && columns) batch.pairs_by_column = strips(pairs_);
    return batch;
  }

  PairSides sides_ = PairSides::rows_and_columns;
  std::vector<std::int32_t> node_offsets_{0}, tile_slice_, tile_first_;
  std::vector<std::int64_t> first_strip_;
  std::int64_t strips_ = 0, entries_ = 0, pairs_ = 0;
  std::vector<Part> parts_;  // one a sub-slice
};

inline void PairBatchPlan::check_room(std::int64_t n, std::int64_t listed, std::int64_t asked) const {
  constexpr std::int64_t most = (std::numeric_limits<std::int32_t>::max)();
  if (nodes() > most - n || entries_ > most - listed || pairs_ > most - asked)
    throw ResourceError({"STOFM-6051", "", "[PairBatchPlan]",
                         concat(nodes(), " + ", n, " nodes, ", entries_, " + ", listed, " listed pairs, ",
                                pairs_, " + ", asked, " asked pairs"),
                         "at most 2^31 - 1 of each in one batch", "Use smaller batches."});
}

inline void PairBatchPlan::add_nodes(std::int64_t n) {
  check_room(n, 0, 0);
  const auto slice = static_cast<std::int32_t>(slices());
  for (std::int64_t first = 0; first < n; first += pair_tile) {
    tile_slice_.push_back(slice);
    tile_first_.push_back(static_cast<std::int32_t>(first));
  }
  first_strip_.push_back(strips_);
  parts_.push_back({{}, strips_, entries_, pairs_});
  strips_ += strip_count(n);
  node_offsets_.push_back(static_cast<std::int32_t>(nodes() + n));
}

inline void PairBatchPlan::add(std::span<const SlicePairs> slices, PairSides sides) {
  sides_ = sides;
  for (const SlicePairs& slice : slices) {
    const auto listed = static_cast<std::int64_t>(slice.columns.size()),
               asked = static_cast<std::int64_t>(slice.asked_rows.size());
    const auto n = static_cast<std::int64_t>(slice.row_offsets.size()) - 1;
    check_room(n, listed, asked);
    add_nodes(n);
    parts_.back().slice = slice;
    entries_ += listed;
    pairs_ += asked;
  }
}

inline void PairBatchPlan::write(std::byte* to) const {
  const PairBatch at = view(to);
  const auto put = []<class V>(const V* place, const std::vector<V>& values) {
    std::copy(values.begin(), values.end(), writable(place));
  };
  put(at.node_offsets, node_offsets_);
  put(at.tile_slice, tile_slice_);
  put(at.tile_first, tile_first_);
  put(at.first_strip, first_strip_);
  const PairStrips sections[] = {at.bias_by_row, at.bias_by_column, at.pairs_by_row, at.pairs_by_column};
  for (const PairStrips& section : sections)
    if (section.offsets != nullptr) *writable(section.offsets) = 0;
  parallel_for(slices(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const Part& part = parts_[i];
      const auto write = [&](const detail::PairLists& by_row, std::int64_t before, const PairStrips& rows,
                             const PairStrips& columns) {
        detail::write_strips(by_row, before, places(rows, part.strips, before),
                             places(columns, part.strips, before));
      };
      if (at.bias_by_row.offsets != nullptr)
        write({part.slice.row_offsets, part.slice.columns}, part.entries, at.bias_by_row, at.bias_by_column);
      if (at.pairs_by_row.offsets != nullptr)
        write(detail::asked_by_row(part.slice).view(), part.pairs, at.pairs_by_row, at.pairs_by_column);
    }
  });
}

}  // namespace stofm::backend

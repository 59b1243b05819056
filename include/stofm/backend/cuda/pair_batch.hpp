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
#include <numeric>
#include <span>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::backend {

inline constexpr std::int64_t pair_tile = 64;        ///< rows of a block, columns of a strip
inline constexpr std::int64_t pair_strip_rows = 16;  ///< rows of a strip

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

/// Collects sub-slices, then says what to copy. *Memory* 12 bytes per entry and pair, and 32 n^2 / 1024.
class PairBatchPlan {
 public:
  /// Appends one sub-slice. *Shapes* row_offsets: [n + 1] from 0, columns: [row_offsets.back()] ascending
  /// within a row (as PairList; checked by whoever made it); asked_rows, asked_columns: [pairs] in
  /// [0, n), any order, repeats are fine. Entries and pairs of later sub-slices are numbered on. \throws
  /// ResourceError STOFM-6051 beyond 2^31 - 1 nodes, entries or pairs in one batch.
  void add(std::span<const std::int64_t> row_offsets, std::span<const std::int32_t> columns,
           std::span<const std::int64_t> asked_rows = {}, std::span<const std::int64_t> asked_columns = {});

  /// Appends the nodes of a sub-slice whose listed pairs the device sorts itself
  /// (backend/cuda/pair_index.hpp): nodes, tiles and strips are numbered on, no pair is listed. \throws as
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
    Writer count{nullptr, 0};
    layout(count);
    return count.at;
  }
  /// Writes them to host memory (pinned, if the copy is to overlap), 8-byte aligned.
  void write(std::byte* to) const {
    Writer writer{to, 0};
    layout(writer);
  }
  /// The batch, once those bytes stand at `device` (8-byte aligned).
  PairBatch view(const std::byte* device) const {
    Viewer viewer{device, 0};
    return layout(viewer);
  }
  void clear() { *this = PairBatchPlan(); }

 private:
  /// \throws ResourceError STOFM-6051 if so much more does not fit a batch.
  void check_room(std::int64_t n, std::int64_t listed, std::int64_t asked) const;
  /// Pairs of one sub-slice by their own side, others ascending: row lists, or column lists.
  struct Lists {
    std::vector<std::int64_t> offsets;  ///< [n + 1]
    std::vector<std::int32_t> others, entries;
    /// The same pairs by the other side. Equal pairs stay in their order.
    Lists transposed(std::int64_t n) const;
  };
  struct Strips {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint16_t> positions;
    std::vector<std::int32_t> entries;
    /// Strips of one sub-slice of n nodes. Sorted lists leave each strip sorted by position.
    void add(std::int64_t n, const Lists& lists);
  };
  struct Writer {
    std::byte* to;
    std::int64_t at;
    template <class V>
    const V* put(const std::vector<V>& values) {
      const auto size = static_cast<std::int64_t>(values.size() * sizeof(V));
      if (to != nullptr && size > 0) std::memcpy(to + at, values.data(), static_cast<std::size_t>(size));
      at += (size + 7) / 8 * 8;
      return nullptr;
    }
  };
  struct Viewer {
    const std::byte* base;
    std::int64_t at;
    template <class V>
    const V* put(const std::vector<V>& values) {
      const auto* place = reinterpret_cast<const V*>(base + at);
      at += (static_cast<std::int64_t>(values.size() * sizeof(V)) + 7) / 8 * 8;
      return place;
    }
  };
  /// One order of parts for counting, writing and viewing.
  template <class To>
  PairBatch layout(To& to) const {
    const auto strips = [&](const Strips& s) {
      return PairStrips{to.put(s.offsets), to.put(s.positions), to.put(s.entries)};
    };
    PairBatch batch{slices(),
                    nodes(),
                    static_cast<std::int64_t>(tile_slice_.size()),
                    entries_,
                    pairs_,
                    to.put(node_offsets_),
                    to.put(tile_slice_),
                    to.put(tile_first_),
                    to.put(first_strip_),
                    {},
                    {},
                    {},
                    {}};
    if (entries_ > 0) {
      batch.bias_by_row = strips(bias_by_row_);
      batch.bias_by_column = strips(bias_by_column_);
    }
    if (pairs_ > 0) {
      batch.pairs_by_row = strips(pairs_by_row_);
      batch.pairs_by_column = strips(pairs_by_column_);
    }
    return batch;
  }

  std::vector<std::int32_t> node_offsets_{0}, tile_slice_, tile_first_;
  std::vector<std::int64_t> first_strip_;
  std::int64_t strips_ = 0, entries_ = 0, pairs_ = 0;
  Strips bias_by_row_, bias_by_column_, pairs_by_row_, pairs_by_column_;
};

inline PairBatchPlan::Lists PairBatchPlan::Lists::transposed(std::int64_t n) const {
  Lists result{std::vector<std::int64_t>(static_cast<std::size_t>(n) + 1),
               std::vector<std::int32_t>(others.size()), std::vector<std::int32_t>(others.size())};
  std::vector<std::int64_t> next(static_cast<std::size_t>(n) + 1);
  for (const std::int32_t other : others) ++next[static_cast<std::size_t>(other) + 1];
  for (std::size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
  result.offsets = next;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
    for (auto p = static_cast<std::size_t>(offsets[i]); p < static_cast<std::size_t>(offsets[i + 1]); ++p) {
      const auto at = static_cast<std::size_t>(next[static_cast<std::size_t>(others[p])]++);
      result.others[at] = static_cast<std::int32_t>(i);
      result.entries[at] = entries[p];
    }
  return result;
}

inline void PairBatchPlan::Strips::add(std::int64_t n, const Lists& lists) {
  const auto tiles = static_cast<std::size_t>((n + pair_tile - 1) / pair_tile);
  const std::size_t base = positions.size();
  positions.resize(base + lists.others.size());
  entries.resize(base + lists.others.size());
  std::vector<std::size_t> next(tiles + 1);
  const auto tile_of = [](std::int32_t other) {
    return static_cast<std::size_t>(other / static_cast<std::int32_t>(pair_tile));
  };
  for (std::int64_t first = 0; first < n; first += pair_strip_rows) {
    const std::int64_t last = (std::min)(n, first + pair_strip_rows);
    const auto begin = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(first)]),
               end = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(last)]);
    std::fill(next.begin(), next.end(), 0);
    for (std::size_t p = begin; p < end; ++p) ++next[tile_of(lists.others[p]) + 1];
    next[0] = base + begin;
    for (std::size_t t = 0; t < tiles; ++t) {
      next[t + 1] += next[t];
      offsets.push_back(static_cast<std::int64_t>(next[t + 1]));
    }
    for (std::int64_t own = first; own < last; ++own)
      for (auto p = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(own)]);
           p < static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(own) + 1]); ++p) {
        const std::size_t at = next[tile_of(lists.others[p])]++;
        positions[at] = static_cast<std::uint16_t>((own - first) * pair_tile + lists.others[p] % pair_tile);
        entries[at] = lists.entries[p];
      }
  }
}

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
  strips_ += (n + pair_strip_rows - 1) / pair_strip_rows * ((n + pair_tile - 1) / pair_tile);
  node_offsets_.push_back(static_cast<std::int32_t>(nodes() + n));
}

inline void PairBatchPlan::add(std::span<const std::int64_t> row_offsets,
                               std::span<const std::int32_t> columns,
                               std::span<const std::int64_t> asked_rows,
                               std::span<const std::int64_t> asked_columns) {
  const auto n = static_cast<std::int64_t>(row_offsets.size()) - 1;
  const auto listed = static_cast<std::int64_t>(columns.size()),
             asked = static_cast<std::int64_t>(asked_rows.size());
  check_room(n, listed, asked);
  add_nodes(n);

  const auto numbers = [](std::int64_t from, std::size_t count) {
    std::vector<std::int32_t> result(count);
    std::iota(result.begin(), result.end(), static_cast<std::int32_t>(from));
    return result;
  };
  const Lists by_row{{row_offsets.begin(), row_offsets.end()},
                     {columns.begin(), columns.end()},
                     numbers(entries_, columns.size())};
  bias_by_row_.add(n, by_row);
  bias_by_column_.add(n, by_row.transposed(n));
  // Asked pairs come in any order: by column first, which leaves the columns of a row sorted after that.
  Lists asked_by_column{{}, {}, {}};
  {
    std::vector<std::int64_t> next(static_cast<std::size_t>(n) + 1);
    for (const std::int64_t column : asked_columns) ++next[static_cast<std::size_t>(column) + 1];
    for (std::size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
    asked_by_column = {next, std::vector<std::int32_t>(asked_rows.size()),
                       std::vector<std::int32_t>(asked_rows.size())};
    for (std::size_t p = 0; p < asked_rows.size(); ++p) {
      const auto at = static_cast<std::size_t>(next[static_cast<std::size_t>(asked_columns[p])]++);
      asked_by_column.others[at] = static_cast<std::int32_t>(asked_rows[p]);
      asked_by_column.entries[at] = static_cast<std::int32_t>(pairs_ + static_cast<std::int64_t>(p));
    }
  }
  const Lists asked_by_row = asked_by_column.transposed(n);
  pairs_by_row_.add(n, asked_by_row);
  pairs_by_column_.add(n, asked_by_row.transposed(n));
  entries_ += listed;
  pairs_ += asked;
}

}  // namespace stofm::backend

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The pairs of one sub-slice sorted into the strips that pair attention reads: counting sorts on one thread.
/// Host C++. *Cost* three passes over the pairs by row, five by column.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace stofm::backend {

inline constexpr std::int64_t pair_tile = 64;        ///< rows of a block, columns of a strip
inline constexpr std::int64_t pair_strip_rows = 16;  ///< rows of a strip

/// Pairs of one sub-slice. *Shapes* row_offsets: [n + 1] from 0, columns: [row_offsets.back()] ascending
/// within a row (as PairList; checked by whoever made it); asked_rows, asked_columns: [pairs] in [0, n), any
/// order, repeats are fine.
struct SlicePairs {
  std::span<const std::int64_t> row_offsets = {};
  std::span<const std::int32_t> columns = {};
  std::span<const std::int64_t> asked_rows = {}, asked_columns = {};
};

namespace detail {

/// Pairs by their own side, others ascending: row lists, or column lists.
struct PairLists {
  std::span<const std::int64_t> offsets;  ///< [n + 1]
  std::span<const std::int32_t> others;
  const std::int32_t* entries = nullptr;  ///< null: pair p is entry p
  std::int32_t entry(std::size_t p) const {
    return entries != nullptr ? entries[p] : static_cast<std::int32_t>(p);
  }
};
struct OwnPairLists {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> others, entries;
  PairLists view() const { return {offsets, others, entries.data()}; }
};
/// Strips of one sub-slice, entries from 0. Sorted lists leave each strip sorted by position.
struct SliceStrips {
  std::vector<std::int64_t> ends;  ///< of each strip
  std::vector<std::uint16_t> positions;
  std::vector<std::int32_t> entries;
  explicit SliceStrips(const PairLists& lists);
  SliceStrips() = default;
};

/// Where the pairs of each node begin, [size]: pairs counted by `node_of`.
template <class Node>
std::vector<std::int64_t> counted_offsets(std::span<const Node> node_of, std::size_t size) {
  std::vector<std::int64_t> offsets(size);
  for (const Node node : node_of) ++offsets[static_cast<std::size_t>(node) + 1];
  for (std::size_t i = 1; i < size; ++i) offsets[i] += offsets[i - 1];
  return offsets;
}

/// The same pairs by the other side. Equal pairs stay in their order.
inline OwnPairLists transposed(const PairLists& lists) {
  OwnPairLists result{counted_offsets(lists.others, lists.offsets.size()),
                      std::vector<std::int32_t>(lists.others.size()),
                      std::vector<std::int32_t>(lists.others.size())};
  std::vector<std::int64_t> next = result.offsets;
  for (std::size_t i = 0; i + 1 < lists.offsets.size(); ++i)
    for (auto p = static_cast<std::size_t>(lists.offsets[i]);
         p < static_cast<std::size_t>(lists.offsets[i + 1]); ++p) {
      const auto at = static_cast<std::size_t>(next[static_cast<std::size_t>(lists.others[p])]++);
      result.others[at] = static_cast<std::int32_t>(i);
      result.entries[at] = lists.entry(p);
    }
  return result;
}

/// Asked pairs come in any order: by column first, which leaves the columns of a row sorted after that.
inline OwnPairLists asked_by_column(const SlicePairs& slice) {
  OwnPairLists result{counted_offsets(slice.asked_columns, slice.row_offsets.size()),
                      std::vector<std::int32_t>(slice.asked_rows.size()),
                      std::vector<std::int32_t>(slice.asked_rows.size())};
  std::vector<std::int64_t> next = result.offsets;
  for (std::size_t p = 0; p < slice.asked_rows.size(); ++p) {
    const auto at = static_cast<std::size_t>(next[static_cast<std::size_t>(slice.asked_columns[p])]++);
    result.others[at] = static_cast<std::int32_t>(slice.asked_rows[p]);
    result.entries[at] = static_cast<std::int32_t>(p);
  }
  return result;
}

inline SliceStrips::SliceStrips(const PairLists& lists)
    : positions(lists.others.size()), entries(lists.others.size()) {
  const auto n = static_cast<std::int64_t>(lists.offsets.size()) - 1;
  const auto tiles = static_cast<std::size_t>((n + pair_tile - 1) / pair_tile);
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
    next[0] = begin;
    for (std::size_t t = 0; t < tiles; ++t) {
      next[t + 1] += next[t];
      ends.push_back(static_cast<std::int64_t>(next[t + 1]));
    }
    for (std::int64_t own = first; own < last; ++own)
      for (auto p = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(own)]);
           p < static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(own) + 1]); ++p) {
        const std::size_t at = next[tile_of(lists.others[p])]++;
        positions[at] = static_cast<std::uint16_t>((own - first) * pair_tile + lists.others[p] % pair_tile);
        entries[at] = lists.entry(p);
      }
  }
}

}  // namespace detail

}  // namespace stofm::backend

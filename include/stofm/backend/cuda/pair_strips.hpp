// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The pairs of one sub-slice put in the order of the strips that pair attention reads, on one thread. Host
/// C++. *Cost* two passes over the pairs by row; by column one more and a walk where each pair has its mirror
/// in the list, as those of the pipeline have, else a counting sort and two passes.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace stofm::backend {

inline constexpr std::int64_t pair_tile = 64;        ///< rows of a block, columns of a strip
inline constexpr std::int64_t pair_strip_rows = 16;  ///< rows of a strip

/// Strips of a sub-slice of n nodes, by row; as many by column.
constexpr std::int64_t strip_count(std::int64_t n) {
  return (n + pair_strip_rows - 1) / pair_strip_rows * ((n + pair_tile - 1) / pair_tile);
}

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
  std::vector<std::int32_t> others, entries;  ///< no entries: pair p is entry p
  PairLists view() const { return {offsets, others, entries.empty() ? nullptr : entries.data()}; }
};
/// Where the strips of one sub-slice go.
struct StripPlaces {
  std::int64_t* ends = nullptr;  ///< [strips]
  std::uint16_t* positions = nullptr;
  std::int32_t* entries = nullptr;
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

/// Asked pairs by row, columns ascending. As labels have them they come in that order.
inline OwnPairLists asked_by_row(const SlicePairs& slice) {
  const std::size_t pairs = slice.asked_rows.size();
  for (std::size_t p = 1; p < pairs; ++p)
    if (slice.asked_rows[p - 1] > slice.asked_rows[p] ||
        (slice.asked_rows[p - 1] == slice.asked_rows[p] &&
         slice.asked_columns[p - 1] > slice.asked_columns[p]))
      return transposed(asked_by_column(slice).view());
  OwnPairLists result{
      counted_offsets(slice.asked_rows, slice.row_offsets.size()), std::vector<std::int32_t>(pairs), {}};
  for (std::size_t p = 0; p < pairs; ++p)
    result.others[p] = static_cast<std::int32_t>(slice.asked_columns[p]);
  return result;
}

/// The place in the list of the pair (j, i) for each pair (i, j), by one walk over those with i <= j: the
/// mirrors in a row come in its order. Of repeated pairs the first has the first. \return false if a pair has
/// no mirror; `places` is of no use then.
inline bool find_mirrors(std::span<const std::int64_t> offsets, std::span<const std::int32_t> others,
                         std::span<std::int32_t> places) {
  // Of each row the first pair whose mirror has not come.
  std::vector<std::int64_t> next(offsets.begin(), offsets.end() - 1);
  for (std::size_t i = 0; i < next.size(); ++i) {
    const auto own = static_cast<std::int32_t>(i);
    for (std::int64_t p = next[i]; p < offsets[i + 1]; ++p) {
      const std::int32_t other = others[static_cast<std::size_t>(p)];
      if (other < own) return false;
      std::int64_t mirror = p;
      if (other != own) {
        mirror = next[static_cast<std::size_t>(other)]++;
        if (mirror >= offsets[static_cast<std::size_t>(other) + 1] ||
            others[static_cast<std::size_t>(mirror)] != own)
          return false;
      }
      places[static_cast<std::size_t>(p)] = static_cast<std::int32_t>(mirror);
      places[static_cast<std::size_t>(mirror)] = static_cast<std::int32_t>(p);
    }
  }
  return true;
}

/// Lists into strips, band of 16 rows by band: counted, then put in place. `before` is added to ends and
/// entries. Sorted lists leave each strip sorted by position.
inline void write_strips(const PairLists& lists, std::int64_t before, const StripPlaces& to) {
  const auto n = static_cast<std::int64_t>(lists.offsets.size()) - 1;
  const auto tiles = static_cast<std::size_t>((n + pair_tile - 1) / pair_tile);
  const std::int32_t* const others = lists.others.data();
  std::uint16_t* const positions = to.positions;
  std::int32_t* const entries = to.entries;
  const auto first_entry = static_cast<std::int32_t>(before);
  constexpr auto tile = static_cast<std::uint32_t>(pair_tile);
  std::vector<std::int32_t> next(tiles + 1);
  std::int64_t* ends = to.ends;
  for (std::int64_t first = 0; first < n; first += pair_strip_rows) {
    const std::int64_t last = (std::min)(n, first + pair_strip_rows);
    const std::int64_t begin = lists.offsets[static_cast<std::size_t>(first)],
                       end = lists.offsets[static_cast<std::size_t>(last)];
    std::fill(next.begin(), next.end(), 0);
    for (std::int64_t p = begin; p < end; ++p) ++next[static_cast<std::uint32_t>(others[p]) / tile + 1];
    next[0] = static_cast<std::int32_t>(begin);
    for (std::size_t t = 0; t < tiles; ++t) {
      next[t + 1] += next[t];
      *ends++ = before + next[t + 1];
    }
    std::uint32_t place = 0;
    for (std::int64_t own = first; own < last; ++own, place += tile) {
      const std::int64_t row_end = lists.offsets[static_cast<std::size_t>(own) + 1];
      for (std::int64_t p = lists.offsets[static_cast<std::size_t>(own)]; p < row_end; ++p) {
        const auto other = static_cast<std::uint32_t>(others[p]);
        const std::int32_t at = next[other / tile]++;
        positions[at] = static_cast<std::uint16_t>(place + other % tile);
        entries[at] = first_entry + lists.entry(static_cast<std::size_t>(p));
      }
    }
  }
}

/// Strips by row and, unless `by_column` has no places, by column, of lists by row.
inline void write_strips(const PairLists& lists, std::int64_t before, const StripPlaces& by_row,
                         const StripPlaces& by_column) {
  write_strips(lists, before, by_row);
  if (by_column.ends == nullptr) return;
  const std::size_t pairs = lists.others.size();
  std::vector<std::int32_t> mirrors(pairs);
  if (lists.entries != nullptr || !find_mirrors(lists.offsets, lists.others, mirrors))
    return write_strips(transposed(lists).view(), before, by_column);
  // The rows that list a column are the columns that its row lists: only the entries differ.
  std::copy_n(by_row.ends, strip_count(static_cast<std::int64_t>(lists.offsets.size()) - 1), by_column.ends);
  std::copy_n(by_row.positions, pairs, by_column.positions);
  const auto first = static_cast<std::int32_t>(before);
  for (std::size_t e = 0; e < pairs; ++e)
    by_column.entries[e] = mirrors[static_cast<std::size_t>(by_row.entries[e] - first)] + first;
}

}  // namespace detail

}  // namespace stofm::backend

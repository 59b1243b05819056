// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Many sequences as packed chunks of bounded size, in the order of their lengths, so that neighbours in a
/// chunk cost about the same.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace stofm::model::detail {

/// Some sequences, one after the other.
struct SequenceChunk {
  std::vector<std::int64_t> cells;       ///< which sequence each is, in the caller's order
  std::vector<std::int64_t> offsets{0};  ///< [cells + 1]
  std::vector<std::int32_t> tokens;
};

/// Calls body(chunk) until every sequence had its turn; equal lengths keep the caller's order. A chunk holds
/// at most `tokens_per_chunk` tokens, or one sequence. Which sequences share a chunk depends on the lengths
/// only.
template <class Body>
void for_chunks(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                std::int64_t tokens_per_chunk, Body&& body) {
  std::vector<std::int64_t> order(offsets.size() - 1);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto length = [&](std::int64_t cell) {
    return offsets[static_cast<std::size_t>(cell) + 1] - offsets[static_cast<std::size_t>(cell)];
  };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return length(a) < length(b); });
  for (std::size_t next = 0; next < order.size();) {
    SequenceChunk chunk;
    while (next < order.size() &&
           (chunk.cells.empty() || chunk.offsets.back() + length(order[next]) <= tokens_per_chunk)) {
      const std::int64_t cell = order[next++], begin = offsets[static_cast<std::size_t>(cell)];
      chunk.cells.push_back(cell);
      chunk.tokens.insert(chunk.tokens.end(), tokens.begin() + begin, tokens.begin() + begin + length(cell));
      chunk.offsets.push_back(static_cast<std::int64_t>(chunk.tokens.size()));
    }
    body(std::as_const(chunk));
  }
}

}  // namespace stofm::model::detail

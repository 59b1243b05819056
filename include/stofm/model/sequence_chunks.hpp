// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Many sequences as packed chunks of bounded size, in the order of their lengths, so that neighbours in a
/// chunk cost about the same.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::model::detail {

/// Some sequences, one after the other.
struct SequenceChunk {
  std::vector<std::int64_t> cells;       ///< which sequence each is, in the caller's order
  std::vector<std::int64_t> offsets{0};  ///< [cells + 1]
  std::vector<std::int32_t> tokens;
};

/// \throws ShapeError STOFM-1327 for bad offsets; DataError STOFM-1340 for a sequence that is empty or longer
/// than `longest`, STOFM-1341 for a token outside [0, vocabulary), each with the cell.
inline void check_sequences(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                            std::int64_t longest, std::int64_t vocabulary) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != count ||
      !std::is_sorted(offsets.begin(), offsets.end()))
    throw ShapeError({"STOFM-1327", "", "[CellEncoder] offsets",
                      concat(offsets.size(), " offsets", offsets.empty() ? "" : " ending in ",
                             offsets.empty() ? "" : std::to_string(offsets.back())),
                      concat("ascending offsets from 0 to ", count, ", one more than cells"),
                      "Check the offsets."});
  for (std::size_t cell = 0; cell + 1 < offsets.size(); ++cell) {
    const std::int64_t length = offsets[cell + 1] - offsets[cell];
    if (length < 1 || length > longest)
      throw DataError({"STOFM-1340", "", concat("tokens of cell ", cell), concat(length, " tokens"),
                       concat("1 to max_position_embeddings = ", longest),
                       "Cut longer cells by rank; a cell without genes is its <cls> token alone."});
    for (std::int64_t i = offsets[cell]; i < offsets[cell + 1]; ++i) {
      const std::int32_t token = tokens[static_cast<std::size_t>(i)];
      if (token < 0 || token >= vocabulary)
        throw DataError({"STOFM-1341", "", concat("token ", i - offsets[cell], " of cell ", cell),
                         concat("token id ", token), concat("0 to vocab_size - 1 = ", vocabulary - 1),
                         "The gene table and the weights must belong together."});
    }
  }
}

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

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which block computes what in attention over packed sequences: a host list of tiles, from the offsets, that
/// the device reads. Sequences are never padded, and no block searches for its sequence.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/core/checked.hpp"

namespace stofm::kernels {

/// Up to 64 rows of one sequence that a block owns, queries or keys.
struct AttentionTile {
  std::int64_t query_begin = 0;        ///< row of the sequence's first query
  std::int64_t key_begin = 0;          ///< row of its first key
  std::int64_t first_weight = 0;       ///< number of its first weight, for dropout
  std::int32_t queries = 0, keys = 0;  ///< of the sequence
  std::int32_t first = 0;              ///< first owned row, within the sequence
  std::int32_t sequence = 0;
};

/// Weights are numbered as on the CPU (backend/cpu/varlen_attention.hpp): sequence by sequence,
/// head by head, rows padded to a multiple of 16.
constexpr std::int64_t padded_keys(std::int64_t keys) { return (keys + 15) / 16 * 16; }

struct AttentionPlan {
  std::vector<AttentionTile> of_queries;  ///< for the forward pass and the gradient of queries
  std::vector<AttentionTile> of_keys;     ///< for the gradients of keys and values
};

/// Tiles of `rows` rows, longest sequences first, so that no long one is left for the end.
/// \throws Error if a count overflows; sequences are at most 2^31 - 1 long.
inline AttentionPlan plan_attention(std::span<const std::int64_t> query_offsets,
                                    std::span<const std::int64_t> key_offsets, std::int64_t heads,
                                    std::int64_t rows) {
  AttentionPlan plan;
  std::vector<AttentionTile> sequences;
  std::int64_t next_weight = 0;
  for (std::size_t s = 0; s + 1 < key_offsets.size(); ++s) {
    AttentionTile tile;
    tile.query_begin = query_offsets[s];
    tile.key_begin = key_offsets[s];
    tile.queries = static_cast<std::int32_t>(query_offsets[s + 1] - query_offsets[s]);
    tile.keys = static_cast<std::int32_t>(key_offsets[s + 1] - key_offsets[s]);
    tile.first_weight = next_weight;
    tile.sequence = static_cast<std::int32_t>(s);
    next_weight = checked_add(
        next_weight,
        checked_mul(checked_mul(heads, tile.queries, "weights"), padded_keys(tile.keys), "weights"),
        "weights");
    sequences.push_back(tile);
  }
  std::stable_sort(sequences.begin(), sequences.end(),
                   [](const AttentionTile& a, const AttentionTile& b) { return a.keys > b.keys; });
  for (AttentionTile tile : sequences) {
    for (std::int64_t first = 0; first < tile.queries; first += rows) {
      tile.first = static_cast<std::int32_t>(first);
      plan.of_queries.push_back(tile);
    }
    for (std::int64_t first = 0; first < tile.keys; first += rows) {
      tile.first = static_cast<std::int32_t>(first);
      plan.of_keys.push_back(tile);
    }
  }
  return plan;
}

}  // namespace stofm::kernels

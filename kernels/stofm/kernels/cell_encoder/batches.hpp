// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sequences in batches of bounded size, longest first: host arithmetic of the cell encoder on a device.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "stofm/backend/cuda/cell_encoder.hpp"
#include "stofm/core/error.hpp"
#include "stofm/kernels/gemm/problem.hpp"

namespace stofm::kernels::cell_encoder {

/// Rows of products come in multiples of this, so that batches share the plans of the GEMM library.
inline constexpr std::int64_t row_granule = 128;
constexpr std::int64_t padded_rows(std::int64_t rows) {
  return (rows + row_granule - 1) / row_granule * row_granule;
}

/// How much one batch may hold.
struct BatchLimits {
  std::int64_t tokens = 0, cells = 0;
};

/// Bytes of a token in the buffer that holds split q, k, v or the activated feed-forward part.
inline std::int64_t parts_bytes(const backend::CudaCellEncoderSizes& s, Precision precision) {
  const std::int64_t wide = operand_bytes(left_form(precision), 1, s.intermediate_size);
  return precision == Precision::split_bf16
             ? (std::max)(wide, operand_bytes(OperandForm::split_pair, 1, 3 * s.hidden_size))
             : wide;
}

/// Bytes of activations per token and per cell of a batch, and of what is asked for in all.
struct ActivationBytes {
  std::int64_t per_token = 0, per_cell = 0;
};
inline ActivationBytes activation_bytes(const backend::CudaCellEncoderSizes& s, Precision precision) {
  const OperandForm form = left_form(precision);
  const std::int64_t w = s.hidden_size, f = s.intermediate_size,
                     result = precision == Precision::bf16 ? 2 : 4;
  ActivationBytes bytes;
  // x, operand, y, wide result, parts, token and place
  bytes.per_token = 4 * w + operand_bytes(form, 1, w) + result * w + result * (std::max)(3 * w, f) +
                    parts_bytes(s, precision) + 8;
  bytes.per_cell = 4 * (3 * w + 2 * s.heads * w + f + s.projection_dim) + 16;
  return bytes;
}

/// Tokens of a batch: what is asked for, else what `memory` allows for `slots` batches at once, at most
/// 65,536; a longest sequence always fits. \throws ResourceError STOFM-6003 if it does not.
inline BatchLimits batch_limits(const backend::CudaCellEncoderSizes& s, Precision precision,
                                std::int64_t asked, std::int64_t memory, int slots) {
  constexpr std::int64_t most = 65536, tokens_per_cell = 16;
  const ActivationBytes bytes = activation_bytes(s, precision);
  const std::int64_t each =
      slots * (bytes.per_token + (bytes.per_cell + tokens_per_cell - 1) / tokens_per_cell);
  std::int64_t tokens = asked > 0 ? asked : (std::min)(most, memory / each / row_granule * row_granule);
  tokens = padded_rows((std::max)(tokens, s.positions));
  if (memory > 0 && tokens * each > memory)
    throw ResourceError({"STOFM-6003", "", "[cell encoder]",
                         concat("no room for batches of ", tokens, " tokens: ", (tokens * each) >> 20,
                                " MiB, and ", memory >> 20, " MiB may be used"),
                         concat("at most ", memory / each, " tokens; the longest sequence has ", s.positions),
                         "Use a smaller --batch, or another device."});
  return {tokens, padded_rows((std::max)(tokens / tokens_per_cell, std::int64_t{1}))};
}

/// Some sequences of a batch, by their number.
struct Batch {
  std::size_t first = 0, last = 0;  ///< range of the order
  std::int64_t tokens = 0;
};

/// Sequences by length, longest first, equal ones in their order.
inline std::vector<std::int64_t> longest_first(std::span<const std::int64_t> offsets) {
  std::vector<std::int64_t> order(offsets.size() - 1);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto length = [&](std::int64_t s) {
    return offsets[static_cast<std::size_t>(s) + 1] - offsets[static_cast<std::size_t>(s)];
  };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return length(a) > length(b); });
  return order;
}
inline std::vector<Batch> cut_batches(std::span<const std::int64_t> order,
                                      std::span<const std::int64_t> offsets, const BatchLimits& limits) {
  std::vector<Batch> batches;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto s = static_cast<std::size_t>(order[i]);
    const std::int64_t length = offsets[s + 1] - offsets[s];
    if (batches.empty() || batches.back().tokens + length > limits.tokens ||
        static_cast<std::int64_t>(i - batches.back().first) >= limits.cells)
      batches.push_back({i, i, 0});
    batches.back().last = i + 1;
    batches.back().tokens += length;
  }
  return batches;
}

/// \throws UsageError STOFM-6042, STOFM-6043.
inline void check_input(const backend::CudaCellEncoderSizes& s, std::span<const std::int32_t> tokens,
                        std::span<const std::int64_t> offsets, std::size_t results) {
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != static_cast<std::int64_t>(tokens.size()) ||
      !std::is_sorted(offsets.begin(), offsets.end()) ||
      results != (offsets.size() - 1) * static_cast<std::size_t>(s.projection_dim))
    throw UsageError(
        {"STOFM-6042", "", "[CudaCellEncoder]",
         concat(tokens.size(), " tokens, ", offsets.size(), " offsets, room for ", results, " numbers"),
         concat("ascending offsets from 0 to the number of tokens, ", s.projection_dim,
                " numbers a sequence"),
         "Check the spans."});
  for (std::size_t cell = 0; cell + 1 < offsets.size(); ++cell) {
    const std::int64_t length = offsets[cell + 1] - offsets[cell];
    if (length < 1 || length > s.positions)
      throw UsageError({"STOFM-6043", "", concat("tokens of cell ", cell), concat(length, " tokens"),
                        concat("1 to ", s.positions), "Cut longer cells by rank."});
  }
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= s.vocab_size)
      throw UsageError({"STOFM-6043", "", concat("token ", i), concat("token id ", tokens[i]),
                        concat("0 to ", s.vocab_size - 1),
                        "The gene table and the weights must belong together."});
}

}  // namespace stofm::kernels::cell_encoder

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The gene scale: counts of a slice -> tokens -> cell embeddings, streamed in blocks of cells, so that
/// neither the counts nor the tokens of the whole slice are ever in memory. *Source* SPEC sections 1 and 2.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/io/slice.hpp"
#include "stofm/ops/l2_normalize.hpp"
#include "stofm/pipeline/centred_rows.hpp"
#include "stofm/pipeline/gene_tokenizer.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/pipeline/progress.hpp"

namespace stofm::pipeline {

/// Cell embeddings and what happened on the way.
struct CellEmbeddings {
  Tensor<float> features{};                      ///< [cells, width], rows of length 1
  std::vector<std::int64_t> zero_count_cells{};  ///< rows D05 and D07: embedded as [<cls>]
  std::vector<std::int64_t> no_gene_cells{};
  std::int64_t truncated_cells = 0;  ///< row D08
  std::int64_t tokens = 0;
};

/// How a slice is cut into blocks. Blocks change no result.
struct BlockOptions {
  std::int64_t entries = std::int64_t{1} << 18;  ///< counts that a block should hold: about 3 MB
  std::int64_t most_cells = 4096;
  std::int64_t first_cells = 128;  ///< of the first block, before the density is known
};

/// Calls body(CountRows) for the blocks of the slice, in order. \throws as slice.read_counts, and DataError
/// if the reader returns other rows than asked for.
template <class Body>
void for_count_blocks(const io::Slice& slice, Body&& body, const BlockOptions& blocks = {}) {
  std::int64_t entries_seen = 0;
  for (std::int64_t begin = 0; begin < slice.cells;) {
    const std::int64_t per_cell = begin == 0 ? 0 : entries_seen / begin + 1;
    const std::int64_t wanted =
        begin == 0 ? blocks.first_cells
                   : std::clamp<std::int64_t>(blocks.entries / per_cell, 1, blocks.most_cells);
    const std::int64_t end = (std::min)(slice.cells, begin + wanted);
    const io::CountRows rows = io::read_count_rows(slice, begin, end);
    entries_seen += rows.offsets.back();
    body(rows);
    begin = end;
  }
}

/// Calls body(TokenizedCells) for the blocks of the slice, in order. \throws as tokenize and for_count_blocks
template <class Body>
void for_token_blocks(const io::Slice& slice, const GeneMapping& mapping, const TokenizerOptions& options,
                      Body&& body, const BlockOptions& blocks = {}) {
  for_count_blocks(
      slice, [&](const io::CountRows& rows) { body(tokenize(rows, mapping, options, slice.path)); }, blocks);
}

/// Longest sequence: what is asked for, 2,048 (SPEC section 1), what the encoder has positions for.
inline std::int64_t token_limit(const Model& model, std::int64_t asked) {
  std::int64_t limit = asked > 0 ? asked : 2048;
  if (model.cell_encoder) limit = (std::min)(limit, model.cell_encoder->config().max_position_embeddings);
  return limit;
}

namespace detail {

/// Cells with and without genes apart: the latter are all the same sequence [<cls>] and encoded once.
struct SplitTokens {
  std::vector<std::int64_t> cells, offsets{0};  ///< of sequences longer than <cls>
  std::vector<std::int32_t> tokens{};
  std::vector<std::int64_t> bare{};  ///< cells of [<cls>] alone
};
inline SplitTokens split_tokens(const TokenizedCells& block) {
  SplitTokens result;
  for (std::size_t c = 0; c < static_cast<std::size_t>(block.cells()); ++c) {
    const std::int64_t cell = block.first_row + static_cast<std::int64_t>(c);
    if (block.offsets[c + 1] - block.offsets[c] < 2) {
      result.bare.push_back(cell);
      continue;
    }
    result.cells.push_back(cell);
    result.tokens.insert(result.tokens.end(), block.tokens.begin() + block.offsets[c],
                         block.tokens.begin() + block.offsets[c + 1]);
    result.offsets.push_back(static_cast<std::int64_t>(result.tokens.size()));
  }
  return result;
}

inline void require_finite_row(const float* row, std::int64_t width, std::int64_t cell,
                               const std::string& file, const char* what) {
  for (std::int64_t c = 0; c < width; ++c)
    if (!std::isfinite(row[c]))
      throw DataError({"STOFM-4321", file, concat(what, " of cell ", cell),
                       concat(row[c], " at component ", c), "finite numbers",
                       "The weights overflow on this cell: check that they are the right ones."});
}

/// Embeddings about their mean, of length 1; cells without genes have no part in it and become zeros.
inline void centre_on_slice(CellEmbeddings& cells) {
  const std::int64_t width = cells.features.dim(1);
  std::vector<std::uint8_t> present(static_cast<std::size_t>(cells.features.dim(0)), 1);
  for (const auto* bare : {&cells.zero_count_cells, &cells.no_gene_cells})
    for (const std::int64_t cell : *bare) {
      present[static_cast<std::size_t>(cell)] = 0;
      std::fill_n(cells.features.data() + cell * width, width, 0.0F);
    }
  centre_rows(cells.features, present);
  ops::l2_normalize_rows_into(cells.features.view(), std::as_const(cells.features).view());
}

}  // namespace detail

/// Streams the slice through tokenizer and cell encoder.
/// \throws DataError if every cell is without counts (row D06) or without a vocabulary gene, or for a result
/// that is not
///   finite; Interrupted; as for_token_blocks. *Deterministic* the same bits at any thread count and with any
///   blocks.
inline CellEmbeddings embed_cells(const io::Slice& slice, const Model& model, const GeneMapping& mapping,
                                  std::int64_t max_tokens, const Progress& progress = {},
                                  const BlockOptions& blocks = {}) {
  const auto& encoder = *model.cell_encoder;
  const std::int64_t width = encoder.config().projection_dim;
  const auto encode = [&](std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets) {
    return model.device && model.device->embed_cells ? model.device->embed_cells(tokens, offsets)
                                                     : encoder.embed(tokens, offsets);
  };
  CellEmbeddings result;
  result.features = Tensor<float>({slice.cells, width});
  progress.report("cells", 0, slice.cells, "cells");
  Tensor<float> bare;  // embedding of [<cls>], once it is needed
  for_token_blocks(
      slice, mapping, {.max_tokens = max_tokens},
      [&](const TokenizedCells& block) {
        progress.check();
        const detail::SplitTokens split = detail::split_tokens(block);
        const auto put = [&](std::int64_t cell, const float* row) {
          detail::require_finite_row(row, width, cell, slice.path, "cell embedding");
          std::copy_n(row, width, result.features.data() + cell * width);
        };
        if (!split.cells.empty()) {
          const Tensor<float> rows = encode(split.tokens, split.offsets);
          for (std::size_t i = 0; i < split.cells.size(); ++i)
            put(split.cells[i], rows.data() + static_cast<std::int64_t>(i) * width);
        }
        if (!split.bare.empty() && bare.numel() == 0)
          bare = encode(std::vector<std::int32_t>{mapping.cls_token}, std::vector<std::int64_t>{0, 1});
        for (const std::int64_t cell : split.bare) put(cell, bare.data());
        const auto append = [](auto& all, const auto& more) {
          all.insert(all.end(), more.begin(), more.end());
        };
        append(result.zero_count_cells, block.zero_count_cells);
        append(result.no_gene_cells, block.no_gene_cells);
        result.truncated_cells += block.truncated_cells;
        result.tokens += block.offsets.back();
        progress.report("cells", block.first_row + block.cells(), slice.cells, "cells");
      },
      blocks);
  const auto zero = static_cast<std::int64_t>(result.zero_count_cells.size());
  const auto bare_cells = zero + static_cast<std::int64_t>(result.no_gene_cells.size());
  if (slice.cells > 0 && bare_cells == slice.cells)
    throw DataError(
        {zero == slice.cells ? "STOFM-4322" : "STOFM-4323", slice.path, slice.counts_source,
         zero == slice.cells ? concat("no count in any of ", slice.cells, " cells")
                             : concat("no count of a vocabulary gene in any of ", slice.cells, " cells"),
         "counts",
         "Choose another matrix (H5adReadOptions::layer, H5adReadOptions::use_raw), or check the file."});
  if (encoder.config().center_per_slice) detail::centre_on_slice(result);
  return result;
}

}  // namespace stofm::pipeline

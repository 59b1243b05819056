// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rank-value encoding: a cell becomes the tokens of its genes, most over-expressed first.
///   v_g = count_g / n_counts * 10,000 / median_g   for genes of the vocabulary with count_g > 0, in float64,
///   n_counts = sum of the cell over all genes of the slice (control features left out);
///   tokens in descending v, ties by column; <cls> in front; cut to `max_tokens`.
/// *Source* SPEC section 1 (Geneformer's tokenizer as the authors use it), RELIABILITY rows D05, D07, D08,
/// D17 to D20.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/gene_coverage.hpp"

namespace stofm::pipeline {

struct TokenizerOptions {
  std::int64_t max_tokens = 2048;  ///< longest sequence, <cls> included (SPEC section 1)
  bool keep_values = false;        ///< also return what was ranked

  /// \throws UsageError for max_tokens < 1.
  void validate() const {
    if (max_tokens < 1)
      throw UsageError({"STOFM-4130", "", "max_tokens", concat(max_tokens), "at least 1",
                        "2048 is what the models know."});
  }
};

/// Sequences of cells [first_row, first_row + cells), packed one after another.
struct TokenizedCells {
  std::int64_t first_row = 0;
  std::vector<std::int64_t> offsets{0};  ///< [cells + 1]
  std::vector<std::int32_t> tokens{};    ///< [offsets.back()], each sequence starts with <cls>
  std::vector<double> values{};  ///< [offsets.back()] what is ranked, +inf at <cls>; empty unless asked for
  std::vector<std::int64_t> zero_count_cells{};  ///< cells of the slice without any count: [<cls>] (row D05)
  std::vector<std::int64_t>
      no_gene_cells{};               ///< cells with counts, none in the vocabulary: [<cls>] (row D07)
  std::int64_t truncated_cells = 0;  ///< cells whose lowest genes were cut off (row D08)

  std::int64_t cells() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
};

namespace detail {

/// One gene of a cell: first its count, then the value it is ranked by.
struct RankedGene {
  double value;
  std::int32_t column;
};

/// Descending value, then ascending column: a strict total order, as no column occurs twice.
inline bool ranks_before(const RankedGene& a, const RankedGene& b) {
  return a.value != b.value ? a.value > b.value : a.column < b.column;
}

/// What one cell turned out to be.
enum class CellKind : std::uint8_t { plain, truncated, zero_count, no_gene };

/// Working memory of one thread's share of cells.
struct TokenizerScratch {
  std::vector<RankedGene> entries, ranked;
};

/// Brings the row into column order, unless it is so already: sums of fractional counts must not depend on
/// how the file orders a row.
inline void load_row(const io::CountRows& rows, std::int64_t r, std::int64_t columns, const std::string& file,
                     std::vector<RankedGene>& entries) {
  const auto begin = static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(r)]);
  const auto end = static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(r) + 1]);
  entries.resize(end - begin);
  bool ascending = true;
  for (std::size_t e = begin; e < end; ++e) {
    const std::int32_t column = rows.columns[e];
    const double value = rows.values[e];
    if (column < 0 || column >= columns || !(value >= 0) || value > (std::numeric_limits<double>::max)())
      throw DataError({"STOFM-4131", file, concat("cell ", rows.first_row + r, ", gene column ", column),
                       concat("count ", value), concat("a finite count >= 0 in a column below ", columns),
                       "Give raw counts."});
    entries[e - begin] = {value, column};
    ascending = ascending && (e == begin || entries[e - begin - 1].column < column);
  }
  if (!ascending)
    std::sort(entries.begin(), entries.end(),
              [](const RankedGene& a, const RankedGene& b) { return a.column < b.column; });
}

/// Adds columns of one name to their first column (row D13). Entries are in column order and stay in it.
inline void sum_duplicates(const GeneMapping& mapping, std::vector<RankedGene>& entries) {
  for (auto& entry : entries) entry.column = mapping.summed_into[static_cast<std::size_t>(entry.column)];
  std::stable_sort(entries.begin(), entries.end(),
                   [](const RankedGene& a, const RankedGene& b) { return a.column < b.column; });
  std::size_t kept = 0;
  for (std::size_t e = 0; e < entries.size(); ++e) {
    if (kept > 0 && entries[kept - 1].column == entries[e].column)
      entries[kept - 1].value += entries[e].value;
    else
      entries[kept++] = entries[e];
  }
  entries.resize(kept);
}

/// Tokens of one cell to `tokens` (and `values` unless null); returns how many. Room for min(nnz + 1,
/// max_tokens).
inline std::int64_t tokenize_cell(const io::CountRows& rows, std::int64_t r, const GeneMapping& mapping,
                                  const TokenizerOptions& options, const std::string& file,
                                  TokenizerScratch& scratch, std::int32_t* tokens, double* values,
                                  CellKind& kind) {
  auto& [entries, ranked] = scratch;
  load_row(rows, r, mapping.columns(), file, entries);
  double total = 0;
  bool any_count = false;
  for (const auto& entry : entries)
    if (mapping.counted[static_cast<std::size_t>(entry.column)]) {
      total += entry.value;
      any_count = any_count || entry.value > 0;
    }
  if (!std::isfinite(total))
    throw DataError({"STOFM-4132", file, concat("cell ", rows.first_row + r), "counts whose sum overflows",
                     "a finite number of counts", "Give raw counts."});
  if (mapping.any_summed) sum_duplicates(mapping, entries);
  ranked.clear();
  for (const auto& entry : entries) {
    const auto column = static_cast<std::size_t>(entry.column);
    if (mapping.tokens[column] < 0 || !(entry.value > 0)) continue;
    ranked.push_back({entry.value / total * 10000.0 / mapping.medians[column], entry.column});
  }
  const auto room = static_cast<std::size_t>(options.max_tokens - 1);
  kind = !any_count             ? CellKind::zero_count
         : ranked.empty()       ? CellKind::no_gene
         : ranked.size() > room ? CellKind::truncated
                                : CellKind::plain;
  if (ranked.size() > room) {
    std::nth_element(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(room), ranked.end(),
                     ranks_before);
    ranked.resize(room);
  }
  std::sort(ranked.begin(), ranked.end(), ranks_before);
  *tokens++ = mapping.cls_token;
  for (const auto& gene : ranked) *tokens++ = mapping.tokens[static_cast<std::size_t>(gene.column)];
  if (values != nullptr) {
    *values++ = std::numeric_limits<double>::infinity();
    for (const auto& gene : ranked) *values++ = gene.value;
  }
  return static_cast<std::int64_t>(ranked.size()) + 1;
}

/// Closes the gaps between sequences that were written at upper-bound positions.
template <class T>
void close_gaps(std::vector<T>& packed, const std::vector<std::int64_t>& room_offsets,
                const std::vector<std::int64_t>& offsets) {
  for (std::size_t r = 0; r + 1 < offsets.size(); ++r)
    std::copy_n(packed.begin() + room_offsets[r], offsets[r + 1] - offsets[r], packed.begin() + offsets[r]);
  packed.resize(static_cast<std::size_t>(offsets.back()));
}

}  // namespace detail

/// Encodes a block of cells. \p file names the slice in messages.
/// \throws DataError for a negative, NaN or infinite count or a column outside the mapping (row D17).
/// *Cost* O(nnz log nnz-per-cell), parallel over cells; the result does not depend on threads, on the order
/// of a row or on how the slice is cut into blocks.
STOFM_INLINE TokenizedCells tokenize(const io::CountRows& rows, const GeneMapping& mapping,
                                     const TokenizerOptions& options = {}, const std::string& file = "");

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto pipeline::tokenize(const io::CountRows& rows, const GeneMapping& mapping,
                                     const TokenizerOptions& options, const std::string& file)
    -> TokenizedCells {
  options.validate();
  io::require_consistent(rows, file);
  TokenizedCells result;
  result.first_row = rows.first_row;
  const std::int64_t cells = rows.rows();
  std::vector<std::int64_t> room_offsets(static_cast<std::size_t>(cells) + 1, 0);
  for (std::size_t r = 0; r < static_cast<std::size_t>(cells); ++r)
    room_offsets[r + 1] =
        room_offsets[r] + (std::min)(rows.offsets[r + 1] - rows.offsets[r] + 1, options.max_tokens);
  result.tokens.resize(static_cast<std::size_t>(room_offsets.back()));
  if (options.keep_values) result.values.resize(result.tokens.size());
  result.offsets.assign(static_cast<std::size_t>(cells) + 1, 0);
  std::vector<detail::CellKind> kinds(static_cast<std::size_t>(cells));
  parallel_for(cells, 64, [&](std::int64_t begin, std::int64_t end) {
    detail::TokenizerScratch scratch;
    for (std::int64_t r = begin; r < end; ++r) {
      const auto i = static_cast<std::size_t>(r);
      const auto at = room_offsets[i];
      result.offsets[i + 1] =
          detail::tokenize_cell(rows, r, mapping, options, file, scratch, result.tokens.data() + at,
                                options.keep_values ? result.values.data() + at : nullptr, kinds[i]);
    }
  });
  for (std::size_t r = 0; r < static_cast<std::size_t>(cells); ++r) {
    result.offsets[r + 1] += result.offsets[r];
    const std::int64_t cell = rows.first_row + static_cast<std::int64_t>(r);
    if (kinds[r] == detail::CellKind::zero_count) result.zero_count_cells.push_back(cell);
    if (kinds[r] == detail::CellKind::no_gene) result.no_gene_cells.push_back(cell);
    result.truncated_cells += kinds[r] == detail::CellKind::truncated;
  }
  detail::close_gaps(result.tokens, room_offsets, result.offsets);
  if (options.keep_values) detail::close_gaps(result.values, room_offsets, result.offsets);
  return result;
}

}  // namespace stofm
#endif

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A slice as a manifest describes it: genes, cells, counts, and the fingerprints of its cells.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/pipeline/gene_tokenizer.hpp"
#include "stofm/train/cell_fingerprints.hpp"
#include "stofm/train/manifest.hpp"

namespace stofm::train {

/// A slice that was read once.
struct IndexedSlice {
  ManifestSlice line{};  ///< species, genes, cells, counts, extent; nothing of the file or the donors
  CellFingerprints prints{};
};

namespace detail {

inline constexpr std::size_t short_hash = 16;  ///< hex digits: 64 bits

/// The middle value; of an even number the mean of the two. 0 of none.
inline double median_of(std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto half = static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), values.begin() + half, values.end());
  const double upper = values[static_cast<std::size_t>(half)];
  if (values.size() % 2 == 1) return upper;
  return (*std::max_element(values.begin(), values.begin() + half) + upper) / 2;
}

inline std::string panel_hash(std::vector<std::int32_t> tokens) {
  std::erase_if(tokens, [](std::int32_t token) { return token < 0; });
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  std::string text;
  for (const std::int32_t token : tokens) text += concat(token, "\n");
  return io::sha256_hex(text).substr(0, short_hash);
}

/// Sums over the cells of a slice, block by block.
class SliceCounts {
 public:
  SliceCounts(const io::Slice& slice, const pipeline::GeneMapping& mapping)
      : slice_(slice), mapping_(mapping) {}

  void add(const io::CountRows& rows) {
    for (std::int64_t r = 0; r < rows.rows(); ++r) {
      pipeline::detail::load_row(rows, r, mapping_.columns(), slice_.path, entries_);
      double total = 0;
      for (const auto& entry : entries_)
        if (mapping_.counted[static_cast<std::size_t>(entry.column)]) total += entry.value;
      if (mapping_.any_summed) pipeline::detail::sum_duplicates(mapping_, entries_);
      std::int64_t genes = 0;
      std::uint64_t print = 0;
      for (const auto& entry : entries_) {
        const std::int32_t token = mapping_.tokens[static_cast<std::size_t>(entry.column)];
        if (token < 0 || !(entry.value > 0)) continue;
        ++genes;
        print += count_fingerprint(token, entry.value);
      }
      counts_.push_back(total);
      genes_.push_back(static_cast<double>(genes));
      if (genes < fewest_genes) continue;
      prints_.push_back(mix_bits(print));
      tokens_ += genes + 1;
    }
  }
  void finish(IndexedSlice& indexed) {
    indexed.line.cells_with_genes = static_cast<std::int64_t>(prints_.size());
    indexed.line.tokens = tokens_;
    indexed.line.median_counts = median_of(counts_);
    indexed.line.median_genes = median_of(genes_);
    indexed.prints.counts = sorted_fingerprints(std::move(prints_));
  }

 private:
  const io::Slice& slice_;
  const pipeline::GeneMapping& mapping_;
  std::vector<pipeline::detail::RankedGene> entries_;
  std::vector<double> counts_, genes_;
  Fingerprints prints_;
  std::int64_t tokens_ = 0;
};

}  // namespace detail

/// Reads all counts of a slice once. \throws as map_genes and slice.read_counts; DataError for counts that
/// are none. *Deterministic*. *Cost* one pass over the counts and 40 bytes a cell; about 1 us a cell beside
/// it
inline IndexedSlice index_slice(const io::Slice& slice, const pipeline::GeneTable& genes,
                                const pipeline::MouseMap& mouse_map,
                                const pipeline::GeneMappingOptions& options = {},
                                const pipeline::BlockOptions& blocks = {}) {
  const pipeline::GeneMapping mapping = pipeline::map_genes(slice, genes, mouse_map, options);
  const pipeline::GeneCoverage& coverage = mapping.coverage;
  IndexedSlice indexed;
  ManifestSlice& line = indexed.line;
  line.species = coverage.species == pipeline::Species::mouse ? "mouse" : "human";
  line.human_genes = coverage.human;
  line.mouse_genes = coverage.mouse;
  line.panel = detail::panel_hash(mapping.tokens);
  line.genes = coverage.genes;
  line.known_genes = coverage.matched;
  line.cells = slice.cells;
  detail::SliceCounts counts(slice, mapping);
  pipeline::for_count_blocks(
      slice, [&](const io::CountRows& rows) { counts.add(rows); }, blocks);
  counts.finish(indexed);
  const TensorView<const double> xy = slice.coordinates.view();
  for (std::int64_t i = 0; i < slice.cells; ++i)
    for (std::size_t k = 0; k < 2; ++k) {
      const double at = xy.row(i)[k];
      line.extent[k] = i == 0 ? at : (std::min)(line.extent[k], at);
      line.extent[k + 2] = i == 0 ? at : (std::max)(line.extent[k + 2], at);
    }
  indexed.prints.places = place_fingerprints(xy);
  return indexed;
}

}  // namespace stofm::train

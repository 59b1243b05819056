// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Masked gene modelling: some genes of each cell are hidden and are to be named from the rest.
///   chosen: 15 % of a cell's genes without replacement (floor(0.15 n + u), u uniform, so the mean is exact);
///   of these 80 % become <mask>, 10 % a random gene of the panel, 10 % stay as they are.
/// The softmax runs over the panel, the genes that the slice measures: a gene that was not measured can not
/// occur, so it is no candidate. Each target weighs
///   w_g = min(cap, sqrt(mean frequency / frequency_g)),  frequency_g = share of the slice's cells that have
///   g,
/// so that genes which nearly every cell has do not make up the loss.
/// *Source* Devlin et al., "BERT", section 3.1 (80/10/10); Geneformer's rate 0.15; candidates and weights are
/// ours.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/random_key.hpp"
#include "stofm/pipeline/gene_table.hpp"

namespace stofm::train {

struct GenePanelOptions {
  double weight_exponent = 0.5;  ///< w = (mean frequency / frequency)^exponent; 0: all genes weigh the same
  double largest_weight = 5.0;   ///< cap of w

  /// \throws UsageError STOFM-4570.
  void validate() const;
};

/// The genes that a slice measures: candidates of the softmax, with their weights.
struct GenePanel {
  std::vector<std::int32_t> tokens;  ///< [P] ascending, no special token among them
  std::vector<double> frequency;     ///< [P] share of cells with the gene; 0 for genes without any count
  std::vector<float> weights;        ///< [P] w_g
  std::int32_t cls_token = 0;

  std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
  /// Place of a token in `tokens`, -1 if it is no candidate. Cost O(log P).
  std::int64_t index_of(std::int32_t token) const {
    const auto at = std::lower_bound(tokens.begin(), tokens.end(), token);
    return at == tokens.end() || *at != token ? -1 : at - tokens.begin();
  }
};

/// \param measured tokens of the slice's columns (GeneMapping::tokens; -1 and repeats are left out)
/// \param tokens, offsets the slice's cells, packed, each starting with <cls>; they give the frequencies
/// \throws DataError STOFM-4571 without any candidate or for a cell with a gene outside `measured`. Cost
/// O(tokens).
GenePanel make_gene_panel(std::span<const std::int32_t> measured, std::span<const std::int32_t> tokens,
                          std::span<const std::int64_t> offsets, std::int32_t cls_token,
                          const GenePanelOptions& options = {});

struct GeneMaskingOptions {
  double chosen = 0.15;  ///< share of a cell's genes that are predicted
  double masked = 0.8;   ///< of the chosen ones: become <mask>
  double random = 0.1;   ///< of the chosen ones: become a random gene of the panel; the rest stays

  /// \throws UsageError STOFM-4570.
  void validate() const;
};

/// Cells with hidden genes. The packing is that of the input.
struct MaskedGenes {
  std::vector<std::int32_t> tokens;   ///< as given, with the hidden places changed
  std::vector<std::int64_t> places;   ///< [M] ascending: where in `tokens` a gene is to be predicted
  std::vector<std::int64_t> targets;  ///< [M] which gene of the panel stood there
  std::vector<float> weights;         ///< [M] weight of that gene

  std::int64_t size() const { return static_cast<std::int64_t>(places.size()); }
};

/// Hides genes; position 0 of a cell (<cls>) is never chosen.
/// *Deterministic*: what happens to cell c depends on (key, c) alone. \throws UsageError as `validate`;
/// DataError STOFM-4571 for a gene outside the panel. Cost O(tokens).
MaskedGenes mask_genes(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                       const GenePanel& panel, const RandomKey& key, const GeneMaskingOptions& options = {});

namespace detail {

inline void require_share(const char* name, double value) {
  if (!(value >= 0.0 && value <= 1.0))
    throw UsageError(
        {"STOFM-4570", "", name, concat(value), "a share from 0 to 1", "Leave it at its default."});
}

[[noreturn]] inline void refuse_gene(std::int32_t token, std::size_t cell) {
  throw DataError({"STOFM-4571", "", concat("cell ", cell), concat("token ", token),
                   "a gene of the slice's panel", "Make the panel from the mapping that made the tokens."});
}

}  // namespace detail

inline void GenePanelOptions::validate() const {
  if (!(weight_exponent >= 0.0 && weight_exponent <= 1.0))
    throw UsageError({"STOFM-4570", "", "weight_exponent", concat(weight_exponent), "a number from 0 to 1",
                      "0.5 weighs by the inverse square root."});
  if (!(largest_weight >= 1.0 && std::isfinite(largest_weight)))
    throw UsageError({"STOFM-4570", "", "largest_weight", concat(largest_weight), "a number of at least 1",
                      "Leave it at its default."});
}

inline void GeneMaskingOptions::validate() const {
  detail::require_share("chosen", chosen);
  detail::require_share("masked", masked);
  detail::require_share("random", random);
  detail::require_share("masked + random", masked + random);
}

inline GenePanel make_gene_panel(std::span<const std::int32_t> measured, std::span<const std::int32_t> tokens,
                                 std::span<const std::int64_t> offsets, std::int32_t cls_token,
                                 const GenePanelOptions& options) {
  options.validate();
  GenePanel panel;
  panel.cls_token = cls_token;
  for (const std::int32_t token : measured)
    if (token >= pipeline::first_gene_token && token != cls_token) panel.tokens.push_back(token);
  std::sort(panel.tokens.begin(), panel.tokens.end());
  panel.tokens.erase(std::unique(panel.tokens.begin(), panel.tokens.end()), panel.tokens.end());
  if (panel.tokens.empty())
    throw DataError({"STOFM-4571", "", "panel", "no gene of the vocabulary", "at least one",
                     "Check the gene names of the slice."});
  std::vector<std::int64_t> cells_with(panel.tokens.size(), 0), last_cell(panel.tokens.size(), -1);
  for (std::size_t cell = 0; cell + 1 < offsets.size(); ++cell)
    for (std::int64_t i = offsets[cell] + 1; i < offsets[cell + 1]; ++i) {
      const std::int64_t gene = panel.index_of(tokens[static_cast<std::size_t>(i)]);
      if (gene < 0) detail::refuse_gene(tokens[static_cast<std::size_t>(i)], cell);
      const auto g = static_cast<std::size_t>(gene);
      if (last_cell[g] != static_cast<std::int64_t>(cell))
        ++cells_with[g];  // a token may stand twice in a cell
      last_cell[g] = static_cast<std::int64_t>(cell);
    }
  const double cells = (std::max)(1.0, static_cast<double>(offsets.size()) - 1.0);
  double sum = 0;
  std::int64_t seen = 0;
  for (const std::int64_t count : cells_with) {
    panel.frequency.push_back(static_cast<double>(count) / cells);
    sum += panel.frequency.back();
    seen += count > 0;
  }
  const double mean = sum / static_cast<double>((std::max<std::int64_t>)(seen, 1));
  for (const double frequency : panel.frequency)
    panel.weights.push_back(static_cast<float>(
        frequency > 0
            ? (std::min)(options.largest_weight, std::pow(mean / frequency, options.weight_exponent))
            : options.largest_weight));
  return panel;
}

inline MaskedGenes mask_genes(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                              const GenePanel& panel, const RandomKey& key,
                              const GeneMaskingOptions& options) {
  options.validate();
  MaskedGenes result;
  result.tokens.assign(tokens.begin(), tokens.end());
  std::vector<std::int64_t> places;
  for (std::size_t cell = 0; cell + 1 < offsets.size(); ++cell) {
    const std::int64_t genes = offsets[cell + 1] - offsets[cell] - 1;
    if (genes < 1) continue;
    Random random = key.child(cell).generator();
    const auto count =
        (std::min)(genes, static_cast<std::int64_t>(
                              std::floor(options.chosen * static_cast<double>(genes) + random.uniform())));
    places.resize(static_cast<std::size_t>(genes));
    for (std::size_t i = 0; i < places.size(); ++i)
      places[i] = offsets[cell] + 1 + static_cast<std::int64_t>(i);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count);
         ++i)  // the first steps of a Fisher-Yates shuffle
      std::swap(places[i], places[i + random.below(places.size() - i)]);
    places.resize(static_cast<std::size_t>(count));
    std::sort(places.begin(), places.end());
    for (const std::int64_t place : places) {
      std::int32_t& token = result.tokens[static_cast<std::size_t>(place)];
      const std::int64_t gene = panel.index_of(token);
      if (gene < 0) detail::refuse_gene(token, cell);
      result.places.push_back(place);
      result.targets.push_back(gene);
      result.weights.push_back(panel.weights[static_cast<std::size_t>(gene)]);
      const double what = random.uniform();
      const auto other =
          random.below(static_cast<std::uint64_t>(panel.size()));  // drawn always: same draws per gene
      if (what < options.masked) {
        token = pipeline::mask_token;
      } else if (what < options.masked + options.random) {
        token = panel.tokens[other];
      }
    }
  }
  return result;
}

}  // namespace stofm::train

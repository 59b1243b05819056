// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From the gene columns of a slice to tokens: human Ensembl ids directly, mouse ids through the map, symbols
/// through the symbol column. Source: SPEC section 1, RELIABILITY rows D09 to D15.

#include <cstdint>
#include <numeric>
#include <string>
#include <unordered_map>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/pipeline/gene_coverage.hpp"
#include "stofm/pipeline/gene_name.hpp"

namespace stofm::pipeline {

namespace detail {

/// How one name was resolved.
struct ResolvedGene {
  std::int32_t row = -1;  ///< row of the gene table
  bool case_folded = false, ambiguous = false, unmapped_mouse = false;
};

/// Looks one normalised name up. An id of a mouse gene goes through the map; without an entry it is kept, and
/// no vocabulary has it.
inline ResolvedGene resolve_gene(const GeneName& name, bool by_symbol, const GeneTable& table,
                                 const MouseMap& mouse_map, const GeneMappingOptions& options) {
  ResolvedGene result;
  const auto find = [](const auto& rows, const std::string& key) {
    const auto entry = rows.find(key);
    return entry == rows.end() ? -2 : entry->second;
  };
  std::int32_t row = -2;
  if (name.kind == GeneNameKind::mouse_gene) {
    const auto human = mouse_map.human_of_mouse.find(name.text);
    result.unmapped_mouse = human == mouse_map.human_of_mouse.end();
    if (!result.unmapped_mouse) row = find(table.row_of_id, human->second);
  } else if (name.kind == GeneNameKind::human_gene) {
    row = find(table.row_of_id, name.text);
  } else if (by_symbol && name.kind == GeneNameKind::other) {
    row = find(table.row_of_symbol, name.text);
    if (row == -2 && options.fold_symbol_case) {
      row = find(table.row_of_upper_symbol, upper_case(name.text));
      result.case_folded = row >= 0;
    }
    result.ambiguous = row == -1;
  }
  result.row = (std::max)(row, -1);
  return result;
}

/// Gad1: a capital, then at least one small letter and no other capital: how mouse symbols are written.
inline bool looks_like_mouse_symbol(const std::string& text) {
  if (text.empty() || text[0] < 'A' || text[0] > 'Z') return false;
  bool lower = false;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] >= 'A' && text[i] <= 'Z') return false;
    lower = lower || (text[i] >= 'a' && text[i] <= 'z');
  }
  return lower;
}

}  // namespace detail

/// Maps the columns of a slice. \p gene_symbols is empty or as long as \p gene_ids; \p file names the slice
/// in messages. A name that occurs twice is summed into its first column; two names that reach one token are
/// both kept (SPEC). \throws DataError if no gene or less than `refuse_below` of them is known, for another
/// species than human and mouse,
///   or if mouse ids meet no map; UsageError for lists of different length. Cost: O(columns).
inline GeneMapping map_genes(const std::vector<std::string>& gene_ids,
                             const std::vector<std::string>& gene_symbols, const GeneTable& table,
                             const MouseMap& mouse_map, const GeneMappingOptions& options = {},
                             const std::string& file = "") {
  options.validate();
  const std::size_t columns = gene_ids.size();
  if (!gene_symbols.empty() && gene_symbols.size() != columns)
    throw ShapeError({"STOFM-4126", file, "gene symbols", concat(gene_symbols.size(), " symbols"),
                      concat(columns, ", one per gene id"), "Give both lists for the same columns."});
  narrow<std::int32_t>(static_cast<std::int64_t>(columns), "gene columns");

  // Which list names the genes?
  std::vector<std::uint8_t> control(columns, 0);
  std::int64_t ensembl_ids = 0, genes = 0, known_ids = 0, known_symbols = 0;
  for (std::size_t g = 0; g < columns; ++g) {
    control[g] =
        is_control_feature(gene_ids[g]) || (!gene_symbols.empty() && is_control_feature(gene_symbols[g]));
    if (control[g]) continue;
    ++genes;
    const GeneName name = classify_gene_name(gene_ids[g]);
    ensembl_ids += name.kind != GeneNameKind::other;
    known_ids += detail::resolve_gene(name, true, table, mouse_map, options).row >= 0;
    if (!gene_symbols.empty())
      known_symbols +=
          detail::resolve_gene(classify_gene_name(gene_symbols[g]), true, table, mouse_map, options).row >= 0;
  }
  const bool by_symbol = options.naming == GeneNaming::symbols ||
                         (options.naming == GeneNaming::automatic && ensembl_ids * 2 < genes);
  const bool from_symbol_list = by_symbol && !gene_symbols.empty() &&
                                (options.naming == GeneNaming::symbols || known_symbols > known_ids);
  const auto& names = from_symbol_list ? gene_symbols : gene_ids;

  GeneMapping mapping;
  GeneCoverage& c = mapping.coverage;
  c.naming = by_symbol ? GeneNaming::symbols : GeneNaming::ensembl;
  c.columns = static_cast<std::int64_t>(columns);
  c.genes = genes;
  c.control_features = c.columns - genes;
  mapping.tokens.assign(columns, -1);
  mapping.medians.assign(columns, 0);
  mapping.counted.assign(columns, 1);
  mapping.summed_into.resize(columns);
  std::iota(mapping.summed_into.begin(), mapping.summed_into.end(), 0);
  mapping.cls_token = table.cls_token;

  std::unordered_map<std::string, std::int32_t> first_column;
  std::vector<std::uint8_t> token_used(static_cast<std::size_t>(table.genes()), 0);
  std::vector<std::string> summed;
  std::int64_t human = 0, mouse = 0, foreign = 0;
  for (std::size_t g = 0; g < columns; ++g) {
    if (control[g]) {
      mapping.counted[g] = options.control_features_count;
      continue;
    }
    const GeneName name = classify_gene_name(names[g]);
    c.versions_stripped += name.version_stripped;
    c.normalised += name.normalised;
    const detail::ResolvedGene gene = detail::resolve_gene(name, by_symbol, table, mouse_map, options);
    mouse += name.kind == GeneNameKind::mouse_gene ||
             (gene.case_folded && detail::looks_like_mouse_symbol(name.text));
    human += name.kind == GeneNameKind::human_gene ||
             (name.kind == GeneNameKind::other && gene.row >= 0 && !gene.case_folded);
    foreign += name.kind == GeneNameKind::foreign_gene;
    c.ambiguous_symbols += gene.ambiguous;
    if (gene.row < 0) {
      if (gene.unmapped_mouse) {
        ++c.unmapped_mouse;
      } else if (!gene.ambiguous) {
        const bool no_gene =
            name.kind == GeneNameKind::other_ensembl || (name.kind == GeneNameKind::other && !by_symbol);
        ++(no_gene ? c.not_gene_ids : c.outside_vocabulary);
      }
      if (c.first_unmatched.size() < 10) c.first_unmatched.push_back(names[g]);
      continue;
    }
    ++c.matched;
    c.case_folded_symbols += gene.case_folded;
    const auto row = static_cast<std::size_t>(gene.row);
    const auto [first, is_first] = first_column.try_emplace(name.text, static_cast<std::int32_t>(g));
    if (!is_first) {
      ++c.duplicates_summed;
      if (summed.size() < 10) summed.push_back(name.text);
      mapping.summed_into[g] = first->second;
      mapping.any_summed = true;
    } else {
      c.shared_tokens += token_used[row];
      token_used[row] = 1;
    }
    mapping.tokens[g] = table.tokens[row];
    mapping.medians[g] = table.medians[row];
  }
  c.species = options.species != Species::automatic ? options.species
              : mouse > human                       ? Species::mouse
                                                    : Species::human;
  if (options.species == Species::human && mouse > human && foreign * 2 <= genes)
    throw DataError({"STOFM-4127", file, "gene names", concat(mouse, " mouse and ", human, " human genes"),
                     "human genes, as --species human says",
                     "Map with --species mouse, or leave the option out."});
  detail::judge_coverage(mapping, options, file, foreign, mouse_map.empty());
  detail::add_mapping_notices(mapping, summed, options.control_features_count);
  return mapping;
}

}  // namespace stofm::pipeline

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From the gene columns of a slice to tokens, gene by gene: a human Ensembl id directly, a mouse id through
/// the map, else a symbol. *Source* SPEC section 1, RELIABILITY rows D09 to D15.

#include <cstdint>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/pipeline/gene_columns.hpp"
#include "stofm/pipeline/gene_coverage.hpp"
#include "stofm/pipeline/gene_name.hpp"

namespace stofm::pipeline {

namespace detail {

/// What one column was found to be.
struct FoundGene {
  GeneName name;
  ResolvedGene gene;
  bool elsewhere = false;   ///< the name is none of the first list's
  bool orthologue = false;  ///< a human id, and another list has the name of a mouse gene for it
};

/// Whether another list calls the gene of column `g` as mouse genes are called.
inline bool has_mouse_name(const GeneLists& all, std::size_t g, const GeneTable& table,
                           const MouseMap& mouse_map, const GeneMappingOptions& options) {
  for (const GeneList& list : all.lists) {
    const GeneName name = list.name(g);
    if (name.kind == GeneNameKind::mouse_gene) return true;
    if (name.kind == GeneNameKind::other && looks_like_mouse_symbol(name.text) &&
        resolve_gene(name, table, mouse_map, options).case_folded)
      return true;
  }
  return false;
}

/// An Ensembl gene id of any list first, then a symbol of any list; else what the first list says. A
/// withdrawn probe is none, whatever other lists call it.
inline FoundGene find_gene(const GeneLists& all, std::size_t g, const GeneTable& table,
                           const MouseMap& mouse_map, const GeneMappingOptions& options) {
  FoundGene found;
  std::vector<GeneName> names;
  std::size_t id = all.order.size();
  for (const std::size_t i : all.order) {
    names.push_back(all.lists[i].name(g));
    const GeneNameKind kind = names.back().kind;
    if (kind == GeneNameKind::deprecated) {
      found.name = std::move(names.back());
      return found;
    }
    const bool gene = kind == GeneNameKind::human_gene || kind == GeneNameKind::mouse_gene ||
                      (kind == GeneNameKind::foreign_gene && names.size() == 1);
    if (gene && id == all.order.size()) id = names.size() - 1;
  }
  if (id < names.size()) {
    found.gene = resolve_gene(names[id], table, mouse_map, options);
    found.name = std::move(names[id]);
    found.elsewhere = id > 0;
    found.orthologue = found.name.kind == GeneNameKind::human_gene && all.any_mouse &&
                       has_mouse_name(all, g, table, mouse_map, options);
    return found;
  }
  const bool any_symbol = options.naming != GeneNaming::ensembl && !(all.orthologues && !all.by_symbol);
  for (std::size_t k = 0; any_symbol && k < names.size(); ++k) {
    if (names[k].kind != GeneNameKind::other) continue;
    const ResolvedGene gene = resolve_gene(names[k], table, mouse_map, options);
    if (gene.row >= 0) {
      found.gene = gene;
      found.name = std::move(names[k]);
      found.elsewhere = k > 0;
      return found;
    }
    found.gene.ambiguous = found.gene.ambiguous || gene.ambiguous;
  }
  std::size_t shown = 0;
  while (shown + 1 < names.size() && names[shown].kind == GeneNameKind::none) ++shown;
  found.name = std::move(names[shown]);
  return found;
}

/// What makes two columns one gene: the id of a human gene or its symbol as written; the id of a mouse gene;
/// any other symbol as it stands. Two mouse genes of one human gene stay two, as in the reference.
inline std::string gene_identity(const FoundGene& found, const GeneTable& table) {
  if (found.name.kind == GeneNameKind::mouse_gene) return found.name.text;
  if (found.name.genome == GenomePrefix::mouse) return "mouse " + found.name.text;
  if (found.gene.case_folded) return "symbol " + found.name.text;
  return table.ensembl_ids[static_cast<std::size_t>(found.gene.row)];
}

/// The name that people know a column by: the first list's, else the index, else any.
inline std::string shown_name(const GeneLists& all, std::size_t g) {
  std::vector<const GeneList*> order{&all.lists[all.order.front()]};
  for (const GeneList& list : all.lists)
    if (list.column == "index") order.push_back(&list);
  for (const GeneList& list : all.lists) order.push_back(&list);
  for (const GeneList* list : order)
    if (list->name(g).kind != GeneNameKind::none) return (*list->names)[g];
  return (*order.front()->names)[g];
}

/// Counts what the name of one gene says of it.
inline void count_name(GeneCoverage& c, const FoundGene& found) {
  const GeneName& name = found.name;
  c.versions_stripped += name.version_stripped;
  c.normalised += name.normalised;
  c.composites += name.composite;
  c.prefixes_stripped += name.genome != GenomePrefix::absent;
  const bool matched_symbol = name.kind == GeneNameKind::other && found.gene.row >= 0;
  const bool mouse = name.kind == GeneNameKind::mouse_gene ||
                     (matched_symbol && name.genome == GenomePrefix::mouse) ||
                     (matched_symbol && name.genome == GenomePrefix::absent && found.gene.case_folded &&
                      looks_like_mouse_symbol(name.text));
  c.mouse += mouse;
  c.orthologues += found.orthologue;
  c.human += (name.kind == GeneNameKind::human_gene && !found.orthologue) ||
             (matched_symbol && !mouse && !found.gene.case_folded);
}

/// Counts why a gene has no token.
inline void count_unmatched(GeneCoverage& c, const FoundGene& found, bool by_symbol) {
  if (found.gene.unmapped_mouse) {
    ++c.unmapped_mouse;
  } else if (found.gene.ambiguous) {
    ++c.ambiguous_symbols;
  } else {
    const GeneNameKind kind = found.name.kind;
    const bool no_gene = kind == GeneNameKind::other_ensembl || kind == GeneNameKind::none ||
                         kind == GeneNameKind::deprecated || (kind == GeneNameKind::other && !by_symbol);
    ++(no_gene ? c.not_gene_ids : c.outside_vocabulary);
  }
}

/// Whether both species are there in earnest: ids and genome prefixes are sure, symbols alone are not.
inline bool mixed_species(const GeneCoverage& c, const std::vector<std::uint8_t>& sure) {
  const std::int64_t few = (std::min)(c.human, c.mouse);
  std::int64_t named = 0;
  for (const std::uint8_t one : sure) named += one;
  return named * 2 > c.human + c.mouse ? few * 100 >= c.genes && few > 1
                                       : few * 10 >= c.human + c.mouse && few >= 5;
}

STOFM_INLINE GeneMapping map_lists(GeneLists& all, const GeneTable& table, const MouseMap& mouse_map,
                                   const GeneMappingOptions& options, const std::string& file);

}  // namespace detail

/// Maps the gene columns of a slice. Columns of one gene are summed into the first of them; two names that
/// reach one token are both kept (SPEC). Every list of names of the slice is looked at, unless the user chose
/// one. \throws DataError if no gene or less than `refuse_below` of them is known, for another species than
/// human and mouse,
///   or if mouse ids meet no map; ShapeError for lists of different length. *Cost* O(columns) per list.
inline GeneMapping map_genes(const io::Slice& slice, const GeneTable& table, const MouseMap& mouse_map,
                             const GeneMappingOptions& options = {}) {
  detail::GeneLists all;
  all.chosen = slice.gene_column_chosen;
  all.has_symbols = !slice.gene_symbols.empty();
  const auto add = [&](const std::string& column, const std::vector<std::string>& names, const char* what,
                       bool usual) {
    if (names.size() != slice.gene_ids.size())
      throw ShapeError({"STOFM-4126", slice.path, what, concat(names.size(), " names"),
                        concat(slice.gene_ids.size(), ", one per gene id"),
                        "Give lists of the same columns."});
    detail::GeneList list;
    list.column = column;
    list.names = &names;
    list.usual = usual;
    all.lists.push_back(std::move(list));
  };
  add(slice.gene_id_column, slice.gene_ids, "gene ids", true);
  if (all.has_symbols) add(slice.gene_symbol_column, slice.gene_symbols, "gene symbols", true);
  for (const io::GeneNameList& other : slice.other_gene_names)
    add(other.column, other.names, "gene names", other.column == "index");
  return detail::map_lists(all, table, mouse_map, options, slice.path);
}

/// The same for lists that are no slice's. \p gene_symbols is empty or as long as \p gene_ids; \p file names
/// them in messages.
inline GeneMapping map_genes(const std::vector<std::string>& gene_ids,
                             const std::vector<std::string>& gene_symbols, const GeneTable& table,
                             const MouseMap& mouse_map, const GeneMappingOptions& options = {},
                             const std::string& file = "") {
  io::Slice slice;
  slice.path = file;
  slice.gene_ids = gene_ids;
  slice.gene_symbols = gene_symbols;
  return map_genes(slice, table, mouse_map, options);
}

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto pipeline::detail::map_lists(GeneLists& all, const GeneTable& table,
                                              const MouseMap& mouse_map, const GeneMappingOptions& options,
                                              const std::string& file) -> GeneMapping {
  options.validate();
  const std::size_t columns = all.lists.front().names->size();
  narrow<std::int32_t>(static_cast<std::int64_t>(columns), "gene columns");
  GeneMapping mapping;
  GeneCoverage& c = mapping.coverage;
  c.columns = static_cast<std::int64_t>(columns);
  std::vector<std::uint8_t> control(columns, 0);
  for (std::size_t g = 0; g < columns; ++g) {
    for (const GeneList& list : all.lists)
      if (list.usual && is_control_feature((*list.names)[g])) control[g] = 1;
    c.control_features += control[g];
  }
  c.genes = c.columns - c.control_features;
  for (GeneList& list : all.lists) measure(list, control, table, mouse_map, options);
  choose_lists(all, c.genes, options);
  const GeneList& first = all.lists[all.order.front()];
  if (!first.usual)
    for (std::size_t g = 0; g < columns; ++g)
      if (!control[g] && is_control_feature((*first.names)[g])) {
        control[g] = 1;
        ++c.control_features;
        --c.genes;
      }
  c.naming = all.by_symbol ? GeneNaming::symbols : GeneNaming::ensembl;
  c.column = first.column;
  c.column_found = all.found_by_content;
  for (const GeneList& list : all.lists) c.shares.push_back({list.column, list.known});

  mapping.tokens.assign(columns, -1);
  mapping.medians.assign(columns, 0);
  mapping.counted.assign(columns, 1);
  mapping.summed_into.resize(columns);
  std::iota(mapping.summed_into.begin(), mapping.summed_into.end(), 0);
  mapping.cls_token = table.cls_token;
  std::unordered_map<std::string, std::int32_t> first_column;
  std::vector<std::uint8_t> token_used(static_cast<std::size_t>(table.genes()), 0), sure(columns, 0);
  std::vector<std::string> summed;
  std::int64_t foreign = 0, by_id = 0;
  for (std::size_t g = 0; g < columns; ++g) {
    if (control[g]) {
      mapping.counted[g] = options.control_features_count;
      continue;
    }
    const FoundGene found = find_gene(all, g, table, mouse_map, options);
    count_name(c, found);
    sure[g] = found.name.kind == GeneNameKind::human_gene || found.name.kind == GeneNameKind::mouse_gene ||
              found.name.genome != GenomePrefix::absent;
    foreign += found.name.kind == GeneNameKind::foreign_gene;
    if (found.gene.row < 0) {
      count_unmatched(c, found, all.by_symbol);
      if (c.first_unmatched.size() < 10) c.first_unmatched.push_back(shown_name(all, g));
      continue;
    }
    ++c.matched;
    by_id += found.name.kind != GeneNameKind::other;
    c.named_elsewhere += found.elsewhere;
    c.case_folded_symbols += found.gene.case_folded;
    const auto row = static_cast<std::size_t>(found.gene.row);
    const auto [place, is_first] =
        first_column.try_emplace(gene_identity(found, table), static_cast<std::int32_t>(g));
    if (!is_first) {
      ++c.duplicates_summed;
      if (summed.size() < 10) summed.push_back(found.name.text);
      mapping.summed_into[g] = place->second;
      mapping.any_summed = true;
    } else {
      c.shared_tokens += token_used[row];
      token_used[row] = 1;
    }
    if (!table.learnt.empty()) c.learnt = (c.learnt < 0 ? 0 : c.learnt) + table.learnt[row];
    mapping.tokens[g] = table.tokens[row];
    mapping.medians[g] = table.medians[row];
  }
  if (by_id * 2 > c.matched) c.naming = GeneNaming::ensembl;  // few of many columns, but those by their ids
  c.species = options.species != Species::automatic ? options.species
              : c.mouse + c.orthologues > c.human   ? Species::mouse
                                                    : Species::human;
  if (options.species == Species::human && c.mouse > c.human && foreign * 2 <= c.genes)
    throw DataError({"STOFM-4127", file, "gene names",
                     concat(c.mouse, " mouse and ", c.human, " human genes"),
                     "human genes, as GeneMappingOptions::species = human says",
                     "Map with GeneMappingOptions::species = mouse, or leave the option out."});
  judge_coverage(mapping, options, file, foreign, mouse_map.empty());
  add_mapping_notices(mapping, summed, options.control_features_count, mixed_species(c, sure));
  return mapping;
}

}  // namespace stofm
#endif

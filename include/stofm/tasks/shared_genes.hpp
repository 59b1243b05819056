// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which gene columns of several slices are the same gene. A column has up to three names: its Ensembl gene
/// id, its symbol (in upper case), and, where a model with a gene table is at hand, the token that the model
/// has for it, which brings ids and symbols, mouse and human together. The kind of name that most genes share
/// decides, for all of them.

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "stofm/pipeline/model.hpp"

namespace stofm::tasks {

/// Names of genes, or of the columns of a slice. What a column does not have is empty, or -1; control
/// features have no name at all.
struct GeneNames {
  std::vector<std::string> shown;    ///< [genes] as the file has them, symbols before ids
  std::vector<std::string> ids;      ///< [genes] Ensembl gene ids without versions
  std::vector<std::string> symbols;  ///< [genes] upper case
  std::vector<std::int32_t> tokens;  ///< [genes] of the gene table

  std::int64_t size() const { return static_cast<std::int64_t>(shown.size()); }
};

/// Genes that all slices have.
struct SharedGenes {
  GeneNames genes;                                 ///< [G] in the order of the first slice
  std::vector<std::vector<std::int32_t>> gene_of;  ///< by slice: [columns] gene of each, -1: not shared
  std::string matched_by;                          ///< "Ensembl ids", "symbols", "the gene table"

  std::int64_t size() const { return genes.size(); }
};

/// Names of the columns of a slice. `model` (may be null, or without a gene table): for tokens; a slice that
/// its table can't read has none. *Cost* O(columns).
inline GeneNames gene_names(const io::Slice& slice, const pipeline::Model* model = nullptr) {
  const auto columns = slice.gene_ids.size();
  GeneNames names{std::vector<std::string>(columns), std::vector<std::string>(columns),
                  std::vector<std::string>(columns), std::vector<std::int32_t>(columns, -1)};
  for (std::size_t g = 0; g < columns; ++g) {
    const std::string* lists[2] = {slice.gene_symbols.empty() ? nullptr : &slice.gene_symbols[g],
                                   &slice.gene_ids[g]};
    if (pipeline::is_control_feature(slice.gene_ids[g]) ||
        (lists[0] != nullptr && pipeline::is_control_feature(*lists[0])))
      continue;
    for (const std::string* text : lists) {
      if (text == nullptr) continue;
      const pipeline::GeneName name = pipeline::classify_gene_name(*text);
      using Kind = pipeline::GeneNameKind;
      if (name.kind == Kind::human_gene || name.kind == Kind::mouse_gene || name.kind == Kind::foreign_gene) {
        if (names.ids[g].empty()) names.ids[g] = name.text;
      } else if (name.kind == Kind::other && names.symbols[g].empty()) {
        names.symbols[g] = pipeline::upper_case(name.text);
      } else if (name.kind != Kind::other) {
        continue;
      }
      if (names.shown[g].empty()) names.shown[g] = *text;
    }
  }
  if (model == nullptr || !model->genes) return names;
  try {
    pipeline::GeneMappingOptions all;
    all.refuse_below = 0;
    const auto mapping = pipeline::map_genes(slice, *model->genes, *model->mouse_map, all);
    names.tokens = mapping.tokens;
  } catch (const DataError&) {  // no gene of the table: other names may do
  }
  return names;
}

namespace detail {

inline constexpr const char* gene_kinds[] = {"Ensembl ids", "symbols", "the gene table"};

/// What a gene is called in one of the three ways; empty: not at all.
inline std::string gene_key(const GeneNames& names, std::size_t gene, std::size_t kind) {
  if (names.shown[gene].empty()) return {};
  if (kind == 0) return names.ids[gene];
  if (kind == 1) return names.symbols[gene];
  return names.tokens[gene] < 0 ? std::string() : std::to_string(names.tokens[gene]);
}

/// Index of each name of a kind: the first that has it.
inline std::unordered_map<std::string, std::int32_t> gene_index(const GeneNames& names, std::size_t kind) {
  std::unordered_map<std::string, std::int32_t> index;
  for (std::size_t g = 0; g < names.shown.size(); ++g) {
    std::string key = gene_key(names, g, kind);
    if (!key.empty()) index.try_emplace(std::move(key), static_cast<std::int32_t>(g));
  }
  return index;
}

/// Gene of each column by names of a kind.
inline std::vector<std::int32_t> find_genes(const std::unordered_map<std::string, std::int32_t>& index,
                                            const GeneNames& columns, std::size_t kind) {
  std::vector<std::int32_t> found(columns.shown.size(), -1);
  for (std::size_t c = 0; c < found.size(); ++c) {
    const std::string key = gene_key(columns, c, kind);
    if (key.empty()) continue;
    const auto entry = index.find(key);
    if (entry != index.end()) found[c] = entry->second;
  }
  return found;
}

/// How many different genes a list of columns reaches.
inline std::int64_t distinct_genes(const std::vector<std::int32_t>& gene_of, std::int64_t genes) {
  std::vector<char> seen(static_cast<std::size_t>(genes), 0);
  for (const std::int32_t g : gene_of)
    if (g >= 0) seen[static_cast<std::size_t>(g)] = 1;
  return std::count(seen.begin(), seen.end(), 1);
}

}  // namespace detail

/// Gene of `genes` for each column of a slice, -1: none; by the kind of name that finds most.
/// \param found how many of the genes have a column
inline std::vector<std::int32_t> match_genes(const GeneNames& genes, const GeneNames& columns,
                                             std::int64_t& found) {
  std::vector<std::int32_t> best;
  found = -1;
  for (std::size_t kind = 0; kind < 3; ++kind) {
    std::vector<std::int32_t> gene_of = detail::find_genes(detail::gene_index(genes, kind), columns, kind);
    const std::int64_t count = detail::distinct_genes(gene_of, genes.size());
    if (count <= found) continue;
    found = count;
    best = std::move(gene_of);
  }
  return best;
}

/// Which of `genes` genes have a column, by what match_genes found.
inline std::vector<char> genes_with_columns(const std::vector<std::int32_t>& gene_of, std::int64_t genes) {
  std::vector<char> there(static_cast<std::size_t>(genes), 0);
  for (const std::int32_t g : gene_of)
    if (g >= 0) there[static_cast<std::size_t>(g)] = 1;
  return there;
}

/// Genes that every one of the slices has (one at least). Columns of one gene count as that gene together.
/// \throws UsageError for no slices (STOFM-4750); DataError where they share no gene (4751). *Cost*
/// O(columns).
STOFM_INLINE SharedGenes share_genes(std::span<const io::Slice* const> slices,
                                     const pipeline::Model* model = nullptr);

/// How much of their panels slices share.
struct PanelOverlap {
  std::int64_t shared = 0;  ///< genes that all have
  std::int64_t most = 0;    ///< genes of the largest panel
  /// Less than nine tenths: what is learnt of cells of one slice hangs on its panel.
  bool differ() const { return 10 * shared < 9 * most; }
};

/// As share_genes, but slices without a common gene share 0: a model may still know the genes of each.
inline PanelOverlap panel_overlap(std::span<const io::Slice* const> slices,
                                  const pipeline::Model* model = nullptr) {
  PanelOverlap overlap;
  for (const io::Slice* slice : slices) overlap.most = (std::max)(overlap.most, slice->genes());
  try {
    overlap.shared = share_genes(slices, model).size();
  } catch (const DataError&) {  // none is shared
  }
  return overlap;
}

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::share_genes(std::span<const io::Slice* const> slices, const pipeline::Model* model)
    -> SharedGenes {
  if (slices.empty())
    throw UsageError({"STOFM-4750", "", "[share_genes]", "no slices", "at least one", "Give slices."});
  std::vector<GeneNames> names;
  for (const io::Slice* slice : slices) names.push_back(gene_names(*slice, model));
  SharedGenes result;
  std::int64_t most = 0;
  for (std::size_t kind = 0; kind < 3; ++kind) {
    const auto index = detail::gene_index(names[0], kind);
    std::vector<std::vector<std::int32_t>> first_gene_of;
    std::vector<std::int64_t> slices_with(names[0].shown.size(), 0);
    for (const GeneNames& columns : names) {
      first_gene_of.push_back(detail::find_genes(index, columns, kind));
      std::vector<char> seen(slices_with.size(), 0);
      for (const std::int32_t g : first_gene_of.back())
        if (g >= 0 && seen[static_cast<std::size_t>(g)]++ == 0) ++slices_with[static_cast<std::size_t>(g)];
    }
    const auto everywhere = static_cast<std::int64_t>(slices.size());
    const std::int64_t shared = std::count(slices_with.begin(), slices_with.end(), everywhere);
    if (shared <= most) continue;
    most = shared;
    result = {};
    result.matched_by = detail::gene_kinds[kind];
    std::vector<std::int32_t> number(slices_with.size(), -1);
    for (std::size_t g = 0; g < number.size(); ++g) {
      if (slices_with[g] != everywhere) continue;
      number[g] = static_cast<std::int32_t>(result.genes.size());
      result.genes.shown.push_back(names[0].shown[g]);
      result.genes.ids.push_back(names[0].ids[g]);
      result.genes.symbols.push_back(names[0].symbols[g]);
      result.genes.tokens.push_back(names[0].tokens[g]);
    }
    for (auto& gene_of : first_gene_of) {
      for (std::int32_t& g : gene_of) g = g < 0 ? -1 : number[static_cast<std::size_t>(g)];
      result.gene_of.push_back(std::move(gene_of));
    }
  }
  if (most == 0) {
    std::string found;
    for (std::size_t s = 0; s < slices.size() && s < 3; ++s) {
      const auto named = std::find_if(names[s].shown.begin(), names[s].shown.end(),
                                      [](const std::string& name) { return !name.empty(); });
      found += concat(s == 0 ? "" : ", ", slices[s]->genes(), " in ", slices[s]->path,
                      named == names[s].shown.end() ? std::string() : concat(" (", *named, ", ...)"));
    }
    throw DataError({"STOFM-4751", slices[0]->path, "genes", concat("no gene that all slices have: ", found),
                     "at least one", "Give slices with the same genes, or ids that fit each other."});
  }
  return result;
}

}  // namespace stofm
#endif

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which list names the genes of a slice: its ids, its symbols, the index, or another text column of var.
/// Each is judged by what it holds: how many genes of the vocabulary it knows, distinct ones, so that a text
/// that stands in every row is worth one.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/slice.hpp"
#include "stofm/pipeline/gene_coverage.hpp"
#include "stofm/pipeline/gene_name.hpp"

namespace stofm::pipeline::detail {

/// How one name was resolved.
struct ResolvedGene {
  std::int32_t row = -1;  ///< row of the gene table
  bool case_folded = false, ambiguous = false, unmapped_mouse = false;
};

/// Looks one normalised name up. An id of a mouse gene goes through the map; without an entry it is kept, and
/// no vocabulary has it.
inline ResolvedGene resolve_gene(const GeneName& name, const GeneTable& table, const MouseMap& mouse_map,
                                 const GeneMappingOptions& options) {
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
  } else if (name.kind == GeneNameKind::other) {
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

/// One list of names and what it holds, control features left out.
struct GeneList {
  std::string column;  ///< "" if the slice does not say
  const std::vector<std::string>* names = nullptr;
  bool usual = false;                         ///< ids, symbols or the index: read as names without proof
  std::string repeated{};                     ///< a text that stands in more than half of the rows: no name
  std::int64_t ensembl = 0;                   ///< Ensembl ids of any kind
  std::int64_t human_ids = 0, mouse_ids = 0;  ///< gene ids of the two
  std::int64_t foreign_ids = 0;               ///< gene ids of other species
  std::int64_t known = 0;                     ///< distinct genes of the vocabulary
  std::int64_t symbols = 0,
               mouse_symbols = 0;  ///< known as written; only upper-cased, and written as of mouse

  GeneName name(std::size_t g) const {
    const std::string& raw = (*names)[g];
    GeneName result;
    result.kind = GeneNameKind::none;
    return !repeated.empty() && raw == repeated ? result : classify_gene_name(raw);
  }
};

/// Sets `repeated`: one text in more than half of at least ten rows is a placeholder, whatever it says.
inline void find_repeated(GeneList& list) {
  const std::vector<std::string>& names = *list.names;
  if (names.size() < 10) return;
  std::size_t votes = 0, at = 0;
  for (std::size_t g = 0; g < names.size(); ++g) {  // majority vote
    if (votes == 0) at = g;
    votes = votes == 0 || names[g] == names[at] ? votes + 1 : votes - 1;
  }
  std::size_t count = 0;
  for (const std::string& name : names) count += name == names[at] ? 1 : 0;
  if (count * 2 > names.size()) list.repeated = names[at];
}

/// Fills the numbers of a list. *Cost* O(names).
inline void measure(GeneList& list, const std::vector<std::uint8_t>& control, const GeneTable& table,
                    const MouseMap& mouse_map, const GeneMappingOptions& options) {
  find_repeated(list);
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(table.genes()), 0);
  for (std::size_t g = 0; g < control.size(); ++g) {
    if (control[g]) continue;
    const GeneName name = list.name(g);
    if (name.kind == GeneNameKind::none) continue;
    list.ensembl += name.kind != GeneNameKind::other && name.kind != GeneNameKind::deprecated;
    list.human_ids += name.kind == GeneNameKind::human_gene;
    list.mouse_ids += name.kind == GeneNameKind::mouse_gene;
    list.foreign_ids += name.kind == GeneNameKind::foreign_gene;
    const ResolvedGene gene = resolve_gene(name, table, mouse_map, options);
    if (gene.row < 0) continue;
    if (name.kind == GeneNameKind::other) {
      list.symbols += !gene.case_folded;
      list.mouse_symbols += gene.case_folded && looks_like_mouse_symbol(name.text);
    }
    auto& first = seen[static_cast<std::size_t>(gene.row)];
    list.known += first == 0;
    first = 1;
  }
}

/// The lists of a slice, and which of them are asked in which order.
struct GeneLists {
  std::vector<GeneList> lists;     ///< ids, symbols if there are any, then the others
  bool has_symbols = false;        ///< lists[1] are symbols
  bool chosen = false;             ///< the user named the list of ids: it alone names genes
  std::vector<std::size_t> order;  ///< the list that names the genes, then those that fill its gaps
  bool by_symbol = false;          ///< less than half of the names are Ensembl ids
  bool any_mouse = false;          ///< one of the lists is of mouse
  bool orthologues = false;        ///< at least half of the names are human ids, another list is of mouse
  bool found_by_content = false;   ///< not the list that usually has the names
};

/// Whether a list says that the slice is of mouse.
inline bool says_mouse(const GeneList& list, std::int64_t genes) {
  return list.mouse_ids * 2 >= genes ||
         (list.mouse_symbols * 4 >= genes && list.mouse_symbols > 4 * list.symbols);
}

/// Chooses the list that names the genes. Usually the ids, or if less than half of them are Ensembl ids and
/// the symbols know more, the symbols. Another list takes their place only if it knows more than twice as
/// many genes, and enough of them to compute with. Gaps are filled from the other lists, but for a mouse
/// slice with human ids: there a blank says that there is no orthologue.
inline void choose_lists(GeneLists& all, std::int64_t genes, const GeneMappingOptions& options) {
  auto& lists = all.lists;
  std::size_t first = 0;
  all.by_symbol = options.naming == GeneNaming::symbols ||
                  (options.naming == GeneNaming::automatic && lists[0].ensembl * 2 < genes);
  if (all.by_symbol && all.has_symbols && !all.chosen &&
      (options.naming == GeneNaming::symbols || lists[1].known > lists[0].known))
    first = 1;
  const bool free = options.naming == GeneNaming::automatic && !all.chosen;
  if (free) {
    std::size_t best = first;
    for (std::size_t i = 0; i < lists.size(); ++i) {
      const auto rank = [&](std::size_t k) { return std::pair{lists[k].known, lists[k].ensembl}; };
      if (rank(i) > rank(best)) best = i;
    }
    // Symbols of a rat that have human namesakes do not make human genes of it.
    const bool foreign = lists[first].foreign_ids * 2 > genes;
    if (lists[best].known > 2 * lists[first].known &&
        (!foreign || lists[best].mouse_symbols * 2 < lists[best].known) &&
        static_cast<double>(lists[best].known) >= options.refuse_below * static_cast<double>(genes)) {
      all.found_by_content = !lists[best].usual;
      first = best;
      all.by_symbol = lists[best].ensembl * 2 < genes;
    }
  }
  const GeneList& names = lists[first];
  all.order = {first};
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const bool mouse = says_mouse(lists[i], genes);
    all.any_mouse = all.any_mouse || mouse;
    all.orthologues = all.orthologues || (mouse && i != first && names.human_ids * 2 >= genes &&
                                          names.human_ids > names.mouse_ids);
  }
  if (!free || all.orthologues) return;
  for (std::size_t i = 0; i < lists.size(); ++i)
    if (i != first && lists[i].foreign_ids * 2 <= genes && (lists[i].usual || lists[i].known * 2 >= genes))
      all.order.push_back(i);
}

}  // namespace stofm::pipeline::detail

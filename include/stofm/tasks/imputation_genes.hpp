// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which genes an imputation learns from (all sides have them) and which it predicts (a reference has them;
/// the slice lacks them, or has them and they are asked for or hidden). A gene to predict is never learnt
/// from, so that a measured gene is predicted as if it had not been measured.

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/core/checked.hpp"
#include "stofm/core/printable.hpp"
#include "stofm/tasks/shared_genes.hpp"

namespace stofm::tasks {

struct ImputationGeneOptions {
  std::vector<std::string> genes;  ///< asked for, by symbol or id; empty: all that the slice lacks
  /// Measured genes of the slice that are predicted besides, to see how well.
  std::vector<std::string> hidden;
};

/// Genes by their roles.
struct ImputationGenes {
  GeneNames shared;                                  ///< [G] learnt from
  std::vector<std::int32_t> slice_shared;            ///< [columns of the slice] gene of each, -1: none
  std::vector<std::vector<std::int32_t>> shared_of;  ///< by reference: [columns], the same
  std::string matched_by;                            ///< as SharedGenes
  GeneNames targets;                                 ///< [T] to predict, in the order asked for
  std::vector<std::uint8_t> measured;                ///< [T] the slice has the gene
  std::vector<std::int32_t> slice_target;            ///< [columns of the slice] target of each, -1: none
  std::vector<std::vector<std::int32_t>> target_of;  ///< by reference: [columns], the same
  std::vector<std::vector<std::uint8_t>> has;        ///< by reference: [T] it has the gene
};

namespace detail {

/// What two columns of one gene have in common: the name of the kind that genes are matched by, else another.
inline std::string target_key(const GeneNames& names, std::size_t gene, std::size_t kind) {
  for (const std::size_t one : {kind, std::size_t{0}, std::size_t{1}}) {
    std::string key = gene_key(names, gene, one);
    if (!key.empty()) return concat(one, " ", key);
  }
  return {};
}

/// Column that a user means by `name`: an id, a symbol in any case, or the name as it stands. -1: none.
inline std::int32_t named_column(const GeneNames& names, const std::string& name) {
  const pipeline::GeneName looked = pipeline::classify_gene_name(name);
  const std::string upper = pipeline::upper_case(looked.text);
  for (std::size_t g = 0; g < names.shown.size(); ++g)
    if (!names.shown[g].empty() &&
        (names.shown[g] == name || (!names.ids[g].empty() && names.ids[g] == looked.text) ||
         (!names.symbols[g].empty() && names.symbols[g] == upper)))
      return static_cast<std::int32_t>(g);
  return -1;
}

/// "Gad1, Gad2 and 3 more".
inline std::string listed_names(const std::vector<std::string>& names, std::size_t most = 5) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < most; ++i)
    text += (i ? ", " : "") + stofm::quoted(names[i], 40);
  return names.size() > most ? concat(text, " and ", names.size() - most, " more") : text;
}

}  // namespace detail

/// Finds the genes. \throws UsageError for no references (STOFM-4750); DataError where slice and references
/// share no gene (4751), a gene asked for is in no reference (4775), a hidden one not in the slice or in no
/// reference (4776), fewer than 2 genes remain to learn from (4777), nothing is left to predict (4778).
/// *Cost* O(columns).
inline ImputationGenes imputation_genes(const io::Slice& slice, std::span<const io::Slice* const> references,
                                        const pipeline::Model* model,
                                        const ImputationGeneOptions& options = {}) {
  if (references.empty())
    throw UsageError({"STOFM-4750", slice.path, "references", "none", "at least one",
                      "Give slices or cells that have the genes as references."});
  std::vector<const io::Slice*> all{&slice};
  all.insert(all.end(), references.begin(), references.end());
  const SharedGenes shared = share_genes(all, model);
  const auto kind = static_cast<std::size_t>(
      std::find(std::begin(detail::gene_kinds), std::end(detail::gene_kinds), shared.matched_by) -
      std::begin(detail::gene_kinds));
  const GeneNames own = gene_names(slice, model);
  std::vector<GeneNames> others;
  for (const io::Slice* reference : references) others.push_back(gene_names(*reference, model));

  ImputationGenes result;
  result.matched_by = shared.matched_by;
  std::unordered_map<std::string, std::int32_t> own_keys, target_keys;
  for (std::size_t g = 0; g < own.shown.size(); ++g) {
    std::string key = detail::target_key(own, g, kind);
    if (!key.empty()) own_keys.try_emplace(std::move(key), static_cast<std::int32_t>(g));
  }
  // Measured in the slice under another kind of name than that of the key.
  std::vector<std::unordered_map<std::string, std::int32_t>> own_index;
  for (std::size_t k = 0; k < 3; ++k) own_index.push_back(detail::gene_index(own, k));
  const auto in_slice = [&](const GeneNames& names, std::size_t g) {
    if (own_keys.contains(detail::target_key(names, g, kind))) return true;
    for (std::size_t k = 0; k < 2; ++k) {  // not by token: two mouse genes may have one
      const std::string key = detail::gene_key(names, g, k);
      if (!key.empty() && own_index[k].contains(key)) return true;
    }
    return false;
  };
  const auto add_target = [&](const GeneNames& names, std::size_t g) {
    std::string key = detail::target_key(names, g, kind);
    if (key.empty() || !target_keys.try_emplace(key, static_cast<std::int32_t>(result.targets.size())).second)
      return;
    result.targets.shown.push_back(names.shown[g]);
    result.targets.ids.push_back(names.ids[g]);
    result.targets.symbols.push_back(names.symbols[g]);
    result.targets.tokens.push_back(names.tokens[g]);
    result.measured.push_back(in_slice(names, g));
  };
  std::vector<std::string> nowhere;
  const auto add_named = [&](const std::string& name, bool must_be_measured) {
    for (const GeneNames& names : others) {
      const std::int32_t g = detail::named_column(names, name);
      if (g < 0) continue;
      if (must_be_measured && !in_slice(names, static_cast<std::size_t>(g))) break;
      add_target(names, static_cast<std::size_t>(g));
      return;
    }
    nowhere.push_back(name);
  };
  for (const std::string& name : options.genes) add_named(name, false);
  if (!nowhere.empty())
    throw DataError(
        {"STOFM-4775", references[0]->path, "genes",
         concat(detail::listed_names(nowhere), " in no reference"),
         concat("genes of a reference (", others[0].size(),
                " in the first: ", detail::listed_names(others[0].shown, 3), ")"),
         "Give a reference that has these genes, or leave them out of ImputationGeneOptions::genes."});
  if (options.genes.empty())
    for (const GeneNames& names : others)
      for (std::size_t g = 0; g < names.shown.size(); ++g)
        if (!names.shown[g].empty() && !in_slice(names, g)) add_target(names, g);
  for (const std::string& name : options.hidden) add_named(name, true);
  if (!nowhere.empty())
    throw DataError({"STOFM-4776", slice.path, "genes to hide", detail::listed_names(nowhere),
                     "genes that the slice and a reference have",
                     "Hide other genes (ImputationGeneOptions::hidden)."});
  if (result.targets.size() == 0)
    throw DataError({"STOFM-4778", slice.path, "genes", "no gene that a reference has and the slice lacks",
                     "at least one",
                     "Name the genes to predict (ImputationGeneOptions::genes), or give another reference."});

  const auto targets_of = [&](const GeneNames& names) {
    std::vector<std::int32_t> target(names.shown.size(), -1);
    for (std::size_t g = 0; g < target.size(); ++g) {
      const auto found = target_keys.find(detail::target_key(names, g, kind));
      if (found != target_keys.end()) target[g] = found->second;
    }
    return target;
  };
  result.slice_target = targets_of(own);
  for (const GeneNames& names : others) {
    result.target_of.push_back(targets_of(names));
    result.has.emplace_back(static_cast<std::size_t>(result.targets.size()), std::uint8_t{0});
    for (const std::int32_t t : result.target_of.back())
      if (t >= 0) result.has.back()[static_cast<std::size_t>(t)] = 1;
  }
  // Shared genes less those to predict, numbered again.
  std::vector<std::uint8_t> predicted(static_cast<std::size_t>(shared.size()), 0);
  for (std::size_t s = 0; s < all.size(); ++s) {
    const auto& target = s == 0 ? result.slice_target : result.target_of[s - 1];
    for (std::size_t g = 0; g < target.size(); ++g)
      if (target[g] >= 0 && shared.gene_of[s][g] >= 0)
        predicted[static_cast<std::size_t>(shared.gene_of[s][g])] = 1;
  }
  std::vector<std::int32_t> number(predicted.size(), -1);
  for (std::size_t g = 0; g < number.size(); ++g) {
    if (predicted[g]) continue;
    number[g] = static_cast<std::int32_t>(result.shared.size());
    result.shared.shown.push_back(shared.genes.shown[g]);
    result.shared.ids.push_back(shared.genes.ids[g]);
    result.shared.symbols.push_back(shared.genes.symbols[g]);
    result.shared.tokens.push_back(shared.genes.tokens[g]);
  }
  if (result.shared.size() < 2)
    throw DataError({"STOFM-4777", slice.path, "genes",
                     concat(result.shared.size(), " genes to learn from: of ", shared.size(),
                            " that slice and references share, the others are to be predicted"),
                     "at least 2", "Ask for fewer genes, or give references that share more."});
  for (std::size_t s = 0; s < all.size(); ++s) {
    std::vector<std::int32_t> gene = shared.gene_of[s];
    for (std::int32_t& g : gene) g = g < 0 ? -1 : number[static_cast<std::size_t>(g)];
    if (s == 0)
      result.slice_shared = std::move(gene);
    else
      result.shared_of.push_back(std::move(gene));
  }
  return result;
}

}  // namespace stofm::tasks

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Gene ids and symbols of an .h5ad file, and the gene column of each matrix column.

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/io/h5ad_coordinates.hpp"

namespace stofm::io {

/// Genes after identical ids were merged.
struct H5adGenes {
  std::vector<std::string> ids;              ///< [genes], distinct (empty ids excepted)
  std::vector<std::string> symbols;          ///< [genes] or none
  std::vector<std::int32_t> column_of_gene;  ///< [columns of the matrix]: its gene
};

namespace detail {

inline std::vector<std::string> read_key(const H5adFrame& var, const std::string& key) {
  return var.strings(key == "index" && !var.has("index") ? var.index() : key);
}

/// First of `names` that is a column of text, or "".
template <std::size_t N>
std::string first_text_column(const Hdf5File& file, const H5adFrame& var,
                              const std::array<const char*, N>& names) {
  for (const char* name : names) {
    if (name == var.index() || !var.has(name)) continue;
    const std::string path = var.path() + "/" + name;
    const Hdf5Object object = open_hdf5_object(file, path);
    if (object.kind == Hdf5Kind::group) return name;
    if (open_hdf5_dataset(file, path).type().is_string() ||
        open_hdf5_object(file, var.path() + "/__categories/" + name).kind == Hdf5Kind::dataset)
      return name;
  }
  return "";
}

}  // namespace detail

/// Reads ids and symbols of the genes of `var` as the options say; the same id in several columns becomes one
/// gene whose counts are summed (a notice lists them).
inline H5adGenes read_genes(const Hdf5File& file, const H5adFrame& var, const H5adReadOptions& options,
                            Notices& notices) {
  static constexpr std::array id_names{"ensembl_id", "gene_ids"};
  static constexpr std::array symbol_names{"gene_symbol",  "gene_symbols", "symbol",
                                           "feature_name", "gene_name",    "gene_names"};
  for (const std::string& key : {options.gene_key, options.symbol_key})
    if (!key.empty() && key != "index" && !var.has(key))
      throw UsageError({"STOFM-3538", file.path, var.path() + "/" + key,
                        "nothing; columns are " + detail::name_list(var.columns(), 20), "a column of text",
                        "Name a column with --gene-key or --symbol-key, or \"index\"."});
  std::string id_key = options.gene_key;
  if (id_key.empty()) id_key = detail::first_text_column(file, var, id_names);
  if (options.gene_key.empty() && id_key != "ensembl_id")
    notices.push_back(
        {"STOFM-W3501",
         id_key.empty()
             ? "gene ids are the index of " + var.path() + ": it has no column ensembl_id or gene_ids"
             : "gene ids are " + var.path() + "[\"" + id_key + "\"]: there is no ensembl_id",
         var.length()});
  const bool from_index = id_key.empty() || (id_key == "index" && !var.has("index"));
  std::vector<std::string> ids = from_index ? var.strings(var.index()) : detail::read_key(var, id_key);
  std::string symbol_key = options.symbol_key;
  if (symbol_key.empty()) symbol_key = detail::first_text_column(file, var, symbol_names);
  std::vector<std::string> symbols;
  if (!symbol_key.empty()) {
    symbols = detail::read_key(var, symbol_key);
  } else if (!from_index) {
    symbols = var.strings(var.index());
  }
  H5adGenes genes;
  std::unordered_map<std::string, std::int32_t> first;
  std::vector<std::string> twice;
  std::int64_t merged = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto fresh = static_cast<std::int32_t>(genes.ids.size());
    const auto [place, is_new] = ids[i].empty() ? std::pair{first.end(), true} : first.emplace(ids[i], fresh);
    if (is_new) {
      genes.column_of_gene.push_back(fresh);
      genes.ids.push_back(ids[i]);
      if (!symbols.empty()) genes.symbols.push_back(symbols[i]);
      continue;
    }
    genes.column_of_gene.push_back(place->second);
    ++merged;
    if (twice.size() < 10 && std::find(twice.begin(), twice.end(), ids[i]) == twice.end())
      twice.push_back(ids[i]);
  }
  if (merged > 0)
    notices.push_back(
        {"STOFM-W3502",
         concat(merged, " columns repeat a gene id; their counts are summed: ", detail::name_list(twice)),
         merged});
  return genes;
}

}  // namespace stofm::io

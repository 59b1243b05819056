// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The names of the genes of an .h5ad file or of frames in memory, from every place that has some, and the
/// gene column of each matrix column. What the names mean is not known here, nor is libhdf5.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/io/h5ad_feature_types.hpp"
#include "stofm/io/h5ad_options.hpp"
#include "stofm/io/name_list.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io {

/// Names of the genes, one list per place; features of another type are left out of all of them.
struct H5adGenes {
  std::vector<std::string> ids;      ///< [genes]
  std::vector<std::string> symbols;  ///< [genes] or none
  std::string id_column, symbol_column;
  bool id_column_chosen = false;             ///< by --gene-key
  std::vector<GeneNameList> others;          ///< the index if it is none of these, then other columns of text
  std::vector<std::string> labels;           ///< [genes] a name of each, for messages
  std::vector<std::int32_t> column_of_gene;  ///< [columns of the matrix]: its gene, -1: left out

  /// Hands the names to a slice, with the columns of the file where some were left out.
  void give_names_to(Slice& slice);
};

inline void H5adGenes::give_names_to(Slice& slice) {
  if (ids.size() < column_of_gene.size())
    for (std::size_t column = 0; column < column_of_gene.size(); ++column)
      if (column_of_gene[column] >= 0) slice.file_columns.push_back(static_cast<std::int64_t>(column));
  slice.gene_ids = std::move(ids);
  slice.gene_symbols = std::move(symbols);
  slice.gene_id_column = id_column;
  slice.gene_symbol_column = symbol_column;
  slice.gene_column_chosen = id_column_chosen;
  slice.other_gene_names = std::move(others);
}

namespace detail {

inline constexpr std::size_t gene_name_limit = 256;       ///< bytes; a longer text names no gene
inline constexpr std::size_t other_gene_columns = 64;     ///< columns of var that are looked at
inline constexpr std::size_t other_gene_bytes = 8 << 20;  ///< text of these together

template <class Frame>
std::vector<std::string> read_key(const Frame& var, const std::string& key) {
  return var.strings(key == "index" && !var.has("index") ? var.index() : key);
}

/// What --gene-key calls the index.
template <class Frame>
std::string index_key(const Frame& var) {
  return var.index() == "index" || !var.has("index") ? "index" : var.index();
}

/// First of `names` that is a column of text, or "".
template <class Frame, std::size_t N>
std::string first_text_column(const Frame& var, const std::array<const char*, N>& names) {
  for (const char* name : names)
    if (name != var.index() && var.is_text(name)) return name;
  return "";
}

/// Every other column of text, as far as the limits go. One that can not be read is no one's loss: nobody
/// asked for it.
template <class Frame>
void read_other_columns(const Frame& var, H5adGenes& genes) {
  std::size_t bytes = 0;
  for (const std::string& column : var.columns()) {
    if (genes.others.size() >= other_gene_columns) return;
    if (column == var.index() || column == genes.id_column || column == genes.symbol_column ||
        column.starts_with("feature_type") || column == "feature_biotype")
      continue;
    try {
      if (!var.is_text(column)) continue;
      std::vector<std::string> names = var.strings(column);
      for (std::string& name : names) {
        if (name.size() > gene_name_limit) name = std::string();
        bytes += name.size();
      }
      if (bytes > other_gene_bytes) return;
      genes.others.push_back({column, std::move(names)});
    } catch (const FileError&) {
      continue;
    }
  }
}

/// Leaves the entries of features that are no genes out.
inline void keep_genes(std::vector<std::string>& names, const std::vector<std::uint8_t>& gene) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (gene[i] != 0) {
      if (kept != i) names[kept] = std::move(names[i]);
      ++kept;
    }
  names.resize(kept);
}

}  // namespace detail

/// Reads the names of the genes of `var`. Usually ids are var["ensembl_id"] or ["gene_ids"], else the index,
/// and symbols gene_symbol and its other names, else the index; every other column of text goes along, so
/// that whoever knows genes can look at what it holds. With a gene key ids are that column, and it alone
/// counts. \throws UsageError a key that is no column; DataError no gene; FileError damage. *Cost* all text
/// of var.
template <class File, class Frame>
H5adGenes read_genes(const File& file, const Frame& var, const H5adReadOptions& options, Notices& notices) {
  static constexpr std::array id_names{"ensembl_id", "gene_ids"};
  static constexpr std::array symbol_names{"gene_symbol",  "gene_symbols", "symbol",
                                           "feature_name", "gene_name",    "gene_names"};
  for (const std::string& key : {options.gene_key, options.symbol_key})
    if (!key.empty() && key != "index" && !var.has(key))
      throw UsageError(
          {"STOFM-3538", file.path, var.path() + "/" + key,
           "nothing; columns are " + detail::name_list(var.columns(), 20), "a column of text",
           "Name a column with H5adReadOptions::gene_key or H5adReadOptions::symbol_key, or \"index\"."});
  const std::string index = detail::index_key(var);
  const std::vector<std::uint8_t> gene = read_gene_features(file, var, notices);
  H5adGenes genes;
  genes.id_column_chosen = !options.gene_key.empty();
  genes.id_column = genes.id_column_chosen ? options.gene_key : detail::first_text_column(var, id_names);
  if (genes.id_column.empty()) genes.id_column = index;
  genes.symbol_column =
      options.symbol_key.empty() ? detail::first_text_column(var, symbol_names) : options.symbol_key;
  if (genes.symbol_column.empty() && genes.id_column != index) genes.symbol_column = index;
  if (genes.symbol_column == genes.id_column) genes.symbol_column.clear();
  genes.ids = detail::read_key(var, genes.id_column);
  if (!genes.symbol_column.empty()) genes.symbols = detail::read_key(var, genes.symbol_column);
  if (genes.id_column != index && genes.symbol_column != index)
    genes.others.push_back({index, var.strings(var.index())});
  detail::read_other_columns(var, genes);
  for (const std::uint8_t is_gene : gene) {
    const auto fresh = static_cast<std::int32_t>(genes.labels.size());
    genes.column_of_gene.push_back(is_gene != 0 ? fresh : -1);
    if (is_gene != 0) genes.labels.emplace_back();
  }
  detail::keep_genes(genes.ids, gene);
  detail::keep_genes(genes.symbols, gene);
  for (GeneNameList& other : genes.others) detail::keep_genes(other.names, gene);
  const std::vector<std::string>& spare =
      genes.id_column == index || genes.symbol_column == index || genes.others.empty()
          ? (genes.symbols.empty() ? genes.ids : genes.symbols)
          : genes.others.front().names;
  for (std::size_t i = 0; i < genes.labels.size(); ++i)
    genes.labels[i] = genes.ids[i].empty() ? spare[i] : genes.ids[i];
  return genes;
}

}  // namespace stofm::io

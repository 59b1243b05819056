// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which columns of the matrix are genes: var["feature_types"] of 10x and scanpy, var["feature_biotype"] of
/// cellxgene. Antibodies, peaks, guides and spike-ins may carry the very names of genes, so they are left out
/// before any name is looked at. `var` is an H5adFrame or a MemoryFrame; no libhdf5 here.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/with_commas.hpp"
#include "stofm/io/h5ad_categorical.hpp"

namespace stofm::io {

namespace detail {

enum class FeatureType { gene, other, biotype, unknown, missing };

/// "Gene Expression", "gene": a gene; "Antibody Capture", "Peaks": known not to be; "protein_coding": what
/// kind of gene, said of genes only. Case, blanks, dashes and underscores do not matter.
inline FeatureType feature_type(std::string_view raw) {
  std::string text;
  for (const char c : raw) {
    if (c == ' ' || c == '_' || c == '-' || c == '.' || (c >= '\t' && c <= '\r')) continue;
    text += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  const auto in = [&text](const auto& names) {
    return std::find(names.begin(), names.end(), text) != names.end();
  };
  static constexpr std::array missing{"", "nan", "na", "none", "null", "<na>", "n/a"};
  static constexpr std::array gene{"geneexpression", "gene", "genes", "gex", "rna", "mrna"};
  static constexpr std::array biotype{"proteincoding", "lncrna", "lincrna", "mirna", "snrna", "pseudogene"};
  static constexpr std::array parts{"antibody", "antigen",  "protein", "adt",       "hto",       "peak",
                                    "atac",     "crispr",   "guide",   "multiplex", "hashtag",   "spikein",
                                    "control",  "codeword", "blank",   "chromatin", "metabolite"};
  if (in(missing)) return FeatureType::missing;
  if (in(gene)) return FeatureType::gene;
  if (in(biotype)) return FeatureType::biotype;
  for (const std::string_view part : parts)
    if (text.find(part) != std::string::npos) return FeatureType::other;
  return FeatureType::unknown;
}

/// "10 Antibody Capture, 3,000 Peaks", the names without what a terminal could take for a command.
inline std::string type_counts(const std::map<std::string, std::int64_t>& counts) {
  std::string text;
  std::size_t shown = 0;
  for (const auto& [type, count] : counts) {
    if (++shown > 10) return concat(text, " and ", counts.size() - 10, " more types");
    const std::string name = stofm::quoted(type, 60);
    text += concat(shown > 1 ? ", " : "", with_commas(count), " ", name.substr(1, name.size() - 2));
  }
  return text;
}

/// Marks in `gene` the features that one column of types says are none; counts them by type.
template <class Frame>
void apply_feature_types(const Frame& var, const std::string& column, std::vector<std::uint8_t>& gene,
                         std::map<std::string, std::int64_t>& left_out, Notices& notices) {
  const H5adCategorical types = var.categorical(column);
  std::vector<FeatureType> kinds;
  for (const std::string& category : types.categories) kinds.push_back(feature_type(category));
  const auto kind_of = [&](std::size_t i) {
    return types.codes[i] < 0 ? FeatureType::missing : kinds[static_cast<std::size_t>(types.codes[i])];
  };
  bool any_gene = false;
  bool any_biotype = false;
  std::map<std::string, std::int64_t> unknown;
  for (std::size_t i = 0; i < gene.size(); ++i) {
    any_gene = any_gene || kind_of(i) == FeatureType::gene;
    any_biotype = any_biotype || kind_of(i) == FeatureType::biotype;
    if (kind_of(i) == FeatureType::unknown)
      ++unknown[types.categories[static_cast<std::size_t>(types.codes[i])]];
  }
  if (any_biotype && !any_gene) return;  // kinds of genes
  for (std::size_t i = 0; i < gene.size(); ++i) {
    const FeatureType kind = kind_of(i);
    const bool keep = kind == FeatureType::gene || kind == FeatureType::missing ||
                      kind == FeatureType::biotype || (kind == FeatureType::unknown && !any_gene);
    if (keep || gene[i] == 0) continue;
    gene[i] = 0;
    ++left_out[types.categories[static_cast<std::size_t>(types.codes[i])]];
  }
  std::int64_t taken = 0;
  for (const auto& [type, count] : unknown) taken += count;
  if (!any_gene && taken > 0)
    notices.push_back({"STOFM-W3561",
                       concat(var.path(), "[", stofm::quoted(column, 60), "] names no \"Gene Expression\": ",
                              type_counts(unknown), " features are taken as genes"),
                       taken});
}

}  // namespace detail

/// [columns of the matrix] 1: a gene, as far as the types of `var` say. A column of types without a known
/// gene type silences only the types that are known to be none. \throws DataError if no gene is left
template <class File, class Frame>
std::vector<std::uint8_t> read_gene_features(const File& file, const Frame& var, Notices& notices) {
  std::vector<std::uint8_t> gene(static_cast<std::size_t>(var.length()), 1);
  std::map<std::string, std::int64_t> left_out;
  for (const char* column : {"feature_types", "feature_type", "feature_biotype"})
    if (column != var.index() && var.is_text(column))
      detail::apply_feature_types(var, column, gene, left_out, notices);
  std::int64_t count = 0;
  for (const auto& [type, features] : left_out) count += features;
  if (count == 0) return gene;
  if (count == var.length())
    throw DataError({"STOFM-3560", file.path, var.path(),
                     concat("no gene: ", detail::type_counts(left_out), " features"),
                     "features of type \"Gene Expression\"",
                     "Give the matrix of gene expression, or name its layer with H5adReadOptions::layer."});
  notices.push_back(
      {"STOFM-W3560", concat(detail::type_counts(left_out), " features are no genes: left out"), count});
  return gene;
}

}  // namespace stofm::io

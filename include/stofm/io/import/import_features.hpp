// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which features of a matrix are genes and become columns, and what is set aside: antibodies and peaks by
/// their types, control probes and blanks of imaging by their types or names.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "stofm/core/lower_case.hpp"
#include "stofm/io/h5ad_feature_types.hpp"
#include "stofm/io/import/import_source.hpp"

namespace stofm::io {

/// What a feature of this name is that no gene is called: "Blank", "Negative control", ...; "" for a gene.
/// Names of Xenium (NegControlProbe_00042), MERSCOPE (Blank-12), CosMx (NegPrb3, Negative7, SystemControl21,
/// FalseCode5) and of spike-ins (ERCC-00002).
inline std::string control_kind(std::string_view name) {
  const std::string low = lower_case(name);
  const auto digits_behind = [&low](std::size_t at) {
    while (at < low.size() && (low[at] == '-' || low[at] == '_' || low[at] == ' ' || low[at] == '.')) ++at;
    return at == low.size() || (low[at] >= '0' && low[at] <= '9');
  };
  if (low.starts_with("blank") && digits_behind(5)) return "Blank";
  if (low.starts_with("negcontrolprobe")) return "Negative Control Probe";
  if (low.starts_with("negcontrolcodeword")) return "Negative Control Codeword";
  if (low.starts_with("negprb") || (low.starts_with("negative") && digits_behind(8))) return "Negative Probe";
  if (low.starts_with("systemcontrol")) return "System Control";
  if (low.starts_with("falsecode")) return "False Code";
  if (low.starts_with("unassignedcodeword")) return "Unassigned Codeword";
  if (low.starts_with("deprecatedcodeword")) return "Deprecated Codeword";
  if (low.starts_with("antisense_") || low.starts_with("intergenic_region_")) return "Genomic Control";
  if (low.starts_with("ercc-") && digits_behind(5)) return "Spike-in";
  return {};
}

/// Columns of the slice that is made.
struct ImportedGenes {
  std::vector<std::int32_t> column_of;            ///< [features] -1: set aside
  std::vector<std::string> names;                 ///< [genes] each once: "-1", "-2" behind those that repeat
  std::vector<std::string> ids;                   ///< [genes] or none
  std::map<std::string, std::int64_t> set_aside;  ///< features of each kind
  std::int64_t renamed = 0;
};

/// \throws DataError (STOFM-3916) if no gene is left
inline ImportedGenes choose_genes(const ImportFeatures& features, const std::string& file) {
  using detail::FeatureType;
  std::unordered_map<std::string, FeatureType> kinds;
  bool any_gene = features.types.empty();
  for (const std::string& type : features.types) {
    const FeatureType kind = kinds.emplace(type, detail::feature_type(type)).first->second;
    any_gene = any_gene || kind == FeatureType::gene;
  }
  ImportedGenes genes;
  std::unordered_set<std::string> taken;
  for (std::size_t f = 0; f < features.size(); ++f) {
    const FeatureType kind = features.types.empty() ? FeatureType::gene : kinds.at(features.types[f]);
    std::string reason;
    if (kind == FeatureType::other || (kind == FeatureType::unknown && any_gene)) reason = features.types[f];
    if (reason.empty()) reason = control_kind(features.names[f]);
    if (!reason.empty()) {
      ++genes.set_aside[reason];
      genes.column_of.push_back(-1);
      continue;
    }
    genes.column_of.push_back(static_cast<std::int32_t>(genes.names.size()));
    const std::string id = features.ids.empty() ? std::string() : features.ids[f];
    std::string name = features.names[f].empty() ? id : features.names[f];
    if (name.empty()) name = concat("feature_", f);
    const std::string stem = name;
    for (int i = 1; !taken.insert(name).second; ++i) name = concat(stem, "-", i);
    genes.renamed += name != stem ? 1 : 0;
    genes.names.push_back(std::move(name));
    if (!features.ids.empty()) genes.ids.push_back(id);
  }
  if (genes.names.empty())
    throw DataError({"STOFM-3916", file, "features",
                     features.size() == 0
                         ? std::string("no feature")
                         : concat("no gene: ", detail::type_counts(genes.set_aside), " features"),
                     "features of type \"Gene Expression\"", "Give the matrix of gene expression."});
  return genes;
}

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What kind of name a gene column carries: Ensembl gene ids of human, mouse or another species, other
/// Ensembl ids, control features of imaging platforms, or anything else (a symbol). Source: Ensembl stable
/// ids (prefix ENS, species letters, feature letter, digits); 10x Xenium, Vizgen MERSCOPE and NanoString
/// CosMx feature names.

#include <array>
#include <string>
#include <string_view>

#include "stofm/pipeline/gene_table.hpp"

namespace stofm::pipeline {

enum class GeneNameKind {
  human_gene,     ///< ENSG..., ENSGR...
  mouse_gene,     ///< ENSMUSG...
  foreign_gene,   ///< gene id of another species: ENSRNOG..., ENSDARG...
  other_ensembl,  ///< ENST..., ENSP..., ENSA...: no gene
  other           ///< symbols and anything else
};

/// A name as it is looked up.
struct GeneName {
  std::string text;  ///< blanks cut, Ensembl ids in upper case without their version
  GeneNameKind kind = GeneNameKind::other;
  bool normalised = false;  ///< blanks were cut or the case changed
  bool version_stripped = false;
};

/// Whether a feature is a probe or a blank of the platform: NegControlProbe_00042, BLANK_0006,
/// antisense_BCL2L15, UnassignedCodeword_0003, Blank-12, NegPrb3, SystemControl7. Case does not matter. Genes
/// such as BLNK or FOO-AS1 are not.
inline bool is_control_feature(std::string_view name) {
  const std::string upper = upper_case(name);
  static constexpr std::array prefixes = {"NEGCONTROL",
                                          "NEG_CONTROL",
                                          "NEGATIVE_CONTROL",
                                          "NEGATIVECONTROL",
                                          "BLANK",
                                          "ANTISENSE_",
                                          "UNASSIGNEDCODEWORD",
                                          "UNASSIGNED_CODEWORD",
                                          "DEPRECATEDCODEWORD",
                                          "DEPRECATED_CODEWORD",
                                          "GENOMICCONTROL",
                                          "INTERGENIC_REGION",
                                          "NEGPRB",
                                          "SYSTEMCONTROL",
                                          "FALSECODE"};
  for (const std::string_view prefix : prefixes)
    if (upper.starts_with(prefix)) return true;
  return false;
}

/// Normalises and classifies one name.
inline GeneName classify_gene_name(std::string_view raw) {
  GeneName name;
  std::string_view text = raw;
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  name.text = text;
  const std::string upper = upper_case(text);
  const auto digit = [&upper](std::size_t i) {
    return i < upper.size() && upper[i] >= '0' && upper[i] <= '9';
  };
  // ENS, then letters up to the first digit. Six digits or more make it an id and not a symbol such as ENSA.
  std::size_t letters = 0;
  while (letters < upper.size() && upper[letters] >= 'A' && upper[letters] <= 'Z') ++letters;
  std::size_t digits = 0;
  while (digit(letters + digits)) ++digits;
  if (upper.starts_with("ENS") && digits >= 6) {
    const std::string_view prefix = std::string_view(upper).substr(0, letters);
    name.kind = prefix == "ENSG" || prefix == "ENSGR"       ? GeneNameKind::human_gene
                : prefix == "ENSMUSG"                       ? GeneNameKind::mouse_gene
                : prefix.size() > 4 && prefix.back() == 'G' ? GeneNameKind::foreign_gene
                                                            : GeneNameKind::other_ensembl;
    name.text = upper;
    if (name.kind == GeneNameKind::human_gene || name.kind == GeneNameKind::mouse_gene)
      if (const std::size_t dot = name.text.find('.'); dot != std::string::npos) {
        name.text.resize(dot);
        name.version_stripped = true;
      }
  }
  name.normalised = text.size() != raw.size() || (name.kind != GeneNameKind::other && upper != text);
  return name;
}

}  // namespace stofm::pipeline

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What kind of name a gene column carries: Ensembl gene ids of human, mouse or another species, other
/// Ensembl ids, control features of imaging platforms, no name at all ("nan", "-"), or anything else (a
/// symbol). *Source* Ensembl stable ids (prefix ENS, species letters, feature letter, digits); 10x Xenium,
/// Vizgen MERSCOPE and NanoString CosMx feature names; genome prefixes of Cell Ranger for several species.

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "stofm/pipeline/gene_table.hpp"

namespace stofm::pipeline {

enum class GeneNameKind {
  human_gene,     ///< ENSG..., ENSGR...
  mouse_gene,     ///< ENSMUSG...
  foreign_gene,   ///< gene id of another species: ENSRNOG..., ENSDARG...
  other_ensembl,  ///< ENST..., ENSP..., ENSA...: no gene
  deprecated,     ///< DEPRECATED_ENSG...: a probe that its maker withdrew, no measure of that gene
  none,           ///< nothing, or what programs write for a missing value: nan, None, NA, <NA>, -
  other           ///< symbols and anything else
};

/// Which genome a prefix such as GRCh38_ or mm10___ names.
enum class GenomePrefix { absent, human, mouse };

/// A name as it is looked up.
struct GeneName {
  std::string text;  ///< without blanks and genome; Ensembl ids alone, in upper case, without their version
  GeneNameKind kind = GeneNameKind::other;
  GenomePrefix genome = GenomePrefix::absent;  ///< what was stripped
  bool normalised = false;                     ///< blanks were cut or the case changed
  bool version_stripped = false;
  bool composite = false;  ///< the id was taken out of a longer name: SYMBOL:ENSG..., ENSG..._SYMBOL
};

namespace detail {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
inline bool is_separator(char c) { return c == '_' || c == '-' || c == '.' || c == ' ' || c == ':'; }

inline std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Length of a genome prefix of an upper-cased name, 0 if there is none: GRCH38_, HG19_, MM10___, GRCM39-,
/// GRCH38-2020-A_, GRCH38-1.2.0_PREMRNA_. Something must follow it.
inline std::size_t genome_prefix_length(std::string_view upper, GenomePrefix& genome) {
  static constexpr std::array human = {"GRCH38", "GRCH37", "HG38", "HG19", "HG18"};
  static constexpr std::array mouse = {"GRCM39", "GRCM38", "MM39", "MM10", "MM9"};
  std::size_t at = 0;
  for (const std::string_view name : human)
    if (at == 0 && upper.starts_with(name)) at = name.size(), genome = GenomePrefix::human;
  for (const std::string_view name : mouse)
    if (at == 0 && upper.starts_with(name)) at = name.size(), genome = GenomePrefix::mouse;
  const auto digits = [upper](std::size_t i) {
    std::size_t n = 0;
    while (i + n < upper.size() && is_digit(upper[i + n])) ++n;
    return n;
  };
  const auto separators = [upper](std::size_t i) {
    std::size_t n = 0;
    while (i + n < upper.size() && is_separator(upper[i + n])) ++n;
    return n;
  };
  std::size_t gap = at == 0 ? 0 : separators(at);
  if (gap > 0 && digits(at + gap) == 4 && upper.substr(at + gap, 2) == "20" && separators(at + gap + 4) > 0 &&
      at + gap + 6 < upper.size() && is_upper(upper[at + gap + 5]) && separators(at + gap + 6) > 0) {
    at += gap + 6;  // 2020-A, the release of the reference
    gap = separators(at);
  } else if (gap > 0 && digits(at + gap) > 0) {  // 3.0.0
    std::size_t end = at + gap;
    int parts = 0;
    while (digits(end) > 0) {
      end += digits(end);
      ++parts;
      if (end + 1 < upper.size() && upper[end] == '.' && is_digit(upper[end + 1])) ++end;
    }
    if (parts == 3 && separators(end) > 0) at = end, gap = separators(at);
  }
  for (const std::string_view premrna : {"PREMRNA", "PRE-MRNA", "PRE_MRNA"})
    if (gap > 0 && upper.substr(at + gap).starts_with(premrna) && separators(at + gap + premrna.size()) > 0) {
      at += gap + premrna.size();
      gap = separators(at);
    }
  if (gap > 0 && at + gap < upper.size()) return at + gap;
  genome = GenomePrefix::absent;
  return 0;
}

/// An Ensembl id inside an upper-cased name.
struct EnsemblId {
  std::size_t begin = 0, end = 0;  ///< without the version
  GeneNameKind kind = GeneNameKind::other;
};

/// The first gene id of human or mouse, else the first one of another species, else an Ensembl id of another
/// kind that the name starts with. ENS, letters, then six digits or more: that makes an id of it and no
/// symbol such as ENSA.
inline EnsemblId find_ensembl_id(std::string_view upper) {
  EnsemblId best;
  for (std::size_t at = upper.find("ENS"); at != std::string_view::npos; at = upper.find("ENS", at + 1)) {
    if (at > 0 && (is_upper(upper[at - 1]) || is_digit(upper[at - 1]))) continue;
    std::size_t letters = at;
    while (letters < upper.size() && is_upper(upper[letters])) ++letters;
    std::size_t end = letters;
    while (end < upper.size() && is_digit(upper[end])) ++end;
    if (end - letters < 6 || (at > 0 && end < upper.size() && is_upper(upper[end]))) continue;
    const std::string_view prefix = upper.substr(at, letters - at);
    if (prefix == "ENSG" || prefix == "ENSGR") return {at, end, GeneNameKind::human_gene};
    if (prefix == "ENSMUSG") return {at, end, GeneNameKind::mouse_gene};
    const bool gene = prefix.size() > 4 && prefix.back() == 'G';
    if (gene && best.kind != GeneNameKind::foreign_gene) best = {at, end, GeneNameKind::foreign_gene};
    if (!gene && at == 0) best = {at, end, GeneNameKind::other_ensembl};
  }
  return best;
}

}  // namespace detail

/// Whether a text stands for a missing name: nothing, or what pandas, R and people write for it.
inline bool is_no_name(std::string_view raw) {
  const std::string_view text = detail::trimmed(raw);
  if (text.size() > 9) return false;
  const std::string upper = upper_case(text);
  static constexpr std::array missing = {"",    "NAN",  "NONE",  "NA",     "<NA>",   "N/A",     "#N/A",
                                         "NIL", "NULL", "NAT",   "-",      "--",     ".",       "..",
                                         "?",   "_",    "<NAN>", "(NULL)", "<NULL>", "UNKNOWN", "MISSING"};
  return std::find(missing.begin(), missing.end(), upper) != missing.end();
}

/// Whether a feature is a probe or a blank of the platform, or a spike-in: NegControlProbe_00042, BLANK_0006,
/// antisense_BCL2L15, UnassignedCodeword_0003, Blank-12, NegPrb3, SystemControl7, Negative10, ERCC-00002;
/// also with dashes for underscores, as Seurat writes them. Case does not matter. Genes such as BLNK, NEGR1,
/// ERCC1 or FOO-AS1 are not.
inline bool is_control_feature(std::string_view name) {
  std::string upper = upper_case(detail::trimmed(name));
  std::string bare;
  for (const char c : upper)
    if (c != '_' && c != '-' && c != ' ' && c != '.') bare += c;
  static constexpr std::array prefixes = {
      "NEGCONTROL",     "NEGATIVECONTROL",  "BLANK",  "UNASSIGNEDCODEWORD", "DEPRECATEDCODEWORD",
      "GENOMICCONTROL", "INTERGENICREGION", "NEGPRB", "SYSTEMCONTROL",      "FALSECODE"};
  for (const std::string_view prefix : prefixes)
    if (bare.starts_with(prefix)) return true;
  const auto digits_from = [&bare](std::size_t at) {
    return at < bare.size() &&
           std::all_of(bare.begin() + static_cast<std::ptrdiff_t>(at), bare.end(), detail::is_digit);
  };
  if (bare.starts_with("NEGATIVE") && digits_from(8)) return true;
  if (upper.starts_with("ERCC") && bare.size() >= 9 && digits_from(4)) return true;  // ERCC-00002
  return upper.starts_with("ANTISENSE") && upper.size() > 10 && detail::is_separator(upper[9]);
}

/// Normalises and classifies one name.
inline GeneName classify_gene_name(std::string_view raw) {
  GeneName name;
  std::string_view text = detail::trimmed(raw);
  const bool cut = text.size() != raw.size();
  if (is_no_name(text)) {
    name.kind = GeneNameKind::none;
    return name;
  }
  std::string upper = upper_case(text);
  if (const std::size_t prefix = detail::genome_prefix_length(upper, name.genome); prefix > 0) {
    text.remove_prefix(prefix);
    upper.erase(0, prefix);
  }
  if (upper.starts_with("DEPRECATED") && upper.size() > 11 && detail::is_separator(upper[10])) {
    name.kind = GeneNameKind::deprecated;
    name.text = text;
    name.normalised = cut;
    return name;
  }
  const detail::EnsemblId id = detail::find_ensembl_id(upper);
  name.kind = id.kind;
  const bool gene = id.kind == GeneNameKind::human_gene || id.kind == GeneNameKind::mouse_gene;
  if (id.kind == GeneNameKind::other) {
    name.text = text;
    name.normalised = cut;
    return name;
  }
  if (!gene && id.begin == 0) {
    name.text = upper;
    name.normalised = cut || upper != text;
    return name;
  }
  std::size_t end = id.end;
  if (end < upper.size() && detail::is_upper(upper[end]))  // ENSG00000000001ABC: no id of Ensembl, kept whole
    end = (std::min)(upper.find('.', end), upper.size());
  name.text = upper.substr(id.begin, end - id.begin);
  name.normalised = cut || text.substr(id.begin, end - id.begin) != name.text;
  std::string_view rest = std::string_view(upper).substr(end);
  if (rest.size() > 1 && rest.front() == '.' && detail::is_digit(rest[1])) {
    name.version_stripped = true;
    rest.remove_prefix(1);
    while (!rest.empty() && detail::is_digit(rest.front())) rest.remove_prefix(1);
  }
  name.composite = id.begin > 0 || !(rest.empty() || rest == "_PAR_Y");
  return name;
}

}  // namespace stofm::pipeline

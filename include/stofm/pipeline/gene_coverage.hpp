// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From the gene columns of a slice to tokens: human Ensembl ids directly, mouse ids through the map, symbols
/// through the symbol column; with a report of what was matched and what was not. Source: SPEC section 1,
/// RELIABILITY rows D09 to D15.

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/pipeline/gene_table.hpp"

namespace stofm::pipeline {

/// Species of the slice; `automatic` looks at the names.
enum class Species { automatic, human, mouse };
/// What identifies a gene: the ids of the slice, its symbols, or whichever fits (`automatic`: ids if at least
/// half of them look like Ensembl gene ids, else names are taken as symbols).
enum class GeneNaming { automatic, ensembl, symbols };

struct GeneMappingOptions {
  Species species = Species::automatic;
  GeneNaming naming = GeneNaming::automatic;
  double refuse_below = 0.10;           ///< smallest share of matched genes that is computed with (row D10)
  double warn_below = 0.90;             ///< share below which a notice says so (row D10)
  bool fold_symbol_case = true;         ///< try GAD1 for Gad1: for mouse symbols, said in a notice
  bool control_features_count = false;  ///< whether probes and blanks enter the total of a cell

  /// \throws UsageError for shares outside [0, 1].
  void validate() const {
    for (const double share : {refuse_below, warn_below})
      if (!(share >= 0 && share <= 1))
        throw UsageError({"STOFM-4120", "", "gene coverage threshold", concat(share), "a share from 0 to 1",
                          "0.1 stands for 10 %."});
  }
};

/// How the columns fared. `genes` = matched + unknown + outside_vocabulary; control features are not genes.
struct GeneCoverage {
  Species species = Species::human;
  GeneNaming naming = GeneNaming::ensembl;
  std::int64_t columns = 0;           ///< columns of the slice
  std::int64_t genes = 0;             ///< without control features
  std::int64_t matched = 0;           ///< genes with a token
  std::int64_t control_features = 0;  ///< NegControl*, BLANK*, antisense_*, ...: not genes
  std::int64_t not_gene_ids = 0;    ///< unmatched: no Ensembl gene id (ENST, ENSP, a name) in a slice of ids
  std::int64_t unmapped_mouse = 0;  ///< unmatched: mouse id without an entry in the map
  std::int64_t outside_vocabulary = 0;   ///< unmatched: a gene that the vocabulary does not have
  std::int64_t ambiguous_symbols = 0;    ///< unmatched: the symbol stands for several genes
  std::int64_t versions_stripped = 0;    ///< ENSG....12 -> ENSG....
  std::int64_t normalised = 0;           ///< blanks cut or case changed
  std::int64_t case_folded_symbols = 0;  ///< matched by their upper-cased symbol only
  std::int64_t duplicates_summed = 0;    ///< columns added to an earlier one of the same name
  std::int64_t shared_tokens =
      0;  ///< columns whose token an earlier, differently named column has too (kept)
  std::vector<std::string> first_unmatched{};  ///< up to 10, as in the file
  double matched_share() const {
    return genes > 0 ? static_cast<double>(matched) / static_cast<double>(genes) : 0;
  }
};

/// What the tokenizer needs of each column, and the report.
struct GeneMapping {
  std::vector<std::int32_t> tokens{};  ///< [columns], -1: no token
  std::vector<double> medians{};       ///< [columns], 0 where there is no token
  std::vector<std::int32_t>
      summed_into{};                    ///< [columns], the column that its counts belong to; mostly itself
  std::vector<std::uint8_t> counted{};  ///< [columns], 0: does not enter the total of a cell
  bool any_summed = false;              ///< whether summed_into differs from the identity
  std::int32_t cls_token = 0;
  GeneCoverage coverage{};
  Notices notices{};

  std::int64_t columns() const { return static_cast<std::int64_t>(tokens.size()); }
};

/// "93.4" for 0.934; never 90.0 for something below 90.
inline std::string percent_text(double share) {
  const auto tenths = static_cast<std::int64_t>(std::floor(share * 1000));
  return concat(tenths / 10, ".", tenths % 10);
}

/// One line for a human: "155 of 166 genes matched (93.3 %), mouse, by Ensembl id".
inline std::string coverage_text(const GeneCoverage& coverage) {
  return concat(coverage.matched, " of ", coverage.genes, " genes matched (",
                percent_text(coverage.matched_share()), " %), ",
                coverage.species == Species::mouse ? "mouse" : "human", ", by ",
                coverage.naming == GeneNaming::symbols ? "symbol" : "Ensembl id");
}

namespace detail {

inline void add_mapping_notices(GeneMapping& mapping, const std::vector<std::string>& summed, bool entered) {
  const GeneCoverage& c = mapping.coverage;
  const auto note = [&](const char* code, std::int64_t count, const std::string& text) {
    if (count > 0) mapping.notices.push_back({code, text, count});
  };
  note("STOFM-W4111", c.versions_stripped,
       concat("version suffix stripped from ", c.versions_stripped, " gene ids"));
  note("STOFM-W4112", c.normalised, concat("blanks cut or case changed in ", c.normalised, " gene names"));
  note("STOFM-W4113", c.case_folded_symbols,
       concat(c.case_folded_symbols, " gene symbols matched only after upper-casing (Gad1 as GAD1): ",
              c.species == Species::mouse
                  ? "mouse symbols taken as their human namesakes; Ensembl ids are safer"
                  : "taken as human symbols"));
  note("STOFM-W4114", c.duplicates_summed,
       concat(c.duplicates_summed,
              " gene columns carry the name of an earlier one; their counts were summed: ",
              first_few(summed, c.duplicates_summed)));
  note("STOFM-W4115", c.control_features,
       concat(c.control_features, " control features (probes, blanks) are no genes: they get no token and ",
              entered ? "enter" : "do not enter", " the total of a cell"));
  note("STOFM-W4116", c.ambiguous_symbols,
       concat(c.ambiguous_symbols, " gene symbols stand for several genes and drop out"));
}

/// Rows D09, D10, D14: refuses what can not be embedded with a meaning, remarks on what is thin.
inline void judge_coverage(GeneMapping& mapping, const GeneMappingOptions& options, const std::string& file,
                           std::int64_t foreign, bool no_map) {
  const GeneCoverage& c = mapping.coverage;
  const std::string names = first_few(c.first_unmatched, c.genes - c.matched, 3);
  if (c.genes == 0)
    throw DataError({"STOFM-4121", file, "genes", concat("no gene among ", c.columns, " columns"),
                     "at least one gene", "Check that the var table lists genes."});
  if (foreign * 2 > c.genes)
    throw DataError({"STOFM-4122", file, "gene ids",
                     concat(foreign, " of ", c.genes, " ids of another species: ", names),
                     "human (ENSG...) or mouse (ENSMUSG...) gene ids",
                     "Map the genes to human orthologues first; the model knows human genes only."});
  if (no_map && c.unmapped_mouse * 2 > c.genes)
    throw DataError({"STOFM-4123", file, "gene ids",
                     concat(c.unmapped_mouse, " mouse ids and no mouse-to-human map"), "a map in the bundle",
                     "Convert the weights with --mouse-to-human mouse_to_human.tsv."});
  const bool nothing = c.matched == 0;
  if (nothing || c.matched_share() < options.refuse_below) {
    const bool names_are_symbols = c.naming == GeneNaming::ensembl && c.not_gene_ids * 2 > c.genes;
    throw DataError(
        {nothing ? "STOFM-4124" : "STOFM-4125", file, "genes",
         concat(coverage_text(c), "; unmatched: ", names),
         concat("at least ", percent_text(options.refuse_below), " % of the genes in the vocabulary"),
         names_are_symbols
             ? "The ids look like symbols: name the column of Ensembl ids with --gene-key, or use symbols."
             : "Name the column of Ensembl ids with --gene-key, or lower the threshold if this is right."});
  }
  if (c.matched_share() < options.warn_below)
    mapping.notices.insert(
        mapping.notices.begin(),
        {"STOFM-W4110", concat("only ", coverage_text(c), "; unmatched: ", names), c.genes - c.matched});
}

}  // namespace detail

}  // namespace stofm::pipeline

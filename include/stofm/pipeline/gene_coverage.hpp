// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the gene columns of a slice mean to the model, and the report of it: what was matched, where the
/// names stand, what was cut off them, which species they are of. Refusals and notices. *Source* SPEC section
/// 1, RELIABILITY rows D09 to D15.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/pipeline/gene_table.hpp"

namespace stofm::pipeline {

/// Species of the slice; `automatic` looks at the names.
enum class Species { automatic, human, mouse };
/// What identifies a gene: the ids of the slice alone, its symbols, or whichever fits (`automatic`: gene by
/// gene the Ensembl id, else a symbol).
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

/// How many genes a list of names knows.
struct GeneColumnShare {
  std::string column;      ///< "index", "features"; "" if the slice does not say
  std::int64_t known = 0;  ///< distinct genes of the vocabulary
};

/// How the columns fared. Control features are not genes; a gene is matched, or counted in one of
/// not_gene_ids, unmapped_mouse, outside_vocabulary, ambiguous_symbols. All are counted over columns of the
/// matrix: three columns of one gene are three.
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
      0;                        ///< columns whose token an earlier, differently named column has too (kept)
  std::int64_t composites = 0;  ///< Ensembl ids taken out of a longer name
  std::int64_t prefixes_stripped = 0;  ///< GRCh38_, mm10___
  std::int64_t named_elsewhere = 0;    ///< matched by a name of another list than the first
  std::int64_t orthologues = 0;        ///< human ids of genes that have a mouse name too
  std::int64_t human = 0, mouse = 0;   ///< genes that are named as one of human, of mouse
  std::int64_t learnt = -1;   ///< matched genes whose vectors the model learnt; -1: the weights do not say
  std::string column{};       ///< where the names stand: "index", "features"; "" if the slice does not say
  bool column_found = false;  ///< by content, against the usual order of columns
  std::vector<GeneColumnShare> shares{};       ///< what each list of names would give
  std::vector<std::string> first_unmatched{};  ///< up to 10, by a name that the file has for them
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

/// `var["features"]`, "the index of var", or "" where the slice does not say.
inline std::string gene_column_text(const std::string& column) {
  if (column.empty()) return "";
  return column == "index" ? "the index of var" : "var[" + stofm::quoted(column, 60) + "]";
}

/// One line for a human: "155 of 166 genes matched (93.3 %), mouse, by Ensembl id from the index of var".
inline std::string coverage_text(const GeneCoverage& coverage) {
  std::string text = concat(coverage.matched, " of ", coverage.genes, " genes matched (",
                            percent_text(coverage.matched_share()), " %), ",
                            coverage.species == Species::mouse ? "mouse" : "human", ", by ",
                            coverage.orthologues * 2 > coverage.matched ? "human " : "",
                            coverage.naming == GeneNaming::symbols ? "symbol" : "Ensembl id");
  if (!coverage.column.empty()) text += " from " + gene_column_text(coverage.column);
  return text;
}

namespace detail {

inline std::string shares_text(const GeneCoverage& c) {
  std::string text;
  for (const GeneColumnShare& share : c.shares)
    if (!share.column.empty())
      text += concat(
          text.empty() ? "" : ", ", share.column == "index" ? "index" : stofm::quoted(share.column, 60), " ",
          percent_text(c.genes > 0 ? static_cast<double>(share.known) / static_cast<double>(c.genes) : 0),
          " %");
  return text;
}

inline void add_name_notices(GeneMapping& mapping, const std::vector<std::string>& summed) {
  const GeneCoverage& c = mapping.coverage;
  const auto note = [&](const char* code, std::int64_t count, const std::string& text) {
    if (count > 0) mapping.notices.push_back({code, text, count});
  };
  const std::string place = c.column.empty() ? "the list of ids" : gene_column_text(c.column);
  note("STOFM-W4119", c.column_found ? c.genes : 0,
       concat("genes are named by ", place, ", which knows most of them: ", shares_text(c)));
  note("STOFM-W4121", c.named_elsewhere,
       c.naming == GeneNaming::ensembl
           ? concat(c.named_elsewhere, " genes have no Ensembl id in ", place,
                    " and are known by their symbol, or by an id that stands elsewhere")
           : concat(c.named_elsewhere, " genes are known by an id or a symbol that stands elsewhere than in ",
                    place));
  note("STOFM-W4111", c.versions_stripped,
       concat("version suffix stripped from ", c.versions_stripped, " gene ids"));
  note("STOFM-W4112", c.normalised, concat("blanks cut or case changed in ", c.normalised, " gene names"));
  note("STOFM-W4117", c.composites,
       concat(c.composites, " names hold an Ensembl id beside other text (SYMBOL:ENSG...): the id is used"));
  note("STOFM-W4118", c.prefixes_stripped,
       concat("genome prefix (GRCh38_, mm10___) stripped from ", c.prefixes_stripped, " gene names"));
  note("STOFM-W4113", c.case_folded_symbols,
       concat(c.case_folded_symbols, " gene symbols matched only after upper-casing (Gad1 as GAD1): ",
              c.mouse > 0 ? "mouse symbols taken as their human namesakes; Ensembl ids are safer"
                          : "taken as human symbols"));
  note("STOFM-W4114", c.duplicates_summed,
       concat(c.duplicates_summed, " columns repeat a gene of an earlier one; their counts are summed: ",
              first_few(summed, c.duplicates_summed)));
}

inline void add_mapping_notices(GeneMapping& mapping, const std::vector<std::string>& summed, bool entered,
                                bool mixed) {
  const GeneCoverage& c = mapping.coverage;
  add_name_notices(mapping, summed);
  const auto note = [&](const char* code, std::int64_t count, const std::string& text) {
    if (count > 0) mapping.notices.push_back({code, text, count});
  };
  note("STOFM-W4122", mixed ? (std::min)(c.human, c.mouse) : 0,
       concat(
           c.human, " genes are named as human and ", c.mouse, " as mouse: the slice is called ",
           c.species == Species::mouse ? "mouse" : "human",
           ", and all of them are used, mouse genes as their human counterparts; keep the cells and genes of "
           "one species for embeddings of one"));
  note("STOFM-W4115", c.control_features,
       concat(c.control_features,
              " control features (probes, blanks, spike-ins) are no genes: they get no token "
              "and ",
              entered ? "enter" : "do not enter", " the total of a cell"));
  note("STOFM-W4116", c.ambiguous_symbols,
       concat(c.ambiguous_symbols, " gene symbols stand for several genes and drop out"));
}

/// A way out that works: another list that knows enough genes, else the threshold, else ids.
inline std::string coverage_remedy(const GeneCoverage& c, const GeneMappingOptions& options) {
  const GeneColumnShare* best = nullptr;
  for (const GeneColumnShare& share : c.shares)
    if (!share.column.empty() && share.column != c.column && (best == nullptr || share.known > best->known))
      best = &share;
  if (best != nullptr && best->known > c.matched &&
      static_cast<double>(best->known) >= options.refuse_below * static_cast<double>(c.genes))
    return concat("Name the column that knows them: H5adReadOptions::gene_key = ", best->column, ".");
  const std::string ids =
      "Give var a column of human or mouse Ensembl gene ids, and name it with H5adReadOptions::gene_key";
  if (c.matched == 0) return ids + ".";
  const double share = std::floor(c.matched_share() * 1000) / 1000;
  return concat(ids, "; if this is right, accept it with GeneMappingOptions::refuse_below = ", share, ".");
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
    const std::string shares = shares_text(c);
    throw DataError(
        {nothing ? "STOFM-4124" : "STOFM-4125", file, "genes",
         concat(coverage_text(c), shares.empty() ? "" : "; known by column: " + shares,
                "; unmatched: ", names),
         concat("at least ", percent_text(options.refuse_below), " % of the genes in the vocabulary"),
         coverage_remedy(c, options)});
  }
  if (c.learnt >= 0 && c.learnt * 2 < c.matched)
    mapping.notices.push_back(
        {"STOFM-W4123",
         concat("these weights learnt vectors of ", c.learnt, " of the ", c.matched,
                " genes matched; the others have random ones, by which cells differ as by noise. Weights "
                "trained on slices with these genes serve better"),
         c.matched - c.learnt});
  if (c.matched_share() < options.warn_below)
    mapping.notices.insert(
        mapping.notices.begin(),
        {"STOFM-W4110", concat("only ", coverage_text(c), "; unmatched: ", names), c.genes - c.matched});
}

}  // namespace detail

}  // namespace stofm::pipeline

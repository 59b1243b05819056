// SPDX-License-Identifier: MIT
#include "command_line_options.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "stofm/core/error.hpp"
#include "stofm/core/nearest_name.hpp"
#include "stofm/io/counts_scale.hpp"

namespace stofm::program {

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  return nearest_name(word, candidates);
}

CLI::Validator number_between(double low, double high, const std::string& words) {
  return CLI::Validator(
      [low, high, words](std::string& text) {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value) || !std::isfinite(value) || value < low || value > high)
          return "found " + stofm::quoted(text) + ", expected " + words;
        return std::string();
      },
      "");
}
CLI::Validator integer(std::int64_t low, std::int64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        std::int64_t value = 0;
        const bool digits = !text.empty() && text.find_first_not_of("-0123456789") == std::string::npos;
        if (!digits || !CLI::detail::lexical_cast(text, value) || value < low || value > high)
          return "found " + stofm::quoted(text) + ", expected an integer from " + std::to_string(low) +
                 " to " + std::to_string(high);
        return std::string();
      },
      "");
}
CLI::Validator one_of(const std::vector<std::string>& words) {
  std::string list;
  for (const auto& word : words) list += (list.empty() ? "" : "|") + word;
  return CLI::Validator(
      [words, list](std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
        const std::string guess = nearest(text, words);
        return "found " + stofm::quoted(text) + ", expected one of " + list +
               (guess.empty() ? std::string() : " (did you mean " + guess + "?)");
      },
      "");
}
void add_device(CLI::App& app, std::string& device) {
  option(app, "Running", "--device", device, "Where to compute", "auto|cpu|cuda[:N]")
      ->check(CLI::Validator(
          [](std::string& text) {
            const bool cuda =
                text == "cuda" || (text.compare(0, 5, "cuda:") == 0 && text.size() > 5 && text.size() < 9 &&
                                   text.find_first_not_of("0123456789", 5) == std::string::npos);
            return text == "auto" || text == "cpu" || cuda
                       ? std::string()
                       : "found " + stofm::quoted(text) + ", expected auto, cpu, cuda or cuda:N";
          },
          ""))
      ->capture_default_str();
}
void add_dtype(CLI::App& app, const char* group, std::string& dtype, const char* what) {
  const CLI::Validator words = one_of({"float32", "bfloat16"});
  option(app, group, "--dtype", dtype, what, "float32|bfloat16")
      ->transform(CLI::Validator(
          [words](std::string& text) {
            if (text == "bf16") text = "bfloat16";
            if (text == "fp32") text = "float32";
            return words(text);
          },
          ""))
      ->capture_default_str();
}
void add_common(CLI::App& app, CommonArguments& a) {
  const char* group = "General";
  option(app, group, "--threads", a.threads, "Threads (0: one per core). The result does not depend on it.",
         "N")
      ->check(integer(0, 1024))
      ->capture_default_str();
  flag(app, group, "-q,--quiet", a.quiet, "Say nothing but errors");
  // All verbs share `a`, and CLI11 2.4 gives a flag of numbers a 0 in those that were not named.
  app.add_flag_function(
         "-v,--verbose",
         [&a](std::int64_t times) {
           a.verbose = (std::max)(a.verbose, static_cast<int>((std::min<std::int64_t>)(times, 9)));
         },
         "Say more")
      ->group(group);
  flag(app, group, "--log-json", a.log_json, "Messages on stderr as one JSON object a line");
}

void add_slice(CLI::App& app, SliceArguments& a, bool genes, bool places) {
  const char* group = "What is read from the slice";
  if (genes) {
    auto* layer = option(app, group, "--layer", a.layer, "Counts are in layers/NAME (default: X)", "NAME");
    flag(app, group, "--use-raw", a.use_raw, "Counts are in raw/X")->excludes(layer);
    option(app, group, "--gene-key", a.gene_key,
           "Column of var that names the genes, ids or symbols, or index; no other is asked then (default: "
           "found "
           "by content)",
           "NAME");
    option(app, group, "--species", a.species, "Species of the gene ids", "auto|human|mouse")
        ->check(one_of({"auto", "human", "mouse"}))
        ->capture_default_str();
    option(app, group, "--min-coverage", a.min_coverage, "Refuse below this share of known genes", "SHARE")
        ->check(number_between(0, 1, "a number from 0 to 1"))
        ->capture_default_str();
    auto* scale =
        option(app, group, "--counts-scale", a.counts_scale,
               "What the values are; auto finds out and turns log1p or normalised ones back into counts",
               "auto|counts|linear|log1p|log2|log10")
            ->check(one_of({io::counts_scale_names.begin(), io::counts_scale_names.end()}))
            ->capture_default_str();
    flag(app, group, "--accept-noninteger", a.accept_noninteger, "As --counts-scale linear")->excludes(scale);
  }
  option(app, group, "--only", a.only,
         "Read only cells where this obs column is not 0, False or missing (in_tissue), or is VALUE",
         "NAME[=VALUE]");
  if (places) {
    auto* key = option(app, group, "--spatial-key", a.spatial_key,
                       "obsm key of the positions (default: spatial, else what looks like it)", "NAME");
    auto* x = option(app, group, "--x", a.x,
                     "Column with x, of obs or of --spatial-csv (default: found by its name)", "NAME")
                  ->excludes(key);
    auto* y = option(app, group, "--y", a.y, "Column with y", "NAME")->excludes(key);
    x->needs(y);
    y->needs(x);
    option(app, group, "--spatial-csv,--coordinates", a.spatial_csv,
           "Table of positions, as instruments write it (.csv, .tsv, .csv.gz), joined on the names of the "
           "cells; columns spatial_1 and spatial_2, x_centroid and y_centroid, ...",
           "FILE")
        ->excludes(key);
    option(app, group, "--library-key", a.library_key,
           "obs column that names the slice of each cell: slices are embedded apart (several: A,B)", "NAME");
    flag(app, group, "--drop-no-library", a.drop_no_library,
         "Leave out cells for which --library-key has no value");
    flag(app, group, "--overlay", a.overlay,
         "Embed cells as one slice even where sections lie on top of each other");
    flag(app, group, "--drop-bad-coords", a.drop_bad_coords,
         "Leave out cells without a finite position, and list them");
  }
}

void add_pieces(CLI::App& app, const char* group, GeometryArguments& a) {
  option(app, group, "--split", a.split, "Cells in a sub-slice, about", "N")
      ->check(integer(1, 1000000))
      ->capture_default_str();
  flag(app, group, "--merge-slivers", a.merge_slivers,
       "Join sub-slices below a tenth of --split to a neighbour (ours, not published)");
  option(
      app, group, "--geometry", a.geometry,
      "Two cells at one place: 'reference' puts them far apart as the published code does, 'stable' together",
      "reference|stable")
      ->check(one_of({"reference", "stable"}))
      ->capture_default_str();
}

void add_geometry(CLI::App& app, GeometryArguments& a) {
  const char* group = "Virtual cells and sub-slices";
  option(app, group, "--clustering", a.clustering, "How virtual cells are found", "leiden|kmeans")
      ->check(one_of({"leiden", "kmeans"}))
      ->capture_default_str();
  option(app, group, "--clusters", a.clusters, "k of kmeans (0: from the number of cells)", "N")
      ->check(integer(0, 100000))
      ->capture_default_str();
  option(app, group, "--alpha", a.alpha, "Weight of space against expression in the clustering", "NUMBER")
      ->check(number_between(0, 1, "a number from 0 to 1"))
      ->capture_default_str();
  option(app, group, "--resolution", a.resolution, "Resolution of leiden", "NUMBER")
      ->check(number_between(1e-6, 1e6, "a number from 1e-6 to 1e6"))
      ->capture_default_str();
  add_pieces(app, group, a);
  option(app, group, "--seed", a.seed, "Seed of the clustering", "N")
      ->check(integer(0, INT64_MAX))
      ->capture_default_str();
}

}  // namespace stofm::program

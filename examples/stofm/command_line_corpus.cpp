// SPDX-License-Identifier: MIT
#include "command_line_options.hpp"
#include "stofm/core/error.hpp"

namespace stofm::program {

void add_corpus(CLI::App& app, CorpusArguments& a) {
  const char* files = "Input and output";
  app.add_option("action", a.action,
                 "build: index slices; check: is all as the manifest says; stat: what the corpus holds")
      ->type_name("build|check|stat")
      ->check(one_of({"build", "check", "stat"}))
      ->required()
      ->group(files);
  app.add_option(
         "input", a.inputs,
         "build: folders (and all below them), slices (.h5ad), outputs of instruments; else the corpus")
      ->type_name("DIR|FILE")
      ->expected(0, 1000000)
      ->group(files);
  option(app, files, "--list", a.list, "Text file with one slice or folder a line", "FILE");
  option(app, files, "-o,--output", a.output,
         "Folder of the corpus: manifest.jsonl, duplicates.jsonl, refused.jsonl, fingerprints", "DIR");
  option(app, files, "--table", a.table,
         "CSV with a column file and any of donor, technology, species, split, tissue, licence", "FILE");
  option(app, files, "-w,--weights", a.weights,
         "Bundle whose genes are the vocabulary (default: as for embed)", "FILE");
  flag(app, files, "--json", a.json, "stat: one JSON object on stdout");

  const char* words = "What the files do not say";
  option(app, words, "--technology", a.technology, "Technology of files that name none", "TEXT");
  option(
      app, words, "--donor-column", a.donor_column,
      "Column of obs with the donor (default: donor_id, donor, patient or animal, the first that is there)",
      "COLUMN");

  const char* choice = "Which slices are used (ours)";
  option(app, choice, "--min-cells", a.min_cells, "Leave out slices with fewer cells", "N")
      ->check(integer(0, 1'000'000'000))
      ->capture_default_str();
  option(app, choice, "--min-genes-in-vocabulary", a.min_genes, "Leave out slices with fewer known genes",
         "N")
      ->check(integer(0, 1'000'000))
      ->capture_default_str();
  option(app, choice, "--min-median-counts", a.min_median_counts,
         "Leave out slices with a lower median of the counts of a cell", "NUMBER")
      ->check(number_between(0, 1e12, "a number of 0 or more"))
      ->capture_default_str();
  option(app, choice, "--duplicate-share", a.duplicate_share,
         "Share of cells in common from which the lesser slice is left out", "SHARE")
      ->check(number_between(0.1, 1, "a share from 0.1 to 1"))
      ->capture_default_str();
  option(app, choice, "--validation", a.validation, "Share of the donors held out for validation", "SHARE")
      ->check(number_between(0, 0.9, "a share from 0 to 0.9"))
      ->capture_default_str();
  option(app, choice, "--test", a.test, "Share of the donors held out for the test", "SHARE")
      ->check(number_between(0, 0.9, "a share from 0 to 0.9"))
      ->capture_default_str();
  option(app, choice, "--seed", a.seed, "Which donors", "N")
      ->check(integer(0, INT64_MAX))
      ->capture_default_str();

  flag(app, "Running", "--hash", a.hash, "check: read every file and compare its SHA-256");
  flag(app, "Running", "--strict", a.strict, "build: a file that is refused is an error");
  add_slice(app, a.slice, true, true);
}

void check_corpus(const Arguments& arguments) {
  if (arguments.verb != Verb::corpus) return;
  const CorpusArguments& a = arguments.corpus;
  const auto refuse = [&a](const char* option_name, const char* of) {
    throw UsageError({"STOFM-2004", "", option_name, concat("it together with ", a.action), of,
                      "See 'stofm corpus --help'."});
  };
  if (a.hash && a.action != "check") refuse("--hash", "check");
  if (a.json && a.action != "stat") refuse("--json", "stat");
  if (a.action == "build") {
    if (a.output.empty())
      throw UsageError({"STOFM-2003", "", "corpus build", "no --output", "-o DIR, the folder of the corpus",
                        "See 'stofm corpus --help'."});
    if (a.inputs.empty() && a.list.empty() && a.table.empty())
      throw UsageError({"STOFM-2003", "", "corpus build", "no slice", "DIR, FILE, --list or --table",
                        "See 'stofm corpus --help'."});
    if (a.validation + a.test >= 1)
      throw UsageError({"STOFM-2004", "", "--validation", concat(a.validation, " and --test ", a.test),
                        "shares that are together below 1", "Hold out fewer."});
    return;
  }
  if (a.strict) refuse("--strict", "build");
  if (!a.output.empty()) refuse("--output", "build");
  if (!a.table.empty()) refuse("--table", "build");
  if (a.inputs.size() != 1 || !a.list.empty())
    throw UsageError({"STOFM-2003", "", "corpus " + a.action, concat(a.inputs.size(), " inputs"),
                      "one corpus: its folder or its manifest.jsonl", "See 'stofm corpus --help'."});
}

}  // namespace stofm::program

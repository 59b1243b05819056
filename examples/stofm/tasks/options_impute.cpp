// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm impute`.

#include "command_line_options.hpp"

namespace stofm::program {

void add_impute(CLI::App& app, ImputeArguments& a) {
  add_task(app, a.task, {.features = false});
  const char* what = "What is predicted, and from what";
  app.add_option(
         "--reference", a.references,
         "Slices or dissociated cells (.h5ad, raw counts) that have the genes; several are learnt from "
         "together")
      ->type_name("FILE")
      ->expected(1, 1000000)
      ->required()
      ->group(what);
  app.add_option("--genes", a.genes,
                 "Genes to predict, by symbol or id, with commas (default: all that a reference has and the "
                 "slice lacks); one that the slice has is predicted as if it had not been measured")
      ->type_name("GENE,...")
      ->delimiter(',')
      ->group(what);
  option(app, what, "--max-genes", a.max_genes,
         "Of more genes, keep those that are told best; the result is dense: cells x genes", "N")
      ->check(integer(1, 1000000))
      ->capture_default_str();
  const char* how = "How";
  option(app, how, "--method", a.method,
         "ridge: linear in shared genes and surroundings, best or level in what was measured; knn: mean of "
         "the 50 most "
         "similar cells",
         "ridge|knn")
      ->check(one_of({"ridge", "knn"}))
      ->capture_default_str();
  option(
      app, how, "--surroundings", a.surroundings,
      "What is known of the cells around a cell: model: X_stofm of the shared genes; neighbours: the mean of "
      "its 10 nearest cells; none. References without positions: none",
      "model|neighbours|none")
      ->check(one_of({"model", "neighbours", "none"}))
      ->capture_default_str();
  option(
      app, how, "--align", a.align,
      "Bring slices together: centre takes the mean of its slice from each feature, scale its deviation too; "
      "for references of another technology",
      "none|centre|scale")
      ->check(one_of({"none", "centre", "scale"}))
      ->capture_default_str();
  option(app, how, "--shared-genes", a.max_shared, "Shared genes to learn from at most: those that vary most",
         "N")
      ->check(integer(2, 20000))
      ->capture_default_str();
  const char* trust = "Which genes can be told";
  option(app, trust, "--hold-out", a.hold_out,
         "Share of each reference, in tiles all over it, that judges every gene and chooses the penalty (0: "
         "none)",
         "SHARE")
      ->check(number_between(0, 0.5, "a number from 0 to 0.5"))
      ->capture_default_str();
  option(app, trust, "--told-from", a.told_from,
         "Correlation on held-out cells below which a gene is marked as one that can't be told", "R")
      ->check(number_between(0, 1, "a number from 0 to 1"))
      ->capture_default_str();
  auto* named = app.add_option("--hold-out-genes", a.hidden,
                               "Hide these measured genes of the slice and score their predictions")
                    ->type_name("GENE,...")
                    ->delimiter(',')
                    ->group(trust);
  option(app, trust, "--test-genes", a.test_genes, "The same for N measured genes, drawn by --seed", "N")
      ->check(integer(1, 1000000))
      ->excludes(named);
}

}  // namespace stofm::program

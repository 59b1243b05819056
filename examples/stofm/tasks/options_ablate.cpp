// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm ablate`.

#include "command_line_options.hpp"

namespace stofm::program {

void add_ablate(CLI::App& app, AblateArguments& a) {
  add_task(app, a.task, {.inputs = false, .outputs = false, .features = false});
  const char* what = "What is learnt and judged";
  app.add_option("--train", a.train, "Labelled slices to learn from (.h5ad)")
      ->type_name("FILE")
      ->expected(1, 1000000)
      ->required()
      ->group(what);
  app.add_option(
         "--test", a.test,
         "Labelled slices that judge (default: the fifth of each training slice that lies furthest in one "
         "direction, another one for each seed)")
      ->type_name("FILE")
      ->expected(1, 1000000)
      ->group(what);
  option(app, what, "--label", a.label, "Column of obs with the labels", "COLUMN")->required();
  app.add_option("--ignore-labels", a.ignore,
                 "Labels that mean none, besides empty ones, NA, nan, None and unlabelled")
      ->type_name("LABEL")
      ->expected(1, 1000)
      ->group(what);
  app.add_option(
         "--rows", a.rows,
         "Groups of rows, with commas (default: all): inputs: genes, PCA, PCA + neighbours; scales: gene "
         "only, + micro, + macro; virtual-cells: Leiden and k-means, how many; alpha; split; geometry; "
         "scaling: standardised per slice; context")
      ->type_name("GROUP,...")
      ->delimiter(',')
      ->check(
          one_of({"inputs", "scales", "virtual-cells", "alpha", "split", "geometry", "scaling", "context"}))
      ->group(what);
  option(app, what, "--seeds", a.seeds,
         "Runs of each row: each draws training cells and clusters anew; more tell smaller differences", "N")
      ->check(integer(1, 1000))
      ->capture_default_str();
  option(app, what, "--draw", a.draw,
         "Share of the training cells of each class that a run learns from: without a draw, rows that do not "
         "hang on a seed would have no spread",
         "SHARE")
      ->check(number_between(0.01, 1, "a number from 0.01 to 1"))
      ->capture_default_str();
  option(app, "Input and output", "--csv", a.csv, "Also write the table, one line a row and seed", "FILE");
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm deconvolve`.

#include "command_line_options.hpp"

namespace stofm::program {

void add_deconvolve(CLI::App& app, DeconvolveArguments& a) {
  add_task(app, a.task, {.model = false});
  const char* what = "Reference";
  option(app, what, "--reference", a.references,
         "Labelled cells (.h5ad, positions are not needed; several are taken together), or a table of mean "
         "counts, genes by types (.csv)",
         "FILE")
      ->expected(1, 100000)
      ->required();
  option(app, what, "--label", a.label, "Column of obs with the cell types; not for a table", "COLUMN");
  option(app, what, "--min-cells", a.min_cells,
         "Types with fewer cells are left out and listed: their signature would be noise", "N")
      ->check(integer(1, 1000000))
      ->capture_default_str();
  option(app, what, "--leave-out", a.leave_out, "Labels that are no type, such as Ambiguous", "TYPE")
      ->expected(1, 100000);
  option(app, what, "-w,--weights", a.task.weights,
         "Model bundle: its gene table matches genes that the files name differently (ids against symbols, "
         "mouse against human). Default: the demo bundle beside the program, where it is needed",
         "FILE");

  const char* how = "How";
  option(app, how, "--method", a.method,
         "poisson: likelihood of the counts, the best of what we measured; nnls: least squares, without "
         "intervals; head: a head on the cell encoder's embedding of the spots and their counts, learnt from "
         "spots of random reference cells, without intervals and platform effects",
         "poisson|nnls|head")
      ->check(one_of({"poisson", "nnls", "head"}))
      ->capture_default_str();
  option(app, how, "--platform-effect", a.platform_effect,
         "An effect for each gene of measuring spots otherwise than the reference; auto: where the effects "
         "spread (standard deviation of the log above 0.5)",
         "auto|on|off")
      ->check(one_of({"auto", "on", "off"}))
      ->capture_default_str();
  option(app, how, "--as", a.as,
         "Shares of cells (counts over the mean counts of a cell of the type) or of counts", "cells|counts")
      ->check(one_of({"cells", "counts"}))
      ->capture_default_str();
  option(app, how, "--interval", a.interval, "Coverage of the interval of each share; 0: none", "SHARE")
      ->check(number_between(0, 0.999, "a share from 0 to 0.999"))
      ->capture_default_str();
  option(app, how, "--prior", a.prior,
         "Weight of what the six nearest spots and all spots hold; helps spots with few hundred counts (5), "
         "costs deep ones: 0",
         "COUNTS")
      ->check(number_between(0, 1e9, "a number >= 0"))
      ->capture_default_str();
  option(app, how, "--min-counts", a.min_counts, "Spots with fewer counts on shared genes are flagged", "N")
      ->check(integer(0, 1000000000))
      ->capture_default_str();
  flag(app, how, "--no-truth", a.no_truth,
       "Do not score against a composition in the spots' file (obsm truth_proportions, obs n_TYPE)");
}

}  // namespace stofm::program

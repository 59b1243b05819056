// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm evaluate`.

#include "command_line_options.hpp"

namespace stofm::program {

void add_evaluate(CLI::App& app, EvaluateArguments& a) {
  const char* what = "What is compared";
  auto* truth = option(app, what, "--truth", a.truth, "Column of obs with the true labels", "NAME");
  auto* predicted = option(app, what, "--predicted", a.predicted,
                           "Column of obs with predicted labels or clusters", "NAME");
  predicted->needs(truth);
  option(app, what, "--embedding", a.embedding,
         "Key of obsm: silhouette of the true (and predicted) labels in it", "NAME")
      ->needs(truth);
  auto* shares =
      option(app, what, "--truth-proportions", a.truth_proportions,
             "True proportions: a key of obsm, or columns of obs such as 'n_*' (counts will do)", "NAME");
  auto* found = option(app, what, "--predicted-proportions", a.predicted_proportions,
                       "Predicted proportions, likewise", "NAME");
  shares->needs(found);
  found->needs(shares);
  option(app, what, "--by", a.by, "Figures of each slice (file, or library of --library-key) as well",
         "slice")
      ->check(one_of({"slice"}));
  option(app, what, "--bootstrap", a.bootstrap,
         "Draws of squares of tissue for the 95 % intervals (0: none); cells beside each other are not "
         "independent, so squares are drawn",
         "N")
      ->check(integer(0, 100000))
      ->capture_default_str();
  option(
      app, what, "--silhouette-cells", a.silhouette_cells,
      "Cells whose silhouette is taken, each against all others (0: all; -1: all where that takes seconds, "
      "else a sample of at least 500)",
      "N")
      ->check(integer(-1, INT64_MAX))
      ->capture_default_str();
  add_task(app, a.task, {.outputs = false, .model = false, .genes = false});
}

}  // namespace stofm::program

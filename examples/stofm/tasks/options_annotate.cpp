// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm annotate`.

#include "tasks/options_classify.hpp"

namespace stofm::program {

void add_annotate(CLI::App& app, ClassifyArguments& a) {
  add_classify(app, a,
               {.use = "cells+genes",
                .use_help = "cells+genes",
                .smooth = 0,
                .smooth_help = "Mean of the probabilities of each cell and its N nearest cells (0: none; it "
                               "takes rare types away); auto: N chosen on held-out labels"});
}

}  // namespace stofm::program

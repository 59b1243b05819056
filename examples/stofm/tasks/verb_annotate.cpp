// SPDX-License-Identifier: MIT
/// \file
/// `stofm annotate`.

#include "tasks/classify_run.hpp"
#include "verbs.hpp"

namespace stofm::program {

int run_annotate(const Arguments& arguments) {
  return run_classify(arguments, {"annotate", "stofm_cell_type", "cell type", "cell types"});
}

}  // namespace stofm::program

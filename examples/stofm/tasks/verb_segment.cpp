// SPDX-License-Identifier: MIT
/// \file
/// `stofm segment`.

#include "tasks/classify_run.hpp"
#include "verbs.hpp"

namespace stofm::program {

int run_segment(const Arguments& arguments) {
  return run_classify(arguments, {"segment", "stofm_region", "region", "regions"});
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#include "verbs.hpp"

namespace stofm::program {

int run_cluster(const GraphArguments&) { return 70; }

}  // namespace stofm::program

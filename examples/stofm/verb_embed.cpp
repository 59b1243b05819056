// SPDX-License-Identifier: MIT
#include "verbs.hpp"

namespace stofm::program {

int run_embed(const Arguments&) { return 70; }

}  // namespace stofm::program

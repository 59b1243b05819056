// SPDX-License-Identifier: MIT
#include "verbs.hpp"

namespace stofm::program {

int run_info(const InfoArguments&) { return 70; }

}  // namespace stofm::program

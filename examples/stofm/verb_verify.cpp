// SPDX-License-Identifier: MIT
#include "verbs.hpp"

namespace stofm::program {

int run_verify(const VerifyArguments&) { return 70; }

}  // namespace stofm::program

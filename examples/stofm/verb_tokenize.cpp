// SPDX-License-Identifier: MIT
#include "verbs.hpp"

namespace stofm::program {

int run_tokenize(const TokenizeArguments&) { return 70; }

}  // namespace stofm::program

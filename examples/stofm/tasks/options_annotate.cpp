// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm annotate`.

#include "tasks/options_classify.hpp"

namespace stofm::program {

void add_annotate(CLI::App& app, ClassifyArguments& a) {
  add_classify(app, a,
               "Give each cell the type that most of itself and its N nearest cells have (0: none; it votes "
               "rare types away)");
  // Both verbs fill one struct: only the verb that runs may set its default.
  app.preparse_callback([&a](std::size_t) { a.task.use = "cells+genes"; });
  app.get_option("--use")->default_str("cells+genes");
}

}  // namespace stofm::program

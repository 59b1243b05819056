// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <set>

#include "stofm/tasks/group_colours.hpp"

using namespace stofm;

TEST_CASE("colours of groups are written as #rrggbb, all different, and stay as they are") {
  const std::vector<std::string> colours = tasks::group_colours(256);
  CHECK(std::set<std::string>(colours.begin(), colours.end()).size() == 256);
  for (const std::string& colour : colours) {
    CHECK(colour.size() == 7);
    CHECK(colour.find_first_not_of("0123456789abcdef", 1) == std::string::npos);
  }
  CHECK(colours[0] == "#0072b2");
  CHECK(colours[1] == "#e69f00");
  CHECK(colours[20] == tasks::group_colour(20));
  CHECK(tasks::group_colours(0).empty());
}

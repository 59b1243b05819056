// SPDX-License-Identifier: MIT
#include "stofm/core/lower_case.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stofm;

TEST_CASE("only the 26 letters of ASCII change, byte by byte") {
  std::string expected, given;
  for (int c = 0; c < 256; ++c) {
    given += static_cast<char>(c);
    expected += static_cast<char>(c >= 65 && c <= 90 ? c + 32 : c);
  }
  CHECK(lower_case(given) == expected);
  CHECK(lower_case("SLICE.H5AD \xc3\x84") == "slice.h5ad \xc3\x84");
  CHECK(lower_case("").empty());
}

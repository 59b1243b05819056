// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <clocale>
#include <cmath>
#include <cstdint>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>

#include "stofm/core/error.hpp"

using namespace stofm;

namespace {
/// What concat was before it had numbers of its own.
template <class... Parts>
std::string by_stream(const Parts&... parts) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  (out << ... << parts);
  return out.str();
}
}  // namespace

TEST_CASE("concat writes text and numbers as a stream of the classic locale does") {
  const auto same = [](const auto&... parts) { CHECK(concat(parts...) == by_stream(parts...)); };
  same("row ", 3, " of ", std::int64_t{7}, '.', std::string("x"), std::string_view("yz"));
  CHECK(concat(std::int8_t{-65}, ' ', std::uint8_t{7}) == "-65 7");  // where a stream writes characters
  same(true, false, std::size_t{0}, (std::numeric_limits<std::uint64_t>::max)(),
       (std::numeric_limits<std::int64_t>::min)());
  for (const double value :
       {0.0, -0.0, 1.0, 0.1, -2.5, 1.0 / 3, 123456.0, 1234567.0, 1e-5, 0.0001, 1e21, -1e300, 5e-324,
        std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
    same(value, " ", static_cast<float>(value));
  CHECK(concat(std::nan("")) == "nan");
  CHECK(concat() == "");
}

TEST_CASE("concat writes a point whatever the program's locale") {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  bool found = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "de_DE", "German"})
    found = found || std::setlocale(LC_NUMERIC, name) != nullptr;
  if (!found) MESSAGE("no locale with a decimal comma on this machine: only the classic one is tried");
  CHECK(concat(2.5) == "2.5");
  CHECK(concat(1.5e-7F) == "1.5e-07");
  std::setlocale(LC_NUMERIC, before.c_str());
}

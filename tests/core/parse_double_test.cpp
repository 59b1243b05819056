// SPDX-License-Identifier: MIT
#include "stofm/core/parse_double.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <clocale>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>

#include "stofm/core/random.hpp"

using namespace stofm;

namespace {

struct Read {
  std::ptrdiff_t length = 0;
  std::errc error{};
  double value = 0;
};
Read by_strtod(const std::string& text) {
  Read read{.value = -12345};
  const auto [end, error] =
      detail::parse_double_by_strtod(text.data(), text.data() + text.size(), read.value);
  return {end - text.data(), error, read.value};
}
void check_number(const std::string& text, double value, std::size_t length) {
  CAPTURE(text);
  for (const bool fallback : {false, true}) {
    CAPTURE(fallback);
    double found = -12345;
    const char* const last = text.data() + text.size();
    const auto [end, error] = fallback ? detail::parse_double_by_strtod(text.data(), last, found)
                                       : parse_double(text.data(), last, found);
    CHECK(error == std::errc{});
    CHECK(end - text.data() == static_cast<std::ptrdiff_t>(length));
    CHECK(std::bit_cast<std::uint64_t>(found) == std::bit_cast<std::uint64_t>(value));
  }
}

}  // namespace

TEST_CASE("numbers end where they end, whichever function reads them") {
  check_number("1", 1, 1);
  check_number("-2.5", -2.5, 4);
  check_number("1e3", 1000, 3);
  check_number("1e", 1, 1);
  check_number("1e+", 1, 1);
  check_number("1,5", 1, 1);
  check_number("0x10", 0, 1);
  check_number("-0x10", -0.0, 2);
  check_number(".5", 0.5, 2);
  check_number("5.", 5, 2);
  check_number("inf", std::numeric_limits<double>::infinity(), 3);
  check_number("-infinity", -std::numeric_limits<double>::infinity(), 9);
  check_number("0.1", 0.1, 3);
  check_number("9007199254740993", 9007199254740992.0, 16);  // a tie: to even
  check_number("4.9406564584124654e-324", std::numeric_limits<double>::denorm_min(), 23);
  check_number("2.2250738585072011e-308", 2.2250738585072011e-308, 23);
  check_number("1.7976931348623157e308", std::numeric_limits<double>::max(), 22);
  check_number("0e999", 0, 5);
  CHECK(std::isnan(by_strtod("nan").value));
}

TEST_CASE("what is no number, and what is out of range, leaves the value alone") {
  for (const std::string text : {"", " 1", "+1", "-", "--1", "-+1", "- 1", ".", "-.", "e5", "x", "\t1"}) {
    CAPTURE(text);
    double value = 7;
    CHECK(parse_double(text.data(), text.data() + text.size(), value).ec == std::errc::invalid_argument);
    CHECK(by_strtod(text).error == std::errc::invalid_argument);
    CHECK(by_strtod(text).length == 0);
    CHECK(by_strtod(text).value == -12345);
    CHECK(value == 7);
  }
  for (const std::string text : {"1e999", "-1e999", "1e-999", "-1e-400"}) {
    CAPTURE(text);
    CHECK(by_strtod(text).error == std::errc::result_out_of_range);
    CHECK(by_strtod(text).length == static_cast<std::ptrdiff_t>(text.size()));
    CHECK(by_strtod(text).value == -12345);
  }
}

TEST_CASE("100,000 doubles as text give the same bits by both functions") {
  Random random(20261129);
  char text[64];
  int checked = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t high = random.bits(), bits = (high << 32) | random.bits();
    const double value = std::bit_cast<double>(bits);
    if (!std::isfinite(value)) continue;
    // 17 digits name one double; 5 digits are a number between doubles.
    for (const int digits : {5, 17}) {
      const int length = std::snprintf(text, sizeof text, "%.*g", digits, value);
      double fast = 0, slow = 0;
      const auto a = parse_double(text, text + length, fast);
      const auto b = detail::parse_double_by_strtod(text, text + length, slow);
      if (a.ec == std::errc{} && b.ec == std::errc{} && a.ptr == text + length && b.ptr == text + length &&
          std::bit_cast<std::uint64_t>(fast) == std::bit_cast<std::uint64_t>(slow) &&
          (digits == 5 || std::bit_cast<std::uint64_t>(slow) == bits))
        ++checked;
      else
        CHECK_MESSAGE(a.ec == b.ec, std::string(text));
    }
  }
  CHECK(checked > 199000);  // of 200,000, less NaN and infinities (one in 1,024) and what is out of range
}

TEST_CASE("a locale with a comma does not change what a point means") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  bool found = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8"})
    found = found || std::setlocale(LC_ALL, name) != nullptr;
  CHECK(by_strtod("1.5").value == 1.5);
  CHECK(by_strtod("1,5").value == 1);
  std::setlocale(LC_ALL, before.c_str());
  if (!found) MESSAGE("no locale with a comma is installed here");
}

// SPDX-License-Identifier: MIT
#include "stofm/core/printable.hpp"

#include <doctest/doctest.h>

#include <string>

#include "stofm/core/error.hpp"

using namespace stofm;

TEST_CASE("text that is well-formed and visible stays as it is") {
  for (const std::string text :
       {"plain", "slice \xe2\x80\x93 1", "\xc3\xa9", "\xf0\x9f\xa7\xac", "", "a\\b \"c\""})
    CHECK(printable(text) == text);
}

TEST_CASE("nothing that moves a cursor or turns a line gets through") {
  for (int c = 0; c < 0x20; ++c) CHECK(printable(std::string(1, static_cast<char>(c))).starts_with("\\x"));
  CHECK(printable("\x1b[31m") == "\\x1b[31m");
  CHECK(printable("\x7f") == "\\x7f");
  for (int c = 0x80; c < 0xa0; ++c)
    CHECK(printable(std::string{'\xc2', static_cast<char>(c)}).starts_with("\\xc2\\x"));
  CHECK(printable("\xc2\xa0") == "\xc2\xa0");
  for (const std::string turn :
       {"\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae", "\xe2\x81\xa6",
        "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xd8\x9c",
        "\xe2\x80\xa8", "\xe2\x80\xa9"})
    CHECK(printable(turn).starts_with("\\x"));
  CHECK(printable("a\nb\tc\r", "\n\t") == "a\nb\tc\\x0d");
}

TEST_CASE("bytes that are no UTF-8 are shown one by one") {
  for (const std::string bytes :
       {"\xff", "\xfe", "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xe2\x80", "\xf0\x9f\xa7"}) {
    const std::string shown = printable(bytes);
    CHECK(shown.size() == 4 * bytes.size());
    for (const char c : shown) CHECK((c >= 0x20 && c < 0x7f));
  }
  CHECK(printable("a\xffz") == "a\\xffz");
}

TEST_CASE("quoted text can be told apart from its escapes") {
  CHECK(stofm::quoted("\xff") == "\"\\xff\"");
  CHECK(stofm::quoted("\\xff") == "\"\\\\xff\"");
  CHECK(stofm::quoted("say \"no\"") == "\"say \\\"no\\\"\"");
  CHECK(stofm::quoted("\xed\xa0\x80") == "\"\\xed\\xa0\\x80\"");
  CHECK(stofm::quoted("abcdef", 3) == "\"abc\"...");
}

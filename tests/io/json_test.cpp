// SPDX-License-Identifier: MIT
#include "stofm/io/json.hpp"

#include <doctest/doctest.h>

#include <array>
#include <clocale>
#include <cmath>
#include <fstream>
#include <limits>

#include "tests/support/heap_count.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace std::string_literals;

namespace {
struct Bad {
  std::string text;
  std::string code;
};
/// Refusing `text` names the code and the byte.
void refuse(const std::string& text, const std::string& code, std::int64_t byte = -1,
            const std::string& word = "") {
  CAPTURE(stofm::quoted(text.substr(0, 80)));
  try {
    (void)parse_json(text, "config.json");
    FAIL_CHECK("accepted");
  } catch (const FileError& error) {
    const std::string what = error.what();
    CAPTURE(what);
    CHECK(error.code() == code);
    CHECK(error.file() == "config.json");
    CHECK(error.where().find("byte ") != std::string::npos);
    if (byte >= 0) CHECK(error.where().find(concat("byte ", byte, " ")) != std::string::npos);
    CHECK(error.where().find("line ") != std::string::npos);
    CHECK_FALSE(error.remedy().empty());
    CHECK(what.find(word) != std::string::npos);
  }
}
}  // namespace

TEST_CASE("J01 y: every valid text is accepted with the value that nlohmann finds") {
  const std::string valid[] = {"[]",
                               "{}",
                               "0",
                               "-0",
                               "1",
                               "-1",
                               "123456789",
                               "1.5",
                               "-0.0",
                               "1e5",
                               "1E5",
                               "1e+5",
                               "1e-5",
                               "0e0",
                               "0.0e-0",
                               "1.25E+2",
                               "123.456e78",
                               "9007199254740993",
                               "9223372036854775807",
                               "-9223372036854775808",
                               "9223372036854775808",
                               "18446744073709551615",
                               "0.1",
                               "1e308",
                               "-1.7976931348623157e308",
                               "4.9e-324",
                               "true",
                               "false",
                               "null",
                               "\"\"",
                               "\"a\"",
                               "[1]",
                               "[1,2]",
                               "[ 1 , 2 ]",
                               "[[]]",
                               "[[],[]]",
                               "[{}]",
                               "{\"a\":1}",
                               "{\"a\":{}}",
                               "{\"a\":[]}",
                               "{\"\":0}",
                               "{\"a\":1,\"b\":2}",
                               "{\"a\":1,\"A\":2}",
                               "{\"a\" : 1}",
                               " [] ",
                               "\n\t\r [1]\n",
                               "[true,false,null]",
                               "\"\\\"\"",
                               "\"\\\\\"",
                               "\"\\/\"",
                               "\"/\"",
                               "\"\\b\\f\\n\\r\\t\"",
                               "\"\\u0041\"",
                               "\"\\u00e9\"",
                               "\"\\u20AC\"",
                               "\"\\u20ac\"",
                               "\"\\ud83d\\ude00\"",
                               "\"\\uD83D\\uDE00\"",
                               "\"\\u0000\"",
                               "\"a\\u0000b\"",
                               "\"\x7f\"",
                               "\"\xc3\xa9\"",
                               "\"\xe2\x82\xac\"",
                               "\"\xf0\x9f\x98\x80\"",
                               "\"\xef\xbf\xbf\"",
                               "\"\xf4\x8f\xbf\xbf\"",
                               "\"\xed\x9f\xbf\"",
                               "\"\xee\x80\x80\"",
                               "\"\xc2\x80\"",
                               "\"\\u200b\"",
                               "\"\\ufeff\"",
                               "\"\xef\xbb\xbf\"",
                               "\"\xe2\x80\xa8\"",
                               "\"#\"",
                               "\"// no comment\"",
                               "\"nan\"",
                               "[\"a\",1,true,null,{\"b\":[1.5,[]]}]",
                               "{\"\\u0061\":1,\"b\":2}",
                               "{\"a\\nb\":1}",
                               "{\"x\":[{\"id\":\"1\"}],\"id\":\"2\"}",
                               "[0,0]",
                               "[\"\",\"\"]",
                               "[1,\n2]",
                               "[\t1]",
                               "{\"a\":\"b\",\"c\":{\"a\":\"b\"}}",
                               "[[[[[[[[1]]]]]]]]",
                               "\"\\u0022\"",
                               "\"\\u005C\"",
                               "[123e45]",
                               "[0.4e006]",
                               "{\"min\":-1.0e+28,\"max\":1.0e+28}",
                               "[4]  ",
                               "\"\\uDBFF\\uDFFF\"",
                               "[-123]"};
  CHECK(std::size(valid) >= 90);
  for (const std::string& text : valid) {
    CAPTURE(stofm::quoted(text));
    CHECK(parse_json(text, "config.json") == nlohmann::json::parse(text));
    if (text != "-0")  // unsigned here, signed there; the value is the same
      CHECK(parse_json(text, "config.json").type() == nlohmann::json::parse(text).type());
  }
}

TEST_CASE("J01 n: every invalid text is refused with its place") {
  const std::string invalid[] = {"",
                                 " ",
                                 "\n",
                                 "[",
                                 "]",
                                 "{",
                                 "}",
                                 "[1",
                                 "[1,",
                                 "[,1]",
                                 "[1,,2]",
                                 "[1,]",
                                 "[1 2]",
                                 "[1:2]",
                                 "[1;2]",
                                 "[1]]",
                                 "[1}",
                                 "{\"a\"",
                                 "{\"a\":",
                                 "{\"a\":1",
                                 "{\"a\":1,",
                                 "{\"a\":1,}",
                                 "{,\"a\":1}",
                                 "{\"a\" 1}",
                                 "{\"a\"::1}",
                                 "{\"a\":1 \"b\":2}",
                                 "{a:1}",
                                 "{'a':1}",
                                 "{1:1}",
                                 "{null:1}",
                                 "{[]:1}",
                                 "{\"a\",1}",
                                 "{\"a\":1}}",
                                 "{\"a\":1]",
                                 "{]",
                                 "[}",
                                 "{\"a\":1;}",
                                 "{\"a\":\"b\"#}",
                                 "{\"a\":\"b\"}/**/",
                                 "/* c */[]",
                                 "// c\n[]",
                                 "[1] // c",
                                 "[1]x",
                                 "[1][2]",
                                 "1 2",
                                 "{}{}",
                                 "nul",
                                 "nulll",
                                 "Null",
                                 "NULL",
                                 "tru",
                                 "truee",
                                 "True",
                                 "TRUE",
                                 "fals",
                                 "FALSE",
                                 "undefined",
                                 "None",
                                 "a",
                                 "'a'",
                                 "[a]",
                                 "*",
                                 "\\",
                                 "\\n",
                                 "\\u0020[]",
                                 "[\\u0031]",
                                 "&",
                                 "<null>",
                                 "@",
                                 "$",
                                 "+1",
                                 "--1",
                                 "-",
                                 "+",
                                 ".",
                                 ".5",
                                 "-.5",
                                 "1.",
                                 "1.e5",
                                 "1.5.",
                                 "1..2",
                                 "0x10",
                                 "0b1",
                                 "1_000",
                                 "1e",
                                 "1e+",
                                 "1e-",
                                 "1E",
                                 "1e5.5",
                                 "1ee5",
                                 "e5",
                                 "01",
                                 "-01",
                                 "00",
                                 "1a",
                                 "-a",
                                 "1 000",
                                 "- 1",
                                 "-1.",
                                 "0.e1",
                                 "0E",
                                 "0E+",
                                 "[-]",
                                 "NaN",
                                 "nan",
                                 "-NaN",
                                 "Infinity",
                                 "-Infinity",
                                 "inf",
                                 "-inf",
                                 "[NaN]",
                                 "1.#INF",
                                 "1e1000x",
                                 "\"",
                                 "\"a",
                                 "\"a\\",
                                 "\"a\\\"",
                                 "'",
                                 "\"\\x41\"",
                                 "\"\\a\"",
                                 "\"\\v\"",
                                 "\"\\'\"",
                                 "\"\\0\"",
                                 "\"\\U0041\"",
                                 "\"\\u\"",
                                 "\"\\u0\"",
                                 "\"\\u00\"",
                                 "\"\\u004\"",
                                 "\"\\u004g\"",
                                 "\"\\u 041\"",
                                 "\"\\u-041\"",
                                 "\"\\u+041\"",
                                 "\"\\\"",
                                 "\"\\ \"",
                                 "\"\\\xc3\xa9\"",
                                 "\"\t\"",
                                 "\"\n\"",
                                 "\"\r\"",
                                 "\"\x01\"",
                                 "\"\x1f\"",
                                 "\"\0\""s,
                                 "[\"a\nb\"]",
                                 "\"a\"\"b\"",
                                 "\"a\"b",
                                 "[\"a\" \"b\"]",
                                 "\x0c[]",
                                 "\v[]",
                                 "[\x0c]",
                                 "\xc2\xa0[]",
                                 "[1]\xc2\xa0",
                                 "\xe2\x81\xa0[]",
                                 "[1]\0"s,
                                 "[1,\0]"s,
                                 "\xe3\x80\x80"
                                 "1",
                                 "[\"\\uD800\\u\"]",
                                 "{\"a\":true \"b\"}",
                                 "[3[4]]",
                                 "[\"x\", truth]",
                                 "[1,\n1\n,1",
                                 "{\"asd\":\"asd\"",
                                 "{9999E9999:1}",
                                 "[<null>]",
                                 "\xe5",
                                 "[\"x\"]]",
                                 "[\"asd]"};
  CHECK(std::size(invalid) >= 160);
  for (const std::string& text : invalid) {
    CAPTURE(stofm::quoted(text));
    // The case itself is right (nlohmann stops at a NUL as at the end of the text).
    if (text.find('\0') == std::string::npos) CHECK_FALSE(nlohmann::json::accept(text));
    try {
      (void)parse_json(text, "config.json");
      FAIL_CHECK("accepted");
    } catch (const FileError& error) {
      const bool json_code = error.code() == "STOFM-3201" || error.code() == "STOFM-3202" ||
                             error.code() == "STOFM-3203" || error.code() == "STOFM-3207" ||
                             error.code() == "STOFM-3208" || error.code() == "STOFM-3211";
      CHECK_MESSAGE(json_code, error.what());
      CHECK(error.where().find("byte ") == 0);
      CHECK(error.file() == "config.json");
      CHECK(error.remedy().find("Mend") != std::string::npos);
    }
  }
}

TEST_CASE(
    "J01 i: texts that a parser may take or leave: numbers out of range, broken Unicode, marks, depth") {
  refuse("1e400", "STOFM-3207", 0, "double");
  refuse("[-1e400]", "STOFM-3207", 1);
  refuse("[1e99999999999999999999]", "STOFM-3207", 1);
  refuse("[" + std::string(400, '9') + "]", "STOFM-3207", 1);
  refuse("[100000" + std::string(400, '0') + "e-5]", "STOFM-3207", 1);
  CHECK(parse_json("1e-400", "c") == 0.0);
  CHECK(std::signbit(parse_json("-1e-400", "c").get<double>()));
  CHECK(parse_json("1e-99999999999999999999", "c") == 0.0);
  CHECK(parse_json("0e99999999999999999999", "c") == 0.0);
  CHECK(parse_json("0." + std::string(400, '0') + "1", "c") == 0.0);
  CHECK(parse_json("18446744073709551616", "c").is_number_float());
  CHECK(parse_json("-9223372036854775809", "c").is_number_float());
  for (const std::string& escape : {"\\ud800"s, "\\udc00"s, "\\ud800\\ud800"s, "\\ud800x"s, "\\ud800\\n"s,
                                    "\\uDFFF"s, "\\ud83d\\u0041"s, "\\ude00\\ud83d"s})
    refuse("\"" + escape + "\"", "STOFM-3208", -1, "surrogate");
  for (const std::string& bytes :
       {"\xff"s, "\x80"s, "\xbf"s, "\xc0\x80"s, "\xc1\xbf"s, "\xc3"s, "\xe0\x80\x80"s, "\xe0\x9f\xbf"s,
        "\xed\xa0\x80"s, "\xed\xbf\xbf"s, "\xe2\x82"s, "\xf0\x80\x80\x80"s, "\xf0\x8f\xbf\xbf"s,
        "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xf8\x88\x80\x80\x80"s, "\xf0\x9f\x98"s,
        "\xe2\x28\xa1"s}) {
    refuse("[\"ab" + bytes + "\"]", "STOFM-3202", 4, "UTF-8");
    refuse("{\"" + bytes + "\":1}", "STOFM-3202", 2, "UTF-8");
  }
  refuse("\xef\xbb\xbf{}", "STOFM-3203", 0, "byte order mark");
  refuse("\xff\xfe{\0}\0"s, "STOFM-3203", 0, "UTF-16");
  refuse("\xfe\xff\0{\0}"s, "STOFM-3203", 0, "UTF-16");
  refuse("{\0}\0"s, "STOFM-3203", 0, "UTF-16");
  refuse("\0{\0}"s, "STOFM-3203", 0, "UTF-16");
}

TEST_CASE("J02: the same key twice is refused with both lines") {
  refuse("{\n\"a\": 1,\n\"b\": 2,\n\"a\": 3}", "STOFM-3206", 18, "line 2, column 1");
  refuse("{\"a\":1,\"\\u0061\":2}", "STOFM-3206", 7, "byte 1");
  refuse("{\"x\":[{\"k\":1,\"k\":1}]}", "STOFM-3206", 13);
  refuse("{\"\":1,\"\":1}", "STOFM-3206", 6);
  refuse("{\"a\\n\":1,\"b\\n\":1,\"a\\n\":1}", "STOFM-3206", 17, "byte 1");
  CHECK_NOTHROW((void)parse_json("[{\"a\":1},{\"a\":2}]", "c"));
  CHECK_NOTHROW((void)parse_json("{\"a\":{\"a\":{\"a\":1}}}", "c"));
}

TEST_CASE(
    "J14: size, depth, number of values and length of strings are bounded, without stack and in bounded "
    "memory") {
  refuse(std::string(1'000'000, '['), "STOFM-3204", 64, "depth");
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  refuse(objects, "STOFM-3204", 64 * 5, "depth");
  std::string deep = std::string(64, '[') + std::string(64, ']');
  CHECK_NOTHROW((void)parse_json(deep, "c"));
  refuse("[" + deep + "]", "STOFM-3204", 64);
  refuse(std::string((16 << 20) + 1, ' '), "STOFM-3205", 0, "at most 16777216");
  refuse("\"" + std::string((1 << 20) + 1, 'x') + "\"", "STOFM-3210");
  CHECK_NOTHROW((void)parse_json("\"" + std::string(1 << 20, 'x') + "\"", "c"));

  auto& heap = stofm::test::heap_count();
  for (const std::string item :
       {"1", "[]", "{}", "\"a string of more than 15\"", "{\"a key of more than 15\":1}"}) {
    std::string many = "[" + item;
    while (many.size() < (16 << 20) - 64) many += "," + item;
    heap.restart();
    const std::size_t before = heap.now;
    refuse(many + "]", "STOFM-3209", -1, "values");
    CHECK(heap.peak - before < std::size_t{64} << 20);
    std::string allowed = "[" + item;
    for (int i = 1; i < 160'000; ++i) allowed += "," + item;
    heap.restart();
    CHECK_NOTHROW((void)parse_json(allowed + "]", "c"));
    CHECK(heap.peak - before < std::size_t{64} << 20);
  }
  std::string keys = "{\"0\":1";
  for (int i = 1; i < 499'999; ++i) keys += concat(",\"", i, "\":1");
  heap.restart();
  const std::size_t before = heap.now;
  CHECK(parse_json(keys + "}", "c").size() == 499'999);
  CHECK(heap.peak - before < std::size_t{96} << 20);
}

TEST_CASE("J14: a config of 2 GiB is refused by its size, unread") {
  const stofm::test::ScratchDir dir;
  const auto path = dir / "config.json";
  std::ofstream(path) << "{}";
  REQUIRE(::truncate(path.c_str(), std::int64_t{2} << 30) == 0);
  stofm::test::check_refused(path, {"STOFM-3205", "size", "2147483648 bytes", "right file"},
                             [&] { (void)read_json(path); });
  std::ofstream(dir / "ok.json") << "{\"a\": [1, 2]}";
  CHECK(read_json(dir / "ok.json").at("a").at(1) == 2);
  stofm::test::check_refused(dir / "none.json", {"STOFM-3001", "open", "No such file", "path"},
                             [&] { (void)read_json(dir / "none.json"); });
}

TEST_CASE("C07: numbers do not depend on the locale") {
  const std::string old = std::setlocale(LC_ALL, nullptr);
  bool found = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"})
    found = found || std::setlocale(LC_ALL, name);
  if (!found) MESSAGE("no locale with a decimal comma installed: checked in the C locale only");
  CHECK(parse_json("[1.5,-2.25e3]", "c").at(1) == -2250.0);
  std::setlocale(LC_ALL, old.c_str());
}

TEST_CASE("every prefix of a document is refused, except where it is a document itself") {
  const std::string text = R"({"a":[1,-2.5e3,"xé\u00e9\ud83d\ude00",true,null],"b":{"c":false}})";
  for (std::size_t length = 0; length < text.size(); ++length)
    CHECK_THROWS_AS((void)parse_json(text.substr(0, length), "c"), FileError);
  CHECK(parse_json(text, "c") == nlohmann::json::parse(text));
}

// SPDX-License-Identifier: MIT
// Every file here is refused by code, place and remedy, within a second and 64 MiB, and nothing is left on
// the disk.
#include <doctest/doctest.h>

#include <fstream>

#include "stofm/io/safetensors.hpp"
#include "tests/support/heap_count.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::Refusal;
using stofm::test::ScratchDir;

namespace {

std::string with_length(std::uint64_t length, const std::string& rest) {
  return std::string(reinterpret_cast<const char*>(&length), 8) + rest;
}
std::string made(const std::string& header, std::size_t data_bytes = 0) {
  return with_length(header.size(), header + std::string(data_bytes, 'd'));
}
/// One tensor "a" of U8 [4] whose fields can be replaced.
std::string entry(const std::string& dtype = "\"U8\"", const std::string& shape = "[4]",
                  const std::string& offsets = "[0,4]") {
  return made("{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}",
              4);
}

void refuse(const std::string& content, const Refusal& expected) {
  const ScratchDir dir;
  const auto path = dir / "model.safetensors";
  std::ofstream(path, std::ios::binary) << content;
  CAPTURE(content.substr(0, 200));
  auto& heap = stofm::test::heap_count();
  heap.restart();
  const std::size_t before = heap.now;
  stofm::test::check_refused(path, expected, [&] { (void)SafetensorsFile::open(path); });
  CHECK(heap.peak - before < content.size() + (std::size_t{64} << 20));
}

}  // namespace

TEST_CASE("S01: an empty file and files of 1 to 7 bytes") {
  for (std::size_t bytes = 0; bytes < 8; ++bytes)
    refuse(std::string(bytes, 'x'), {"STOFM-3101", "byte 0", "8-byte header length", "safetensors file"});
}

TEST_CASE("S02: a header longer than the file") {
  refuse(with_length(100, "{}"),
         {"STOFM-3102", "header length", "100 bytes in a file of 10 bytes", "truncated"});
  refuse(with_length(3, "{}"), {"STOFM-3102", "header length", "3 bytes in a file of 10", "truncated"});
}

TEST_CASE("S03: header lengths of 2^64 - 1, 2^63, 100,000,001 and one above the cap") {
  for (const std::uint64_t length :
       {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{100'000'001}, (std::uint64_t{16} << 20) + 1})
    refuse(with_length(length, "{}"), {"STOFM-3103", "header length", "cap of 16777216", "safetensors file"});
}

TEST_CASE("S04: a header length of 0") {
  refuse(with_length(0, ""), {"STOFM-3104", "header length", "found 0", "safetensors file"});
  refuse(with_length(0, "{}"), {"STOFM-3104", "header length", "found 0", "safetensors file"});
}

TEST_CASE("S05: a header that is not JSON, or an array, a string, a number") {
  refuse(made("hello"), {"STOFM-3201", "header, byte 8", "hello", "again"});
  refuse(made("{\"a\":}"), {"STOFM-3201", "header, byte 13", "a JSON value", "again"});
  refuse(made("{\"a\""), {"STOFM-3201", "header, byte 12", "end of the text", "again"});
  refuse(made("[]"), {"STOFM-3105", "header", "an array", "again"});
  refuse(made("\"a\""), {"STOFM-3105", "header", "the string", "again"});
  refuse(made("17"), {"STOFM-3105", "header", "the number 17", "again"});
  refuse(made("1.5"), {"STOFM-3105", "header", "the number 1.5", "again"});
  refuse(made("true"), {"STOFM-3105", "header", "true", "again"});
  refuse(made("null"), {"STOFM-3105", "header", "null", "again"});
  refuse(made("{\"a\":5}"), {"STOFM-3106", "tensor \"a\"", "the number 5", "again"});
  refuse(made("{\"a\":[]}"), {"STOFM-3106", "tensor \"a\"", "an array", "again"});
}

TEST_CASE("S06: invalid UTF-8, a byte order mark, UTF-16") {
  refuse(made("{\"a\xff\":1}"), {"STOFM-3202", "header, byte 11", "invalid UTF-8", "again"});
  refuse(made("{\"\xc0\x80\":1}"), {"STOFM-3202", "header, byte 10", "invalid UTF-8", "again"});
  refuse(made("{\"\xed\xa0\x80\":1}"), {"STOFM-3202", "header, byte 10", "invalid UTF-8", "again"});
  refuse(made("\xef\xbb\xbf{}"), {"STOFM-3203", "header, byte 8", "byte order mark", "again"});
  refuse(made(std::string("{\0\"\0", 4)), {"STOFM-3203", "header, byte 8", "UTF-16", "again"});
  refuse(made("\xff\xfe{"), {"STOFM-3203", "header, byte 8", "UTF-16", "again"});
}

TEST_CASE("S07: a blank before the object") {
  for (const char blank : {' ', '\n', '\t', '\r'})
    refuse(made(blank + std::string("{}")), {"STOFM-3105", "byte 8", "a blank before", "again"});
}

TEST_CASE("S09: NUL or text after the object") {
  refuse(made(std::string("{}\0", 3)), {"STOFM-3211", "header, byte 10", "more text after", "again"});
  refuse(made("{} x"), {"STOFM-3211", "header, byte 11", "more text after", "again"});
  refuse(made("{}{}"), {"STOFM-3211", "header, byte 10", "more text after", "again"});
}

TEST_CASE("S10: 100,000 nested arrays, refused by depth without stack") {
  refuse(made(std::string(100'000, '[')), {"STOFM-3204", "header, byte 72", "depth", "again"});
  refuse(made("{\"a\":" + std::string(100'000, '[')), {"STOFM-3204", "header", "depth", "again"});
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  refuse(made(objects), {"STOFM-3204", "header", "depth", "again"});
}

TEST_CASE("S11: the same key twice, also written with an escape, names both positions") {
  const std::string a = "{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}";
  const std::string b = "{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]}";
  refuse(made("{\"w\":" + a + ",\"w\":" + b + "}", 4),
         {"STOFM-3206", "header, byte 61", "at byte 9", "again"});
  refuse(made("{\"w\":" + a + ",\"\\u0077\":" + b + "}", 4),
         {"STOFM-3206", "header, byte 61", "at byte 9", "again"});
  refuse(made("{\"w\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4),
         {"STOFM-3206", "header", "\"dtype\" twice", "again"});
}

TEST_CASE("S12: ranges that overlap name both tensors") {
  auto two = [](const std::string& first, const std::string& second) {
    return made("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" + first +
                    "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" + second + "}}",
                8);
  };
  refuse(two("[0,4]", "[3,7]"), {"STOFM-3107", "tensor \"b\" at [3, 7]", "tensor \"a\" at [0, 4]", "again"});
  refuse(two("[0,4]", "[0,4]"), {"STOFM-3107", "tensor", "overlap", "again"});
  refuse(two("[4,8]", "[2,6]"), {"STOFM-3108", "tensor \"b\"", "hole", "again"});
  refuse(made("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
              "\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
              4),
         {"STOFM-3107", "tensor \"z\"", "overlap", "again"});
}

TEST_CASE("S13: a hole at the start or between, bytes at the end, a zip appended") {
  refuse(entry("\"U8\"", "[3]", "[1,4]"), {"STOFM-3108", "tensor \"a\"", "a hole of 1 bytes", "again"});
  refuse(made("{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
              "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}",
              6),
         {"STOFM-3108", "tensor \"b\"", "a hole of 2 bytes", "again"});
  refuse(entry() + "x", {"STOFM-3109", "data section", "1 bytes behind the last tensor", "again"});
  refuse(entry() + std::string("PK\x05\x06", 4) + std::string(18, '\0'),
         {"STOFM-3109", "data section", "22 bytes behind", "again"});
  refuse(made("{\"z\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[7,7]}}", 0),
         {"STOFM-3108", "tensor \"z\"", "a hole of 7", "again"});
}

TEST_CASE("S14: data shorter than the header says, by one byte and by all") {
  const std::string whole = entry();
  refuse(whole.substr(0, whole.size() - 1),
         {"STOFM-3110", "data section", "found 3 bytes", "truncated? expected 4 bytes"});
  refuse(whole.substr(0, whole.size() - 4),
         {"STOFM-3110", "data section", "found 0 bytes", "truncated? expected 4 bytes"});
  refuse(entry("\"U8\"", "[4611686018427387904]", "[0,4611686018427387904]"),
         {"STOFM-3112", "tensor \"a\"", "cap", "again"});
  refuse(entry("\"F32\"", "[1099511627776,1024]", "[0,4503599627370496]"),
         {"STOFM-3110", "data section", "4503599627370496", "truncated"});
}

TEST_CASE("S15: offsets that are reversed, negative, fractional, one, three, or beyond 2^64") {
  for (const std::string offsets : {"[4,0]", "[-1,3]", "[0.0,4]", "[0,4.5]", "[0]", "[]", "[0,4,8]",
                                    "[0,18446744073709551620]", "[0,9223372036854775808]", "[0,1e3]",
                                    "\"0,4\"", "{}", "null", "4", "[[0,4]]", "[\"0\",4]", "[true,4]"}) {
    CAPTURE(offsets);
    refuse(entry("\"U8\"", "[4]", offsets), {"STOFM-3111", "tensor \"a\"", "[begin, end]", "again"});
  }
}

TEST_CASE("S16: a shape whose product, or product with the element size, overflows") {
  refuse(entry("\"U8\"", "[1099511627776,1099511627776]"),
         {"STOFM-3112", "tensor \"a\"", "overflows", "again"});
  refuse(entry("\"F64\"", "[1099511627776,4194304]"), {"STOFM-3112", "tensor \"a\"", "overflows", "again"});
  refuse(entry("\"F32\"", "[1073741824,1073741824,4]", "[0,4]"),
         {"STOFM-3112", "tensor \"a\"", "overflows", "again"});
}

TEST_CASE("S17: a shape that does not fit its range names both sizes") {
  refuse(entry("\"F32\"", "[4]"), {"STOFM-3113", "tensor \"a\"", "16 bytes for shape [4] of F32", "again"});
  refuse(entry("\"U8\"", "[3]"), {"STOFM-3113", "tensor \"a\"", "found 4 bytes", "again"});
  refuse(entry("\"U8\"", "[]"), {"STOFM-3113", "tensor \"a\"", "1 bytes for shape []", "again"});
  refuse(entry("\"U8\"", "[4,0]"), {"STOFM-3113", "tensor \"a\"", "0 bytes", "again"});
}

TEST_CASE("S18: a zero does not hide a huge other dimension; no dimension is negative or fractional") {
  for (const std::string size :
       {"9223372036854775808", "9223372036854775807", "1099511627777", "-1", "1e3", "4.0"}) {
    CAPTURE(size);
    refuse(entry("\"U8\"", "[0," + size + "]", "[0,0]"),
           {"STOFM-3112", "tensor \"a\"", "cap of 1099511627776", "again"});
  }
  refuse(entry("\"U8\"", "[0,1099511627776,1099511627776]", "[0,0]"),
         {"STOFM-3112", "tensor \"a\"", "overflows", "again"});
}

TEST_CASE("S19: rank 9 and rank 10,000") {
  for (const int rank : {9, 10'000}) {
    std::string shape = "[4";
    for (int i = 1; i < rank; ++i) shape += ",1";
    refuse(entry("\"U8\"", shape + "]"), {"STOFM-3112", "tensor \"a\"", "at most 8 dimensions", "again"});
  }
}

TEST_CASE("S20: an unknown, lower-case, missing or wrong-typed dtype gets the list") {
  for (const std::string dtype :
       {"\"f32\"", "\"FLOAT\"", "\"\"", "\"F32 \"", "32", "null", "[\"F32\"]", "{}", "true"}) {
    CAPTURE(dtype);
    refuse(entry(dtype), {"STOFM-3114", "tensor \"a\"", "BOOL, U8, I8", "again"});
  }
  refuse(made(R"({"a":{"shape":[4],"data_offsets":[0,4]}})", 4),
         {"STOFM-3114", "tensor \"a\"", "no dtype", "again"});
  refuse(made(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", 4),
         {"STOFM-3106", "tensor \"a\"", "no shape", "again"});
  refuse(made(R"({"a":{"dtype":"U8","shape":[4]}})", 4),
         {"STOFM-3106", "tensor \"a\"", "no data_offsets", "again"});
  refuse(made(R"({"a":{}})", 0), {"STOFM-3114", "tensor \"a\"", "no dtype", "again"});
}

TEST_CASE("S21: dtypes that are not computed with") {
  for (const std::string dtype : {"F8_E4M3", "F8_E5M2", "F4", "F8_E8M0", "C64"})
    refuse(entry("\"" + dtype + "\""), {"STOFM-3115", "tensor \"a\"", dtype, "convert to F32/F16/BF16"});
}

TEST_CASE("S23: names that are empty, too long, or hold control characters or lone surrogates") {
  auto named = [](const std::string& name) {
    return made("{\"" + name + "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4);
  };
  refuse(named(""), {"STOFM-3116", "tensor", "0 bytes", "Rename"});
  refuse(named(std::string(513, 'n')), {"STOFM-3116", "tensor", "513 bytes", "Rename"});
  refuse(named(std::string(10'000'000, 'n')), {"STOFM-3116", "tensor", "10000000 bytes", "Rename"});
  for (const std::string name : {"\\u0000", "a\\u0007", "a\\n", "\x7f", "\\u001b[2J", "\\u0085"})
    refuse(named(name), {"STOFM-3116", "tensor", "control character", "Rename"});
  refuse(named("\\ud800"), {"STOFM-3208", "header", "lone surrogate", "again"});
  refuse(named("\\udc00x"), {"STOFM-3208", "header", "lone surrogate", "again"});
  refuse(named("a\nb"), {"STOFM-3201", "header", "control character", "again"});
}

TEST_CASE("S25: metadata twice, not of strings, nested, or 50 MB") {
  const std::string a = "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}";
  refuse(made("{\"__metadata__\":{},\"__metadata__\":{}," + a + "}", 4),
         {"STOFM-3206", "header", "\"__metadata__\" twice", "again"});
  for (const std::string value : {"{\"k\":1}", "{\"k\":null}", "{\"k\":true}", "{\"k\":{}}", "{\"k\":[]}",
                                  "\"text\"", "[]", "5", "{\"k\":1.5}", "{\"k\":18446744073709551615}"}) {
    CAPTURE(value);
    refuse(made("{\"__metadata__\":" + value + "," + a + "}", 4),
           {"STOFM-3117", "__metadata__", "string values", "strings"});
  }
  refuse(made("{\"__metadata__\":{\"k\":\"" + std::string(50'000'000, 'x') + "\"}," + a + "}", 4),
         {"STOFM-3103", "header length", "cap", "safetensors file"});
}

TEST_CASE("S26: a file without any tensor") {
  refuse(made("{}"), {"STOFM-3118", "header", "no weights", "right file"});
  refuse(made("{\"__metadata__\":{\"format\":\"pt\"}}"),
         {"STOFM-3118", "header", "no weights", "right file"});
}

TEST_CASE("S34, S35: 65,537 tensors, and as many entries on the same bytes as the header takes") {
  auto many = [](int count, bool same) {
    std::string header = "{";
    for (int i = 0; i < count; ++i) {
      const int begin = same ? 0 : 4 * i;
      header += concat(i ? "," : "", "\"", i, "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[", begin,
                       ",", begin + 4, "]}");
    }
    return header + "}";
  };
  refuse(made(many(65'537, false), 4 * 65'537), {"STOFM-3119", "header", "more than 65536 tensors", "cap"});
  refuse(made(many(65'536, true), 4), {"STOFM-3107", "tensor", "overlap", "again"});
  refuse(made(many(1'000'000, true), 4), {"STOFM-3103", "header length", "cap", "safetensors file"});
  refuse(made(many(290'000, true), 4), {"STOFM-3209", "header", "cap of 1048576 values", "again"});
}

TEST_CASE("a header of nothing but values is refused by their number, in bounded memory") {
  std::string header = "{\"a\":{\"x\":[1";
  while (header.size() < (std::size_t{16} << 20) - 10) header += ",1";
  refuse(made(header + "]}}"), {"STOFM-3209", "header", "values", "again"});
  std::string keys = "{\"a\":{";
  for (int i = 0; keys.size() < (std::size_t{16} << 20) - 20; ++i)
    keys += concat(i ? "," : "", "\"", i, "\":1");
  refuse(made(keys + "}}"), {"STOFM-3209", "header", "values", "again"});
}

TEST_CASE("S37: a directory as weights") {
  const ScratchDir dir;
  std::filesystem::create_directory(dir / "model.safetensors");
  stofm::test::check_refused(dir / "model.safetensors", {"STOFM-3002", "open", "a directory", "path"},
                             [&] { (void)SafetensorsFile::open(dir / "model.safetensors"); });
}

TEST_CASE("every prefix of a small file is refused") {
  const std::string whole = entry("\"U8\"", "[2,2]");
  const ScratchDir dir;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    std::ofstream(dir / "f", std::ios::binary) << whole.substr(0, length);
    CHECK_THROWS_AS((void)SafetensorsFile::open(dir / "f"), FileError);
  }
}

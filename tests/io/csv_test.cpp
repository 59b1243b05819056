// SPDX-License-Identifier: MIT
#include "stofm/io/csv.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "stofm/io/csv_writer.hpp"
#include "stofm/io/spatial_csv.hpp"
#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace std::string_literals;
using stofm::test::check_refused;
using stofm::test::ScratchDir;
using stofm::test::write_bytes;

namespace {
void refuse(const std::string& text, const stofm::test::Refusal& expected) {
  const ScratchDir dir;
  write_bytes(dir / "cells.csv", text);
  CAPTURE(stofm::quoted(text.substr(0, 80)));
  check_refused(dir / "cells.csv", expected, [&] { (void)read_csv(dir / "cells.csv"); });
}
SpatialCsvResult spatial(const std::string& text, const std::vector<std::string>& cells) {
  const ScratchDir dir;
  write_bytes(dir / "cells.csv", text);
  return read_spatial_csv(dir / "cells.csv", cells);
}
}  // namespace

TEST_CASE("fields may be quoted and hold delimiters, quotes and line ends; lines may end in CR LF") {
  const auto table = parse_csv(
      "\xef\xbb\xbfid,\"a,b\",c\r\n1,\"x \"\"y\"\"\",\"two\r\nlines\"\r\n,,\r\n\"\",\"\"\"\",z", "f.csv");
  CHECK(table.columns() == 3);
  CHECK(table.rows() == 3);
  CHECK(table.header(0) == "id");
  CHECK(table.column("a,b") == 1);
  CHECK(table.at(0, 1) == "x \"y\"");
  CHECK(table.at(0, 2) == "two\r\nlines");
  CHECK(table.at(1, 0) == "");
  CHECK(table.at(1, 2) == "");
  CHECK(table.at(2, 1) == "\"");
  CHECK(table.at(2, 2) == "z");
  CHECK(table.line(0) == 2);
  CHECK(table.line(1) == 4);
  CHECK(parse_csv("a\n", "f").rows() == 0);
  CHECK(parse_csv("a,b\n1,2\n\n\n", "f").rows() == 1);
  CHECK(parse_csv("a\tb\n1\t2", "f", {.delimiter = '\t'}).at(0, 1) == "2");
}

TEST_CASE("D35: broken tables are refused with the line") {
  refuse("", {"STOFM-3401", "line 1", "an empty file", "RFC 4180"});
  refuse("\n\n", {"STOFM-3401", "line", "an empty file", "RFC 4180"});
  refuse("a,b\n1,2\n1\n", {"STOFM-3405", "line 3", "1 fields", "Quote"});
  refuse("a,b\n1,2,3\n", {"STOFM-3405", "line 2", "3 fields", "Quote"});
  refuse("a,b\n\n1,2\n", {"STOFM-3405", "line 2", "an empty line", "Remove"});
  refuse("a\n\n1\n", {"STOFM-3405", "line 2", "an empty line", "Remove"});
  refuse("a,b\n1,\"2\n3,4\n", {"STOFM-3403", "line 2", "without end", "truncated"});
  refuse("a,b\n1,\"2\"x\n", {"STOFM-3404", "line 2", "after a closing quote", "RFC 4180"});
  refuse("a,b\n1,2\"x\n", {"STOFM-3404", "line 2", "a quote inside", "RFC 4180"});
  refuse("a,b\r1,2\r", {"STOFM-3404", "line 1", "carriage return", "RFC 4180"});
  refuse("a,b\n1,\0\n"s, {"STOFM-3402", "line 2", "a NUL at byte 6", "UTF-8"});
  refuse("a,b\n1,\"\0\"\n"s, {"STOFM-3402", "line 2", "a NUL at byte 7", "UTF-8"});
  refuse("a,b\n1,\xe9t\xe9\n", {"STOFM-3402", "line 2", "invalid UTF-8", "UTF-8"});
  refuse(
      "\xff\xfe"
      "a\0"s,
      {"STOFM-3402", "line 1", "UTF-16", "UTF-8"});
  refuse("\x1f\x8b\x08", {"STOFM-3402", "line 1", "gzip", "gunzip"});
  refuse("PK\x03\x04xlsx", {"STOFM-3402", "line 1", "zip", "Export"});
  refuse("a\n" + std::string((1 << 20) + 1, 'x'), {"STOFM-3406", "line 2", "more than 1048576", "RFC 4180"});
  refuse(std::string(70'000, ','), {"STOFM-3406", "line 1", "more than 65536 columns", "RFC 4180"});
  const auto table = parse_csv("a,b,a\n1,2,3", "f.csv");
  CHECK_THROWS_WITH_AS((void)table.column("c"), doctest::Contains("the columns \"a\", \"b\", \"a\""),
                       FileError);
  CHECK_THROWS_WITH_AS((void)table.column("a"), doctest::Contains("2 columns named \"a\""), FileError);
}

TEST_CASE(
    "D35: what the writer writes, the reader reads: names with commas, quotes, line ends, blanks, 1 MB") {
  const ScratchDir dir;
  std::vector<std::string> names = {
      "",   "plain", "a,b", "say \"hi\"", "two\nlines",       "cr\rlf\r\n", " blank ",
      "\"", ",",     "\n",  "näme ☃",     "\xef\xbb\xbfmark", "=1+1",       std::string(1 << 20, 'n')};
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    std::string name;
    for (auto n = random() % 6; n > 0; --n) name += "ab,\"\n\r x"[random() % 8];
    names.push_back(name);
  }
  atomic_write(dir / "f.csv", [&](OutputFile& out) {
    CsvWriter csv(out);
    csv.field("cell").field("value").end_row();
    for (std::size_t i = 0; i < names.size(); ++i) csv.field(names[i]).field(i).end_row();
  });
  const auto table = read_csv(dir / "f.csv");
  REQUIRE(table.rows() == static_cast<std::int64_t>(names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(table.at(static_cast<std::int64_t>(i), 0) == names[i]);
  atomic_write(dir / "one.csv", [&](OutputFile& out) {
    CsvWriter csv(out);
    csv.field("only").end_row();
    for (const std::string& name : names) csv.field(name).end_row();
  });
  const auto one = read_csv(dir / "one.csv");
  REQUIRE(one.rows() == static_cast<std::int64_t>(names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(one.at(static_cast<std::int64_t>(i), 0) == names[i]);
}

TEST_CASE("C07: numbers are written as the shortest text that reads back, whatever the locale") {
  const ScratchDir dir;
  const std::vector<double> values = {0.1, -0.0, 1e300, 4.9e-324, 1.0 / 3, 123456789.0, 1e-7};
  atomic_write(dir / "f.csv", [&](OutputFile& out) {
    CsvWriter csv(out);
    csv.field("v").field("f").end_row();
    for (const double value : values) csv.field(value).field(static_cast<float>(value)).end_row();
    csv.field(std::numeric_limits<double>::quiet_NaN())
        .field(std::numeric_limits<float>::infinity())
        .end_row();
  });
  const auto table = read_csv(dir / "f.csv");
  CHECK(table.at(0, 0) == "0.1");
  CHECK(table.at(0, 1) == "0.1");
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(std::bit_cast<std::uint64_t>(*parse_decimal(table.at(static_cast<std::int64_t>(i), 0))) ==
          std::bit_cast<std::uint64_t>(values[i]));
  CHECK(std::isnan(*parse_decimal(table.at(7, 0))));
  CHECK(std::isinf(*parse_decimal(table.at(7, 1))));
}

TEST_CASE("decimal numbers: blanks and signs are fine, anything else is not a number") {
  for (const auto& known : std::vector<std::pair<std::string, double>>{{"1", 1},
                                                                       {" -2.5 ", -2.5},
                                                                       {"+1e3", 1000},
                                                                       {"1.", 1},
                                                                       {".5", 0.5},
                                                                       {"1e400", HUGE_VAL},
                                                                       {"-1e400", -HUGE_VAL},
                                                                       {"1e-400", 0},
                                                                       {"inf", HUGE_VAL},
                                                                       {"-inf", -HUGE_VAL}})
    CHECK_MESSAGE(parse_decimal(known.first) == known.second, known.first);
  CHECK(std::isnan(*parse_decimal("NaN")));
  for (const std::string text :
       {"", " ", "x", "1,5", "1 2", "0x10", "--1", "+-1", "1e", "1.5.2", "+", "-", "1f"})
    CHECK_MESSAGE(!parse_decimal(text).has_value(), text);
}

TEST_CASE("coordinates are joined on the cell index, in the order of the cells") {
  const auto result =
      spatial("cell,area,spatial_2,spatial_1\nb,9,2.5,1\na,9,-4,3e0\n\"c,d\",9,6,5\n", {"a", "c,d", "b"});
  CHECK(result.coordinates.shape() == Shape{3, 2});
  CHECK(std::ranges::equal(result.coordinates.span(), std::vector<double>{3, -4, 5, 6, 1, 2.5}));
  CHECK(result.notices.empty());
  const auto more = spatial(",spatial_1,spatial_2\na,1,2\nz,1,2\ny,,NA\n", {"a", "y"});
  REQUIRE(more.notices.size() == 1);
  CHECK(more.notices[0].code == "STOFM-W3401");
  CHECK(more.notices[0].count == 1);
  CHECK(std::isnan(more.coordinates(1, 0)));
  CHECK(std::isnan(more.coordinates(1, 1)));
  CHECK(spatial("i,spatial_1,spatial_2\n", {}).coordinates.shape() == Shape{0, 2});
}

TEST_CASE(
    "H36, H37: missing columns, cells without a line, repeated cells and text instead of numbers are "
    "refused") {
  const ScratchDir dir;
  const auto path = dir / "cells.csv";
  auto join = [&](const std::string& text, std::vector<std::string> cells,
                  const stofm::test::Refusal& expected) {
    write_bytes(path, text);
    check_refused(path, expected, [&] { (void)read_spatial_csv(path, cells); });
  };
  const std::string head = "cell,spatial_1,spatial_2\n";
  join("cell,u,v\na,1,2\n", {"a"},
       {"STOFM-3407", "line 1", "the columns \"cell\", \"u\", \"v\"", "SpatialCsvOptions::x_column = NAME"});
  join("cell,array_row,array_col\na,1,2\n", {"a"},
       {"STOFM-3407", "line 1", "array_row",
        "SpatialCsvOptions::x_column = array_col and SpatialCsvOptions::y_column = array_row"});
  join(head + "a,1,2\n", {"a", "b", "c"},
       {"STOFM-3409", "cell index", "no line for 2 of 3 cells: \"b\", \"c\"", "a column"});
  join(head + "a,1,2\nb,1,2\na,3,4\n", {"a"}, {"STOFM-3410", "line 4", "first in line 2", "repeated line"});
  join(head + "a,1,2\n", {"a", "a"}, {"STOFM-3411", "line 2", "two cells", "unique"});
  join(head + "a,1,two\n", {"a"}, {"STOFM-3408", "line 2, column \"spatial_2\"", "two", "decimal point"});
  join(head + "a,\"1,5\",2\n", {"a"}, {"STOFM-3408", "line 2, column \"spatial_1\"", "1,5", "decimal point"});
  std::vector<std::string> many;
  for (int i = 0; i < 50; ++i) many.push_back(concat("cell", i));
  join(head + "a,1,2\n", many, {"STOFM-3409", "cell index", "no line for 50 of 50", "a column"});
}

TEST_CASE("H36: tables as instruments write them") {
  const std::vector<std::string> cells{"AC-1", "GT-1"};
  const auto check = [&cells](const std::string& text, const std::string& columns,
                              SpatialCsvOptions options = {}) {
    const ScratchDir dir;
    write_bytes(dir / "cells.csv", text);
    const auto result = read_spatial_csv(dir / "cells.csv", cells, options);
    CHECK(std::ranges::equal(result.coordinates.span(), std::vector<double>{1.5, 2, 3, 4}));
    CHECK(result.columns == columns);
  };
  check("AC-1,1,0,0,2,1.5\nGT-1,0,1,1,4,3\n", "pxl_col_in_fullres, pxl_row_in_fullres, cells by barcode");
  check(
      "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres\nGT-1,1,0,0,4,3\nAC-1,1,0,"
      "0,2,1.5\n",
      "pxl_col_in_fullres, pxl_row_in_fullres, cells by barcode");
  check("\xef\xbb\xbf\"cell_id\",\"x_centroid\",\"y_centroid\",\"area\"\n\"AC-1\",1.5,2,9\n\"GT-1\",3,4,9\n",
        "x_centroid, y_centroid, cells by cell_id");
  check("fov\tEntityID\tmin_x\tcenter_x\tcenter_y\tmin_y\n0\tAC-1\t9\t1.5\t2\t9\n0\tGT-1\t9\t3\t4\t9\n",
        "center_x, center_y, cells by EntityID");
  check("id;u;v\nAC-1;1.5;2\nGT-1;3;4\n", "u, v, cells by id", {.x_column = "u", .y_column = "v"});
  check("AC-1,1.5,2\nGT-1,3,4\n", "x, y, cells by cell");
  const ScratchDir dir;
  write_bytes(
      dir / "cosmx.csv",
      "fov,cell_ID,CenterX_local_px,CenterY_local_px,CenterX_global_px,CenterY_global_px\n1,7,0,0,1,2\n2,7,0,"
      "0,3,4\n");
  const auto cosmx = read_spatial_csv(dir / "cosmx.csv", std::vector<std::string>{"7_2", "7_1"});
  CHECK(std::ranges::equal(cosmx.coordinates.span(), std::vector<double>{3, 4, 1, 2}));
  write_bytes(dir / "cells.parquet", "PAR1....");
  check_refused(dir / "cells.parquet", {"STOFM-3402", "", "Parquet", "to_csv"},
                [&] { (void)read_spatial_csv(dir / "cells.parquet", cells); });
}

TEST_CASE("gzip is unpacked, checked and bounded") {
  // gzip -9n of "cell,x,y\nAC-1,1.5,2\nGT-1,3,4\n"
  const std::string packed =
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x4e\xcd\xc9\xd1\xa9\xd0\xa9\xe4\x72"
      "\x74\xd6\x35\xd4\x31\xd4\x33\xd5\x31\xe2\x72\x0f\x01\x32\x8d\x75\x4c\xb8\x00\x6a"
      "\x5e\x40\xc4\x1d\x00\x00\x00"s;
  const std::string text = "cell,x,y\nAC-1,1.5,2\nGT-1,3,4\n";
  CHECK(gunzip(packed, "f", 1000) == text);
  CHECK(gunzip(packed + packed, "f", 1000) == text + text);
  const auto code = [](const std::string& bytes, std::int64_t most) {
    try {
      (void)gunzip(bytes, "f", most);
    } catch (const FileError& error) {
      return error.code();
    }
    return std::string();
  };
  CHECK(code(packed, 10) == "STOFM-3406");
  for (std::size_t cut = 0; cut < packed.size(); ++cut)
    CHECK(code(packed.substr(0, cut), 1000) == "STOFM-3412");
  for (std::size_t i = 10; i < packed.size(); ++i) {
    std::string flipped = packed;
    flipped[i] = static_cast<char>(flipped[i] ^ 4);
    CHECK(code(flipped, 1000) == "STOFM-3412");
  }
  const ScratchDir dir;
  write_bytes(dir / "cells.csv.gz", packed);
  const auto read = read_spatial_csv(dir / "cells.csv.gz", std::vector<std::string>{"GT-1", "AC-1"});
  CHECK(std::ranges::equal(read.coordinates.span(), std::vector<double>{3, 4, 1.5, 2}));
}

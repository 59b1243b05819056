// SPDX-License-Identifier: MIT
#include "stofm/io/npy.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/heap_count.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::Refusal;
using stofm::test::ScratchDir;

namespace {
/// A file of this version with this dict, padded as numpy does, and data.
std::string made(const std::string& dict, const std::string& data, int version = 1) {
  std::string header = dict;
  header.append((64 - (header.size() + (version == 1 ? 11 : 13)) % 64) % 64, ' ');
  header += '\n';
  std::string file = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    file += static_cast<char>((header.size() >> (8 * i)) & 255U);
  return file + header + data;
}
std::string dict(const std::string& descr, const std::string& shape, bool fortran = false) {
  return "{'descr': " + descr + ", 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape +
         ", }";
}
template <class T>
std::string bytes_of(std::initializer_list<T> values, bool swapped = false) {
  std::string bytes;
  for (T value : values) {
    std::string one(sizeof(T), '\0');
    std::memcpy(one.data(), &value, sizeof(T));
    if (swapped) std::reverse(one.begin(), one.end());
    bytes += one;
  }
  return bytes;
}
NpyFile open(const ScratchDir& dir, const std::string& content) {
  std::ofstream(dir / "a.npy", std::ios::binary) << content;
  return NpyFile::open(dir / "a.npy");
}
void refuse(const std::string& content, const Refusal& expected) {
  const ScratchDir dir;
  CAPTURE(content.substr(0, 150));
  std::ofstream(dir / "a.npy", std::ios::binary) << content;
  auto& heap = stofm::test::heap_count();
  heap.restart();
  const std::size_t before = heap.now;
  stofm::test::check_refused(dir / "a.npy", expected, [&] { (void)NpyFile::open(dir / "a.npy"); });
  CHECK(heap.peak - before < std::size_t{1} << 20);
}
}  // namespace

TEST_CASE("an array is written as numpy.save writes it and read back") {
  const ScratchDir dir;
  const auto matrix = Tensor<float>::from({2, 3}, {0, 1, 2, 3, 4, 5});
  write_npy(dir / "f.npy", matrix);
  // numpy.save(f, numpy.arange(6, dtype='f4').reshape(2, 3)) writes exactly this.
  const std::string expected = made(dict("'<f4'", "(2, 3)"), bytes_of<float>({0, 1, 2, 3, 4, 5}));
  CHECK(expected.size() == 152);
  CHECK(File::open(dir / "f.npy").read_all(1000) == expected);
  CHECK(NpyFile::open(dir / "f.npy").read<double>()(1, 2) == 5.0);
  write_npy(dir / "t.npy", matrix.transpose(0, 1));
  CHECK(NpyFile::open(dir / "t.npy").read<float>()(2, 1) == 5.0F);
  write_npy(dir / "i.npy", Tensor<std::int64_t>::from({3}, {-1, 2, 3}));
  CHECK(NpyFile::open(dir / "i.npy").read<std::int32_t>()(0) == -1);
  write_npy(dir / "s.npy", Tensor<std::uint8_t>::full(Shape{}, 7));
  CHECK(NpyFile::open(dir / "s.npy").read<std::int64_t>()() == 7);
  write_npy(dir / "e.npy", Tensor<double>({0, 5}));
  CHECK(NpyFile::open(dir / "e.npy").read<double>().shape() == Shape{0, 5});
  CHECK_THROWS_AS(write_npy(dir / "e.npy", matrix), UsageError);
}

TEST_CASE(
    "formats 1, 2 and 3, any order of keys, either quote, big endian, half floats and integers are read") {
  const ScratchDir dir;
  const std::string data = bytes_of<float>({1.5F, -2.0F});
  for (const int version : {1, 2, 3})
    CHECK(open(dir, made(dict("'<f4'", "(2,)"), data, version)).read<float>()(1) == -2);
  CHECK(
      open(dir, made("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"=f4\"}", data)).read<float>()(0) ==
      1.5F);
  CHECK(open(dir, made(dict("'>f4'", "(2,)"), bytes_of<float>({1.5F, -2.0F}, true))).read<float>()(1) == -2);
  CHECK(open(dir, made(dict("'>f8'", "(1, 1)"), bytes_of<double>({0.1}, true))).read<double>()(0, 0) == 0.1);
  CHECK(open(dir, made(dict("'>i8'", "(1,)"), bytes_of<std::int64_t>({-5}, true))).read<std::int32_t>()(0) ==
        -5);
  CHECK(open(dir, made(dict("'<f2'", "(2,)"), bytes_of<std::uint16_t>({0x3e00, 0xc000}))).read<float>()(0) ==
        1.5F);
  CHECK(open(dir, made(dict("'|b1'", "(2,)"), std::string("\1\0", 2))).read<std::uint8_t>()(0) == 1);
  CHECK_THROWS_WITH_AS(open(dir, made(dict("'<i4'", "(1,)"), "abcd")).read<float>(),
                       doctest::Contains("type I32"), FileError);
  CHECK_THROWS_WITH_AS(
      open(dir, made(dict("'<i8'", "(2,)"), bytes_of<std::int64_t>({1, INT64_MAX}))).read<std::int32_t>(),
      doctest::Contains("element 1"), FileError);
}

TEST_CASE("Fortran order is turned into row-major, rows can be read in pieces") {
  const ScratchDir dir;
  const auto f = open(dir, made(dict("'<f8'", "(2, 3)", true), bytes_of<double>({0, 3, 1, 4, 2, 5})));
  const auto matrix = f.read<float>();
  CHECK(matrix.is_contiguous());
  for (int i = 0; i < 6; ++i) CHECK(matrix.data()[i] == static_cast<float>(i));
  CHECK_THROWS_WITH_AS((void)f.read_rows<float>(0, 1), doctest::Contains("Fortran order"), FileError);
  std::string cube;
  for (int k = 0; k < 4; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) cube += bytes_of<std::int32_t>({(i * 3 + j) * 4 + k});
  const auto three = open(dir, made(dict("'<i4'", "(2, 3, 4)", true), cube)).read<std::int32_t>();
  for (int i = 0; i < 24; ++i) CHECK(three.data()[i] == i);
  std::string many;
  for (int i = 0; i < 600'000; ++i) many += bytes_of<double>({static_cast<double>(i)});
  const auto c = open(dir, made(dict("'<f8'", "(200000, 3)"), many));
  const auto rows = c.read_rows<float>(199'999, 200'000);
  CHECK(rows.shape() == Shape{1, 3});
  CHECK(rows(0, 2) == 599'999.0F);
  CHECK(c.read<float>()(150'000, 1) == 450'001.0F);
  CHECK(c.read_rows<float>(7, 7).shape() == Shape{0, 3});
  CHECK_THROWS_AS((void)c.read_rows<float>(0, 200'001), ShapeError);
  CHECK_THROWS_AS((void)c.read_rows<float>(-1, 1), ShapeError);
}

TEST_CASE("D31: files that are no .npy, or of another version, say what they are") {
  refuse("", {"STOFM-3301", "byte 0", "an empty file", "numpy.save"});
  refuse("PK\x03\x04....", {"STOFM-3301", "byte 0", "npz", "numpy.savez"});
  refuse("hello world", {"STOFM-3301", "byte 0", "hello", "numpy.save"});
  refuse("\x93NUMPY", {"STOFM-3301", "byte 0", "NUMPY", "numpy.save"});
  const std::string good = made(dict("'<f4'", "(1,)"), "abcd");
  for (const int version : {0, 4, 255}) {
    std::string bad = good;
    bad[6] = static_cast<char>(version);
    refuse(bad, {"STOFM-3302", "byte 6", concat("version ", version), "numpy.save"});
  }
  std::string minor = good;
  minor[7] = 1;
  refuse(minor, {"STOFM-3302", "byte 6", "version 1.1", "numpy.save"});
}

TEST_CASE("D31: header lengths beyond the file or the cap, and every prefix, are refused") {
  refuse("\x93NUMPY\x01" + std::string("\0\xff\xff", 3),
         {"STOFM-3303", "byte 8", "65535 bytes", "truncated"});
  refuse("\x93NUMPY\x02" + std::string("\0\xff\xff\xff\xff", 5),
         {"STOFM-3303", "byte 8", "4294967295", "numpy.save"});
  refuse("\x93NUMPY\x02" + std::string("\0\xff\xff", 3),
         {"STOFM-3303", "byte 8", "end of the file", "numpy.save"});
  const std::string good = made(dict("'<f4'", "(2, 2)"), "0123456789abcdef");
  const ScratchDir dir;
  for (std::size_t length = 0; length < good.size(); ++length)
    CHECK_THROWS_AS((void)open(dir, good.substr(0, length)), FileError);
  CHECK_NOTHROW((void)open(dir, good));
}

TEST_CASE("D31: a dict that is not exactly descr, fortran_order and shape is refused by its byte") {
  for (const std::string bad : {"",
                                "x",
                                "{",
                                "{}",
                                "[]",
                                "{'descr': '<f4'}",
                                "{'descr': '<f4', 'fortran_order': False}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
                                "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
                                "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
                                "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1,,)}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (a,)}",
                                "{'descr: '<f4', 'fortran_order': False, 'shape': (1,)}",
                                "{'descr': __import__('os'), 'shape': (1,)}",
                                "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
                                "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}"})
    refuse(made(bad, "abcd"), {"STOFM-3304", "header, byte", "found", "numpy.save"});
}

TEST_CASE(
    "D31: element types that are no numbers, objects and structures are refused, nothing is unpickled") {
  refuse(made(dict("'|O'", "(1,)"), "\x80\x04."), {"STOFM-3305", "header, byte 20", "pickle", "float32"});
  refuse(made(dict("[('x', '<f4')]", "(1,)"), "abcd"),
         {"STOFM-3305", "header, byte 20", "structured", "float32"});
  for (const std::string descr : {"'<c8'", "'<U4'", "'|S4'", "'<M8[ns]'", "'<f16'", "'f'", "''", "'<'",
                                  "'|f4'", "'V4'", "'<f4x'", "'!f4'"})
    refuse(made(dict(descr, "(1,)"), "abcd"), {"STOFM-3305", "header, byte 20", "number type", "float32"});
}

TEST_CASE("D31: absurd shapes are refused before memory is taken") {
  for (const std::string shape :
       {"(-1,)", "(9223372036854775808,)", "(1099511627777,)", "(1,1,1,1,1,1,1,1,1)",
        "(1099511627776, 1099511627776)", "(0, 1099511627776, 1099511627776)", "(1099511627776, 1048577)"})
    refuse(made(dict("'<f8'", shape), "abcd"), {"STOFM-3306", "header, byte", "found", "numpy.save"});
}

TEST_CASE("D31: data that is too short or too long names both sizes") {
  refuse(made(dict("'<f4'", "(3,)"), "0123456789"),
         {"STOFM-3307", "data", "12 bytes for shape [3] of F32", "truncated"});
  refuse(made(dict("'<f4'", "(1099511627776,)"), "0123"),
         {"STOFM-3307", "data", "4398046511104", "truncated"});
  refuse(made(dict("'<f4'", "(2,)"), "0123456789"), {"STOFM-3308", "data", "2 bytes behind", "numpy.save"});
  refuse(made(dict("'<f4'", "(0,)"), "0"), {"STOFM-3308", "data", "1 bytes behind", "numpy.save"});
}

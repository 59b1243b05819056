// SPDX-License-Identifier: MIT
#include "stofm/io/safetensors.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "tests/support/paths.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::ScratchDir;

namespace {
/// A file from a header text and data.
void put(const std::filesystem::path& path, const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), 8);
  out << header << data;
}
template <class T>
std::string bytes_of(std::initializer_list<T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), std::data(values), bytes.size());
  return bytes;
}
}  // namespace

TEST_CASE("tensors of every type come back as they were written") {
  const ScratchDir dir;
  const auto floats = Tensor<float>::from({2, 3}, {0, -1.5F, 2, 3e-40F, 4, 5});
  write_safetensors(
      dir / "f",
      {safetensors_entry("w", floats), safetensors_entry("t", floats.transpose(0, 1)),
       safetensors_entry("d", Tensor<double>::from({1}, {1.0 / 3})),
       safetensors_entry("i32", Tensor<std::int32_t>::from({2}, {-7, 1 << 30})),
       safetensors_entry("i64", Tensor<std::int64_t>::from({2}, {-7, std::int64_t{1} << 60})),
       safetensors_entry("bf", Tensor<bfloat16>::from({1}, {bfloat16(1.5F)})),
       safetensors_entry("scalar", Tensor<float>::full(Shape{}, 9)),
       safetensors_entry("empty", Tensor<float>({0, 4})), safetensors_entry("text", std::string("abc"))},
      {{"key", "value \"x\"\n\x01 ü"}});
  const auto file = SafetensorsFile::open(dir / "f");
  CHECK(file.names() ==
        std::vector<std::string>{"bf", "d", "empty", "i32", "i64", "scalar", "t", "text", "w"});
  CHECK(std::ranges::equal(file.read<float>("w").span(), floats.span()));
  CHECK(file.read<float>("t").shape() == Shape{3, 2});
  CHECK(file.read<float>("t")(1, 0) == -1.5F);
  CHECK(file.read<double>("d")(0) == 1.0 / 3);
  CHECK(file.read<float>("d")(0) == 1.0F / 3);
  CHECK(file.read<std::int32_t>("i32")(1) == 1 << 30);
  CHECK(file.read<std::int64_t>("i32")(0) == -7);
  CHECK(file.read<std::int64_t>("i64")(1) == std::int64_t{1} << 60);
  CHECK(file.read<float>("bf")(0) == 1.5F);
  CHECK(file.read<float>("scalar").rank() == 0);
  CHECK(file.read<float>("empty").shape() == Shape{0, 4});
  CHECK(file.read_bytes("text") == "abc");
  CHECK(file.read<std::uint8_t>("text").numel() == 3);
  CHECK(file.metadata().at("key") == "value \"x\"\n\x01 ü");
  CHECK(file.notices().empty());
  float last[2];
  file.read_elements<float>("w", 4, last);
  CHECK(last[1] == 5.0F);
  CHECK_THROWS_AS(file.read_elements<float>("w", 5, last), ShapeError);
  CHECK_THROWS_WITH_AS(file.info("none"), doctest::Contains("tensor \"none\""), FileError);
  CHECK_THROWS_WITH_AS(file.read<float>("i32"), doctest::Contains("dtype I32"), FileError);
  CHECK_THROWS_WITH_AS(file.read<std::int32_t>("i64"), doctest::Contains("element 1 of I64"), FileError);
}

TEST_CASE("the writer is deterministic: order of the entries does not matter, elements are aligned") {
  const ScratchDir dir;
  const auto a = safetensors_entry("a", std::string("odd"));
  const auto b = safetensors_entry("b", Tensor<double>::from({2}, {1, 2}));
  const auto c = safetensors_entry("c", Tensor<bfloat16>::from({1}, {bfloat16(3.0F)}));
  write_safetensors(dir / "1", {a, b, c}, {{"x", "1"}, {"y", "2"}});
  write_safetensors(dir / "2", {c, a, b}, {{"y", "2"}, {"x", "1"}});
  const std::string first = File::open(dir / "1").read_all(4096);
  CHECK(first == File::open(dir / "2").read_all(4096));
  std::uint64_t length = 0;
  std::memcpy(&length, first.data(), 8);
  CHECK(length % 8 == 0);
  CHECK(first.substr(8, 54) == R"({"__metadata__":{"x":"1","y":"2"},"a":{"dtype":"U8","s)");
  const auto file = SafetensorsFile::open(dir / "1");
  for (const auto& [name, info] : file.tensors()) CHECK(info.begin % dtype_bytes(info.dtype) == 0);
}

TEST_CASE("S30: F16, BF16 and F64 weights are converted to float exactly or to nearest, and said once") {
  const ScratchDir dir;
  // All 65,536 half floats, against arithmetic.
  std::string halves(131072, '\0');
  for (std::uint32_t i = 0; i < 65536; ++i) {
    halves[2 * i] = static_cast<char>(i & 255);
    halves[2 * i + 1] = static_cast<char>(i >> 8);
  }
  put(dir / "h", R"({"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}})", halves);
  const auto file = SafetensorsFile::open(dir / "h");
  const auto values = file.read<float>("h");
  for (int i = 0; i < 65536; ++i) {
    const int exponent = (i >> 10) & 31, mantissa = i & 1023;
    double expected = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31) expected = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
    if (i & 0x8000) expected = -expected;
    const double got = values(i);
    const bool same =
        std::isnan(expected) ? std::isnan(got) : got == expected && std::signbit(got) == ((i >> 15) != 0);
    if (!same) FAIL_CHECK("half " << i << " gives " << got);
  }
  const Notices said = file.conversion_notices();
  REQUIRE(said.size() == 1);
  CHECK(said[0].code == "STOFM-W3102");
  CHECK(said[0].count == 1);
  CHECK(said[0].text.find("F16") != std::string::npos);
  put(dir / "d", R"({"d":{"dtype":"F64","shape":[3],"data_offsets":[0,24]}})",
      bytes_of<double>({0.1, std::numeric_limits<double>::infinity(), -1e-60}));
  const auto doubles = SafetensorsFile::open(dir / "d").read<float>("d");
  CHECK(doubles(0) == 0.1F);
  CHECK(std::isinf(doubles(1)));
  CHECK(doubles(2) == 0.0F);
  put(dir / "e", R"({"d":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}})", bytes_of<double>({1, 1e300}));
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(dir / "e").read<float>("d"),
                       doctest::Contains("element 1 of F64"), FileError);
  CHECK(SafetensorsFile::open(dir / "e").read<double>("d")(1) == 1e300);
}

TEST_CASE("S08, S24, S33: trailing blanks, a path as a name, and an F64 at an odd offset are fine") {
  const ScratchDir dir;
  put(dir / "f",
      "{\"../../etc/x\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
      "\"d\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[3,19]}} \n\t  ",
      "abc" + bytes_of<double>({0.5, -2.25}));
  const auto file = SafetensorsFile::open(dir / "f");
  CHECK(file.read_bytes("../../etc/x") == "abc");
  CHECK(file.read<double>("d")(1) == -2.25);
  CHECK(file.read<float>("d")(0) == 0.5F);
}

TEST_CASE("S22: an unknown field of an entry is ignored and counted") {
  const ScratchDir dir;
  put(dir / "f",
      R"({"a":{"dtype":"U8","extra":{"deep":[1,{"x":null}],"y":"z"},"shape":[1],"more":[[],1.5,"s"],"data_offsets":[0,1],"flag":true}})",
      "x");
  const auto file = SafetensorsFile::open(dir / "f");
  REQUIRE(file.notices().size() == 1);
  CHECK(file.notices()[0].code == "STOFM-W3101");
  CHECK(file.notices()[0].count == 3);
  CHECK(file.notices()[0].text.find("\"extra\" of tensor \"a\"") != std::string::npos);
  CHECK_THROWS_AS(require_none(file.notices(), file.path()), DataError);
  CHECK(file.read_bytes("a") == "x");
}

TEST_CASE(
    "S34: a tensor of more than 2^31 elements in a sparse file of 9 GiB reads right at its last element") {
  const ScratchDir dir;
  const std::int64_t elements = (std::int64_t{1} << 31) + 512, bytes = elements * 4;
  put(dir / "f",
      concat(R"({"a":{"dtype":"F32","shape":[)", elements, R"(],"data_offsets":[0,)", bytes, "]}}"), "");
  const std::int64_t data_begin = File::open(dir / "f").size();
  if (::truncate((dir / "f").c_str(), data_begin + bytes - 4) != 0) {
    MESSAGE("skipped: no sparse files here");
    return;
  }
  std::ofstream(dir / "f", std::ios::binary | std::ios::app) << bytes_of<float>({42.0F});
  const auto file = SafetensorsFile::open(dir / "f");
  CHECK(file.info("a").shape.numel() == elements);
  float last[2];
  file.read_elements<float>("a", elements - 2, last);
  CHECK(last[0] == 0.0F);
  CHECK(last[1] == 42.0F);
  const auto before = memory_state().cap.exchange(std::int64_t{1} << 30);
  CHECK_THROWS_WITH_AS((void)file.read<float>("a"), doctest::Contains("memory cap"), ResourceError);
  memory_state().cap = before;
}

TEST_CASE("S36: a file cut while it is read is an error, not a SIGBUS") {
  const ScratchDir dir;
  write_safetensors(dir / "f", {safetensors_entry("a", Tensor<float>::zeros({1000}))});
  const auto file = SafetensorsFile::open(dir / "f");
  REQUIRE(::truncate((dir / "f").c_str(), 500) == 0);
  CHECK_THROWS_WITH_AS((void)file.read<float>("a"), doctest::Contains("truncated or replaced"), FileError);
  CHECK_THROWS_WITH_AS((void)file.read<double>("a"), doctest::Contains("truncated or replaced"), FileError);
  CHECK_THROWS_AS((void)file.read_bytes("a"), FileError);
}

TEST_CASE("the writer refuses names that the reader would refuse") {
  const ScratchDir dir;
  const auto one = Tensor<float>::zeros({1});
  for (const std::string name : {"", "__metadata__", "bad\xff"})
    CHECK_THROWS_AS(write_safetensors(dir / "f", {safetensors_entry(name, one)}), UsageError);
  CHECK_THROWS_WITH_AS(
      write_safetensors(dir / "f", {safetensors_entry("a", one), safetensors_entry("a", one)}),
      doctest::Contains("repeated name"), UsageError);
  CHECK_THROWS_AS(write_safetensors(dir / "f", {safetensors_entry("a", one)}, {{"k", "\xc0\x80"}}),
                  UsageError);
  CHECK(std::filesystem::is_empty(dir.path()));
}

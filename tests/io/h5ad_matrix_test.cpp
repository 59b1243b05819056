// SPDX-License-Identifier: MIT
// Rows H11 to H23 and H28 to H31: the count matrix, its sizes, types, chunks and filters.
#include <zlib.h>

#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

constexpr ErrorKind file_error = ErrorKind::file;

/// One chunk of raw bytes for a rank-1 data set of `count` elements, as a filter would have left it.
void put_raw_chunk(H5Edit& edit, const std::string& name, hid_t type, hsize_t count, const Hdf5Handle& list,
                   const std::string& bytes, std::uint32_t mask) {
  const Hdf5Handle data = edit.make(name, type, {count}, list.get());
  const hsize_t offset = 0;
  REQUIRE(H5Dwrite_chunk(data.get(), H5P_DEFAULT, mask, &offset, bytes.size(), bytes.data()) >= 0);
}

std::string raw_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

}  // namespace

TEST_CASE("H11: csr labelled csc (and the reverse) is refused by its sizes") {
  const H5Case test;
  test.edit().attribute("X", "encoding-type", "csc_matrix");
  check_refused(test.path, "STOFM-3512", file_error, "X/indptr", "one a column");
  const H5Case reverse("csc");
  reverse.edit().attribute("X", "encoding-type", "csr_matrix");
  check_refused(reverse.path, "STOFM-3512", file_error, "X/indptr", "one a row");
}

TEST_CASE("H12 H13: 1-d X and text X are refused") {
  const H5Case flat("dense_f32");
  flat.edit().put<float>("X", std::vector<float>(60, 1.0F));
  check_refused(flat.path, "STOFM-3510", file_error, "rank 1", "cells x genes");
  const H5Case text("dense_f32");
  text.edit().put_fixed("X", std::string(60 * 33, '1'), 1, H5T_STR_NULLPAD, {60, 33});
  check_refused(text.path, "STOFM-3511", file_error, "string", "numbers");
}

TEST_CASE("H13: every number type of the data is read") {
  const Read expected = read_all(zoo("csr_f32_gzip").string());
  const std::vector<double> values = [] {
    const H5Case base;
    return base.edit().get<double>("X/data");
  }();
  REQUIRE(*std::max_element(values.begin(), values.end()) < 32768);
  for (const hid_t type :
       {H5T_STD_I16LE, H5T_STD_I32LE, H5T_STD_I64LE, H5T_STD_U16LE, H5T_STD_U32LE, H5T_STD_U64LE,
        H5T_STD_I16BE, H5T_STD_I32BE, H5T_STD_I64BE, H5T_STD_U16BE, H5T_STD_U32BE, H5T_STD_U64BE,
        H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_IEEE_F32BE, H5T_IEEE_F64BE}) {
    const H5Case test;
    test.edit().put<double>("X/data", values, type);
    CHECK(read_all(test.path).dense == expected.dense);
  }
  std::vector<double> ones(values.size(), 1.0);
  for (const hid_t type : {H5T_STD_I8LE, H5T_STD_U8LE}) {
    const H5Case test;
    test.edit().put<double>("X/data", ones, type);
    const Read read = read_all(test.path);
    CHECK(std::count(read.dense.begin(), read.dense.end(), 1.0) == static_cast<std::ptrdiff_t>(ones.size()));
  }
  const H5Case boolean;
  {
    H5Edit edit = boolean.edit();
    const Hdf5Handle type(H5Tenum_create(H5T_STD_I8LE), H5Tclose);
    std::int8_t v = 0;
    H5Tenum_insert(type.get(), "FALSE", &v);
    v = 1;
    H5Tenum_insert(type.get(), "TRUE", &v);
    const Hdf5Handle data = edit.make("X/data", type.get(), {values.size()});
    const std::vector<std::int8_t> truth(values.size(), 1);
    REQUIRE(H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, truth.data()) >= 0);
  }
  CHECK(read_all(boolean.path).dense[0] <= 1.0);
  const H5Case odd;  // 24-bit integers are not plain
  {
    const Hdf5Handle type(H5Tcopy(H5T_STD_I32LE), H5Tclose);
    H5Tset_precision(type.get(), 24);
    odd.edit().put<double>("X/data", values, type.get());
  }
  check_refused(odd.path, "STOFM-3511", file_error, "another type", "numbers");
}

TEST_CASE("H14 H15: indptr of the wrong type, length, start, order or end") {
  const H5Case base;
  const std::vector<std::int64_t> good = base.edit().get<std::int64_t>("X/indptr");
  const auto broken = [&good](const std::function<void(std::vector<std::int64_t>&)>& change) {
    const H5Case test;
    std::vector<std::int64_t> values = good;
    change(values);
    test.edit().put("X/indptr", values);
    return test.path + "|" + bytes_of(test.path);  // the case is gone after this
  };
  const auto expect = [](const std::string& packed, const std::string& where, const std::string& word) {
    const H5Case test;
    write_bytes(test.path, packed.substr(packed.find('|') + 1));
    check_refused(test.path, "STOFM-3512", file_error, where, word);
  };
  expect(broken([](auto& v) { v.pop_back(); }), "60 entries", "61");
  expect(broken([](auto& v) { v.push_back(v.back()); }), "62 entries", "61");
  expect(broken([](auto& v) { v[0] = 1; }), "start at 1", "0");
  expect(broken([](auto& v) { std::swap(v[10], v[11]); }), "row 10 ends", "increasing");
  expect(broken([](auto& v) { v[5] = -3; }), "row 4 ends at -3", "increasing");
  expect(broken([](auto& v) { v.back() += 1; }), "ends at", "number of entries");
  const H5Case real;
  real.edit().put<double>("X/indptr", std::vector<double>(good.begin(), good.end()));
  check_refused(real.path, "STOFM-3512", file_error, "f8", "integers");
  const Read expected = read_all(zoo("csr_f32_gzip").string());
  for (const hid_t type : {H5T_STD_I32LE, H5T_STD_I64LE, H5T_STD_U64LE, H5T_STD_I64BE}) {
    const H5Case test;
    test.edit().put("X/indptr", good, type);
    CHECK(read_all(test.path).dense == expected.dense);
  }
}

TEST_CASE("H16: a column index out of range names row, entry and value") {
  for (const std::int64_t bad : {std::int64_t{33}, std::int64_t{-1}, std::int64_t{1} << 40}) {
    const H5Case test;
    {
      H5Edit edit = test.edit();
      std::vector<std::int64_t> index = edit.get<std::int64_t>("X/indices");
      index[100] = bad;
      edit.put("X/indices", index);
    }
    check_refused(test.path, "STOFM-3513", file_error, concat("column ", bad), "0 to 32");
    check_refused(test.path, "STOFM-3513", file_error, "entry 100", "0 to 32");
  }
  const H5Case csc("csc");
  {
    H5Edit edit = csc.edit();
    std::vector<std::int64_t> index = edit.get<std::int64_t>("X/indices");
    index[7] = 60;
    edit.put("X/indices", index);
  }
  check_refused(csc.path, "STOFM-3513", file_error, "row 60", "0 to 59");
}

TEST_CASE("H18: duplicate entries of a cell are summed and counted") {
  const H5Case test;
  {
    H5Edit edit = test.edit();
    std::vector<std::int64_t> index = edit.get<std::int64_t>("X/indices");
    index[1] = index[0];
    edit.put("X/indices", index);
  }
  const Read plain = read_all(zoo("csr_f32_gzip").string());
  const Read read = read_all(test.path);
  double sum = 0, plain_sum = 0;
  for (std::size_t g = 0; g < 33; ++g) sum += read.dense[g], plain_sum += plain.dense[g];
  CHECK(sum == plain_sum);
  const Notices notices = read.slice.stream_notices();
  REQUIRE(has_notice(notices, "STOFM-W3503"));
  CHECK(notices.front().count == 1);
  read.slice.read_counts(0, 60);
  CHECK(read.slice.stream_notices().front().count == 1);  // reading twice does not count twice
}

TEST_CASE("H19: data and indices of different lengths") {
  const H5Case test;
  test.edit().put<std::int32_t>("X/indices", {1, 2, 3});
  check_refused(test.path, "STOFM-3514", file_error, "3 entries", "as data has");
}

TEST_CASE("H20: shape missing, negative, huge, or not that of obs and var") {
  for (const auto& shape :
       std::vector<std::vector<std::int64_t>>{{-60, 33}, {std::int64_t{1} << 40, 33}, {61, 33}, {60, 32}}) {
    const H5Case test;
    test.edit().attribute("X", "shape", shape);
    check_refused(test.path, "STOFM-3509", file_error, concat(shape[0], " x ", shape[1]), "60 x 33");
  }
  const H5Case missing;
  missing.edit().remove_attribute("X", "shape");
  check_refused(missing.path, "STOFM-3509", file_error, "X@shape", "cells x genes");
}

TEST_CASE("H21: more than 2^31 entries, never stored, are streamed with bounded memory") {
  const H5Case test;
  const auto entries = static_cast<hsize_t>((std::int64_t{1} << 31) + 7);
  {
    H5Edit edit = test.edit();
    const Hdf5Handle list = chunked({hsize_t{1} << 20});
    edit.make("X/data", H5T_STD_U8LE, {entries}, list.get());
    edit.make("X/indices", H5T_STD_I32LE, {entries}, list.get());
    const Hdf5Handle data(H5Dopen2(edit.id(), "X/data", H5P_DEFAULT), H5Dclose);
    const hsize_t last = entries - 1;
    const hsize_t one = 1;
    const Hdf5Handle space(H5Dget_space(data.get()), H5Sclose);
    REQUIRE(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &last, nullptr, &one, nullptr) >= 0);
    const Hdf5Handle memory(H5Screate_simple(1, &one, nullptr), H5Sclose);
    const std::uint64_t five = 5;
    REQUIRE(H5Dwrite(data.get(), H5T_NATIVE_UINT64, memory.get(), space.get(), H5P_DEFAULT, &five) >= 0);
    std::vector<std::int64_t> starts(61, 0);  // all entries but the last 1,000 belong to cell 0
    for (std::size_t i = 1; i < 61; ++i) starts[i] = static_cast<std::int64_t>(entries) - 1000;
    starts[60] = static_cast<std::int64_t>(entries);
    edit.put("X/indptr", starts);
  }
  const Slice slice = read_h5ad(test.path);
  const CountRows last = slice.read_counts(59, 60);
  REQUIRE(last.values.size() == 1);
  CHECK(last.values[0] == 5);
  if (std::getenv("STOFM_SLOW") != nullptr) CHECK(slice.read_counts(0, 1).values.empty());  // half a minute
}

TEST_CASE("H22: a data set that declares 16 TiB and stores nothing is refused at once") {
  const H5Case test("dense_f32");
  test.edit().make("X", H5T_IEEE_F32LE, {hsize_t{1} << 21, hsize_t{1} << 21}, chunked({1024, 1024}).get());
  check_refused(test.path, "STOFM-3515", file_error, "8 TiB", "cap");
  const H5Case index;  // 4 GiB of index, nothing stored
  index.edit().make("obs/_index", H5T_IEEE_F64LE, {hsize_t{1} << 29}, chunked({1 << 20}).get());
  check_refused(index.path, "STOFM-3515", file_error, "0 bytes stored", "for each one stored");
  const H5Case coordinates;
  coordinates.edit().make("obsm/spatial", H5T_IEEE_F64LE, {hsize_t{1} << 29, 2}, chunked({1 << 20, 2}).get());
  check_refused(coordinates.path, "STOFM-3526", file_error, "536870912 rows", "60");
}

TEST_CASE("H23: chunks of 1 byte are read, chunks above 256 MiB and lying chunk sizes are refused") {
  const Read expected = read_all(zoo("csr_f32_gzip").string());
  const H5Case tiny;
  const std::vector<double> values = tiny.edit().get<double>("X/data");
  tiny.edit().put("X/data", values, H5T_STD_U16LE, {}, chunked({1}).get());
  CHECK(read_all(tiny.path).dense == expected.dense);
  const H5Case huge;
  {
    const Hdf5Handle list = chunked({hsize_t{1} << 27});
    const hsize_t unlimited = H5S_UNLIMITED;
    const hsize_t count = values.size();
    H5Edit edit = huge.edit();
    edit.remove("X/data");
    const Hdf5Handle space(H5Screate_simple(1, &count, &unlimited), H5Sclose);
    const Hdf5Handle data(
        H5Dcreate2(edit.id(), "X/data", H5T_IEEE_F32LE, space.get(), H5P_DEFAULT, list.get(), H5P_DEFAULT),
        H5Dclose);
    REQUIRE(static_cast<bool>(data));
  }
  check_refused(huge.path, "STOFM-3516", file_error, "chunk dimension", "h5repack");
  const H5Case lying;
  {
    H5Edit edit = lying.edit();
    const Hdf5Handle list = chunked({values.size()});
    H5Pset_deflate(list.get(), 4);
    put_raw_chunk(edit, "X/data", H5T_IEEE_F32LE, values.size(), list, std::string(200000, 'x'), 0);
  }
  check_refused(lying.path, "STOFM-3522", file_error, "200000 bytes", "intact chunk");
}

TEST_CASE("H29: filters that are not ours are refused by id, unless every chunk skipped them") {
  const H5Case base;
  const std::vector<float> values = base.edit().get<float>("X/data");
  const auto make = [&values](int id, std::uint32_t mask) {
    const H5Case test;
    {
      H5Edit edit = test.edit();
      const Hdf5Handle list = chunked({values.size()});
      REQUIRE(H5Pset_filter(list.get(), id, H5Z_FLAG_OPTIONAL, 0, nullptr) >= 0);
      put_raw_chunk(edit, "X/data", H5T_IEEE_F32LE, values.size(), list, raw_bytes(values), mask);
    }
    return bytes_of(test.path);
  };
  for (const int id : {32015, 32001, 12345}) {
    const H5Case test;
    write_bytes(test.path, make(id, 0));
    check_refused(test.path, "STOFM-3521", file_error, concat("filter ", id), "h5repack -f GZIP=4");
    write_bytes(test.path, make(id, 1));  // the mask says: skipped
    CHECK(read_all(test.path).dense == read_all(zoo("csr_f32_gzip").string()).dense);
  }
  if (H5Zfilter_avail(H5Z_FILTER_SZIP) > 0) {
    const H5Case szip;
    const Hdf5Handle list = chunked({64});
    REQUIRE(H5Pset_szip(list.get(), H5_SZIP_NN_OPTION_MASK, 8) >= 0);
    {
      H5Edit edit = szip.edit();
      edit.put<float>("X/data", values, H5T_IEEE_F32LE, {}, list.get());
    }
    check_refused(szip.path, "STOFM-3521", file_error, "szip", "h5repack -f GZIP=4");
  }
}

TEST_CASE("H30 H31: corrupt, short or exploding deflate streams and wrong checksums are refused") {
  const H5Case base;
  const std::vector<float> values = base.edit().get<float>("X/data");
  const auto with_chunk = [&values](const std::string& bytes, bool checksum) {
    const H5Case test;
    {
      H5Edit edit = test.edit();
      const Hdf5Handle list = chunked({values.size()});
      if (checksum) {
        H5Pset_fletcher32(list.get());
      } else {
        H5Pset_deflate(list.get(), 4);
      }
      put_raw_chunk(edit, "X/data", H5T_IEEE_F32LE, values.size(), list, bytes, 0);
    }
    return bytes_of(test.path);
  };
  const auto deflated = [](const std::string& raw) {
    uLongf size = compressBound(raw.size());
    std::string out(size, '\0');
    REQUIRE(compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
                     raw.size()) == Z_OK);
    out.resize(size);
    return out;
  };
  const H5Case test;
  write_bytes(test.path, with_chunk(deflated(raw_bytes(values)), false));
  CHECK(read_all(test.path).dense == read_all(zoo("csr_f32_gzip").string()).dense);
  std::string corrupt = deflated(raw_bytes(values));
  corrupt[corrupt.size() / 2] = static_cast<char>(corrupt[corrupt.size() / 2] ^ 0x55);
  write_bytes(test.path, with_chunk(corrupt, false));
  check_refused(test.path, "STOFM-3522", file_error, "chunk at element 0", "intact chunk");
  write_bytes(test.path, with_chunk(deflated(std::string(values.size() * 4 * 500, '\0')), false));
  check_refused(test.path, "STOFM-3522", file_error, "expands beyond", "intact chunk");
  write_bytes(test.path, with_chunk(deflated("short"), false));
  check_refused(test.path, "STOFM-3522", file_error, "5 bytes instead", "intact chunk");
  write_bytes(test.path, with_chunk(raw_bytes(values) + std::string(4, '\x01'), true));
  check_refused(test.path, "STOFM-3522", file_error, "fletcher32", "intact chunk");
}

TEST_CASE("lzf_decompress stays inside its buffers") {
  const auto run = [](std::string stream, std::size_t room) {
    std::vector<std::byte> out(room);
    const auto size = lzf_decompress(std::as_bytes(std::span(stream)), out);
    return size ? std::string(reinterpret_cast<const char*>(out.data()), *size) : std::string("refused");
  };
  CHECK(run(std::string("\x02"
                        "abc",
                        4),
            3) == "abc");
  CHECK(run(std::string("\x00"
                        "a\x40\x00",
                        4),
            5) == "aaaaa");  // length 4, distance 1
  CHECK(run(std::string("\x00"
                        "a\xe0\x01\x00",
                        5),
            11) == std::string(11, 'a'));  // long form: 7 + 1 + 2
  CHECK(run(std::string("\x02"
                        "abc",
                        4),
            2) == "refused");
  CHECK(run(std::string("\x05"
                        "abc",
                        4),
            9) == "refused");
  CHECK(run(std::string("\x00"
                        "a\x40\x01",
                        4),
            9) == "refused");  // before the start
  CHECK(run(std::string("\x00"
                        "a\xe0",
                        3),
            9) == "refused");
  CHECK(run(std::string("\x00"
                        "a\x40",
                        3),
            9) == "refused");
}

// SPDX-License-Identifier: MIT
// Rows H32 to H37 and D13, D17, D18, D28, D29, D35, D06: names, categories, coordinates, and difficult
// content.
#include <cmath>
#include <limits>

#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

std::vector<std::string> gene_names() {
  std::vector<std::string> names;
  for (int i = 0; i < 33; ++i) names.push_back("ENSG" + std::to_string(10000000000 + i));
  return names;
}

std::string padded(const std::vector<std::string>& names, std::size_t width, char fill) {
  std::string raw;
  for (const auto& name : names) raw += name + std::string(width - name.size(), fill);
  return raw;
}

void change_values(const std::string& path, const std::function<void(std::vector<double>&)>& change) {
  H5Edit edit(path);
  std::vector<double> values = edit.get<double>("X/data");
  change(values);
  edit.put("X/data", values);
}

}  // namespace

TEST_CASE("H32: strings of every storage form give the same ids") {
  const std::vector<std::string> names = gene_names();
  const auto ids = [](const H5Case& test) { return read_all(test.path).slice.gene_ids; };
  const H5Case variable, nul, space, chunks, compact, categories;
  variable.edit().put_strings("var/ensembl_id", names);
  nul.edit().put_fixed("var/ensembl_id", padded(names, 20, '\0'), 20, H5T_STR_NULLPAD);
  space.edit().put_fixed("var/ensembl_id", padded(names, 20, ' '), 20, H5T_STR_SPACEPAD);
  for (const bool in_chunks : {true, false}) {
    H5Edit edit = (in_chunks ? chunks : compact).edit();
    const Hdf5Handle list = in_chunks ? chunked({10}) : Hdf5Handle(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    if (in_chunks) {
      H5Pset_deflate(list.get(), 4);
    } else {
      H5Pset_layout(list.get(), H5D_COMPACT);
    }
    const Hdf5Handle type = H5Edit::string_type();
    std::vector<const char*> pointers;
    for (const auto& name : names) pointers.push_back(name.c_str());
    const Hdf5Handle data = edit.make("var/ensembl_id", type.get(), {33}, list.get());
    REQUIRE(H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) >= 0);
  }
  {
    H5Edit edit = categories.edit();
    edit.remove("var/ensembl_id");
    edit.group("var/ensembl_id");
    edit.attribute("var/ensembl_id", "encoding-type", "categorical");
    edit.attribute("var/ensembl_id", "encoding-version", "0.2.0");
    edit.put_strings("var/ensembl_id/categories", names);
    std::vector<std::int8_t> codes(33);
    for (std::size_t i = 0; i < 33; ++i) codes[i] = static_cast<std::int8_t>(i);
    edit.put("var/ensembl_id/codes", codes);
  }
  for (const H5Case* test : {&variable, &nul, &space, &chunks, &compact, &categories})
    CHECK(ids(*test) == names);
}

TEST_CASE("H33: invalid UTF-8, NUL inside, endless strings and dangling references name data set and row") {
  const H5Case utf8, inside, endless, dangling;
  std::vector<std::string> names = gene_names();
  names[4] = "bad\xff";
  utf8.edit().put_strings("var/ensembl_id", names);
  check_refused(utf8.path, "STOFM-3523", ErrorKind::file, "var/ensembl_id, row 4", "UTF-8");
  names[4] = std::string("a\0b", 3);
  inside.edit().put_fixed("var/ensembl_id", padded(names, 20, '\0'), 20, H5T_STR_NULLPAD);
  check_refused(inside.path, "STOFM-3523", ErrorKind::file, "row 4", "UTF-8");
  names[4] = std::string(2 << 20, 'x');
  endless.edit().put_strings("var/ensembl_id", names);
  check_refused(endless.path, "STOFM-3523", ErrorKind::file, "2097152 bytes", "1 MiB");
  dangling.edit().put_strings("var/ensembl_id", gene_names());
  std::string bytes = bytes_of(dangling.path);
  const std::size_t heap =
      bytes.rfind("ENSG10000000004");  // in its heap; the object's header is 16 bytes before
  REQUIRE(heap != std::string::npos);
  std::string cut = bytes;
  cut[heap - 16] = '\x77';  // another object index
  write_bytes(dangling.path, cut);
  check_refused(dangling.path, "STOFM-3523", ErrorKind::file, "dangling heap reference", "UTF-8");
  const std::size_t collection = bytes.rfind("GCOL", heap);
  bytes[collection] = 'X';
  write_bytes(dangling.path, bytes);
  check_refused(dangling.path, "STOFM-3523", ErrorKind::file, "no heap", "UTF-8");
}

TEST_CASE("H34: categories, legacy or not: code -1 is missing, codes out of range are refused") {
  for (const char* zoo_name : {"csr_f32_gzip", "legacy_0.7"}) {
    const bool legacy = std::string(zoo_name) == "legacy_0.7";
    const std::string codes_path = legacy ? "obs/region" : "obs/region/codes";
    H5adReadOptions options;
    options.library_key = "region";
    const H5Case good(zoo_name), range(zoo_name), wide(zoo_name);
    std::vector<std::int8_t> codes = good.edit().get<std::int8_t>(codes_path);
    codes[3] = -1;
    good.edit().put("obs/" + std::string(legacy ? "region" : "region/codes"), codes);
    check_refused(good.path, "STOFM-3561", ErrorKind::data, "1 cell, row 3",
                  "H5adReadOptions::drop_no_library", options);
    options.drop_no_library = true;
    const Slice slice = read_all(good.path, options).slice;
    CHECK(has_notice(slice.notices, "STOFM-W3524"));
    REQUIRE(slice.library.size() == 59);
    CHECK(slice.file_rows[3] == 4);
    CHECK(std::count(slice.library.begin(), slice.library.end(), -1) == 0);
    CHECK(slice.library_names.size() > 3);
    codes[3] = 100;
    range.edit().put(codes_path, codes);
    check_refused(range.path, "STOFM-3534", ErrorKind::file, "row 3", "-1 to", options);
    std::vector<std::string> names(300, "c");
    wide.edit().put_strings(legacy ? "obs/__categories/region" : "obs/region/categories", names);
    check_refused(wide.path, "STOFM-3534", ErrorKind::file, "300 categories", "anndata", options);
  }
}

TEST_CASE("H36 H37: coordinates as any number type, text, frame, with 1 to 3 columns and wrong row counts") {
  const Read expected = read_all(zoo("csr_f32_gzip").string());
  std::vector<double> xy(expected.slice.coordinates.data(), expected.slice.coordinates.data() + 120);
  for (double& value : xy) value = std::floor(value);
  const auto first_x = [](const H5Case& test) { return read_all(test.path).slice.coordinates.data()[0]; };
  for (const hid_t type : {H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_STD_I32LE, H5T_STD_U16BE}) {
    const H5Case test;
    test.edit().put("obsm/spatial", xy, type, {60, 2});
    CHECK(first_x(test) == xy[0]);
  }
  std::string text;
  for (const double value : xy) text += padded({concat(value)}, 12, '\0');
  const H5Case numbers_as_text, bad_text, one, flat, few, frame, cloud;
  numbers_as_text.edit().put_fixed("obsm/spatial", text, 12, H5T_STR_NULLPAD, {60, 2});
  CHECK(first_x(numbers_as_text) == xy[0]);
  text[12 * 7] = 'x';
  bad_text.edit().put_fixed("obsm/spatial", text, 12, H5T_STR_NULLPAD, {60, 2});
  check_refused(bad_text.path, "STOFM-3536", ErrorKind::data, "row 3", "numbers");
  one.edit().put("obsm/spatial", std::vector<double>(60, 1.0), -1, {60, 1});
  check_refused(one.path, "STOFM-3526", ErrorKind::file, "1 columns", "2 or 3 columns");
  flat.edit().put("obsm/spatial", std::vector<double>(60, 1.0));
  check_refused(flat.path, "STOFM-3526", ErrorKind::file, "not a table", "H5adReadOptions::spatial_key");
  few.edit().put("obsm/spatial", std::vector<double>(118, 1.0), -1, {59, 2});
  check_refused(few.path, "STOFM-3526", ErrorKind::file, "59 rows", "60");
  {
    H5Edit edit = frame.edit();
    edit.remove("obsm/spatial");
    edit.group("obsm/spatial");
    edit.attribute("obsm/spatial", "encoding-type", "dataframe");
    edit.attribute("obsm/spatial", "encoding-version", "0.2.0");
    edit.attribute("obsm/spatial", "_index", "_index");
    std::vector<double> x(60), y(60);
    for (std::size_t i = 0; i < 60; ++i) x[i] = xy[2 * i], y[i] = xy[2 * i + 1];
    edit.put_strings("obsm/spatial/_index", std::vector<std::string>(60, "cell"));
    edit.put("obsm/spatial/x", x);
    edit.put("obsm/spatial/y", y);
    const Hdf5Handle type = H5Edit::string_type();
    const hsize_t two = 2;
    const Hdf5Handle space(H5Screate_simple(1, &two, nullptr), H5Sclose);
    const Hdf5Handle group(H5Gopen2(edit.id(), "obsm/spatial", H5P_DEFAULT), H5Gclose);
    const Hdf5Handle order(
        H5Acreate2(group.get(), "column-order", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    const char* columns[2] = {"x", "y"};
    REQUIRE(H5Awrite(order.get(), type.get(), static_cast<const void*>(columns)) >= 0);
  }
  const Slice from_frame = read_all(frame.path).slice;
  CHECK(std::equal(xy.begin(), xy.end(), from_frame.coordinates.data()));
  const H5Case scalar;
  {
    H5Edit edit = scalar.edit();
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    for (const char* name : {"obs/x", "obs/y"})
      Hdf5Handle(
          H5Dcreate2(edit.id(), name, H5T_NATIVE_DOUBLE, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
          H5Dclose);
  }
  H5adReadOptions columns_xy;
  columns_xy.x_column = "x";
  columns_xy.y_column = "y";
  check_refused(scalar.path, "STOFM-3507", ErrorKind::file, "1 entries", "60", columns_xy);
  H5adReadOptions given;
  given.coordinates = Tensor<double>::from({60, 2}, std::span<const double>(xy));
  CHECK(read_all(cloud.path, given).slice.coordinates.data()[119] == xy[119]);
  given.coordinates = Tensor<double>::zeros({59, 2});
  check_refused(cloud.path, "STOFM-3526", ErrorKind::data, "[59, 2]", "[60, 2]", given);
}

TEST_CASE("D06 D17 D18: no counts at all, negative, NaN, infinite and very large counts") {
  const H5Case none, negative, nan, infinite, large, beyond;
  change_values(none.path, [](auto& v) { std::fill(v.begin(), v.end(), 0.0); });
  check_refused(none.path, "STOFM-3528", ErrorKind::data, "no count above 0", "counts");
  change_values(negative.path, [](auto& v) { v[200] = -2; });
  check_refused(negative.path, "STOFM-3530", ErrorKind::data, "negative count -2", "not negative");
  check_refused(negative.path, "STOFM-3530", ErrorKind::data, "row 7, gene \"ENS", "2^53");
  change_values(nan.path, [](auto& v) { v[200] = std::nan(""); });
  check_refused(nan.path, "STOFM-3530", ErrorKind::data, "nan", "NaN");
  change_values(infinite.path, [](auto& v) { v[200] = std::numeric_limits<double>::infinity(); });
  check_refused(infinite.path, "STOFM-3530", ErrorKind::data, "inf", "2^53");
  change_values(large.path, [](auto& v) { v[0] = 16777217, v[1] = 4294967299.0; });
  const CountRows rows = read_h5ad(large.path).read_counts(0, 1);
  CHECK(rows.values[0] == 16777217);
  CHECK(rows.values[1] == 4294967299.0);
  change_values(beyond.path, [](auto& v) { v[0] = 1e300; });
  check_refused(beyond.path, "STOFM-3530", ErrorKind::data, "1e+300", "2^53");
}

TEST_CASE("D16: fractional counts are refused with their share, or accepted on demand") {
  const H5Case test;
  change_values(test.path, [](auto& v) { v[10] = 0.5; });
  check_refused(test.path, "STOFM-3529", ErrorKind::data, "is fractional: row",
                "H5adReadOptions::counts_scale = linear");
  H5adReadOptions options;
  options.accept_noninteger = true;
  const Read read = read_all(test.path, options);
  CHECK(std::count(read.dense.begin(), read.dense.end(), 0.5) == 1);
}

TEST_CASE("D13: columns that repeat a gene id stay apart: what is a gene is not known here") {
  const H5Case test;
  std::vector<std::string> names = gene_names();
  names[5] = names[2];
  test.edit().put_strings("var/ensembl_id", names);
  const Read plain = read_all(zoo("csr_f32_gzip").string());
  const Read read = read_all(test.path);
  CHECK(read.slice.genes() == 33);
  CHECK(read.slice.gene_ids == names);
  CHECK_FALSE(has_notice(read.slice.stream_notices(), "STOFM-W3503"));
  CHECK(read.dense == plain.dense);
}

TEST_CASE("D28: several slices in one file are kept apart by the key") {
  const H5Case test;
  std::vector<std::string> names(60, "left");
  std::fill(names.begin() + 30, names.end(), "right");
  test.edit().put_strings("obs/library_id", names);
  CHECK(read_all(test.path).slice.notices.empty());  // 60 cells of one tissue: the name alone says nothing
  H5adReadOptions options;
  options.library_key = "library_id";
  const Slice slice = read_all(test.path, options).slice;
  CHECK(slice.notices.empty());
  CHECK(slice.library_names == std::vector<std::string>{"left", "right"});
  CHECK(slice.library[29] == 0);
  CHECK(slice.library[30] == 1);
  options.library_key = "absent";
  check_refused(test.path, "STOFM-3538", ErrorKind::usage, "obs/absent", "H5adReadOptions::library_key",
                options);
}

TEST_CASE("D29 D35: far-off float32 coordinates and odd cell names are kept as they are") {
  const H5Case test;
  std::vector<double> xy(120);
  for (std::size_t i = 0; i < 120; ++i) xy[i] = 1e9 + 128.0 * static_cast<double>(i);
  std::vector<std::string> names(60, "twice");
  names[0] = "";
  names[1] = std::string(1 << 20, 'n');
  names[2] = "comma, \"quote\"\nline";
  {
    H5Edit edit = test.edit();
    edit.put("obsm/spatial", xy, H5T_IEEE_F32LE, {60, 2});
    edit.put_strings("obs/_index", names);
  }
  H5adReadOptions options;
  options.cell_names = true;
  const Slice slice = read_all(test.path, options).slice;
  CHECK(slice.cell_names == names);
  for (std::size_t i = 0; i < 120; ++i)
    CHECK(slice.coordinates.data()[i] == static_cast<double>(static_cast<float>(xy[i])));
}

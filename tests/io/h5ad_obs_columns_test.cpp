// SPDX-License-Identifier: MIT
// Columns of obs that are asked for by name, and parts of a file without its counts.
#include "stofm/io/h5ad_obs_columns.hpp"

#include <doctest/doctest.h>

#include "stofm/io/h5ad_tables.hpp"
#include "stofm/io/hdf5_write.hpp"
#include "tests/io/make_h5ad_files.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;

namespace obs_columns_test {
namespace {
using Texts = std::vector<std::string>;

/// A zoo file of 60 cells with columns of every kind.
struct ColumnsCase : test::H5Case {
  ColumnsCase() : test::H5Case("csr_f32_gzip") {
    test::H5Edit edit(path);
    edit.remove_attribute("obs", "column-order");
    edit.group("obs/factor");
    edit.attribute("obs/factor", "encoding-type", std::string("categorical"));
    edit.attribute("obs/factor", "encoding-version", std::string("0.2.0"));
    std::vector<std::int64_t> codes, whole, all;
    std::vector<double> gaps, reals;
    std::vector<std::int8_t> flags;
    Texts texts;
    const Texts missing{"", "nan", "None", "NA", "<NA>"};
    for (std::int64_t i = 0; i < 60; ++i) {
      codes.push_back(i % 6 == 5 ? -1 : 4 - i % 6);  // "unused" (5) has no cell, "NA" (0) is missing
      whole.push_back(i % 3 == 0 ? 10 : i % 3 == 1 ? 9 : -2);
      all.push_back(i);
      gaps.push_back(i % 2 == 0 ? std::nan("") : static_cast<double>(i % 4));
      reals.push_back(static_cast<double>(i) / 7);
      texts.push_back(i < 5 ? missing[static_cast<std::size_t>(i)] : concat("t", i % 2));
      flags.push_back(static_cast<std::int8_t>(i % 2));
    }
    edit.put("obs/factor/codes", codes, H5T_STD_I16LE);
    edit.put_strings("obs/factor/categories", {"NA", "b", "a", "d", "c", "unused"});
    edit.put("obs/whole", whole);
    edit.put("obs/each", all);
    edit.put("obs/gaps", gaps);
    edit.put("obs/reals", reals);
    edit.put("obs/n_B", reals);
    edit.put("obs/n_A", whole);
    edit.put_strings("obs/texts", texts);
    const io::Hdf5Handle boolean = io::Hdf5Writer::bool_type();
    const io::Hdf5Handle data = edit.make("obs/flag", boolean.get(), {60});
    REQUIRE(H5Dwrite(data.get(), boolean.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, flags.data()) >= 0);
    if (!edit.has("uns")) edit.group("uns");
    edit.put_strings("uns/factor_colors", {"#000000", "#0000bb", "#0000aa", "#0000dd", "#0000cc", "#ffffff"});
  }
  io::Slice read(const Texts& columns, io::H5adReadOptions options = {}) const {
    options.obs_columns = columns;
    return io::read_h5ad(path, options);
  }
};

io::H5adReadOptions here() {
  io::H5adReadOptions options;
  options.isolation = io::H5adIsolation::none;
  return options;
}
}  // namespace

TEST_CASE("columns asked for come first, in the order asked for, whatever they hold") {
  const ColumnsCase c;
  for (const io::H5adReadOptions& options : {io::H5adReadOptions{}, here()}) {
    io::H5adReadOptions with_labels = options;
    with_labels.label_columns = 3;
    const io::Slice slice = c.read({"whole", "factor", "texts", "flag", "gaps", "each"}, with_labels);
    REQUIRE(slice.labels.size() > 6);  // others of the file, no column twice
    const io::SliceLabels& whole = slice.labels[0];
    CHECK(whole.name == "whole");
    CHECK(whole.categories == Texts{"-2", "9", "10"});  // by value, not by text
    CHECK(whole.codes[0] == 2);
    CHECK(whole.missing == 0);
    const io::SliceLabels& factor = slice.labels[1];
    CHECK(factor.categories == Texts{"b", "a", "d", "c"});
    CHECK(factor.colours == Texts{"#0000bb", "#0000aa", "#0000dd", "#0000cc"});
    CHECK(factor.codes[0] == 3);
    CHECK(factor.codes[3] == 0);
    CHECK(factor.codes[4] == -1);  // "NA"
    CHECK(factor.codes[5] == -1);
    CHECK(factor.missing == 20);
    const io::SliceLabels& texts = slice.labels[2];
    CHECK(texts.categories == Texts{"t0", "t1"});
    CHECK(texts.missing == 5);
    CHECK(texts.codes[5] == 1);
    CHECK(slice.labels[3].categories == Texts{"False", "True"});
    CHECK(slice.labels[3].codes[1] == 1);
    CHECK(slice.labels[4].categories == Texts{"1", "3"});
    CHECK(slice.labels[4].missing == 30);
    CHECK(slice.labels[5].categories.size() == 60);
    CHECK(std::count_if(slice.notices.begin(), slice.notices.end(),
                        [](const Notice& n) { return n.code == "STOFM-W3525"; }) == 3);
    for (std::size_t i = 6; i < slice.labels.size(); ++i) CHECK(slice.labels[i].name != "factor");
  }
}

TEST_CASE("a column that is not there is one error with the columns there are, the likely one first") {
  const ColumnsCase c;
  test::check_usage([&] { c.read({"factr"}); }, "STOFM-3552", "obs has \"factor\", ");
  test::check_usage([&] { c.read({"a/b"}); }, "STOFM-3552", "a column of that name");
  test::check_usage([&] { c.read({"reals"}); }, "STOFM-3553", "real numbers");
  test::check_usage([&] { io::read_h5ad_tables(c.path, {.obsm = {"spatia"}}); }, "STOFM-3552",
                    "obsm has \"spatial\"");
  test::check_usage([&] { io::read_h5ad_tables(c.path, {.obs_numbers = {"m_*"}}); }, "STOFM-3552",
                    "begin so");
}

TEST_CASE("more values than groups can be are refused") {
  const test::ScratchDir scratch;
  const std::string large = (scratch / "large.h5ad").string();
  std::filesystem::copy_file(test::source_dir() / "tests" / "data" / "osmfish_sscortex_6471.h5ad", large);
  std::filesystem::permissions(large, std::filesystem::perms::owner_all);
  io::detail::sorted_groups({});
  Texts many;
  for (std::int64_t i = 0; i <= io::detail::most_asked_groups; ++i) many.push_back(concat("cell", i));
  CHECK(static_cast<std::int64_t>(io::detail::sorted_groups(many).categories.size()) >
        io::detail::most_asked_groups);
  Texts values;
  for (int i = 0; i < 6471; ++i) values.push_back(concat(i));
  test::H5Edit(large).put_strings("obs/name", values);
  io::H5adReadOptions options = here();
  options.obs_columns = {"name"};
  CHECK(io::read_h5ad_tables(large, {}, options).labels[0].categories.size() == 6471);
}

TEST_CASE("columns stay with their cells where cells are left out, and are counted there") {
  const ColumnsCase c;
  io::H5adReadOptions options;
  options.only = "factor=b";
  const io::Slice slice = c.read({"each", "texts"}, options);
  REQUIRE(slice.cells == 10);
  CHECK(slice.labels[0].categories.size() == 10);
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(slice.labels[0].categories[static_cast<std::size_t>(slice.labels[0].codes[i])] ==
          concat(slice.file_rows[i]));
  CHECK(slice.file_rows[0] == 3);
  CHECK(slice.labels[1].missing == 1);  // of rows 3, 9, 15, ... only row 3 ("NA")
  CHECK(slice.labels[1].categories == Texts{"t1"});
}

TEST_CASE("tables: numbers, matrices, frames, positions and provenance without a count") {
  ColumnsCase c;
  std::vector<float> values;
  for (int i = 0; i < 60 * 5; ++i) values.push_back(static_cast<float>(i) / 3);
  {
    test::H5Edit edit(c.path);
    edit.remove("X");
    edit.put("obsm/X_stofm", values, -1, {60, 5});
    edit.put("obsm/whole", std::vector<std::int64_t>(120, 7), -1, {60, 2});
    edit.put("obsm/list", std::vector<std::int64_t>(60, 7));
    edit.group("uns/stofm");
    edit.group("uns/stofm/cluster");
    edit.put_strings("uns/stofm/model_sha256", {"abc"});
    edit.put("uns/stofm/cluster/seed", std::vector<std::int64_t>{42});
    edit.put_strings("uns/stofm/notices", {"one", "two"});
  }
  for (io::H5adReadOptions options : {io::H5adReadOptions{}, here()}) {
    options.obs_columns = {"whole"};
    const io::H5adTables all = io::read_h5ad_tables(
        c.path, {.obs_numbers = {"n_*", "gaps"}, .obsm = {"whole", "X_stofm"}, .positions = true}, options);
    CHECK(all.cells == 60);
    CHECK(all.file_rows.empty());
    CHECK(all.labels.at(0).categories.size() == 3);
    REQUIRE(all.numbers.size() == 3);
    CHECK(all.numbers[0].name == "n_A");  // without column-order: by name
    CHECK(all.numbers[1].values[14] == 2);
    CHECK(std::isnan(all.numbers[2].values[0]));
    CHECK(all.obsm.at(0).values(59, 1) == 7);
    CHECK(all.obsm.at(1).values.shape() == Shape{60, 5});
    CHECK(std::equal(values.begin(), values.end(), all.obsm[1].values.data()));
    CHECK(all.obsm[1].columns.empty());
    CHECK(all.coordinates.shape() == Shape{60, 2});
    CHECK(all.coordinates_source == "obsm/spatial");
    CHECK(all.provenance.at("model_sha256") == "abc");
    CHECK(all.provenance.at("cluster/seed") == "42");
    CHECK(all.provenance.count("notices") == 0);
    CHECK(all.identity == io::file_identity(c.path));
    CHECK(std::count(all.obsm_keys.begin(), all.obsm_keys.end(), "X_stofm") == 1);
    const io::H5adTables some =
        io::read_h5ad_tables(c.path, {.obsm = {"X_stofm"}, .file_rows = {2, 3, 59}}, options);
    CHECK(some.cells == 3);
    REQUIRE(some.obsm.at(0).values.shape() == Shape{3, 5});
    CHECK(some.obsm[0].values(2, 4) == values.back());
    CHECK(some.obsm[0].values(1, 0) == values[15]);
    CHECK(some.labels[0].codes.size() == 3);
    CHECK_THROWS_AS(io::read_h5ad_tables(c.path, {.obsm = {"list"}}, options), FileError);
    CHECK_THROWS_AS(io::read_h5ad_tables(c.path, {.obsm = {"X_stofm"}, .file_rows = {60}}, options),
                    UsageError);
  }
}
}  // namespace obs_columns_test

// SPDX-License-Identifier: MIT
// The labels a file brings along: which columns are taken, what becomes of odd ones, colours, cells left out.
#include "stofm/io/h5ad_labels.hpp"

#include <doctest/doctest.h>

#include "stofm/io/h5ad_writer.hpp"
#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;

namespace {
using Texts = std::vector<std::string>;

/// A zoo file of 60 cells whose columns of obs are all listed by name.
struct LabelsCase : test::H5Case {
  LabelsCase() : test::H5Case("csr_f32_gzip") {
    test::H5Edit edit(path);
    edit.remove_attribute("obs", "column-order");
  }
  void categorical(const std::string& name, const std::vector<std::int64_t>& codes, const Texts& categories) {
    test::H5Edit edit(path);
    if (edit.has("obs/" + name)) edit.remove("obs/" + name);
    edit.group("obs/" + name);
    edit.attribute("obs/" + name, "encoding-type", std::string("categorical"));
    edit.attribute("obs/" + name, "encoding-version", std::string("0.2.0"));
    edit.put("obs/" + name + "/codes", codes, H5T_STD_I16LE);
    edit.put_strings("obs/" + name + "/categories", categories);
  }
  void texts(const std::string& name, const Texts& values) {
    test::H5Edit(path).put_strings("obs/" + name, values);
  }
  io::Slice read(std::int64_t columns = 12, io::H5adReadOptions options = {}) const {
    options.label_columns = columns;
    return io::read_h5ad(path, options);
  }
};

std::vector<std::int64_t> cycle(std::int64_t of) {
  std::vector<std::int64_t> codes;
  for (std::int64_t i = 0; i < 60; ++i) codes.push_back(i % of);
  return codes;
}
Texts named(std::int64_t of) {
  Texts values;
  for (std::int64_t i = 0; i < 60; ++i) values.push_back(concat("g", i % of));
  return values;
}
Texts names(const io::Slice& slice) {
  Texts found;
  for (const auto& labels : slice.labels) found.push_back(labels.name);
  return found;
}
const io::SliceLabels& labels_of(const io::Slice& slice, std::string_view name) {
  for (const auto& labels : slice.labels)
    if (labels.name == name) return labels;
  FAIL(name);
  return slice.labels.front();
}
}  // namespace

TEST_CASE("labels are read on demand, those that look like labels first") {
  LabelsCase c;
  c.categorical("aaa", cycle(3), {"x", "y", "z"});
  c.categorical("my_cell_type", cycle(4), {"A", "B", "C", "unused", "D"});
  c.texts("leiden", named(7));
  c.texts("barcode2", named(60));
  c.categorical("constant", cycle(1), {"one"});
  c.categorical("stofm_macro", cycle(2), {"0", "1"});
  test::H5Edit(c.path).put("obs/cluster_number", cycle(5));
  test::H5Edit(c.path).put("obs/n_counts_x", cycle(5));
  CHECK(c.read(0).labels.empty());
  const io::Slice slice = c.read();
  const Texts found = names(slice);
  REQUIRE(found.size() >= 6);
  CHECK(found[0] == "my_cell_type");
  CHECK(std::count(found.begin(), found.end(), "leiden") == 1);
  CHECK(std::count(found.begin(), found.end(), "cluster_number") == 1);
  CHECK(std::count(found.begin(), found.end(), "barcode2") == 1);  // 60 groups are just drawn
  for (const char* name : {"constant", "stofm_macro", "n_counts_x"})
    CHECK(std::count(found.begin(), found.end(), name) == 0);
  CHECK(names(c.read(1)) == Texts{"my_cell_type"});
  io::H5adReadOptions in_this_process;
  in_this_process.isolation = io::H5adIsolation::none;
  const auto& types = labels_of(slice, "my_cell_type");
  CHECK(types.categories == Texts{"A", "B", "C", "unused"});  // code 3 is used, the name says otherwise
  CHECK(types.codes.size() == 60);
  CHECK(types.codes[5] == 1);
  CHECK(types.colours.empty());
  CHECK(labels_of(slice, "cluster_number").categories == Texts{"0", "1", "2", "3", "4"});
  // In this process and in a child the same.
  const io::Slice here = c.read(12, in_this_process);
  REQUIRE(names(here) == found);
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(here.labels[i].codes == slice.labels[i].codes);
}

TEST_CASE("missing entries and groups without cells are left out; more than 60 groups are no labels") {
  LabelsCase c;
  auto codes = cycle(3);
  codes[4] = -1;
  for (auto& code : codes)
    if (code == 1) code = 3;
  c.categorical("region", codes, {"left", "nobody", "right", "top"});
  auto texts = named(2);
  texts[7] = "";
  c.texts("tissue", texts);
  const io::Slice slice = c.read();
  const auto& region = labels_of(slice, "region");
  CHECK(region.categories == Texts{"left", "right", "top"});
  CHECK(region.codes[4] == -1);
  CHECK(region.codes[0] == 0);
  CHECK(region.codes[1] == 2);
  CHECK(region.codes[2] == 1);
  const auto& tissue = labels_of(slice, "tissue");
  CHECK(tissue.categories == Texts{"g0", "g1"});
  CHECK(tissue.codes[7] == -1);

  const std::string large = (c.scratch / "large.h5ad").string();
  std::filesystem::copy_file(test::source_dir() / "tests" / "data" / "osmfish_sscortex_6471.h5ad", large);
  std::filesystem::permissions(large, std::filesystem::perms::owner_all);
  {
    test::H5Edit edit(large);
    edit.remove_attribute("obs", "column-order");
    for (const int groups : {60, 61}) {
      Texts values;
      for (int i = 0; i < 6471; ++i) values.push_back(concat("t", i % groups));
      edit.put_strings(concat("obs/layer_", groups), values);
    }
  }
  io::H5adReadOptions options;
  options.label_columns = 12;
  const Texts found = names(io::read_h5ad(large, options));
  CHECK(std::count(found.begin(), found.end(), "layer_60") == 1);
  CHECK(std::count(found.begin(), found.end(), "layer_61") == 0);
}

TEST_CASE("colours of scanpy are taken where each category has one, and only if they are colours") {
  CHECK(io::detail::hex_colour("#1F77B4") == "#1f77b4");
  CHECK(io::detail::hex_colour("#1f77b4ff") == "#1f77b4");
  for (const char* text : {"", "red", "#12345", "#12345g", "#1234567890", "url(http://x)", "#12345;\n"})
    CHECK(io::detail::hex_colour(text).empty());
  LabelsCase c;
  c.categorical("cell_type", cycle(2), {"A", "B"});
  c.categorical("region", cycle(2), {"A", "B"});
  c.categorical("layer", cycle(3), {"A", "B", "C"});
  {
    test::H5Edit edit(c.path);
    if (!edit.has("uns")) edit.group("uns");
    edit.put_strings("uns/cell_type_colors", {"#AA0000", "#00bb00ff", "#0000cc"});
    edit.put_strings("uns/region_colors", {"#aa0000", "red;background:url(x)"});
    edit.put_strings("uns/layer_colors", {"#aa0000", "#bb0000"});
  }
  const io::Slice slice = c.read();
  CHECK(labels_of(slice, "cell_type").colours == Texts{"#aa0000", "#00bb00"});
  CHECK(labels_of(slice, "region").colours.empty());
  CHECK(labels_of(slice, "layer").colours.empty());
}

TEST_CASE("a column that can not be read is left out without a word") {
  LabelsCase c;
  auto codes = cycle(3);
  codes[9] = 77;  // no such category
  c.categorical("cell_type", codes, {"A", "B", "C"});
  c.categorical("region", {0, 1, 0}, {"A", "B"});  // too short
  c.texts("layer", named(4));
  const io::Slice slice = c.read();
  CHECK(names(slice).front() == "layer");
  CHECK(slice.cells == 60);
  for (const Notice& notice : slice.notices) CHECK(notice.text.find("region") == std::string::npos);
}

TEST_CASE("labels stay with their cells where cells are left out") {
  LabelsCase c;
  c.texts("layer", named(60));
  {
    test::H5Edit edit(c.path);
    auto xy = edit.get<double>("obsm/spatial");
    xy[2 * 3] = std::nan("");
    edit.put("obsm/spatial", xy, -1, {60, 2});
    edit.attribute("obsm/spatial", "encoding-type", std::string("array"));
    edit.attribute("obsm/spatial", "encoding-version", std::string("0.2.0"));
  }
  io::H5adReadOptions dropping;
  dropping.drop_bad_coords = true;
  const io::Slice slice = c.read(12, dropping);
  REQUIRE(slice.cells == 59);
  const auto& layer = labels_of(slice, "layer");
  REQUIRE(layer.codes.size() == 59);
  for (std::size_t i = 0; i < 59; ++i)
    CHECK(layer.categories[static_cast<std::size_t>(layer.codes[i])] == concat("g", slice.file_rows[i]));
}

TEST_CASE("what is written as labels with colours is read as such, beside the rest of uns") {
  const LabelsCase c;
  const std::string output = (c.scratch / "out.h5ad").string();
  io::H5adResult result;
  io::H5adColumn column;
  column.name = "domain";
  for (int i = 0; i < 60; ++i) column.codes.push_back(i % 2);
  column.categories = {"0", "1"};
  result.obs.push_back(column);
  result.uns = {{"k", std::string("v")}};
  result.uns_lists = {{"domain_colors", {"#112233", "#445566"}}};
  io::write_h5ad_result(c.path, output, result);
  io::H5adWriteOptions in_place, again;
  in_place.in_place = again.overwrite = true;
  io::write_h5ad_result(output, "", result, in_place);  // again: replaced, not doubled
  io::H5adReadOptions reading;
  reading.label_columns = 12;
  const io::Slice slice = io::read_h5ad(output, reading);
  CHECK(labels_of(slice, "domain").colours == Texts{"#112233", "#445566"});
  result.uns_lists = {{"a/b", {"#112233"}}};
  CHECK_THROWS_AS(io::write_h5ad_result(c.path, output, result, again), UsageError);
}

// SPDX-License-Identifier: MIT
/// \file
/// Row D28 in files: slices that lie on top of each other are refused with a column or with better positions,
/// and what the message names works.

#include <doctest/doctest.h>

#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

/// 60 cells: two sections of 30, each a lattice of 6 x 5. obs has no column-order, so that all columns count.
struct Sections : H5Case {
  std::vector<double> stacked, beside;
  std::vector<std::string> names;
  Sections() {
    for (int i = 0; i < 60; ++i) {
      const int cell = i % 30, section = i / 30;
      names.push_back(section == 0 ? "a" : "b");
      for (std::vector<double>* xy : {&stacked, &beside}) {
        xy->push_back(cell % 6 + (xy == &beside ? 8.0 : 0.3) * section);
        xy->push_back(cell / 6 + 0.2 * section);
      }
    }
    H5Edit edit = H5Case::edit();
    edit.remove_attribute("obs", "column-order");
    edit.put("obsm/spatial", stacked, -1, {60, 2});
  }
  Slice read(const std::string& library = "", bool overlay = false) const {
    H5adReadOptions options;
    options.library_key = library;
    options.overlay = overlay;
    return read_h5ad(path, options);
  }
};

}  // namespace

TEST_CASE("D28: sections on top of each other are refused whatever their column is called") {
  for (const std::string column : {"batch", "Sample", "orig.ident", "foo"}) {
    const Sections test;
    test.edit().put_strings("obs/" + column, test.names);
    check_refused(test.path, "STOFM-3562", ErrorKind::data, "obs[\"" + column + "\"]",
                  "H5adReadOptions::library_key = " + column + "; H5adReadOptions::overlay");
    const Slice apart = test.read(column);
    CHECK(apart.library_names == std::vector<std::string>{"a", "b"});
    CHECK(apart.library[59] == 1);
    CHECK(test.read("", true).cells == 60);
    test.edit().put("obsm/spatial", test.beside, -1, {60, 2});
    CHECK(test.read().notices.empty());
  }
}

TEST_CASE("D28: positions where nothing overlaps are named instead") {
  const Sections test;
  test.edit().put_strings("obs/fov", test.names);
  test.edit().put("obsm/spatial_fov", test.beside, -1, {60, 2});
  check_refused(test.path, "STOFM-3562", ErrorKind::data, "obs[\"fov\"]",
                "H5adReadOptions::spatial_key = spatial_fov");
  H5adReadOptions options;
  options.spatial_key = "spatial_fov";
  CHECK(read_h5ad(test.path, options).notices.empty());
}

TEST_CASE("D28: levels in a third column are told apart by z") {
  const Sections test;
  std::vector<double> xyz;
  for (std::size_t i = 0; i < 60; ++i)
    xyz.insert(xyz.end(), {test.stacked[2 * i], test.stacked[2 * i + 1], i < 30 ? 0.0 : 10.0});
  test.edit().put("obsm/spatial", xyz, -1, {60, 3});
  check_refused(test.path, "STOFM-3562", ErrorKind::data, "the third column of obsm/spatial",
                "H5adReadOptions::library_key = z");
  const Slice apart = test.read("z");
  CHECK(apart.library_names == std::vector<std::string>{"0", "10"});
  CHECK(apart.notices.empty());
  CHECK(has_notice(test.read("", true).notices, "STOFM-W3508"));
}

TEST_CASE("D28: libraries by the names of the cells, and libraries that only uns knows") {
  const Sections test;
  std::vector<std::string> cells;
  for (std::size_t i = 0; i < 60; ++i) cells.push_back(concat("AC", i % 30, i < 30 ? "-1" : "-2"));
  test.edit().put_strings("obs/_index", cells);
  check_refused(test.path, "STOFM-3562", ErrorKind::data, "index:suffix",
                "H5adReadOptions::library_key = index:suffix");
  CHECK(test.read("index:suffix").library_names == std::vector<std::string>{"1", "2"});
  for (std::size_t i = 0; i < 60; ++i) cells[i] = concat("c", i);
  test.edit().put_strings("obs/_index", cells);
  CHECK(test.read().cells == 60);
  {
    H5Edit edit = test.edit();
    if (!edit.has("uns")) edit.group("uns");
    for (const char* group : {"uns/spatial", "uns/spatial/s1", "uns/spatial/s2"}) edit.group(group);
  }
  check_refused(test.path, "STOFM-3562", ErrorKind::data, "\"s1\", \"s2\"", "H5adReadOptions::library_key");
  test.edit().put_strings("obs/which", test.names);
  CHECK(test.read("which").library.size() == 60);
}

TEST_CASE("D28: two columns together, where one is numbered anew in the other") {
  const Sections test;
  std::vector<std::string> half;
  for (std::size_t i = 0; i < 60; ++i) half.push_back(i % 2 == 0 ? "1" : "2");
  test.edit().put_strings("obs/slide", test.names);
  test.edit().put_strings("obs/field", half);
  const Slice slice = test.read("slide,field");
  CHECK(slice.library_names == std::vector<std::string>{"a, 1", "a, 2", "b, 1", "b, 2"});
  CHECK(slice.library[31] == 3);
}

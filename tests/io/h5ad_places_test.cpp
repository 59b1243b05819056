// SPDX-License-Identifier: MIT
/// \file
/// Which numbers of an .h5ad file are positions, and which of its rows are cells.

#include <doctest/doctest.h>

#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

/// A case whose obs has these columns of numbers besides its own; obsm/spatial is taken away on demand.
struct Places : H5Case {
  std::vector<double> xy;  ///< positions of the 60 cells
  explicit Places(bool keep_spatial = false) {
    {
      const Slice slice = read_h5ad(path);
      xy.assign(slice.coordinates.data(), slice.coordinates.data() + 120);
    }
    if (!keep_spatial) H5Case::edit().remove("obsm/spatial");
  }
  std::vector<double> axis(std::size_t c, double scale = 1, double offset = 0) const {
    std::vector<double> values;
    for (std::size_t i = c; i < xy.size(); i += 2) values.push_back(scale * xy[i] + offset);
    return values;
  }
  /// Appends to obs@column-order what obs does not list.
  void column(const std::string& name, const std::vector<double>& values) const {
    H5Edit edit = H5Case::edit();
    edit.put("obs/" + name, values);
    list(edit, "obs", name);
  }
  static void list(H5Edit& edit, const std::string& frame, const std::string& name) {
    std::vector<std::string> order;
    {
      const Hdf5Handle group(H5Gopen2(edit.id(), frame.c_str(), H5P_DEFAULT), H5Gclose);
      if (H5Aexists(group.get(), "column-order") > 0) {
        const Hdf5Handle attribute(H5Aopen(group.get(), "column-order", H5P_DEFAULT), H5Aclose);
        const Hdf5Handle space(H5Aget_space(attribute.get()), H5Sclose);
        const Hdf5Handle type = H5Edit::string_type();
        std::vector<char*> names(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())));
        if (!names.empty()) REQUIRE(H5Aread(attribute.get(), type.get(), names.data()) >= 0);
        for (char* text : names) {
          order.emplace_back(text);
          H5free_memory(text);
        }
      }
      if (H5Aexists(group.get(), "column-order") > 0) H5Adelete(group.get(), "column-order");
    }
    order.push_back(name);
    std::vector<const char*> names;
    for (const auto& text : order) names.push_back(text.c_str());
    const hsize_t count = names.size();
    const Hdf5Handle type = H5Edit::string_type();
    const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Hdf5Handle group(H5Gopen2(edit.id(), frame.c_str(), H5P_DEFAULT), H5Gclose);
    const Hdf5Handle attribute(
        H5Acreate2(group.get(), "column-order", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    REQUIRE(H5Awrite(attribute.get(), type.get(), static_cast<const void*>(names.data())) >= 0);
  }
  void check_xy(const H5adReadOptions& options = {}) const {
    const Slice slice = read_h5ad(path, options);
    REQUIRE(slice.cells == 60);
    CHECK(std::equal(xy.begin(), xy.end(), slice.coordinates.data()));
  }
};

}  // namespace

TEST_CASE("H07: one pair of obs is used, said and named by its source") {
  const Places test;
  test.column("y_slide_mm", test.axis(1));
  test.column("x_slide_mm", test.axis(0));
  test.column("array_row", std::vector<double>(60, 1));
  test.check_xy();
  const Slice slice = read_h5ad(test.path);
  CHECK(slice.coordinates_source == "obs/x_slide_mm, obs/y_slide_mm");
  CHECK(has_notice(slice.notices, "STOFM-W3507"));
}

TEST_CASE("H07: columns of one meaning in two units are one pair, others are refused with the options") {
  const Places twice;
  twice.column("CenterX_global_px", twice.axis(0));
  twice.column("CenterY_global_px", twice.axis(1));
  twice.column("x_slide_mm", twice.axis(0, 0.12e-3, 5));
  twice.column("y_slide_mm", twice.axis(1, -0.12e-3, 7));
  twice.check_xy();
  const Places doubt;
  doubt.column("x", doubt.axis(0));
  doubt.column("y", doubt.axis(1));
  std::vector<double> other = doubt.axis(0);
  std::reverse(other.begin(), other.end());
  doubt.column("x_centroid", other);
  doubt.column("y_centroid", doubt.axis(1));
  check_refused(doubt.path, "STOFM-3506", ErrorKind::data, "x_centroid",
                "H5adReadOptions::x_column = x and H5adReadOptions::y_column = y, or "
                "H5adReadOptions::x_column = x_centroid");
  H5adReadOptions options;
  options.x_column = "x";
  options.y_column = "y";
  doubt.check_xy(options);
}

TEST_CASE(
    "H07: pixels before rows and columns of the array, which straighten a hexagon when they are named") {
  const Places pixels;
  pixels.column("array_row", pixels.axis(0));
  pixels.column("array_col", pixels.axis(1));
  pixels.column("pxl_row_in_fullres", pixels.axis(1));
  pixels.column("pxl_col_in_fullres", pixels.axis(0));
  pixels.check_xy();  // col is x
  const Places array;
  std::vector<double> row, col;
  for (int i = 0; i < 60; ++i) {
    row.push_back(i / 10);
    col.push_back(2 * (i % 10) + (i / 10) % 2);
  }
  array.column("array_row", row);
  array.column("array_col", col);
  check_refused(array.path, "STOFM-3506", ErrorKind::data, "array_row",
                "H5adReadOptions::x_column = array_col and H5adReadOptions::y_column = array_row");
  H5adReadOptions options;
  options.x_column = "array_col";
  options.y_column = "array_row";
  const Slice slice = read_h5ad(array.path, options);
  CHECK(has_notice(slice.notices, "STOFM-W3523"));
  const auto distance = [&slice](int a, int b) {
    return std::hypot(slice.coordinates(a, 0) - slice.coordinates(b, 0),
                      slice.coordinates(a, 1) - slice.coordinates(b, 1));
  };
  CHECK(distance(0, 1) == 2);
  CHECK(std::abs(distance(0, 10) - 2) < 1e-12);  // the row below, half a step aside
  CHECK(std::abs(distance(1, 10) - 2) < 1e-12);
}

TEST_CASE("H07: keys of obsm by preference, never a latent space") {
  const Places test;
  std::vector<double> wrong(120);
  for (std::size_t i = 0; i < wrong.size(); ++i) wrong[i] = static_cast<double>(i * i % 17);
  test.edit().put("obsm/A_nonspatial_latent", wrong, -1, {60, 2});
  test.edit().put("obsm/spatial_local", wrong, -1, {60, 2});
  test.edit().put("obsm/X_umap_spatial", wrong, -1, {60, 2});
  test.edit().put("obsm/spatial_global", test.xy, -1, {60, 2});
  test.check_xy();
  CHECK(has_notice(read_h5ad(test.path).notices, "STOFM-W3507"));
  test.edit().put("obsm/X_spatial", test.xy, -1, {60, 2});
  CHECK(read_h5ad(test.path).coordinates_source == "obsm/X_spatial");
}

TEST_CASE("H36: a frame by the names of its columns, text columns are no positions") {
  const Places test;
  {
    H5Edit edit = test.edit();
    edit.group("obsm/spatial");
    edit.attribute("obsm/spatial", "encoding-type", "dataframe");
    edit.attribute("obsm/spatial", "encoding-version", "0.2.0");
    edit.attribute("obsm/spatial", "_index", "_index");
    edit.put_strings("obsm/spatial/_index", std::vector<std::string>(60, "i"));
    edit.put_strings("obsm/spatial/cell", std::vector<std::string>(60, "cell0"));
    edit.put("obsm/spatial/fov", std::vector<double>(60, 3));
    edit.put("obsm/spatial/imagerow", test.axis(1));
    edit.put("obsm/spatial/imagecol", test.axis(0));
    for (const char* name : {"cell", "fov", "imagerow", "imagecol"}) Places::list(edit, "obsm/spatial", name);
  }
  test.check_xy();
  CHECK(read_h5ad(test.path).coordinates_source == "obsm/spatial (imagecol, imagerow)");
}

TEST_CASE("H36: text of any length that is numbers, as anndata writes object arrays") {
  const Places test;
  std::vector<std::string> text;
  for (const double value : test.xy) text.push_back(concat(std::floor(value)));
  std::vector<const char*> pointers;
  for (const auto& entry : text) pointers.push_back(entry.c_str());
  {
    H5Edit edit = test.edit();
    const Hdf5Handle type = H5Edit::string_type();
    const Hdf5Handle data = edit.make("obsm/spatial", type.get(), {60, 2});
    REQUIRE(H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) >= 0);
  }
  const Slice slice = read_h5ad(test.path);
  for (std::size_t i = 0; i < 120; ++i) CHECK(slice.coordinates.data()[i] == std::floor(test.xy[i]));
}

TEST_CASE("positions that were lost are refused with the ones that are there, or not asked for") {
  const Places test(true);
  test.edit().put("obsm/spatial", std::vector<double>(120, 0.0), -1, {60, 2});
  check_refused(test.path, "STOFM-3563", ErrorKind::data, "all 60 cells at one place",
                "EmbedOptions::target = cells_only");
  test.column("center_x", test.axis(0));
  test.column("center_y", test.axis(1));
  check_refused(test.path, "STOFM-3563", ErrorKind::data, "all 60",
                "H5adReadOptions::x_column = center_x and H5adReadOptions::y_column = center_y");
  H5adReadOptions options;
  options.x_column = "center_x";
  options.y_column = "center_y";
  test.check_xy(options);
  H5adReadOptions anyway;
  anyway.overlay = true;
  CHECK(read_h5ad(test.path, anyway).cells == 60);

  const Places none;
  H5adReadOptions unasked;
  unasked.positions_required = false;
  const Slice slice = read_h5ad(none.path, unasked);
  CHECK(slice.coordinates_source.empty());
  CHECK(slice.cells == 60);
  CHECK(slice.coordinates(59, 1) == 0);
  const Places nan(true);
  std::vector<double> holes = nan.xy;
  holes[7] = std::nan("");
  nan.edit().put("obsm/spatial", holes, -1, {60, 2});
  CHECK(read_h5ad(nan.path, unasked).cells == 60);
  check_refused(nan.path, "STOFM-3531", ErrorKind::data, "1 cell with NaN or infinite coordinates, row 3",
                "H5adReadOptions::drop_bad_coords");
}

TEST_CASE("spots beside the tissue are counted, and left out on demand") {
  const Places test(true);
  std::vector<double> in_tissue(60, 1);
  for (std::size_t i = 0; i < 60; i += 3) in_tissue[i] = 0;
  test.column("in_tissue", in_tissue);
  const Read all = read_all(test.path);
  CHECK(all.slice.cells == 60);
  REQUIRE(has_notice(all.slice.notices, "STOFM-W3522"));
  std::vector<double> holes = test.xy;
  holes[0] = std::nan("");  // a row that is not asked for
  test.edit().put("obsm/spatial", holes, -1, {60, 2});
  for (const char* only : {"in_tissue", "in_tissue=1", "in_tissue=True"}) {
    H5adReadOptions options;
    options.only = only;
    const Read some = read_all(test.path, options);
    CHECK(some.slice.cells == 40);
    CHECK(some.slice.file_cells == 60);
    REQUIRE(some.slice.file_rows.size() == 40);
    CHECK_FALSE(has_notice(some.slice.notices, "STOFM-W3522"));
    for (std::size_t i = 0; i < 40; ++i) {
      const auto row = static_cast<std::size_t>(some.slice.file_rows[i]);
      CHECK(in_tissue[row] == 1);
      CHECK(some.slice.coordinates.data()[2 * i] == test.xy[2 * row]);
      for (std::size_t g = 0; g < 33; ++g) CHECK(some.dense[i * 33 + g] == all.dense[row * 33 + g]);
    }
  }
  H5adReadOptions none, absent;
  none.only = "in_tissue=7";
  check_refused(test.path, "STOFM-3564", ErrorKind::data, "\"0\", \"1\"", "COLUMN=VALUE", none);
  absent.only = "nothing";
  check_refused(test.path, "STOFM-3538", ErrorKind::usage, "obs/nothing", "H5adReadOptions::only", absent);
}

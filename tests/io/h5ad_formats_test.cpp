// SPDX-License-Identifier: MIT
// The zoo of storage forms: every file gives the same counts, or the refusal that its README promises.
#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

void check_same(const std::string& path, const Read& expected, const H5adReadOptions& options = {}) {
  CAPTURE(path);
  const Read read = read_all(path, options);
  CHECK(read.slice.cells == expected.slice.cells);
  CHECK(read.slice.gene_ids == expected.slice.gene_ids);
  CHECK(read.dense == expected.dense);
  REQUIRE(read.slice.coordinates.numel() == expected.slice.coordinates.numel());
  CHECK(std::equal(read.slice.coordinates.data(),
                   read.slice.coordinates.data() + read.slice.coordinates.numel(),
                   expected.slice.coordinates.data()));
}

H5adReadOptions with_layer() {
  H5adReadOptions options;
  options.layer = "counts";
  return options;
}

H5adReadOptions with_raw() {
  H5adReadOptions options;
  options.use_raw = true;
  return options;
}

H5adReadOptions with_xy() {
  H5adReadOptions options;
  options.x_column = "x";
  options.y_column = "y";
  return options;
}

}  // namespace

TEST_CASE("H05 H10 H11 H12 H13 H14 H17 H28 H32: every storage form gives the same slice") {
  const Read expected = read_all(zoo("csr_f32_gzip").string());
  CHECK(expected.slice.cells == 60);
  CHECK(expected.slice.genes() == 33);
  double sum = 0;
  for (const double value : expected.dense) sum += value;
  CHECK(sum == 10862);  // of the file, by anndata
  CHECK(expected.slice.gene_ids.front() == "ENSG00000136750");
  CHECK(expected.slice.gene_symbols.front() == "Gad2");
  CHECK(expected.slice.notices.empty());
  for (const char* name : {"csr_f32_lzf", "csr_f64_idx64", "csr_i32", "csr_f8_big_endian",
                           "csr_f2_fletcher32_indptr_u8", "csr_unsorted", "csc", "dense_f32", "dense_u16_lzf",
                           "dense_i2_contiguous", "superblock_v2_nocompress", "user_block", "legacy_0.7",
                           "nullable_index", "nullable_columns", "utf8_names", "spatial_3d"})
    check_same(zoo(name).string(), expected);
  check_same(zoo("lognorm_X_counts_layer").string(), expected, with_layer());
  check_same(zoo("lognorm_X_counts_raw").string(), expected, with_raw());
  check_same(zoo("no_obsm_spatial_xy_in_obs").string(), expected, with_xy());
  H5adReadOptions direct;
  direct.isolation = H5adIsolation::none;
  check_same(zoo("csr_f32_lzf").string(), expected, direct);
}

TEST_CASE("H05 H36 D16 D21 D01: forms that need an option, a notice or a refusal") {
  CHECK(has_notice(read_all(zoo("spatial_3d").string()).slice.notices, "STOFM-W3508"));
  const Slice logs = read_all(zoo("lognorm_X_counts_layer").string()).slice;  // they come back whole from X
  CHECK(has_notice(logs.notices, "STOFM-W3550"));
  CHECK(logs.counts_scale.find("log1p values (base e)") == 0);
  check_refused(zoo("lognorm_X_counts_raw").string(), "STOFM-3529", ErrorKind::data,
                "of 20 genes, where raw/X has 33", "raw/X (H5adReadOptions::use_raw), counts");
  H5adReadOptions few;
  few.counts_scale = CountsScale::log1p;
  CHECK(read_all(zoo("lognorm_X_counts_raw").string(), few).slice.genes() == 20);
  const Slice by_obs = read_all(zoo("no_obsm_spatial_xy_in_obs").string()).slice;
  CHECK(has_notice(by_obs.notices, "STOFM-W3507"));
  CHECK(by_obs.coordinates_source == "obs/x, obs/y");
  check_refused(zoo("nan_coordinates").string(), "STOFM-3531", ErrorKind::data, "2 cells",
                "H5adReadOptions::drop_bad_coords");
  check_refused(zoo("zero_cells").string(), "STOFM-3527", ErrorKind::data, "0 cells", "cells");
  const Slice symbols = read_all(zoo("symbols_only").string()).slice;
  CHECK(symbols.gene_ids.front() == "Gad2");
  CHECK(symbols.gene_id_column == "index");
  CHECK(symbols.notices.empty());  // what cellxgene and scanpy prescribe is nothing to remark on
  const Read empty = read_all(zoo("two_all_zero_cells").string());
  for (const std::int64_t row : {5, 9})
    for (std::int64_t gene = 0; gene < 33; ++gene)
      CHECK(empty.dense[static_cast<std::size_t>(row * 33 + gene)] == 0);
}

TEST_CASE("D21: cells with bad coordinates are left out on demand and the rest keep their order") {
  H5adReadOptions options;
  options.drop_bad_coords = true;
  options.cell_names = true;
  const Read all = read_all(zoo("csr_f32_gzip").string(), options);
  const Read read = read_all(zoo("nan_coordinates").string(), options);
  CHECK(read.slice.cells == 58);
  CHECK(read.slice.file_cells == 60);
  REQUIRE(read.slice.file_rows.size() == 58);
  CHECK(has_notice(read.slice.notices, "STOFM-W3509"));
  for (std::size_t i = 0; i < 58; ++i) {
    const auto row = static_cast<std::size_t>(read.slice.file_rows[i]);
    CHECK(row != 3);
    CHECK(row != 7);
    CHECK(read.slice.cell_names[i] == all.slice.cell_names[row]);
    for (std::size_t g = 0; g < 33; ++g) CHECK(read.dense[i * 33 + g] == all.dense[row * 33 + g]);
  }
}

TEST_CASE("formats: the shared zoo, where STOFM_FORMATS names it") {
  const char* folder = std::getenv("STOFM_FORMATS");
  if (folder == nullptr || *folder == '\0') {
    MESSAGE("skipped: STOFM_FORMATS is not set");
    return;
  }
  const auto file = [folder](const std::string& name) {
    return (std::filesystem::path(folder) / (name + ".h5ad")).string();
  };
  const Read expected = read_all(file("csr_f32_gzip"));
  CHECK(expected.slice.cells == 1049);
  CHECK(expected.slice.genes() == 166);
  for (const char* name : {"csr_f32_nocompress", "csr_f32_lzf", "csr_f64_idx64", "csr_i32", "csc",
                           "dense_f32", "spatial_3d", "nullable_columns", "utf8_names"})
    check_same(file(name), expected);
  const Read new_index =
      read_all(file("anndata_0.13.4"));  // has mouse ids in the index instead of ensembl_id
  CHECK(new_index.dense == expected.dense);
  CHECK(new_index.slice.gene_ids.front() == "ENSMUSG00000027452");
  check_same(file("lognorm_X_counts_layer"), expected, with_layer());
  check_same(file("lognorm_X_counts_raw"), expected, with_raw());
  check_same(file("no_obsm_spatial_xy_in_obs"), expected, with_xy());
  CHECK(read_all(file("duplicate_coordinates")).dense == expected.dense);
  H5adReadOptions by_index;
  by_index.gene_key = "index";
  CHECK(read_all(file("versioned_ensembl"), by_index).slice.gene_ids.front().find('.') != std::string::npos);
  CHECK(read_all(file("symbols_only")).slice.gene_ids.front() == "Acss1");
  CHECK(read_all(file("two_all_zero_cells")).slice.cells == 1049);
  check_refused(file("zstd_plugin"), "STOFM-3521", ErrorKind::file, "32015", "h5repack -f GZIP=4");
  CHECK(has_notice(read_all(file("lognorm_X_counts_layer")).slice.notices, "STOFM-W3550"));
  check_refused(file("nan_coordinates"), "STOFM-3531", ErrorKind::data, "row 5",
                "H5adReadOptions::drop_bad_coords");
  check_refused(file("zero_cells"), "STOFM-3527", ErrorKind::data, "0 cells", "cells");
  check_refused(file("archives/anndata_v0.5.0"), "STOFM-3535", ErrorKind::file, "compound", "anndata >= 0.8");
  check_refused(file("archives/anndata_v0.11.4"), "STOFM-3505", ErrorKind::data, "X",
                "H5adReadOptions::layer");
  check_refused((std::filesystem::path(folder) / "visium_mini" / "filtered_feature_bc_matrix.h5").string(),
                "STOFM-3504", ErrorKind::file, "10x", "stofm import");
  H5adReadOptions archive;
  archive.x_column = "int64";
  archive.y_column = "float64";
  archive.accept_noninteger = true;
  try {
    CHECK(read_all(file("archives/anndata_v0.7.0"), archive).slice.cells == 30);  // LZF, legacy categories
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-3530");  // its X has random values, some below 0
  }
}

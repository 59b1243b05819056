// SPDX-License-Identifier: MIT
// What is near to an .h5ad file and is none: named, with the line that converts it. And what anndata writes
// that older readers did not know: None, very many columns.
#include <sys/resource.h>

#include "stofm/io/h5ad_info.hpp"
#include "stofm/io/h5ad_writer.hpp"
#include "stofm/io/safetensors.hpp"
#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

/// Both reading and describing refuse `path` with words.
void check_named(const std::string& path, const std::string& what, const std::string& line) {
  CAPTURE(path);
  for (const bool describe : {false, true}) {
    try {
      if (describe)
        (void)describe_h5ad(path);
      else
        (void)read_h5ad(path);
      FAIL_CHECK("accepted");
    } catch (const FileError& error) {
      const std::string text = error.what();
      CAPTURE(text);
      CHECK(error.code() == "STOFM-3504");
      CHECK(error.found().find(what) != std::string::npos);
      CHECK(error.remedy().find(line) != std::string::npos);
      CHECK(text.find("damaged") == std::string::npos);
    }
  }
}

void make_hdf5(const std::string& path, const std::function<void(H5Edit&)>& fill) {
  {
    const Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
    REQUIRE(static_cast<bool>(file));
  }
  H5Edit edit(path);
  fill(edit);
}

}  // namespace

TEST_CASE("relatives: HDF5 files of other programs are named with the line that converts them") {
  const ScratchDir scratch;
  const std::string path = (scratch / "other.h5").string();
  make_hdf5(path, [](H5Edit& e) {
    for (const char* name : {"row_attrs", "col_attrs"}) e.group(name);
    e.put("matrix", std::vector<double>(6, 1.0), -1, {2, 3});
  });
  check_named(path, "a loom file", "scanpy.read_loom(");
  make_hdf5(path, [](H5Edit& e) {
    e.attribute("/", "LOOM_SPEC_VERSION", std::string("2.0.1"));
    e.put("matrix", std::vector<double>(6, 1.0), -1, {2, 3});
  });
  check_named(path, "a loom file", "scanpy.read_loom(");
  make_hdf5(path, [](H5Edit& e) {
    for (const char* name : {"assays", "meta.data", "reductions"}) e.group(name);
    e.put_strings("cell.names", {"a", "b"});
  });
  check_named(path, "an h5Seurat file", "SeuratDisk::Convert(");
  make_hdf5(path, [](H5Edit& e) {
    e.group("matrix");
    e.put_strings("matrix/barcodes", {"a", "b"});
  });
  check_named(path, "a 10x file", "stofm import \"");
  make_hdf5(path, [](H5Edit& e) {
    e.group("GRCh38");
    e.put_strings("GRCh38/barcodes", {"a", "b"});
    e.put("GRCh38/indptr", std::vector<std::int64_t>{0, 1, 2});
  });
  check_named(path, "Cell Ranger 1 or 2 (matrix of \"GRCh38\")", "stofm import \"");
  make_hdf5(path, [](H5Edit& e) { e.group("geneExp"); });
  check_named(path, "a GEF file", "stofm import \"");
  make_hdf5(path, [](H5Edit& e) { e.group("cellBin"); });
  check_named(path, "a GEF file", "stofm import \"");
  make_hdf5(path, [](H5Edit& e) {
    for (const char* name : {"mod", "obs", "var"}) e.group(name);
  });
  check_named(path, "a MuData file", "mudata.read(");
  make_hdf5(path, [](H5Edit& e) { e.put("weights", std::vector<double>{1}); });
  check_named(path, "without obs, var and X; it has \"weights\"", "anndata");
  make_hdf5(path, [](H5Edit&) {});
  check_named(path, "nothing in it", "anndata");
}

TEST_CASE("relatives: folders and files that are no HDF5 are named with the line that converts them") {
  const ScratchDir scratch;
  int count = 0;
  const auto folder = [&](const std::vector<std::string>& files, const std::vector<std::string>& folders,
                          const std::string& what, const std::string& line) {
    const std::filesystem::path place = scratch / concat("folder", ++count);
    std::filesystem::create_directory(place);
    for (const auto& name : files) write_bytes(place / name, "{}");
    for (const auto& name : folders) std::filesystem::create_directory(place / name);
    check_named(place.string(), what, line);
    CHECK_THROWS_WITH_AS((void)File::open(place), doctest::Contains(line.c_str()), FileError);
  };
  folder({".zgroup"}, {"obs", "X"}, "a zarr store", "anndata.read_zarr(");
  folder({"zarr.json"}, {"obs"}, "a zarr store", "anndata.read_zarr(");
  folder({".zgroup"}, {"tables", "shapes"}, "a SpatialData store", "spatialdata.read_zarr(");
  folder({".zgroup"}, {"mod"}, "a MuData store", "mudata.read_zarr(");
  folder({"experiment.xenium", "cells.csv.gz"}, {}, "Xenium", "stofm import \"");
  folder({}, {"binned_outputs", "spatial"}, "Visium HD", "stofm import \"");
  folder({"filtered_feature_bc_matrix.h5"}, {"spatial"}, "Space Ranger", "stofm import \"");
  folder({"filtered_feature_bc_matrix.h5"}, {}, "Cell Ranger", "--positions CELLS.csv");
  folder({"cell_by_gene.csv"}, {}, "MERSCOPE", "stofm import \"");
  folder({"Run1_exprMat_file.csv"}, {}, "CosMx", "stofm import \"");
  folder({"matrix.mtx.gz", "barcodes.tsv.gz"}, {}, "10x matrix files", "--positions CELLS.csv");
  folder({}, {"outs"}, "\"outs\"", "outs");
  const auto file = [&](const std::string& name, const std::string& bytes, const std::string& what,
                        const std::string& line) {
    const std::string place = (scratch / name).string();
    write_bytes(place, bytes);
    check_named(place, what, line);
    try {
      (void)SafetensorsFile::open(place);
      FAIL_CHECK("accepted");
    } catch (const FileError& error) {
      CHECK(error.code() == "STOFM-3132");
      CHECK(error.found().find(what) != std::string::npos);
    }
  };
  file("a.rds", "\x1f\x8b\x08.............", "an R object", "anndataR::write_h5ad(readRDS(");
  file("a.RData", "\x1f\x8b\x08.............", "an R workspace", "anndataR::write_h5ad(");
  file("a.mtx", "%%MatrixMarket matrix coordinate", "MatrixMarket", "--positions CELLS.csv");
  file("a.csv", "cell,gene1,gene2\n1,2,3\n", "a table of text", "--positions CELLS.csv");
  file("a.csv.gz", "\x1f\x8b\x08.............", "a table of text", "--positions CELLS.csv");
  file("cells.parquet", "PAR1............", "a parquet table", "pandas.read_parquet(");
  // A folder of nothing known stays a folder.
  const std::filesystem::path plain = scratch / "plain";
  std::filesystem::create_directory(plain);
  CHECK_THROWS_WITH_AS((void)read_h5ad(plain.string()), doctest::Contains("STOFM-3501"), FileError);
  CHECK_THROWS_WITH_AS((void)File::open(plain), doctest::Contains("STOFM-3002"), FileError);
}

TEST_CASE("relatives: an .h5ad given where arrays are taken is named") {
  try {
    (void)SafetensorsFile::open(zoo("csr_f32_gzip"));
    FAIL_CHECK("accepted");
  } catch (const FileError& error) {
    CHECK(error.code() == "STOFM-3132");
    CHECK(error.found().find("HDF5") != std::string::npos);
    CHECK(error.remedy().find("embed") != std::string::npos);
  }
}

namespace {

/// None as anndata 0.12 writes it.
void put_null(H5Edit& edit, const std::string& name) {
  if (edit.has(name)) edit.remove(name);
  {
    const Hdf5Handle space(H5Screate(H5S_NULL), H5Sclose);
    const Hdf5Handle data(H5Dcreate2(edit.id(), name.c_str(), H5T_IEEE_F32LE, space.get(), H5P_DEFAULT,
                                     H5P_DEFAULT, H5P_DEFAULT),
                          H5Dclose);
    REQUIRE(static_cast<bool>(data));
  }
  edit.attribute(name, "encoding-type", std::string("null"));
  edit.attribute(name, "encoding-version", std::string("0.1.0"));
}

}  // namespace

TEST_CASE("null: parts that anndata wrote as None are absent") {
  const Read expected = read_all(zoo("csr_f32_gzip").string());
  const H5Case test;
  {
    H5Edit edit = test.edit();
    if (!edit.has("layers")) edit.group("layers");
    REQUIRE(H5Lmove(edit.id(), "X", edit.id(), "layers/counts", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    put_null(edit, "X");
    put_null(edit, "layers/other");
    put_null(edit, "raw");
    put_null(edit, "obsm/A_spatial");
    put_null(edit, "uns");
  }
  check_refused(test.path, "STOFM-3505", ErrorKind::data,
                "layers[\"counts\"] (H5adReadOptions::layer = counts)", "H5adReadOptions::layer");
  H5adReadOptions options;
  options.layer = "counts";
  CHECK(read_all(test.path, options).dense == expected.dense);
  bool listed = false;
  for (const H5adEntry& entry : describe_h5ad(test.path).entries) {
    CHECK(entry.path != "X");
    listed = listed || (entry.path == "layers/other" && entry.note == "nothing (None)");
  }
  CHECK(listed);
  // uns is replaced by a dict when results are written.
  const std::vector<float> values(60, 1.5F);
  H5adResult result;
  result.obsm.push_back({"X_stofm", matrix_view<const float>(values.data(), 60, 1)});
  result.uns = {{"seed", std::int64_t{1}}};
  const std::string output = (test.scratch / "out.h5ad").string();
  write_h5ad_result(test.path, output, result);
  CHECK(read_all(output, options).dense == expected.dense);
}

TEST_CASE("writer: more columns of obs than fit into an old object header") {
  // 16 bytes a name: 64 KiB are full at about 4,090; above, the input has no column-order.
  for (const std::size_t columns : {std::size_t{4089}, std::size_t{4093}, std::size_t{4200}}) {
    CAPTURE(columns);
    const H5Case test;
    std::vector<std::string> names;
    {
      H5Edit edit = test.edit();
      const H5Case original;
      const Hdf5Quiet quiet;
      names = H5adFrame(open_hdf5_file(original.path), "obs", 0).columns();
      for (std::size_t i = names.size(); i < columns; ++i) names.push_back(concat("c", i));
      for (std::size_t i = 0; i < names.size(); ++i)
        if (!edit.has("obs/" + names[i]))
          edit.put("obs/" + names[i], std::vector<double>(60, static_cast<double>(i)));
      const Hdf5Handle obs(H5Gopen2(edit.id(), "obs", H5P_DEFAULT), H5Gclose);
      REQUIRE(H5Adelete(obs.get(), "column-order") >= 0);
      Hdf5File file;
      if (columns < 4090) Hdf5Writer(file, "").set_attribute(obs.get(), "column-order", names);
    }
    const Read before = read_all(test.path);
    const std::vector<float> values(60, 2.5F);
    H5adResult result;
    result.obsm.push_back({"X_stofm", matrix_view<const float>(values.data(), 60, 1)});
    for (const char* name : {"stofm_a", "stofm_b", "stofm_c"}) {
      H5adColumn column;
      column.name = name;
      column.integers.assign(60, 7);
      result.obs.push_back(column);
    }
    const std::string output = (test.scratch / "out.h5ad").string();
    write_h5ad_result(test.path, output, result);
    CHECK(read_all(output).dense == before.dense);
    const Hdf5Quiet quiet;
    const Hdf5File old_file = open_hdf5_file(test.path);
    const Hdf5File file = open_hdf5_file(output);
    const H5adFrame obs(file, "obs", 0);
    std::vector<std::string> expected = H5adFrame(old_file, "obs", 0).columns();
    expected.insert(expected.end(), {"stofm_a", "stofm_b", "stofm_c"});
    CHECK(obs.columns() == expected);
    CHECK(obs.numbers("stofm_c") == std::vector<double>(60, 7));
    CHECK(obs.numbers("c4000") == std::vector<double>(60, 4000));
    CHECK(obs.categorical("region").codes == H5adFrame(old_file, "obs", 0).categorical("region").codes);
    CHECK(obs.index() == H5adFrame(old_file, "obs", 0).index());
  }
}

TEST_CASE("H22: memory follows what is stored, not what is declared") {
  const auto refused_small = [](const std::string& path, const std::string& code) {
    // Of all children so far the largest: none may have come near to what the files declare.
    check_refused(path, code, code == "STOFM-3528" ? ErrorKind::data : ErrorKind::file, "stored", "");
    rusage usage{};
    ::getrusage(RUSAGE_CHILDREN, &usage);
    CHECK(usage.ru_maxrss < 600000);
  };
  const H5Case element;  // one element of 1 GiB in place of an index
  {
    H5Edit edit = element.edit();
    const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    REQUIRE(H5Tset_size(type.get(), std::size_t{1} << 30) >= 0);
    edit.make("obs/_index", type.get(), {60});
  }
  refused_small(element.path, "STOFM-3515");
  const H5Case cells;  // 10^8 cells, a CSC matrix, nothing stored
  {
    H5Edit edit = cells.edit();
    const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    REQUIRE(H5Tset_size(type.get(), 1) >= 0);
    edit.make("obs/_index", type.get(), {100000000});
    edit.attribute("X", "encoding-type", std::string("csc_matrix"));
    edit.attribute("X", "shape", std::vector<std::int64_t>{100000000, 33});
  }
  refused_small(cells.path, "STOFM-3515");
  const H5Case values;  // 10^9 values that were never written: going through them would take minutes
  {
    H5Edit edit = values.edit();
    edit.make("X/data", H5T_IEEE_F32LE, {1000000000});
    edit.make("X/indices", H5T_STD_I32LE, {1000000000});
    std::vector<std::int64_t> starts(61, 1000000000);
    starts[0] = 0;
    edit.put("X/indptr", starts);
  }
  refused_small(values.path, "STOFM-3515");
  const H5Case zeros;  // a small one is refused for what it says
  {
    H5Edit edit = zeros.edit();
    edit.make("X/data", H5T_IEEE_F32LE, {edit.get<double>("X/data").size()});
  }
  refused_small(zeros.path, "STOFM-3528");
}

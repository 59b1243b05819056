// SPDX-License-Identifier: MIT
// Rows H01 to H10, H24 to H27, H35, H38 to H40: the file as a whole, its links and its groups.
#include <sys/stat.h>

#include "stofm/io/h5ad_info.hpp"
#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

TEST_CASE("H01: files that are not HDF5 are named by what they look like") {
  const ScratchDir scratch;
  const std::string path = (scratch / "case.h5ad").string();
  const std::vector<std::pair<std::string, std::string>> heads = {{"", "empty"},
                                                                  {"PK\x03\x04rest", "zip"},
                                                                  {"\x1f\x8b\x08rest", "gzip"},
                                                                  {"<!DOCTYPE html><html>", "HTML"},
                                                                  {"\n  <html>", "HTML"},
                                                                  {"{\"a\": 1}", "JSON"},
                                                                  {"cell,gene\n1,2\n", "text"},
                                                                  {std::string(600, '\x01'), "binary"},
                                                                  {"\x89HDF", "truncated"}};
  for (const auto& [bytes, word] : heads) {
    write_bytes(path, bytes);
    check_refused(path, "STOFM-3501", ErrorKind::file, word, "file");
  }
  check_refused((scratch / "absent.h5ad").string(), "STOFM-3501", ErrorKind::file, "No such file", "path");
  check_refused(scratch.path().string(), "STOFM-3501", ErrorKind::file, "directory", "path");
  const std::string fifo = (scratch / "fifo.h5ad").string();
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  check_refused(fifo, "STOFM-3501", ErrorKind::file, "not a regular file", "path");
}

TEST_CASE("H02: a cut file is truncated, with both sizes") {
  const H5Case test;
  const std::string bytes = bytes_of(test.path);
  for (const std::size_t percent : {std::size_t{10}, std::size_t{50}, std::size_t{99}}) {
    write_bytes(test.path, bytes.substr(0, bytes.size() * percent / 100));
    check_refused(test.path, "STOFM-3502", ErrorKind::file,
                  concat("truncated: has ", bytes.size() * percent / 100, " bytes"),
                  concat("needs ", bytes.size(), " bytes. ").substr(0, 12));
  }
}

TEST_CASE("H03: a file that is open for writing or was not closed is refused") {
  for (const char flag : {'\x01', '\x05'}) {
    const H5Case test("csr_i32");  // superblock 3
    std::string bytes = bytes_of(test.path);
    REQUIRE(bytes[8] == 3);
    bytes[11] = flag;
    write_bytes(test.path, bytes);
    check_refused(test.path, "STOFM-3503", ErrorKind::file, "open for", "h5clear");
  }
}

TEST_CASE("H05: 10x and MuData files are recognised") {
  const H5Case test;
  {
    H5Edit edit = test.edit();
    edit.remove("obs");
    edit.remove("X");
    edit.group("matrix");
    edit.put_strings("matrix/barcodes", {"AAAC-1"});
  }
  check_refused(test.path, "STOFM-3504", ErrorKind::file, "10x", "stofm import");
  const H5Case mudata;
  {
    H5Edit edit = mudata.edit();
    edit.remove("X");
    edit.group("mod");
  }
  check_refused(mudata.path, "STOFM-3504", ErrorKind::file, "MuData", "modality");
}

TEST_CASE("H06: X missing lists where counts may be") {
  const H5Case test("lognorm_X_counts_layer");
  test.edit().remove("X");
  check_refused(test.path, "STOFM-3505", ErrorKind::data, "layers[\"counts\"]", "H5adReadOptions::layer");
  const H5Case raw("lognorm_X_counts_raw");
  raw.edit().remove("X");
  check_refused(raw.path, "STOFM-3505", ErrorKind::data, "raw/X", "H5adReadOptions::use_raw");
  H5adReadOptions options;
  options.layer = "nothing";
  check_refused(test.path, "STOFM-3505", ErrorKind::data, "layers/nothing", "H5adReadOptions::layer",
                options);
}

TEST_CASE(
    "H07: no obsm/spatial: another key with spatial in it is taken and said, else what is there is named") {
  const H5Case test;
  {
    H5Edit edit = test.edit();
    REQUIRE(H5Lmove(edit.id(), "obsm/spatial", edit.id(), "obsm/X_spatial_fov", H5P_DEFAULT, H5P_DEFAULT) >=
            0);
  }
  CHECK(has_notice(read_all(test.path).slice.notices, "STOFM-W3507"));
  {
    H5Edit edit = test.edit();
    REQUIRE(H5Lmove(edit.id(), "obsm/X_spatial_fov", edit.id(), "obsm/X_umap", H5P_DEFAULT, H5P_DEFAULT) >=
            0);
  }
  check_refused(test.path, "STOFM-3506", ErrorKind::data, "X_umap", "H5adReadOptions::spatial_key");
  H5adReadOptions options;
  options.spatial_key = "X_umap";
  CHECK(read_all(test.path, options).slice.cells == 60);
  options.spatial_key = "absent";
  check_refused(test.path, "STOFM-3506", ErrorKind::data, "obsm/absent", "H5adReadOptions::spatial_key",
                options);
}

TEST_CASE("H08: a missing index is refused") {
  for (const std::string frame : {"obs", "var"}) {
    const H5Case test;
    test.edit().remove(frame + "/_index");
    check_refused(test.path, "STOFM-3507", ErrorKind::file, frame + "/_index", "anndata");
  }
  const H5Case no_obs;
  no_obs.edit().remove("obs");
  check_refused(no_obs.path, "STOFM-3507", ErrorKind::file, "obs", "anndata");
}

TEST_CASE("H09: the slice knows which column the gene ids came from") {
  const H5Case test;
  {
    H5Edit edit = test.edit();
    REQUIRE(H5Lmove(edit.id(), "var/ensembl_id", edit.id(), "var/gene_ids", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  }
  const Slice ids = read_all(test.path).slice;
  CHECK(ids.notices.empty());
  CHECK(ids.gene_id_column == "gene_ids");
  CHECK(ids.gene_ids.front() == "ENSG00000136750");
  H5adReadOptions options;
  options.gene_key = "gene_symbol";
  CHECK(read_all(test.path, options).slice.gene_ids.front() == "Gad2");
  options.gene_key = "absent";
  check_refused(test.path, "STOFM-3538", ErrorKind::usage, "var/absent", "H5adReadOptions::gene_key",
                options);
}

TEST_CASE("H10: legacy encodings are read, unknown ones and future versions are refused") {
  const H5Case future;
  future.edit().attribute("X", "encoding-version", "9.9.9");
  check_refused(future.path, "STOFM-3508", ErrorKind::file, "9.9.9", "anndata");
  const H5Case unknown;
  unknown.edit().attribute("X", "encoding-type", "coo_matrix");
  check_refused(unknown.path, "STOFM-3508", ErrorKind::file, "coo_matrix", "csr_matrix");
  const H5Case bare;
  bare.edit().remove_attribute("X", "encoding-type");
  check_refused(bare.path, "STOFM-3508", ErrorKind::file, "without an encoding-type", "csr_matrix");
  const H5Case old;
  {
    H5Edit edit = old.edit();
    for (const char* name : {"encoding-type", "encoding-version", "shape"}) edit.remove_attribute("X", name);
    edit.attribute("X", "h5sparse_format", "csr");
    edit.attribute("X", "h5sparse_shape", std::vector<std::int64_t>{60, 33});
  }
  CHECK(read_all(old.path).dense == read_all(zoo("csr_f32_gzip").string()).dense);
}

TEST_CASE(
    "H24 H25 H26: external links, external storage and virtual data sets are refused and never opened") {
  const H5Case link;
  {
    H5Edit edit = link.edit();
    edit.remove("X");
    REQUIRE(H5Lcreate_external("/etc/passwd", "X", edit.id(), "X", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  }
  check_refused(link.path, "STOFM-3517", ErrorKind::file, "external link", "External links are refused");

  const H5Case storage;
  {
    H5Edit edit = storage.edit();
    const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    REQUIRE(H5Pset_external(list.get(), "/etc/passwd", 0, 960) >= 0);
    edit.remove("obsm/spatial");
    edit.make("obsm/spatial", H5T_NATIVE_DOUBLE, {60, 2}, list.get());
  }
  check_refused(storage.path, "STOFM-3518", ErrorKind::file, "external storage", "h5repack");

  const H5Case virtual_set;
  {
    H5Edit edit = virtual_set.edit();
    const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const hsize_t dims[2] = {60, 2};
    const Hdf5Handle space(H5Screate_simple(2, dims, nullptr), H5Sclose);
    REQUIRE(H5Pset_virtual(list.get(), space.get(), zoo("csc").c_str(), "obsm/spatial", space.get()) >= 0);
    edit.remove("obsm/spatial");
    edit.make("obsm/spatial", H5T_NATIVE_DOUBLE, {60, 2}, list.get());
  }
  check_refused(virtual_set.path, "STOFM-3519", ErrorKind::file, "virtual", "h5repack");
}

TEST_CASE("H27: link loops and deep nesting end at the depth cap") {
  const H5Case soft;
  {
    H5Edit edit = soft.edit();
    edit.remove("X");
    REQUIRE(H5Lcreate_soft("/Y", edit.id(), "X", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    REQUIRE(H5Lcreate_soft("/X", edit.id(), "Y", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  }
  check_refused(soft.path, "STOFM-3520", ErrorKind::file, "too deep", "depth");
  const H5Case hard;  // a group linked into itself does no harm: only named paths are walked
  {
    H5Edit edit = hard.edit();
    REQUIRE(H5Lcreate_hard(edit.id(), "/", edit.id(), "uns/loop", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    Hdf5Handle group(H5Gopen2(edit.id(), "uns", H5P_DEFAULT), H5Gclose);
    for (int i = 0; i < 10000; ++i)
      group = Hdf5Handle(H5Gcreate2(group.get(), "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  }
  CHECK(read_all(hard.path).slice.cells == 60);
  CHECK(describe_h5ad(hard.path).cells == 60);
  H5adReadOptions options;
  options.layer = "a";
  for (int i = 0; i < 40; ++i) options.layer += "/a";
  check_refused(hard.path, "STOFM-3520", ErrorKind::file, "too deep", "depth", options);
  const H5Case good;  // a soft link that leads somewhere is followed
  {
    H5Edit edit = good.edit();
    REQUIRE(H5Lmove(edit.id(), "X", edit.id(), "kept", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    REQUIRE(H5Lcreate_soft("/kept", edit.id(), "X", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  }
  CHECK(read_all(good.path).slice.cells == 60);
}

TEST_CASE("H35: compound obs is refused with the version to use") {
  const H5Case test;
  {
    H5Edit edit = test.edit();
    edit.remove("obs");
    const Hdf5Handle type(H5Tcreate(H5T_COMPOUND, 16), H5Tclose);
    H5Tinsert(type.get(), "index", 0, H5T_NATIVE_INT64);
    H5Tinsert(type.get(), "n", 8, H5T_NATIVE_DOUBLE);
    edit.make("obs", type.get(), {60});
  }
  check_refused(test.path, "STOFM-3535", ErrorKind::file, "compound", "anndata >= 0.8");
}

TEST_CASE("H38 H39: odd objects in uns and 10,000 columns of obs are not read") {
  const H5Case test;
  {
    H5Edit edit = test.edit();
    const Hdf5Handle type(H5Tcreate(H5T_OPAQUE, 7), H5Tclose);
    edit.make("uns/opaque", type.get(), {3});
    REQUIRE(H5Lcreate_external("/etc/passwd", "x", edit.id(), "uns/outside", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    edit.put<std::int8_t>("obs/column", {1, 2, 3});
    for (int i = 0; i < 10000; ++i)
      REQUIRE(H5Lcreate_hard(edit.id(), "obs/column", edit.id(), ("obs/column" + std::to_string(i)).c_str(),
                             H5P_DEFAULT, H5P_DEFAULT) >= 0);
    edit.put_fixed("obs/region/categories", std::string(1000000, 'c'), 1, H5T_STR_NULLPAD);
  }
  CHECK(read_all(test.path).slice.cells == 60);
}

TEST_CASE("H40: a read-only file is read, also twice at once") {
  const H5Case test;
  std::filesystem::permissions(test.path, std::filesystem::perms::owner_read);
  for (const H5adIsolation isolation : {H5adIsolation::child_process, H5adIsolation::none}) {
    H5adReadOptions options;
    options.isolation = isolation;
    const Slice a = read_h5ad(test.path, options);
    const Slice b = read_h5ad(test.path, options);
    CHECK(a.read_counts(0, 60).values == b.read_counts(0, 60).values);
  }
}

TEST_CASE("info: shapes, types, encodings and filters of the zoo") {
  const H5adInfo info = describe_h5ad(zoo("csr_f2_fletcher32_indptr_u8").string());
  CHECK(info.cells == 60);
  CHECK(info.genes == 33);
  CHECK(info.encoding == "anndata 0.1.0");
  const auto entry = std::find_if(info.entries.begin(), info.entries.end(),
                                  [](const H5adEntry& e) { return e.path == "X"; });
  REQUIRE(entry != info.entries.end());
  CHECK(entry->shape == "60 x 33");
  CHECK(entry->type == "f2");
  CHECK(entry->encoding == "csr_matrix 0.1.0");
  CHECK(entry->storage == "chunks of 500, shuffle, deflate (gzip), fletcher32");
}

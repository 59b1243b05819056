// SPDX-License-Identifier: MIT
// write_h5ad_result: what is added reads back, all else stays, and C01 to C03 hold.
#include "stofm/io/h5ad_writer.hpp"

#include <sys/stat.h>

#include <cmath>

#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

struct Fixture {
  std::vector<float> values;
  H5adResult result;
  explicit Fixture(std::int64_t cells, std::vector<std::int64_t> rows = {}) {
    for (std::int64_t i = 0; i < cells * 3; ++i) values.push_back(static_cast<float>(i) / 8);
    H5adColumn cluster;
    cluster.name = "stofm_macro";
    cluster.categories = {"left", "right", "µ"};
    H5adColumn number;
    number.name = "stofm_number";
    for (std::int64_t i = 0; i < cells; ++i) {
      cluster.codes.push_back(static_cast<std::int32_t>(i % 3));
      number.integers.push_back(i * i);
    }
    result.obsm.push_back({"X_stofm", matrix_view<const float>(values.data(), cells, 3)});
    result.obs = {cluster, number};
    result.uns = {{"seed", std::int64_t{42}},
                  {"alpha", 0.25},
                  {"version", std::string("0.1.0")},
                  {"notices", std::vector<std::string>{"a", "b"}}};
    result.file_rows = std::move(rows);
  }
};

Hdf5File open_raw(const std::string& path) { return open_hdf5_file(path); }

std::vector<double> table(const Hdf5File& file, const std::string& path) {
  Hdf5Dataset data = open_hdf5_dataset(file, path);
  return read_doubles(data, 0);
}

void check_usage(const std::function<void()>& call, const std::string& code, const std::string& word) {
  try {
    call();
    FAIL_CHECK("accepted, but " << code << " was due");
  } catch (const UsageError& error) {
    CHECK(error.code() == code);
    CHECK(std::string(error.what()).find(word) != std::string::npos);
  }
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("writer: results read back from every storage form and the slice stays the same") {
  for (const char* name : {"csr_f32_gzip", "legacy_0.7", "nullable_columns", "user_block",
                           "superblock_v2_nocompress", "csr_i32", "utf8_names"}) {
    CAPTURE(name);
    const ScratchDir scratch;
    const std::string input = zoo(name).string();
    const std::string output = (scratch / "out.h5ad").string();
    const std::string before = bytes_of(input);
    const Fixture fixture(60);
    write_h5ad_result(input, output, fixture.result);
    CHECK(bytes_of(input) == before);
    CHECK(files_in(scratch.path()) == 1);
    const Read a = read_all(input);
    const Read b = read_all(output);
    CHECK(a.dense == b.dense);
    CHECK(a.slice.gene_ids == b.slice.gene_ids);
    const Hdf5Quiet quiet;
    const Hdf5File old_file = open_raw(input);
    const Hdf5File file = open_raw(output);
    const std::vector<double> embedding = table(file, "obsm/X_stofm");
    REQUIRE(embedding.size() == 180);
    for (std::size_t i = 0; i < 180; ++i) CHECK(embedding[i] == static_cast<double>(fixture.values[i]));
    const H5adFrame old_obs(old_file, "obs", 0);
    const H5adFrame obs(file, "obs", 0);
    std::vector<std::string> columns = old_obs.columns();
    columns.insert(columns.end(), {"stofm_macro", "stofm_number"});
    CHECK(obs.columns() == columns);
    const H5adCategorical cluster = obs.categorical("stofm_macro");
    CHECK(cluster.categories == std::vector<std::string>{"left", "right", "µ"});
    CHECK(cluster.codes[5] == 2);
    CHECK(obs.numbers("stofm_number")[7] == 49);
    CHECK(obs.categorical("region").codes == old_obs.categorical("region").codes);
    CHECK(table(file, "uns/stofm/seed") == std::vector<double>{42});
    CHECK(table(file, "uns/stofm/alpha") == std::vector<double>{0.25});
  }
}

TEST_CASE("writer: cells that were left out get NaN, -1 and missing, and a column that says so") {
  H5adReadOptions options;
  options.drop_bad_coords = true;
  const std::string input = zoo("nan_coordinates").string();
  const Slice slice = read_h5ad(input, options);
  const Fixture fixture(58, slice.file_rows);
  const ScratchDir scratch;
  const std::string output = (scratch / "out.h5ad").string();
  write_h5ad_result(input, output, fixture.result);
  const Hdf5Quiet quiet;
  const Hdf5File file = open_raw(output);
  const std::vector<double> embedding = table(file, "obsm/X_stofm");
  const H5adFrame obs(file, "obs", 0);
  const std::vector<double> embedded = obs.numbers("stofm_embedded");
  for (std::size_t row = 0; row < 60; ++row) {
    const bool left_out = row == 3 || row == 7;
    CHECK(std::isnan(embedding[row * 3]) == left_out);
    CHECK(embedded[row] == (left_out ? 0 : 1));
  }
  CHECK(embedding[4 * 3] == static_cast<double>(fixture.values[3 * 3]));
  CHECK(obs.categorical("stofm_macro").codes[3] == -1);
  CHECK(obs.numbers("stofm_number")[7] == -1);
}

TEST_CASE("writer: a second run replaces the keys, in place or over an old output") {
  const H5Case test;
  H5adWriteOptions in_place;
  in_place.in_place = true;
  Fixture first(60);
  write_h5ad_result(test.path, "", first.result, in_place);
  Fixture second(60);
  second.values[0] = 77;
  second.result.obs[0].categories = {"one", "two", "three"};
  write_h5ad_result(test.path, "", second.result, in_place);
  CHECK(files_in(test.scratch.path()) == 1);
  CHECK(read_all(test.path).slice.cells == 60);
  const Hdf5Quiet quiet;
  const Hdf5File file = open_raw(test.path);
  CHECK(table(file, "obsm/X_stofm")[0] == 77);
  const H5adFrame obs(file, "obs", 0);
  CHECK(obs.categorical("stofm_macro").categories.front() == "one");
  const std::vector<std::string> columns = obs.columns();
  CHECK(std::count(columns.begin(), columns.end(), "stofm_macro") == 1);
}

TEST_CASE("C01 C02 C03: the output is not the input, has a directory, and replaces a file only on demand") {
  const H5Case test;
  const std::string before = bytes_of(test.path);
  const Fixture fixture(60);
  const auto write = [&](const std::string& output, bool overwrite = false) {
    write_h5ad_result(test.path, output, fixture.result, {.in_place = false, .overwrite = overwrite});
  };
  const std::string link = (test.scratch / "link.h5ad").string();
  const std::string hard = (test.scratch / "hard.h5ad").string();
  std::filesystem::create_symlink(test.path, link);
  std::filesystem::create_hard_link(test.path, hard);
  for (const std::string& same : {test.path, link, hard}) {
    check_usage([&] { write(same); }, "STOFM-3011", "same file");
    check_usage([&] { write(same, true); }, "STOFM-3011", "same file");
  }
  check_usage([&] { write((test.scratch / "absent/out.h5ad").string()); }, "STOFM-3012", "directory");
  const std::string old = (test.scratch / "old.h5ad").string();
  write_bytes(old, "keep me");
  check_usage([&] { write(old); }, "STOFM-3010", "OutputOptions::overwrite");
  CHECK(bytes_of(old) == "keep me");
  CHECK(bytes_of(test.path) == before);
  CHECK(files_in(test.scratch.path()) == 4);
  write(old, true);
  CHECK(read_all(old).slice.cells == 60);
  CHECK(files_in(test.scratch.path()) == 4);
}

TEST_CASE("writer: results that do not fit the file leave nothing behind") {
  const H5Case test;
  const std::string output = (test.scratch / "out.h5ad").string();
  const auto refuse = [&](H5adResult result, const std::string& word) {
    check_usage([&] { write_h5ad_result(test.path, output, result); }, "STOFM-3542", word);
    CHECK(files_in(test.scratch.path()) == 1);
  };
  refuse(Fixture(59).result, "[60, C]");
  Fixture name(60);
  name.result.obsm[0].key = "a/b";
  refuse(name.result, "without '/'");
  Fixture empty(60);
  empty.result.obsm[0].values.data = nullptr;
  refuse(empty.result, "without data");
  Fixture code(60);
  code.result.obs[0].codes[3] = 9;
  refuse(code.result, "code 9");
  Fixture rows(2, {5, 5});
  refuse(rows.result, "increasing rows");
  Fixture index(60);
  index.result.obs[0].name = "_index";
  refuse(index.result, "index");
  H5Case damaged;
  {
    H5Edit edit = damaged.edit();
    edit.remove("obsm");
    REQUIRE(H5Lcreate_external("/etc/passwd", "x", edit.id(), "obsm", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  }
  const Fixture fixture(60);
  CHECK_THROWS_AS(write_h5ad_result(damaged.path, (damaged.scratch / "o.h5ad").string(), fixture.result),
                  FileError);
  CHECK(files_in(damaged.scratch.path()) == 1);
}

TEST_CASE("R06: a file size limit ends in an error, not a signal, and leaves nothing") {
  const H5Case test;
  const auto size = static_cast<rlim_t>(std::filesystem::file_size(test.path));
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit tight{size + 100, old.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &tight);
  const Fixture fixture(60);
  bool resource = false;
  try {
    write_h5ad_result(test.path, (test.scratch / "o.h5ad").string(), fixture.result);
  } catch (const ResourceError&) {
    resource = true;
  } catch (const FileError& error) {
    MESSAGE(std::string(error.what()));
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  CHECK(resource);
  CHECK(files_in(test.scratch.path()) == 1);
}

// SPDX-License-Identifier: MIT
// What goes into .h5ad files beside matrices of obsm: data frames, layers, columns of var, nested dicts; and
// whole files from nothing.
#include "stofm/io/h5ad_new_writer.hpp"

#include <cmath>
#include <cstdlib>

#include "stofm/io/h5ad_tables.hpp"
#include "stofm/io/output_group.hpp"
#include "tests/io/make_h5ad_files.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;

namespace new_h5ad_test {
namespace {
using Texts = std::vector<std::string>;

std::vector<float> ramp(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i) / 7);
  return values;
}

std::vector<double> stored(const Hdf5File& file, const std::string& path) {
  Hdf5Dataset data = open_hdf5_dataset(file, path);
  return read_doubles(data, 0);
}

std::size_t files_beside(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

/// Three pseudo-spots of four genes, with everything that can be in a file.
struct Made {
  H5adCsr counts{{0, 2, 2, 5}, {0, 3, 0, 1, 2}, {1, 2, 3, 4, 5}};
  std::vector<float> shares = ramp(6), imputed = ramp(12);
  std::vector<double> xy{0, 1, 2, 3, 4, 5.5};
  NewH5ad file;
  Made() {
    file.cells = {"s0", "s1", "s\xC3\xA9"};
    file.genes = {"ENSG1", "ENSG2", "ENSG3", "ENSG4"};
    file.counts = &counts;
    file.spatial = matrix_view<const double>(xy.data(), 3, 2);
    file.content.obsm = {
        {"stofm_proportions", matrix_view<const float>(shares.data(), 3, 2), {"L2/3 IT", "Astro"}}};
    file.content.layers = {{"imputed", matrix_view<const float>(imputed.data(), 3, 4)}};
    file.content.obs = {{.name = "region", .codes = {0, -1, 1}, .categories = {"a", "b"}},
                        {.name = "n_cells", .integers = {3, 4, 5}}};
    file.content.var = {{.name = "gene_symbol", .texts = {"A", "B", "", "D"}},
                        {.name = "score", .reals = {1, 2, std::nan(""), 4}}};
    file.content.uns = {{"seed", std::int64_t{1}}, {"scores", std::vector<double>{0.5, 0.25}}};
    file.content.uns_key = "stofm/pseudospots";
  }
};
}  // namespace

TEST_CASE("new file: what was given is read back, in a child or here, the same bytes each time") {
  const test::ScratchDir scratch;
  const std::string path = (scratch / "new.h5ad").string(), other = (scratch / "other.h5ad").string();
  const Made made;
  write_new_h5ad(path, made.file);
  write_new_h5ad(other, made.file, {.isolation = H5adIsolation::none});
  CHECK(test::bytes_of(path) == test::bytes_of(other));
  CHECK(files_beside(scratch.path()) == 2);
  H5adReadOptions options;
  options.obs_columns = {"region"};
  options.cell_names = true;
  const test::Read read = test::read_all(path, options);
  CHECK(read.slice.cells == 3);
  CHECK(read.slice.cell_names == made.file.cells);
  CHECK(read.slice.gene_ids == made.file.genes);
  CHECK(read.slice.gene_symbols == Texts{"A", "B", "", "D"});
  CHECK(read.dense == std::vector<double>{1, 0, 0, 2, 0, 0, 0, 0, 3, 4, 5, 0});
  CHECK(read.slice.coordinates(2, 1) == 5.5);
  CHECK(read.slice.labels.at(0).codes == std::vector<std::int32_t>{0, -1, 1});
  const H5adTables tables = read_h5ad_tables(
      path, {.obs_numbers = {"n_*"}, .obsm = {"stofm_proportions"}, .positions = true}, options);
  CHECK(tables.numbers.at(0).values == std::vector<double>{3, 4, 5});
  CHECK(tables.obsm.at(0).columns == Texts{"L2_3 IT", "Astro"});
  CHECK(std::equal(made.shares.begin(), made.shares.end(), tables.obsm[0].values.data()));
  CHECK(tables.provenance.at("pseudospots/seed") == "1");
  const Hdf5Quiet quiet;
  const Hdf5File file = open_hdf5_file(path);
  CHECK(stored(file, "layers/imputed").at(11) == static_cast<double>(made.imputed[11]));
  CHECK(stored(file, "uns/stofm/pseudospots/scores") == std::vector<double>{0.5, 0.25});
  CHECK(std::isnan(H5adFrame(file, "var", 0).numbers("score")[2]));
}

TEST_CASE("new file: dense, without positions, or without X; all or none with a group") {
  const test::ScratchDir scratch;
  Made made;
  made.file.counts = nullptr;
  made.file.dense = matrix_view<const float>(made.imputed.data(), 3, 4);
  const std::string path = (scratch / "dense.h5ad").string();
  {
    OutputGroup group;
    write_new_h5ad(path, made.file, {.group = &group});
    CHECK(!std::filesystem::exists(path));
    group.commit();
  }
  H5adReadOptions options;
  options.accept_noninteger = true;
  const test::Read read = test::read_all(path, options);
  CHECK(read.dense.at(11) == static_cast<double>(made.imputed[11]));
  test::check_usage([&] { write_new_h5ad(path, made.file); }, "STOFM-3010", "OutputOptions::overwrite");
  made.file.spatial = {};
  made.file.dense = {};
  write_new_h5ad(path, made.file, {.overwrite = true});
  const H5adTables tables = read_h5ad_tables(path, {.obsm = {"stofm_proportions"}});
  CHECK(tables.cells == 3);
  CHECK(tables.obsm_keys == Texts{"stofm_proportions"});
}

TEST_CASE("new file: contents that do not fit each other leave nothing behind") {
  const test::ScratchDir scratch;
  const auto refuse = [&](const auto& change, const std::string& code, const std::string& word) {
    Made made;
    change(made);
    test::check_usage([&] { write_new_h5ad((scratch / "x.h5ad").string(), made.file); }, code, word);
    CHECK(files_beside(scratch.path()) == 0);
  };
  refuse([](Made& m) { m.file.cells[1] = "s0"; }, "STOFM-3544", "twice");
  refuse([](Made& m) { m.file.genes.clear(); }, "STOFM-3544", "no names");
  refuse([](Made& m) { m.counts.columns[1] = 4; }, "STOFM-3544", "column 4");
  refuse([](Made& m) { m.counts.columns[1] = 0; }, "STOFM-3544", "ascending");
  refuse([](Made& m) { m.counts.offsets[1] = 6; }, "STOFM-3544", "decrease");
  refuse([](Made& m) { m.counts.values.pop_back(); }, "STOFM-3544", "one value");
  refuse([](Made& m) { m.file.spatial = matrix_view<const double>(m.xy.data(), 2, 2); }, "STOFM-3544",
         "spatial");
  refuse([](Made& m) { m.file.content.obs[1].integers.pop_back(); }, "STOFM-3542", "2 entries");
  refuse([](Made& m) { m.file.content.obsm[0].columns.pop_back(); }, "STOFM-3542", "[3, 1]");
  refuse([](Made& m) { m.file.content.layers[0].values = matrix_view<const float>(m.imputed.data(), 4, 3); },
         "STOFM-3542", "[3, 4]");
  refuse([](Made& m) { m.file.content.uns_key = "a/b/c"; }, "STOFM-3542", "without '/'");
  refuse([](Made& m) { m.file.content.file_rows = {0}; }, "STOFM-3544", "another file");
}

TEST_CASE("writer: frames, layers and var columns where cells and genes were left out, old files too") {
  for (const char* name : {"csr_f32_gzip", "legacy_0.7", "nullable_columns"}) {
    CAPTURE(name);
    const test::H5Case c(name);
    const auto genes = read_h5ad(c.path).file_genes;
    const std::vector<float> shares = ramp(4), layer = ramp(4);
    H5adResult result;
    result.file_rows = {1, 58};
    result.file_columns = {0, genes - 1};
    result.obsm = {{"stofm_proportions", matrix_view<const float>(shares.data(), 2, 2), {"A", "A"}}};
    result.layers = {{"stofm_imputed", matrix_view<const float>(layer.data(), 2, 2)}};
    result.var = {{.name = "stofm_score", .reals = {0.5, 2}},
                  {.name = "stofm_kind", .codes = {0, 0}, .categories = {"k"}}};
    result.obs = {{.name = "stofm_note", .texts = {"x", "y"}}};
    result.uns = {{"seed", std::int64_t{3}}};
    result.uns_key = "stofm/impute";
    H5adWriteOptions in_place;
    in_place.in_place = true;
    write_h5ad_result(c.path, "", result, in_place);
    result.uns_key = "stofm/deconvolve";
    result.uns = {{"seed", std::int64_t{4}}};
    write_h5ad_result(c.path, "", result, in_place);  // again: replaced, the other dict stays
    const H5adTables tables = read_h5ad_tables(c.path, {.obsm = {"stofm_proportions"}});
    CHECK(tables.provenance.at("impute/seed") == "3");
    CHECK(tables.provenance.at("deconvolve/seed") == "4");
    REQUIRE(tables.obsm.at(0).columns == Texts{"A", "A_2"});
    CHECK(std::isnan(tables.obsm[0].values(0, 0)));
    CHECK(tables.obsm[0].values(58, 1) == shares[3]);
    const Hdf5Quiet quiet;
    const Hdf5File file = open_hdf5_file(c.path);
    const H5adFrame obs(file, "obs", 0), var(file, "var", 0), frame(file, "obsm/stofm_proportions", 0);
    CHECK(frame.strings("_index") == obs.strings(obs.index()));
    const std::vector<double> values = stored(file, "layers/stofm_imputed");
    REQUIRE(values.size() == static_cast<std::size_t>(60 * genes));
    CHECK(values[static_cast<std::size_t>(genes)] == 0);
    CHECK(values[static_cast<std::size_t>(59 * genes - 1)] == static_cast<double>(layer[3]));
    CHECK(std::count_if(values.begin(), values.end(), [](double v) { return !std::isnan(v); }) == 4);
    CHECK(var.numbers("stofm_score").back() == 2);
    CHECK(std::isnan(var.numbers("stofm_score")[1]));
    CHECK(var.categorical("stofm_kind").codes[1] == -1);
    CHECK(obs.strings("stofm_note")[58] == "y");
    CHECK(obs.strings("stofm_note")[0].empty());
    CHECK(obs.has("stofm_embedded"));
    CHECK(!var.has("stofm_embedded"));
  }
}

TEST_CASE("writer: a dict in a dict is made where there is none, and where there is something else") {
  const test::H5Case c;
  const std::vector<float> values = ramp(60);
  H5adResult result;
  result.obsm = {{"X", matrix_view<const float>(values.data(), 60, 1)}};
  result.uns = {{"model_sha256", std::string("f00")}};
  result.uns_key = "stofm/cluster";
  const auto write = [&] { write_h5ad_result(c.path, "", result, {.in_place = true}); };
  write();
  CHECK(read_h5ad_tables(c.path, {}).provenance.at("cluster/model_sha256") == "f00");
  test::H5Edit(c.path).remove("uns/stofm");
  test::H5Edit(c.path).put_strings("uns/stofm", {"a text"});
  write();
  const auto provenance = read_h5ad_tables(c.path, {}).provenance;
  CHECK(provenance.size() == 1);
  CHECK(provenance.at("cluster/model_sha256") == "f00");
}

TEST_CASE("names that HDF5 can not store are changed, and stay apart") {
  CHECK(storable_names({"a/b", "a_b", "", "x", "x", ".", "_index"}) ==
        Texts{"a_b", "a_b_2", "__", "x", "x_2", "_._", "__index_"});
}

/// For tests/program/scanpy_opens.sh: anndata reads what this writes.
TEST_CASE("parts for scanpy") {
  const char* folder = std::getenv("STOFM_PARTS_FOLDER");
  if (folder == nullptr) return;
  const Made made;
  const std::string path = (std::filesystem::path(folder) / "new.h5ad").string();
  write_new_h5ad(path, made.file);
  const std::vector<float> shares = ramp(4), layer = ramp(4);
  H5adResult result;
  result.file_rows = {0, 2};
  result.file_columns = {1, 3};
  result.obsm = {{"shares", matrix_view<const float>(shares.data(), 2, 2), {"A", "B"}}};
  result.layers = {{"imputed", matrix_view<const float>(layer.data(), 2, 2)}};
  result.obs = {{.name = "kind", .codes = {1, -1}, .categories = {"x", "y"}}};
  result.uns = {{"seed", std::int64_t{3}}, {"names", Texts{"p", "q"}}};
  result.uns_key = "stofm/impute";
  result.uns_lists = {{"kind_colors", {"#112233", "#445566"}}};
  write_h5ad_result(path, (std::filesystem::path(folder) / "added.h5ad").string(), result);
}
}  // namespace new_h5ad_test

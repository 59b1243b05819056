// SPDX-License-Identifier: MIT
// A slice from arrays in memory: the same counts in every storage and type, and the refusals of the file
// reader.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/memory_slice.hpp"

using namespace stofm;
using namespace stofm::io;

namespace {

constexpr std::int64_t memory_cells = 3, memory_genes = 4;

/// 0 2 0 1 / 0 0 0 0 / 5 0 3 0
struct MemoryFixture {
  std::vector<float> values{2, 1, 5, 3};
  std::vector<std::int32_t> indices{1, 3, 0, 2};
  std::vector<std::int64_t> starts{0, 2, 2, 4};
  std::vector<std::string> genes{"Gad1", "Slc17a7", "Aqp4", "Pvalb"};
  std::vector<double> xy{0, 0, 10, 0, 0, 10};
  std::vector<MemoryColumn> obs, var;
  H5adReadOptions options;

  ArrayMatrixParts csr() const {
    ArrayMatrixParts parts{.source = "adata", .path = "X", .rows = memory_cells, .columns = memory_genes};
    parts.values = {values.data(), Dtype::f32, static_cast<std::int64_t>(values.size())};
    parts.indices = {indices.data(), Dtype::i32, static_cast<std::int64_t>(indices.size())};
    parts.starts = {starts.data(), Dtype::i64, static_cast<std::int64_t>(starts.size())};
    return parts;
  }
  Slice slice(ArrayMatrixParts parts) const {
    SliceArrays arrays{{"adata"},
                       ArrayMatrix(std::move(parts)),
                       MemoryFrame("obs", memory_cells, "_index", {"a", "b", "c"}, obs),
                       MemoryFrame("var", memory_genes, "_index", genes, var)};
    arrays.positions = {xy, {}, "obsm/spatial", {}};
    return slice_of_arrays(std::move(arrays), options);
  }
  Slice slice() const { return slice(csr()); }
};

std::vector<double> dense_counts(const Slice& slice) {
  std::vector<double> dense(static_cast<std::size_t>(slice.cells * slice.genes()), 0.0);
  const CountRows rows = read_count_rows(slice, 0, slice.cells);
  for (std::int64_t row = 0; row < rows.rows(); ++row)
    for (std::int64_t i = rows.offsets[static_cast<std::size_t>(row)];
         i < rows.offsets[static_cast<std::size_t>(row) + 1]; ++i)
      dense[static_cast<std::size_t>(row * slice.genes() + rows.columns[static_cast<std::size_t>(i)])] +=
          rows.values[static_cast<std::size_t>(i)];
  return dense;
}
const std::vector<double> memory_counts{0, 2, 0, 1, 0, 0, 0, 0, 5, 0, 3, 0};

template <class Function>
std::string memory_code(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.code();
  }
  return "nothing was refused";
}

template <class T>
std::vector<T> memory_dense() {
  return {memory_counts.begin(), memory_counts.end()};
}

template <class T>
void check_dense(const MemoryFixture& fixture, Dtype dtype) {
  const std::vector<T> values = memory_dense<T>();
  ArrayMatrixParts parts{.source = "adata", .path = "X", .rows = memory_cells, .columns = memory_genes};
  parts.values = {values.data(), dtype, static_cast<std::int64_t>(values.size())};
  parts.row_stride = memory_genes;
  CHECK(dense_counts(fixture.slice(parts)) == memory_counts);
  std::vector<T> by_columns(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) by_columns[i % 4 * 3 + i / 4] = values[i];
  parts.values.data = by_columns.data();
  parts.row_stride = 1;
  parts.column_stride = memory_cells;
  CHECK(dense_counts(fixture.slice(parts)) == memory_counts);
}

}  // namespace

TEST_CASE("counts in memory are the same from CSR and from dense arrays of any type and order") {
  const MemoryFixture fixture;
  const Slice slice = fixture.slice();
  CHECK(dense_counts(slice) == memory_counts);
  CHECK(slice.counts_scale == "counts");
  CHECK(slice.coordinates_source == "obsm/spatial");
  CHECK(slice.coordinates(2, 1) == 10);
  CHECK(slice.gene_ids == fixture.genes);
  check_dense<float>(fixture, Dtype::f32);
  check_dense<double>(fixture, Dtype::f64);
  check_dense<std::int32_t>(fixture, Dtype::i32);
  check_dense<std::uint8_t>(fixture, Dtype::u8);
  check_dense<std::int64_t>(fixture, Dtype::i64);
  check_dense<std::uint16_t>(fixture, Dtype::u16);
}

TEST_CASE("rows in memory can be read in any blocks, and only those that are there") {
  const MemoryFixture fixture;
  const Slice slice = fixture.slice();
  CHECK(slice.read_counts(1, 1).rows() == 0);
  CHECK(memory_code([&] { (void)slice.read_counts(2, 4); }) == "STOFM-3539");
  const CountRows last = slice.read_counts(2, 3);
  CHECK(last.first_row == 2);
  CHECK(last.values == std::vector<double>{5, 3});
}

TEST_CASE("entries of one gene twice in a cell are summed and said") {
  MemoryFixture fixture;
  fixture.indices = {1, 1, 0, 2};
  const Slice slice = fixture.slice();
  CHECK(dense_counts(slice)[1] == 3);
  REQUIRE(slice.stream_notices().size() == 1);
  CHECK(slice.stream_notices()[0].code == "STOFM-W3503");
}

TEST_CASE("features that are no genes are left out of counts in memory") {
  MemoryFixture fixture;
  fixture.var = {{"feature_types", {{0, 1, 0, 0}, {"Gene Expression", "Antibody Capture"}}, true}};
  const Slice slice = fixture.slice();
  CHECK(slice.genes() == 3);
  CHECK(slice.file_columns == std::vector<std::int64_t>{0, 2, 3});
  CHECK(dense_counts(slice) == std::vector<double>{0, 0, 1, 0, 0, 0, 5, 3, 0});
}

TEST_CASE("log1p of normalised counts in memory come back as counts") {
  // 40 cells of 30 genes with counts of 0 to 9, scaled to 100 a cell.
  std::vector<float> logs;
  std::vector<double> counts;
  std::vector<std::string> genes;
  for (int g = 0; g < 30; ++g) genes.push_back("Gene" + std::to_string(g));
  for (int cell = 0; cell < 40; ++cell) {
    double total = 0;
    for (int g = 0; g < 30; ++g) total += counts.emplace_back((cell * 7 + g * 13 + cell * g) % 10);
    for (int g = 0; g < 30; ++g)
      logs.push_back(std::log1p(static_cast<float>(counts[static_cast<std::size_t>(cell * 30 + g)]) /
                                static_cast<float>(total / 100)));
  }
  ArrayMatrixParts parts{.source = "adata", .path = "X", .rows = 40, .columns = 30};
  parts.values = {logs.data(), Dtype::f32, 1200};
  parts.row_stride = 30;
  std::vector<double> xy;
  for (int i = 0; i < 80; ++i) xy.push_back(i * 37 % 80);
  SliceArrays arrays{{"adata"},
                     ArrayMatrix(parts),
                     MemoryFrame("obs", 40, "_index", {}, {}),
                     MemoryFrame("var", 30, "_index", genes, {})};
  arrays.positions = {xy, {}, "obsm/spatial", {}};
  H5adReadOptions options;
  options.overlay = true;
  const Slice slice = slice_of_arrays(std::move(arrays), options);
  CHECK(slice.counts_scale.find("log1p") != std::string::npos);
  const std::vector<double> found = dense_counts(slice);
  for (std::size_t cell = 0; cell < 40; ++cell) {  // up to a divisor that all counts of the cell share
    double factor = 0;
    for (std::size_t g = 0; g < 30; ++g)
      if (found[cell * 30 + g] > 0) factor = counts[cell * 30 + g] / found[cell * 30 + g];
    for (std::size_t g = 0; g < 30; ++g) CHECK(found[cell * 30 + g] * factor == counts[cell * 30 + g]);
  }
}

TEST_CASE("arrays that do not fit each other are refused before anything is read") {
  const auto refused = [](auto&& change) {
    MemoryFixture fixture;
    ArrayMatrixParts parts = fixture.csr();
    change(fixture, parts);
    return memory_code([&] { (void)dense_counts(fixture.slice(parts)); });
  };
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.starts[1] = 3, f.starts[2] = 2; }) ==
        "STOFM-3512");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.starts[0] = 1; }) == "STOFM-3512");
  CHECK(refused([](MemoryFixture&, ArrayMatrixParts& p) { p.starts.count = 3; }) == "STOFM-3512");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.starts[3] = 9; }) == "STOFM-3514");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.indices[3] = 4; }) == "STOFM-3513");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.indices[0] = -1; }) == "STOFM-3513");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.values[2] = -1; }) == "STOFM-3530");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.values[2] = std::nanf(""); }) == "STOFM-3530");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.values = {0, 0, 0, 0}; }) == "STOFM-3528");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.xy[3] = std::nan(""); }) == "STOFM-3531");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.xy.pop_back(), f.xy.pop_back(); }) ==
        "STOFM-3526");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.xy.assign(6, 1.0); }) == "STOFM-3563");
  CHECK(refused([](MemoryFixture&, ArrayMatrixParts& p) { p.rows = 0; }) == "STOFM-3512");
  CHECK(refused([](MemoryFixture&, ArrayMatrixParts& p) { p.columns = 5; }) == "STOFM-3509");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.options.gene_key = "symbols"; }) == "STOFM-3538");
  CHECK(refused([](MemoryFixture& f, ArrayMatrixParts&) { f.options.library_key = "batch"; }) ==
        "STOFM-3538");
}

TEST_CASE("a refusal of values in memory names the place where counts are") {
  const MemoryFixture fixture;
  const std::vector<float> scaled{-1.5F, 0.25F, 1.75F, 0.5F};
  ArrayMatrixParts parts = fixture.csr();
  parts.values.data = scaled.data();
  parts.beside.push_back(
      {"layers[\"counts\"]", "H5adReadOptions::layer = counts", std::make_shared<const ArrayMatrix>(fixture.csr())});
  try {
    (void)fixture.slice(parts);
    FAIL("values below 0 were taken");
  } catch (const Error& error) {
    CHECK(error.code() == "STOFM-3529");
    CHECK(error.remedy().find("layers[\"counts\"] (H5adReadOptions::layer = counts)") != std::string::npos);
  }
}

TEST_CASE("libraries of a slice in memory: their names, and a cell without one") {
  MemoryFixture fixture;
  fixture.obs = {{"batch", {{1, 0, 1}, {"s1", "s2"}}, true}};
  fixture.options.library_key = "batch";
  const Slice slice = fixture.slice();
  CHECK(slice.library == std::vector<std::int32_t>{1, 0, 1});
  CHECK(slice.library_names == std::vector<std::string>{"s1", "s2"});
  fixture.obs[0].groups.codes[2] = -1;
  CHECK(memory_code([&] { (void)fixture.slice(); }) == "STOFM-3561");
}

TEST_CASE("sections in memory that lie on top of each other are refused, by name of the column") {
  constexpr std::int64_t cells = 400;
  std::vector<float> ones(cells * 2, 2.0F);
  std::vector<double> xy;
  std::vector<std::int64_t> section;
  std::uint64_t state = 1;
  const auto next = [&state] {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<double>(state >> 40) / 0x1p24;
  };
  for (std::int64_t i = 0; i < cells; ++i) {  // two jittered lattices on one ground
    const std::int64_t k = i % (cells / 2);
    xy.push_back(static_cast<double>(k % 14) + 0.3 * next());
    xy.push_back(static_cast<double>(k / 14) + 0.3 * next());
    section.push_back(i / (cells / 2));
  }
  ArrayMatrixParts parts{.source = "adata", .path = "X", .rows = cells, .columns = 2};
  parts.values = {ones.data(), Dtype::f32, cells * 2};
  parts.row_stride = 2;
  const auto make = [&](bool overlay) {
    SliceArrays arrays{{"adata"},
                       ArrayMatrix(parts),
                       MemoryFrame("obs", cells, "_index", {}, {{"section", {section, {"a", "b"}}, true}}),
                       MemoryFrame("var", 2, "_index", {"Gad1", "Aqp4"}, {})};
    arrays.positions = {xy, {}, "obsm/spatial", {}};
    H5adReadOptions options;
    options.overlay = overlay;
    return slice_of_arrays(std::move(arrays), options).cells;
  };
  CHECK(memory_code([&] { (void)make(false); }) == "STOFM-3562");
  CHECK(make(true) == cells);
}

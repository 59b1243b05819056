// SPDX-License-Identifier: MIT
// Strips of listed pairs made by kernels, run on the host, against PairBatchPlan, to the bit.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/pair_index/pair_index.cuh"
#include "stofm/pipeline/sub_slices.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace {

using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;
using stofm::backend::PairBatchPlan;

/// Listed pairs of the slices of a batch.
struct Batch {
  std::vector<std::vector<std::int64_t>> row_offsets;  ///< of each slice, from 0
  std::vector<std::vector<std::int32_t>> columns;

  void add(std::vector<std::int64_t> offsets, std::vector<std::int32_t> listed) {
    row_offsets.push_back(std::move(offsets));
    columns.push_back(std::move(listed));
  }
};

/// One pair in `sparsity` is listed at random; every 7th row is empty, every 11th full.
inline void add_random(Batch& batch, std::int64_t n, unsigned sparsity, std::uint32_t seed) {
  std::mt19937 bits(seed);
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> columns;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      if (i % 7 != 3 && (i % 11 == 5 || bits() % sparsity == 0))
        columns.push_back(static_cast<std::int32_t>(j));
    offsets.push_back(static_cast<std::int64_t>(columns.size()));
  }
  batch.add(std::move(offsets), std::move(columns));
}

/// Everything a PairBatchPlan writes, or only its nodes, where the device reads it.
struct Written {
  explicit Written(const PairBatchPlan& plan) : store(1, plan.bytes() / 8) {
    plan.write(reinterpret_cast<std::byte*>(store.data()));
  }
  Matrix<std::uint64_t> store;
  const std::byte* bytes() const { return reinterpret_cast<const std::byte*>(store.data()); }
};

inline void check_strips(const Batch& input) {
  PairBatchPlan reference, nodes_only;
  std::int64_t listed = 0, nodes = 0;
  for (const auto& columns : input.columns) listed += static_cast<std::int64_t>(columns.size());
  for (const auto& offsets : input.row_offsets) nodes += static_cast<std::int64_t>(offsets.size()) - 1;
  Matrix<std::int64_t> row_offsets(1, nodes + 1);
  Matrix<std::int32_t> columns(1, listed);
  std::int64_t node = 0, entry = 0;
  row_offsets.at(0, 0) = 0;
  for (std::size_t s = 0; s < input.columns.size(); ++s) {
    reference.add(input.row_offsets[s], input.columns[s]);
    nodes_only.add_nodes(static_cast<std::int64_t>(input.row_offsets[s].size()) - 1);
    for (std::size_t i = 1; i < input.row_offsets[s].size(); ++i)
      row_offsets.at(0, ++node) = entry + input.row_offsets[s][i];
    for (const std::int32_t column : input.columns[s]) columns.at(0, entry++) = column;
  }
  REQUIRE(nodes_only.strips() == reference.strips());
  REQUIRE(nodes_only.nodes() == reference.nodes());
  CHECK(nodes_only.entries() == 0);
  const Written expected(reference), tables(nodes_only);
  const stofm::backend::PairBatch answer = reference.view(expected.bytes());
  auto on_device = stage(tables.store);
  const stofm::backend::PairBatch batch =
      nodes_only.view(reinterpret_cast<const std::byte*>(on_device.data()));
  REQUIRE(batch.bias_by_row.offsets == nullptr);
  auto rows_there = stage(std::as_const(row_offsets));
  auto columns_there = stage(std::as_const(columns));
  const auto stream = stofm::backend::current_stream(device_under_test);
  Matrix<std::int64_t> offsets(1, reference.strips() + 1);
  Matrix<std::uint16_t> positions(1, listed);
  Matrix<std::int32_t> entries(1, listed);
  {
    auto o = stage(offsets);
    auto p = stage(positions);
    auto e = stage(entries);
    stofm::kernels::pair_index::launch_strips_by_row(
        stream, {batch, rows_there.data(), columns_there.data(), o.data(), p.data(), e.data()});
    o.fetch();
    p.fetch();
    e.fetch();
  }
  CHECK(offsets.intact());
  CHECK(positions.intact());
  CHECK(entries.intact());
  const std::vector<std::int64_t> found(offsets.data(), offsets.data() + reference.strips() + 1);
  if (listed == 0) {
    CHECK(found == std::vector<std::int64_t>(found.size(), 0));
    return;
  }
  const auto& strips = answer.bias_by_row;
  CHECK(found == std::vector<std::int64_t>(strips.offsets, strips.offsets + reference.strips() + 1));
  CHECK(std::equal(strips.positions, strips.positions + listed, positions.data()));
  CHECK(std::equal(strips.entries, strips.entries + listed, entries.data()));
}

/// Pieces of random cells as the pipeline lists them.
inline Batch real_pieces(std::int64_t pieces, std::int64_t cells, std::int64_t virtual_cells) {
  std::mt19937 bits(7);
  std::uniform_real_distribution<double> uniform(-30, 30);
  Matrix<double> xy(pieces * cells, 2), virtual_xy(virtual_cells, 2);
  for (auto* points : {&xy, &virtual_xy})
    for (std::int64_t i = 0; i < points->rows(); ++i)
      for (int a = 0; a < 2; ++a) points->at(i, a) = uniform(bits);
  Batch batch;
  for (std::int64_t p = 0; p < pieces; ++p) {
    std::vector<std::int64_t> of_piece;
    for (std::int64_t c = 0; c < cells; ++c) of_piece.push_back(p * cells + c);
    const auto sub = stofm::pipeline::build_sub_slice(of_piece, std::as_const(xy).view(),
                                                      std::as_const(virtual_xy).view());
    batch.add(sub.distances.row_offsets, sub.distances.columns);
  }
  return batch;
}

TEST_CASE("strips of one slice are those of the plan") {
  for (const std::int64_t n : {1, 2, 15, 16, 17, 33, 63, 64, 65, 100, 129})
    for (const unsigned sparsity : {1U, 5U, 60U}) {
      CAPTURE(n);
      CAPTURE(sparsity);
      Batch batch;
      add_random(batch, n, sparsity, static_cast<std::uint32_t>(n));
      check_strips(batch);
    }
}

TEST_CASE("strips of several slices, some of them empty") {
  Batch batch;
  std::uint32_t seed = 1;
  for (const std::int64_t n : {5, 0, 1, 64, 65, 130, 0, 47}) add_random(batch, n, 4, seed++);
  batch.add(std::vector<std::int64_t>(71, 0), {});  // nodes without pairs
  add_random(batch, 31, 3, seed);
  check_strips(batch);
}

TEST_CASE("nodes without any pair have empty strips") {
  Batch batch;
  batch.add(std::vector<std::int64_t>(71, 0), {});
  check_strips(batch);
}

TEST_CASE("strips of pieces of the pipeline, in any order of blocks") {
  const Batch batch = real_pieces(3, 81, 4);
  emulator::for_each_run([&] { check_strips(batch); });
}

TEST_CASE("one warp covers a strip") {
  using Policy = stofm::kernels::pair_index::PairIndexPolicy;
  CHECK(Policy::tile == stofm::backend::pair_tile);
  CHECK(Policy::strips_per_tile * Policy::strip_rows == Policy::tile);
  CHECK(Policy::warps * 32 <= 1024);
}

}  // namespace

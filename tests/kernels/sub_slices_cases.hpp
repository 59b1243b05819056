// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sub-slices on the device against pipeline/sub_slices.hpp, bit by bit: emulated and on a device.

#include "stofm/backend/cuda/sub_slices.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace sub_slices_cases {

using emulator::device_under_test;
using emulator::Matrix;

enum class Tissue { even, lattice, line, one_place, twins, corners };

inline Matrix<double> cells_of(Tissue tissue, std::int64_t n, std::uint32_t seed, std::int64_t gap = 0) {
  Matrix<double> xy(n, 2, gap);
  std::mt19937 bits(seed);
  std::uniform_real_distribution<double> uniform(-30, 30);
  for (std::int64_t i = 0; i < n; ++i)
    for (int a = 0; a < 2; ++a) {
      double v = uniform(bits);
      if (tissue == Tissue::lattice) v = std::floor(v / 6);
      if (tissue == Tissue::line && a == 1) v = 2;
      if (tissue == Tissue::one_place) v = 7;
      if (tissue == Tissue::twins && i % 5 == 1) v = xy.at(i - 1, a);
      if (tissue == Tissue::corners) v = bits() % 2 == 0 ? 30.0 : -50.0;  // corners are 80 or 113 apart
      xy.at(i, a) = v;
    }
  if (tissue == Tissue::corners && n > 4) {  // some pairs at the very distance that means "far"
    for (int i = 0; i < 4; ++i) {
      xy.at(i, 0) = i % 2 == 0 ? 50 : -50;
      xy.at(i, 1) = 1;
    }
  }
  return xy;
}

inline void check_split(const Matrix<double>& xy, std::int64_t split_num) {
  CAPTURE(xy.rows());
  CAPTURE(split_num);
  const auto expected = stofm::pipeline::split_cells(xy.view(), split_num);
  const auto found = stofm::backend::split_cells(device_under_test, xy.view(), split_num);
  REQUIRE(found.offsets.size() == expected.size() + 1);
  for (std::size_t p = 0; p < expected.size(); ++p)
    CHECK(std::vector<std::int64_t>(found.cells.begin() + found.offsets[p],
                                    found.cells.begin() + found.offsets[p + 1]) == expected[p]);
}

/// Pieces of a slice, all of them in one call, against one CPU call each.
inline void check_build(const Matrix<double>& xy, const Matrix<double>& virtual_xy, std::int64_t split_num,
                        stofm::pipeline::SubSliceOptions options) {
  CAPTURE(xy.rows());
  CAPTURE(virtual_xy.rows());
  CAPTURE(options.neighbours);
  const auto pieces = stofm::pipeline::split_cells(xy.view(), split_num);
  std::vector<std::int64_t> offsets{0}, cells;
  for (const auto& piece : pieces) {
    cells.insert(cells.end(), piece.begin(), piece.end());
    offsets.push_back(static_cast<std::int64_t>(cells.size()));
  }
  const auto found = stofm::backend::build_sub_slices(
      device_under_test, offsets, cells, xy.view(), virtual_xy.view(),
      {options.neighbours, options.geometry == stofm::pipeline::Geometry::stable});
  CHECK(found.virtual_cells == virtual_xy.rows());
  REQUIRE(found.node_offsets.size() == pieces.size() + 1);
  REQUIRE(found.coincident_pairs.size() == pieces.size());
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    CAPTURE(p);
    const auto expected = stofm::pipeline::build_sub_slice(pieces[p], xy.view(), virtual_xy.view(), options);
    const auto part = [&](const auto& values, std::int64_t from, std::int64_t to) {
      return std::remove_cvref_t<decltype(values)>(values.begin() + from, values.begin() + to);
    };
    const std::int64_t begin = found.node_offsets[p], end = found.node_offsets[p + 1];
    REQUIRE(end - begin == expected.nodes());
    CHECK(part(found.node_cells, begin, end) == expected.node_cells);
    CHECK(part(found.token_types, begin, end) == expected.token_types);
    CHECK(std::equal(expected.xy.data(), expected.xy.data() + expected.xy.numel(),
                     found.xy.begin() + 2 * begin));
    auto rows = part(found.row_offsets, begin, end + 1);
    const std::int64_t first = rows.front(), last = rows.back();
    for (std::int64_t& row : rows) row -= first;
    CHECK(rows == expected.distances.row_offsets);
    CHECK(part(found.columns, first, last) == expected.distances.columns);
    CHECK(part(found.values, first, last) == expected.distances.values);
    CHECK(found.coincident_pairs[p] == expected.coincident_pairs);
  }
  CHECK(found.row_offsets.back() == static_cast<std::int64_t>(found.columns.size()));
  const auto left_there = stofm::backend::build_sub_slices_on_device(
      device_under_test, offsets, cells, xy.view(), virtual_xy.view(),
      {options.neighbours, options.geometry == stofm::pipeline::Geometry::stable});
  CHECK(left_there.entries == static_cast<std::int64_t>(found.columns.size()));
  CHECK(left_there.coincident_pairs == found.coincident_pairs);
  REQUIRE(left_there.entry_offsets.size() == pieces.size() + 1);
  for (std::size_t p = 0; p <= pieces.size(); ++p)
    CHECK(left_there.entry_offsets[p] == found.row_offsets[static_cast<std::size_t>(found.node_offsets[p])]);
}

TEST_CASE("squares are those of the CPU") {
  for (const Tissue tissue :
       {Tissue::even, Tissue::lattice, Tissue::line, Tissue::one_place, Tissue::corners})
    for (const std::int64_t split_num : {1, 7, 60, 1000}) check_split(cells_of(tissue, 150, 1), split_num);
  check_split(cells_of(Tissue::even, 700, 2, 3), 20);
  check_split(cells_of(Tissue::even, 0, 2), 20);
  check_split(cells_of(Tissue::even, 1, 2), 1);
}

TEST_CASE("pieces are those of the CPU, to the bit") {
  using stofm::pipeline::Geometry;
  const auto virtual_xy = cells_of(Tissue::even, 5, 9, 1), none = cells_of(Tissue::even, 0, 9);
  for (const Tissue tissue :
       {Tissue::even, Tissue::lattice, Tissue::line, Tissue::one_place, Tissue::twins, Tissue::corners})
    for (const Geometry geometry : {Geometry::reference, Geometry::stable}) {
      CAPTURE(static_cast<int>(tissue));
      CAPTURE(static_cast<int>(geometry));
      check_build(cells_of(tissue, 120, 3), virtual_xy, 40, {10, geometry});
      check_build(cells_of(tissue, 90, 4, 2), none, 1000, {50, geometry});
      check_build(cells_of(tissue, 33, 5), virtual_xy, 5, {2, geometry});
    }
}

TEST_CASE("tiny pieces, and neighbours beyond the piece") {
  const auto virtual_xy = cells_of(Tissue::even, 2, 9), none = cells_of(Tissue::even, 0, 9);
  for (const std::int64_t n : {1, 2, 3}) {
    check_build(cells_of(Tissue::even, n, 3), none, 1, {50, {}});
    check_build(cells_of(Tissue::even, n, 3), virtual_xy, 1, {50, {}});
  }
  check_build(cells_of(Tissue::even, 40, 3), virtual_xy, 1000, {600, {}});
  check_build(cells_of(Tissue::twins, 40, 3), virtual_xy, 1000, {200, {}});
}

TEST_CASE("virtual cells on top of cells") {
  auto virtual_xy = cells_of(Tissue::even, 4, 9);
  const auto xy = cells_of(Tissue::lattice, 50, 6);
  for (std::int64_t v = 0; v < 4; ++v)
    for (int a = 0; a < 2; ++a) virtual_xy.at(v, a) = v < 3 ? xy.at(v, a) : 0.0;  // one where CLS is
  check_build(xy, virtual_xy, 20, {8, stofm::pipeline::Geometry::reference});
  check_build(xy, virtual_xy, 20, {8, stofm::pipeline::Geometry::stable});
}

TEST_CASE("no order of blocks or threads changes anything") {
  emulator::for_each_run([] {
    check_split(cells_of(Tissue::lattice, 100, 1), 10);
    check_build(cells_of(Tissue::twins, 60, 3), cells_of(Tissue::even, 3, 9), 20, {6, {}});
  });
}

TEST_CASE("what build_sub_slice refuses is refused") {
  const auto xy = cells_of(Tissue::even, 4, 1), none = cells_of(Tissue::even, 0, 1);
  const std::vector<std::int64_t> offsets{0, 2}, outside{0, 4}, cells{1, 3};
  const auto build = [&](std::span<const std::int64_t> o, std::vector<std::int64_t> c,
                         std::int64_t neighbours) {
    (void)stofm::backend::build_sub_slices(device_under_test, o, c, xy.view(), none.view(),
                                           {neighbours, false});
  };
  CHECK_THROWS_AS(build(outside, cells, 50), stofm::ShapeError);
  CHECK_THROWS_AS(build(offsets, {1, 4}, 50), stofm::ShapeError);
  CHECK_THROWS_AS(build(offsets, cells, 1), stofm::UsageError);
  CHECK_THROWS_AS(build(offsets, cells, 1026), stofm::UsageError);
  CHECK_THROWS_AS(stofm::backend::split_cells(device_under_test, xy.view(), 0), stofm::UsageError);
  auto bad = xy;
  bad.at(2, 1) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(stofm::backend::split_cells(device_under_test, bad.view(), 2), stofm::DataError);
}

}  // namespace sub_slices_cases

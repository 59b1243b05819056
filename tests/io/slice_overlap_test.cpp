// SPDX-License-Identifier: MIT
/// \file
/// Sections on top of each other are told from parts, types and fields of one tissue by positions alone.

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "stofm/io/slice_overlap.hpp"

using namespace stofm::io;

namespace {

/// Cells in a square: none nearer to another than 0.7, about one for each unit of area.
std::vector<double> tissue(double side, unsigned seed) {
  std::mt19937 random(seed);
  const auto uniform = [&random] { return static_cast<double>(random()) / 4294967296.0; };
  std::vector<double> xy;
  for (int tries = 0; tries < 6 * static_cast<int>(side * side); ++tries) {
    const double x = side * uniform(), y = side * uniform();
    bool free = true;
    for (std::size_t i = 0; i < xy.size() && free; i += 2) free = std::hypot(xy[i] - x, xy[i + 1] - y) > 0.7;
    if (!free) continue;
    xy.push_back(x);
    xy.push_back(y);
  }
  return xy;
}

struct Stack {
  std::vector<double> xy;
  std::vector<std::int32_t> group;
  std::int32_t groups = 0;
  void add(const std::vector<double>& section, double dx = 0, double dy = 0) {
    for (std::size_t i = 0; i < section.size(); i += 2) {
      xy.push_back(section[i] + dx);
      xy.push_back(section[i + 1] + dy);
      group.push_back(groups);
    }
    ++groups;
  }
  SliceOverlap measure() const { return measure_overlap(SliceNeighbourhoods(xy), group, groups); }
  bool is_one_tissue() const {
    const SliceNeighbourhoods slice(xy);
    return stofm::io::is_one_tissue(slice, group, groups, measure_overlap(slice, group, groups));
  }
};

}  // namespace

TEST_CASE("D28: the neighbours of the tree are those of all distances, coincident points too") {
  std::vector<double> xy = tissue(12, 1);
  for (int i = 0; i < 40; ++i) xy.insert(xy.end(), {3, 3});
  const PlaneTree tree(xy);
  const auto n = static_cast<std::int64_t>(xy.size() / 2);
  for (std::int64_t i = 0; i < n; i += 7) {
    std::vector<double> all;
    for (std::int64_t j = 0; j < n; ++j)
      if (j != i) {
        const auto a = 2 * static_cast<std::size_t>(i), b = 2 * static_cast<std::size_t>(j);
        all.push_back((xy[a] - xy[b]) * (xy[a] - xy[b]) + (xy[a + 1] - xy[b + 1]) * (xy[a + 1] - xy[b + 1]));
      }
    std::sort(all.begin(), all.end());
    const auto found = tree.nearest(i, 9);
    REQUIRE(found.size() == 9);
    for (std::size_t k = 0; k < 9; ++k) CHECK(found[k].squared_distance == all[k]);
  }
}

TEST_CASE("D28: sections on top of each other are plain, two of them, four, and a small one in a large one") {
  for (const int sections : {2, 4}) {
    Stack stack;
    for (int s = 0; s < sections; ++s) stack.add(tissue(20, 10 + static_cast<unsigned>(s)), 0.3 * s, 0.1 * s);
    const SliceOverlap found = stack.measure();
    CAPTURE(found.ratio());
    CAPTURE(found.z());
    CHECK(found.is_plain());
    CHECK_FALSE(stack.is_one_tissue());
  }
  Stack inside;
  inside.add(tissue(24, 3));
  inside.add(tissue(10, 4), 7, 7);
  CHECK(inside.measure().is_plain());
}

TEST_CASE("D28: lattices on each other are plain, at one place and with an offset") {
  std::vector<double> lattice;
  for (int i = 0; i < 400; ++i) lattice.insert(lattice.end(), {double(i % 20), double(i / 20)});
  for (const double offset : {0.0, 0.3}) {
    Stack stack;
    stack.add(lattice);
    stack.add(lattice, offset, offset);
    CHECK(stack.measure().is_plain());
  }
}

TEST_CASE("D28: no alarm for types, rows, tiles and sections side by side") {
  const std::vector<double> one = tissue(30, 5);
  std::mt19937 random(7);
  Stack types, clumped, tiles, rows;
  for (Stack* stack : {&types, &clumped, &tiles, &rows}) {
    stack->xy = one;
    stack->groups = 4;
  }
  rows.groups = 30;
  for (std::size_t i = 0; i < one.size(); i += 2) {
    types.group.push_back(static_cast<std::int32_t>(random() % 4));
    const bool mixed = random() % 2 == 0;
    clumped.group.push_back(mixed ? static_cast<std::int32_t>(random() % 4)
                                  : static_cast<std::int32_t>(one[i] / 3 + one[i + 1] / 3) % 4);
    tiles.group.push_back(static_cast<std::int32_t>(one[i] / 15) +
                          2 * static_cast<std::int32_t>(one[i + 1] / 15));
    rows.group.push_back(static_cast<std::int32_t>(one[i]));
  }
  CHECK_FALSE(types.measure().is_plain());
  CHECK(types.measure().is_possible());
  CHECK(types.is_one_tissue());  // even where the column is called a batch
  CHECK_FALSE(clumped.measure().is_plain());
  CHECK(tiles.measure().share == 0);
  CHECK(rows.measure().share == 0);
  Stack side, borders;
  side.add(tissue(15, 8));
  side.add(tissue(15, 9), 16);
  CHECK(side.measure().share == 0);
  for (int t = 0; t < 4; ++t)
    borders.add(tissue(15, 20 + static_cast<unsigned>(t)), 14 * (t % 2), 14 * (t / 2));
  CHECK_FALSE(borders.measure().is_possible());
}

TEST_CASE("D28: groups of few cells and cells without a group are no reason") {
  Stack stack;
  stack.add(tissue(3, 1));
  stack.add(tissue(3, 2));
  CHECK(stack.measure().groups == 0);
  Stack with_missing;
  with_missing.add(tissue(20, 1));
  with_missing.add(tissue(20, 2));
  for (std::size_t i = 0; i < with_missing.group.size(); i += 9) with_missing.group[i] = -1;
  CHECK(with_missing.measure().is_plain());
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "stofm/cluster/knn_2d.hpp"
#include "stofm/core/random.hpp"
#include "tests/cluster/point_sets.hpp"

using namespace stofm;
using cluster::Candidate2d;

namespace {
/// All pairs, sorted: distance first, then index.
cluster::Neighbours2d brute_force(const Tensor<double>& xy, std::int64_t k) {
  cluster::Neighbours2d result{xy.dim(0), k, {}, {}};
  for (std::int64_t i = 0; i < xy.dim(0); ++i) {
    std::vector<Candidate2d> all;
    for (std::int64_t j = 0; j < xy.dim(0); ++j) {
      if (j == i) continue;
      const double dx = xy(i, 0) - xy(j, 0), dy = xy(i, 1) - xy(j, 1);
      all.push_back({dx * dx + dy * dy, static_cast<std::int32_t>(j)});
    }
    std::sort(all.begin(), all.end());
    for (std::int64_t m = 0; m < k; ++m) {
      result.indices.push_back(all[static_cast<std::size_t>(m)].index);
      result.squared_distances.push_back(all[static_cast<std::size_t>(m)].squared_distance);
    }
  }
  return result;
}
}  // namespace

TEST_CASE("neighbours are those of brute force, ties to the lowest index (D22 D23 D24 D25 D26 D29)") {
  for (const std::string& kind : test::point_set_names())
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      Random random(seed, 17);
      const auto n = static_cast<std::int64_t>(2 + random.below(300));
      const auto k = static_cast<std::int64_t>(
          1 + random.below(static_cast<std::uint64_t>(std::min<std::int64_t>(n - 1, 60))));
      const auto xy = test::point_set(kind, n, seed);
      CAPTURE(kind);
      CAPTURE(seed);
      CAPTURE(n);
      CAPTURE(k);
      const auto found = cluster::nearest_neighbours_2d(xy.view(), k), expected = brute_force(xy, k);
      CHECK(found.indices == expected.indices);
      CHECK(found.squared_distances == expected.squared_distances);
    }
}

TEST_CASE("k is lowered to the other points there are (D02 D03)") {
  for (std::int64_t n = 0; n < 4; ++n) {
    const auto found = cluster::nearest_neighbours_2d(test::point_set("random", n, 1).view(), 9);
    CHECK(found.points == n);
    CHECK(found.k == std::max<std::int64_t>(n - 1, 0));
    CHECK(static_cast<std::int64_t>(found.indices.size()) == n * found.k);
  }
}

TEST_CASE("the same bits on 1, 2, 4 and 8 threads") {
  const int before = thread_count();
  const auto xy = test::point_set("random", 5000, 3);
  set_thread_count(1);
  const auto one = cluster::nearest_neighbours_2d(xy.view(), 9);
  for (const int threads : {2, 4, 8}) {
    set_thread_count(threads);
    const auto more = cluster::nearest_neighbours_2d(xy.view(), 9);
    CHECK(more.indices == one.indices);
    CHECK(more.squared_distances == one.squared_distances);
  }
  set_thread_count(before);
}

TEST_CASE("heaps, lines, lattices and far outliers of 40,000 points are searched (D22 to D26)") {
  // A quadratic search would take minutes under the sanitizers, and CTest ends it.
  for (const std::string& kind : test::point_set_names()) {
    const auto xy = test::point_set(kind, 40000, 5);
    const auto found = cluster::nearest_neighbours_2d(xy.view(), 9);
    CAPTURE(kind);
    CHECK(found.indices.size() == 360000);
  }
}

TEST_CASE("points that are not finite, and shapes that do not fit, are refused by name (D21 C08)") {
  auto xy = test::point_set("random", 10, 1);
  xy(7, 1) = std::nan("");
  try {
    cluster::nearest_neighbours_2d(xy.view(), 3);
    FAIL("accepted");
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-1203");
    CHECK(error.where() == "[nearest_neighbours_2d] row 7");
  }
  CHECK_THROWS_AS(cluster::nearest_neighbours_2d(Tensor<double>::zeros({4, 3}).view(), 1), ShapeError);
  CHECK_THROWS_AS(cluster::nearest_neighbours_2d(Tensor<double>::zeros({4, 2}).view(), -1), ShapeError);
}

// SPDX-License-Identifier: MIT
#include "stofm/cluster/nearest_neighbours.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "stofm/core/random.hpp"

using namespace stofm;

namespace {
/// Every pair, sorted by distance and index.
cluster::Neighbours by_sorting(const Tensor<double>& points, std::int64_t k) {
  const std::int64_t n = points.dim(0);
  cluster::Neighbours found;
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<std::pair<double, std::int32_t>> others;
    for (std::int64_t o = 0; o < n; ++o) {
      double square = 0;
      for (std::int64_t j = 0; j < points.dim(1); ++j) square += std::pow(points(i, j) - points(o, j), 2);
      if (o != i) others.emplace_back(square, static_cast<std::int32_t>(o));
    }
    std::sort(others.begin(), others.end());
    for (std::int64_t j = 0; j < k; ++j) found.indices.push_back(others[static_cast<std::size_t>(j)].second);
  }
  return found;
}
}  // namespace

TEST_CASE("neighbours in any dimension are those of a sort of all pairs, at any thread count") {
  const int before = thread_count();
  Random random(5);
  for (const std::int64_t width : {1, 2, 3, 10}) {
    Tensor<double> points({61, width});
    for (double& v : points.span()) v = std::floor(4 * random.uniform());  // whole numbers: exact, many ties
    const auto expected = by_sorting(points, 7);
    for (const int threads : {1, 3}) {
      set_thread_count(threads);
      const auto found = cluster::nearest_neighbours(std::as_const(points).view(), 7);
      CHECK(found.points == 61);
      CHECK(found.k == 7);
      CHECK(found.indices == expected.indices);
    }
    set_thread_count(before);
    const Tensor<double> turned = points.transpose(0, 1).clone().transpose(0, 1);
    CHECK(cluster::nearest_neighbours(turned.view(), 7).indices == expected.indices);
  }
}

TEST_CASE("few points, and what is refused") {
  const auto two = Tensor<double>::from({2, 3}, {0, 0, 0, 1, 2, 2});
  const auto found = cluster::nearest_neighbours(two.view(), 9);
  CHECK(found.k == 1);
  CHECK(found.squared_distances == std::vector<double>{9, 9});
  CHECK(cluster::nearest_neighbours(Tensor<double>({0, 3}).view(), 2).indices.empty());
  CHECK_THROWS_AS(cluster::nearest_neighbours(two.view(), -1), ShapeError);
  CHECK_THROWS_AS(cluster::nearest_neighbours(two.select(0, 0).view(), 1), ShapeError);
  const auto bad = Tensor<double>::from({2, 1}, {0, std::numeric_limits<double>::infinity()});
  CHECK_THROWS_AS(cluster::nearest_neighbours(bad.view(), 1), DataError);
}

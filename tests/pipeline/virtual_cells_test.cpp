// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/virtual_cells.hpp"
#include "tests/cluster/point_sets.hpp"

using namespace stofm;
using pipeline::ClusterMethod;

namespace {
Tensor<float> random_features(std::int64_t n, std::int64_t c, std::uint64_t seed) {
  Random random(seed, 21);
  Tensor<float> f({n, c});
  for (float& v : f.span()) v = static_cast<float>(random.normal());
  return f;
}
Tensor<double> normalised(const std::string& kind, std::int64_t n) {
  return pipeline::normalise_coordinates(test::point_set(kind, n, 3).view()).xy;
}
}  // namespace

TEST_CASE("cluster features: the farthest cell counts alpha, the largest score 1 - alpha") {
  const auto xy = normalised("random", 300);
  const auto f = random_features(300, 12, 1), same = Tensor<float>::full({300, 12}, 2.5F);
  auto largest = [](const Tensor<double>& z) {
    double value = 0;
    for (std::int64_t i = 0; i < z.dim(0); ++i) value = std::max(value, std::hypot(z(i, 0), z(i, 1)));
    return value;
  };
  CHECK(largest(pipeline::cluster_features(xy.view(), same.view())) == doctest::Approx(0.2));  // D32
  CHECK(largest(pipeline::cluster_features(normalised("point", 300).view(), f.view())) ==
        doctest::Approx(0.8));  // D22
  CHECK(largest(pipeline::cluster_features(xy.view(), f.view(), 0)) == doctest::Approx(1));
  CHECK_THROWS_AS(pipeline::cluster_features(xy.view(), f.view(), 1.5), UsageError);
  CHECK_THROWS_AS(pipeline::cluster_features(xy.view(), f.slice(0, 0, 299).view()), ShapeError);  // D31
}

TEST_CASE("the number of passes and the walk of Leiden are options") {
  const auto xy = normalised("random", 3000);
  const auto f = random_features(3000, 6, 2);
  const auto stable = pipeline::find_virtual_cells(xy.view(), f.view());
  CHECK(stable.passes > 2);
  CHECK(pipeline::find_virtual_cells(xy.view(), f.view(), {.max_passes = 2}).passes == 2);
  CHECK(pipeline::find_virtual_cells(xy.view(), f.view(), {.walk = cluster::LeidenWalk::everywhere}).labels ==
        stable.labels);
  CHECK(pipeline::find_virtual_cells(xy.view(), f.view(), {.walk = cluster::LeidenWalk::local}).labels !=
        stable.labels);
}

TEST_CASE(
    "virtual cells are the means of their clusters, for every kind of slice (D02 D03 D22 D23 D25 D26 D32 "
    "D33)") {
  for (const auto method : {ClusterMethod::leiden, ClusterMethod::kmeans})
    for (const std::string& kind : test::point_set_names())
      for (const std::int64_t n : {1, 2, 3, 9, 400})
        for (const bool featureless : {false, true}) {
          CAPTURE(kind);
          CAPTURE(n);
          const auto xy = normalised(kind, n);
          const auto f = featureless ? Tensor<float>::full({n, 6}, 0.3F) : random_features(n, 6, 2);
          const auto found = pipeline::find_virtual_cells(xy.view(), f.view(), {.method = method});
          REQUIRE(static_cast<std::int64_t>(found.labels.size()) == n);
          REQUIRE(found.count() >= 1);
          REQUIRE(found.count() <= n);
          double worst = 0;
          for (std::int64_t k = 0; k < found.count(); ++k) {
            double count = 0, x = 0, first = 0;
            for (std::int64_t i = 0; i < n; ++i) {
              if (found.labels[static_cast<std::size_t>(i)] != k) continue;
              count += 1;
              x += xy(i, 0);
              first += static_cast<double>(f(i, 0));
            }
            REQUIRE(count > 0);
            worst = std::max({worst, std::abs(x / count - found.xy(k, 0)),
                              std::abs(first / count - static_cast<double>(found.features(k, 0)))});
          }
          CHECK(worst < 1e-6);
        }
}

TEST_CASE("the same bits on 1, 2, 4 and 8 threads, by both methods") {
  const int before = thread_count();
  const auto xy = normalised("random", 3000);
  const auto f = random_features(3000, 40, 5);
  for (const auto method : {ClusterMethod::leiden, ClusterMethod::kmeans}) {
    set_thread_count(1);
    const auto one = pipeline::find_virtual_cells(xy.view(), f.view(), {.method = method});
    for (const int threads : {2, 4, 8}) {
      set_thread_count(threads);
      const auto more = pipeline::find_virtual_cells(xy.view(), f.view(), {.method = method});
      CHECK(more.labels == one.labels);
      CHECK(std::equal(one.features.span().begin(), one.features.span().end(), more.features.span().begin()));
      CHECK(std::equal(one.xy.span().begin(), one.xy.span().end(), more.xy.span().begin()));
    }
  }
  set_thread_count(before);
}

TEST_CASE("labels with gaps or out of range are refused") {
  const auto xy = normalised("random", 3);
  const auto f = random_features(3, 2, 1);
  CHECK_THROWS_AS(pipeline::mean_of_clusters({0, 2, 2}, 3, xy.view(), f.view()), ShapeError);
  CHECK_THROWS_AS(pipeline::mean_of_clusters({0, 1, 3}, 3, xy.view(), f.view()), ShapeError);
  CHECK_THROWS_AS(pipeline::mean_of_clusters({0, 1}, 2, xy.view(), f.view()), ShapeError);
}

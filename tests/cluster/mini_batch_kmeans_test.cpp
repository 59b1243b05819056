// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "stofm/cluster/mini_batch_kmeans.hpp"

using namespace stofm;

namespace {
/// `k` normal blobs of spread 0.1 around random places of a cube of side 20.
Tensor<float> blobs(std::int64_t n, std::int64_t d, std::int64_t k, std::uint64_t seed) {
  Random random(seed, 8);
  std::vector<double> places(static_cast<std::size_t>(k * d));
  for (double& p : places) p = 20 * random.uniform();
  Tensor<float> rows({n, d});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j)
      rows(i, j) =
          static_cast<float>(places[static_cast<std::size_t>(i % k * d + j)] + 0.1 * random.normal());
  return rows;
}
double squared(const Tensor<float>& rows, std::int64_t i, const Tensor<float>& centres, std::int64_t c) {
  double sum = 0;
  for (std::int64_t j = 0; j < rows.dim(1); ++j)
    sum += std::pow(static_cast<double>(rows(i, j)) - static_cast<double>(centres(c, j)), 2);
  return sum;
}
/// Lloyd's algorithm from the given centres, to the end. \return inertia.
double lloyd(const Tensor<float>& rows, Tensor<float> centres) {
  const std::int64_t n = rows.dim(0), k = centres.dim(0), d = rows.dim(1);
  double before = 1e300;
  for (int step = 0; step < 200; ++step) {
    std::vector<double> sums(static_cast<std::size_t>(k * d), 0), counts(static_cast<std::size_t>(k), 0);
    double inertia = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t best = 0;
      for (std::int64_t c = 1; c < k; ++c)
        if (squared(rows, i, centres, c) < squared(rows, i, centres, best)) best = c;
      inertia += squared(rows, i, centres, best);
      counts[static_cast<std::size_t>(best)] += 1;
      for (std::int64_t j = 0; j < d; ++j)
        sums[static_cast<std::size_t>(best * d + j)] += static_cast<double>(rows(i, j));
    }
    if (inertia >= before * (1 - 1e-9)) return inertia;
    before = inertia;
    for (std::int64_t e = 0; e < k * d; ++e)
      if (counts[static_cast<std::size_t>(e / d)] > 0)
        centres.data()[e] =
            static_cast<float>(sums[static_cast<std::size_t>(e)] / counts[static_cast<std::size_t>(e / d)]);
  }
  return before;
}
}  // namespace

TEST_CASE("the nearest centre is that of a double loop, ties to the lowest centre") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed, 4);
    const auto n = static_cast<std::int64_t>(1 + random.below(300)),
               k = static_cast<std::int64_t>(1 + random.below(70)),
               d = static_cast<std::int64_t>(1 + random.below(40));
    Tensor<float> rows({n, d}), centres({k, d});
    // Small integers: exact in float, and full of ties.
    for (float& v : rows.span()) v = static_cast<float>(random.below(3));
    for (float& v : centres.span()) v = static_cast<float>(random.below(3));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
    std::vector<float> distances(static_cast<std::size_t>(n));
    cluster::nearest_centres(rows.view(), cluster::PackedPoints(centres.view()), labels, distances);
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t best = 0;
      for (std::int64_t c = 1; c < k; ++c)
        if (squared(rows, i, centres, c) < squared(rows, i, centres, best)) best = c;
      wrong += labels[static_cast<std::size_t>(i)] != best ||
               static_cast<double>(distances[static_cast<std::size_t>(i)]) != squared(rows, i, centres, best);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("separate blobs are found exactly, in 1, 2, 3 and 64 dimensions") {
  for (const std::int64_t d : {1, 2, 3, 64}) {
    const std::int64_t k = d == 1 ? 4 : 12;
    const auto rows = blobs(6000, d, k, 3);
    const auto found = cluster::mini_batch_kmeans(rows.view(), {.clusters = k, .seed = 1});
    CAPTURE(d);
    CHECK(found.clusters == k);
    CHECK(found.notices.empty());
    // Expected inertia: n d 0.01; a missed blob would add thousands.
    CHECK(found.inertia < 6000 * static_cast<double>(d) * 0.011);
    CHECK(found.inertia > 6000 * static_cast<double>(d) * 0.009);
  }
}

TEST_CASE("inertia is that of the labels, no cluster is empty, and Lloyd can hardly improve it") {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const auto rows = blobs(3000, 2, 200, seed);  // more blobs than clusters: no clear answer
    const auto found = cluster::mini_batch_kmeans(rows.view(), {.clusters = 30, .seed = seed});
    double inertia = 0;
    std::set<std::int32_t> used;
    for (std::int64_t i = 0; i < 3000; ++i) {
      const std::int32_t label = found.labels[static_cast<std::size_t>(i)];
      inertia += squared(rows, i, found.centres, label);
      used.insert(label);
      for (std::int64_t c = 0; c < 30; ++c)
        CHECK(squared(rows, i, found.centres, c) >= squared(rows, i, found.centres, label) - 1e-3);
    }
    CHECK(used.size() == 30);
    CHECK(found.inertia == doctest::Approx(inertia).epsilon(1e-5));
    CHECK(found.inertia < 1.25 * lloyd(rows, found.centres.clone()));
  }
}

TEST_CASE("a centre that lost its points is given the farthest one") {
  const auto rows = Tensor<float>::from({5, 1}, {0, 1, 2, 10, 11});
  auto centres = Tensor<float>::from({3, 1}, {1, 1, 100});  // two equal ones, and one far from everything
  std::vector<std::int32_t> labels(5);
  std::vector<float> distances(5);
  cluster::nearest_centres(rows.view(), cluster::PackedPoints(centres.view()), labels, distances);
  CHECK(labels == std::vector<std::int32_t>{0, 0, 0, 0, 0});
  CHECK(cluster::detail::fill_empty_centres(rows.view(), centres, labels, distances) == 0);
  CHECK(centres(0, 0) == 1);
  CHECK(centres(1, 0) == 11);  // the farthest from 1, which takes 10 as well
  CHECK(centres(2, 0) == 0);   // then 0 and 2 are equally far: the lower index
  CHECK(labels == std::vector<std::int32_t>{2, 0, 0, 1, 1});
  CHECK(distances == std::vector<float>{0, 0, 1, 1, 0});
}

TEST_CASE("as many clusters as asked for, where there are as many distinct points") {
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (const std::int64_t k : {20, 200, 800}) {
      const auto rows = blobs(3000, 2, 50, seed);
      const auto found = cluster::mini_batch_kmeans(rows.view(), {.clusters = k, .batch = 256, .seed = seed});
      CAPTURE(seed);
      CHECK(found.centres.dim(0) == k);
    }
}

TEST_CASE("more clusters than distinct points: lowered, said once (D34)") {
  Tensor<float> rows({5000, 2});
  for (std::int64_t i = 0; i < 5000; ++i) {
    rows(i, 0) = static_cast<float>(i % 7);
    rows(i, 1) = 1;
  }
  const auto found = cluster::mini_batch_kmeans(rows.view(), {.clusters = 20});
  CHECK(found.clusters == 7);
  CHECK(found.inertia == 0);
  REQUIRE(found.notices.size() == 1);
  CHECK(found.notices[0].code == "STOFM-W1201");
  for (std::size_t i = 7; i < 5000; ++i) CHECK(found.labels[i] == found.labels[i % 7]);
  const auto one = cluster::mini_batch_kmeans(Tensor<float>::zeros({100, 3}).view(), {.clusters = 5});
  CHECK(one.clusters == 1);
  CHECK(cluster::mini_batch_kmeans(rows.slice(0, 0, 1).view(), {.clusters = 1}).notices.empty());
}

TEST_CASE("a distinct point that no sample or batch holds is still found (D34)") {
  auto rows = Tensor<float>::zeros({200000, 2});
  rows(123456, 0) = 5;
  rows(77, 1) = 3;
  const auto found = cluster::mini_batch_kmeans(rows.view(), {.clusters = 3});
  CHECK(found.clusters == 3);
  CHECK(found.inertia == 0);
}

TEST_CASE("k = n gives every point its own cluster; k not given is chosen") {
  const auto rows = blobs(60, 2, 60, 1);
  const auto found = cluster::mini_batch_kmeans(rows.view(), {.clusters = 60});
  CHECK(found.clusters == 60);
  CHECK(found.inertia == 0);
  CHECK(cluster::mini_batch_kmeans(rows.view()).clusters == 5);
  CHECK(cluster::kmeans_cluster_count(1) == 1);
  CHECK(cluster::kmeans_cluster_count(6471) == 56);
}

TEST_CASE("the same bits on 1, 2, 4 and 8 threads; the seed matters") {
  const int before = thread_count();
  const auto rows = blobs(5000, 5, 40, 2);
  set_thread_count(1);
  const auto one = cluster::mini_batch_kmeans(rows.view(), {.clusters = 25, .seed = 3});
  for (const int threads : {2, 4, 8}) {
    set_thread_count(threads);
    const auto more = cluster::mini_batch_kmeans(rows.view(), {.clusters = 25, .seed = 3});
    CHECK(more.labels == one.labels);
    CHECK(more.inertia == one.inertia);
    CHECK(std::equal(one.centres.span().begin(), one.centres.span().end(), more.centres.span().begin()));
  }
  set_thread_count(before);
  CHECK(cluster::mini_batch_kmeans(rows.view(), {.clusters = 25, .seed = 4}).labels != one.labels);
}

TEST_CASE("rows that are not finite and options out of range are refused") {
  auto rows = blobs(10, 2, 2, 1);
  CHECK_THROWS_AS(cluster::mini_batch_kmeans(rows.view(), {.clusters = -1}), UsageError);
  CHECK_THROWS_AS(cluster::mini_batch_kmeans(rows.slice(0, 0, 0).view()), DataError);
  rows(4, 1) = INFINITY;
  CHECK_THROWS_AS(cluster::mini_batch_kmeans(rows.view()), DataError);
}

TEST_CASE("k-means of doubles far from 0, in any layout, finds what it finds near 0") {
  const Tensor<float> rows = blobs(400, 3, 4, 11);
  Tensor<double> far({400, 3});
  for (std::int64_t i = 0; i < 400; ++i)
    for (std::int64_t j = 0; j < 3; ++j)
      far(i, j) = static_cast<double>(rows(i, j)) + 4e8;  // floats there: 32 apart
  const auto near = cluster::mini_batch_kmeans(rows.view(), {.clusters = 4, .seed = 3});
  const auto moved = cluster::mini_batch_kmeans(std::as_const(far).view(), {.clusters = 4, .seed = 3});
  const Tensor<double> turned = far.transpose(0, 1).clone().transpose(0, 1);
  const auto strided = cluster::mini_batch_kmeans(turned.view(), {.clusters = 4, .seed = 3});
  CHECK(strided.labels == moved.labels);
  for (std::size_t i = 0; i < 400; ++i)  // the same groups, perhaps numbered otherwise
    CHECK((near.labels[i] == near.labels[0]) == (moved.labels[i] == moved.labels[0]));
  // The sum of squares is that of the doubles: the offset rounds them to 2^-24 relative to 20 at most.
  CHECK(moved.inertia == doctest::Approx(near.inertia).epsilon(1e-4));
  CHECK(moved.centres(0, 0) == doctest::Approx(4e8).epsilon(1e-6));
  far(7, 1) = std::nan("");
  CHECK_THROWS_AS(cluster::mini_batch_kmeans(std::as_const(far).view(), {}), DataError);
  CHECK_THROWS_AS(cluster::mini_batch_kmeans(far.select(1, 0).view(), {}), ShapeError);
}

TEST_CASE("k-means says whether patience ended it") {
  const Tensor<float> rows = blobs(2000, 2, 5, 12);
  const auto settled = cluster::mini_batch_kmeans(rows.view(), {.clusters = 5, .batch = 100});
  CHECK(settled.settled);
  const auto cut = cluster::mini_batch_kmeans(
      rows.view(), {.clusters = 5, .batch = 100, .max_passes = 1, .patience = 1000});
  CHECK_FALSE(cut.settled);
  CHECK(cut.batches == 20);
}

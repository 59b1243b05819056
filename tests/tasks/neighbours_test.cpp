// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <string>

#include "stofm/core/random.hpp"
#include "stofm/tasks/neighbours.hpp"
#include "tests/support/kernel_levels.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;
using tasks::Distance;

namespace {
TensorView<const float> view_of(const Tensor<float>& rows) { return rows.view(); }

/// The definition: a double loop, ties to the lowest index.
tasks::Neighbours by_double_loop(const Tensor<float>& points, const Tensor<float>& queries, std::int64_t k,
                                 bool same, Distance distance) {
  tasks::Neighbours result;
  const std::int64_t n = points.dim(0), width = points.dim(1);
  result.queries = queries.dim(0);
  result.k = (std::min)(k, same ? n - 1 : n);
  for (std::int64_t i = 0; i < queries.dim(0); ++i) {
    std::vector<std::pair<double, std::int32_t>> all;
    const float* a = queries.data() + i * width;
    for (std::int64_t j = 0; j < n; ++j) {
      const float* b = points.data() + j * width;
      if (same && i == j) continue;
      const double value = distance == Distance::euclidean
                               ? tasks::detail::square_distance(a, b, width)
                               : tasks::detail::cosine_distance(
                                     a, b, width, std::sqrt(tasks::detail::dot_product(a, a, width)),
                                     std::sqrt(tasks::detail::dot_product(b, b, width)));
      all.emplace_back(value, static_cast<std::int32_t>(j));
    }
    std::sort(all.begin(), all.end());
    for (std::int64_t j = 0; j < result.k; ++j) {
      const auto& [value, index] = all[static_cast<std::size_t>(j)];
      result.indices.push_back(index);
      result.distances.push_back(distance == Distance::euclidean ? std::sqrt(value) : value);
    }
  }
  return result;
}

/// Rows of one kind: what makes bounds loose, products inexact or distances equal.
Tensor<float> rows_like(const std::string& kind, std::int64_t n, std::int64_t width, std::uint64_t seed) {
  Random random(seed, 3);
  Tensor<float> rows({n, width});
  std::vector<double> places(static_cast<std::size_t>(8 * width)),
      mixing(static_cast<std::size_t>(6 * width));
  for (double& p : places) p = 20 * random.normal();
  for (double& v : mixing) v = random.normal();
  for (std::int64_t i = 0; i < n; ++i) {
    const auto place = static_cast<std::int64_t>(random.below(8));
    double latent[6];
    for (double& l : latent) l = random.normal();
    for (std::int64_t j = 0; j < width; ++j) {
      double value = random.normal();
      if (kind == "lattice") value = static_cast<double>(random.below(2));
      if (kind == "blobs") value += places[static_cast<std::size_t>(place * width + j)];
      if (kind == "twins") value = j == 0 ? static_cast<double>(i / 7) : 1.0;
      if (kind == "one place") value = 0.1;
      if (kind == "far from zero") value += 1e4;
      if (kind == "tiny") value *= 1e-25;
      if (kind == "huge") value *= 1e25;
      if (kind == "low rank") {
        value *= 0.01;
        for (std::size_t l = 0; l < 6; ++l)
          value += latent[l] * mixing[l * static_cast<std::size_t>(width) + static_cast<std::size_t>(j)];
      }
      if (kind == "zeros" && i % 5 == 0) value = 0;
      if (kind == "an outlier" && i == 3) value *= 1e8;
      rows.data()[i * width + j] = static_cast<float>(value);
    }
  }
  return rows;
}

bool same_neighbours(const tasks::Neighbours& left, const tasks::Neighbours& right) {
  return left.k == right.k && left.queries == right.queries && left.indices == right.indices &&
         left.distances == right.distances;
}
}  // namespace

TEST_CASE("neighbours are those of a double loop, bit for bit, for any rows") {
  for (const char* kind : {"normal", "lattice", "blobs", "twins", "one place", "far from zero", "tiny",
                           "huge", "low rank", "zeros", "an outlier"})
    for (const std::int64_t width : {1, 33, 200})
      for (const auto distance : {Distance::euclidean, Distance::cosine}) {
        CAPTURE(kind);
        CAPTURE(width);
        CAPTURE(static_cast<int>(distance));
        const auto rows = rows_like(kind, 300, width, 1);
        CHECK(same_neighbours(tasks::nearest_neighbours(view_of(rows), 9, {distance}),
                              by_double_loop(rows, rows, 9, true, distance)));
        const auto queries = rows_like(kind, 70, width, 2);
        CHECK(
            same_neighbours(tasks::nearest_neighbours(view_of(rows), view_of(queries), 5, false, {distance}),
                            by_double_loop(rows, queries, 5, false, distance)));
      }
}

TEST_CASE("neighbours where there are few points") {
  for (const std::int64_t n : {1, 2, 3, 16, 17, 127, 128, 129, 513}) {
    CAPTURE(n);
    const auto rows = rows_like("normal", n, 40, 4);
    for (const std::int64_t k : {1, 20, 1000}) {
      const auto found = tasks::nearest_neighbours(view_of(rows), k);
      CHECK(found.k == (std::min)(k, n - 1));
      CHECK(same_neighbours(found, by_double_loop(rows, rows, k, true, Distance::euclidean)));
    }
  }
  const Tensor<float> none({0, 4});
  CHECK(tasks::nearest_neighbours(view_of(none), 3).indices.empty());
  CHECK(tasks::nearest_neighbours(view_of(none), view_of(rows_like("normal", 2, 4, 1)), 3, false).k == 0);
}

TEST_CASE("neighbours have the same bits at any thread count and kernel level") {
  const auto rows = rows_like("low rank", 900, 96, 6);
  const int before = thread_count();
  set_thread_count(1);
  const auto one = tasks::nearest_neighbours(view_of(rows), 15);
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    CHECK(same_neighbours(one, tasks::nearest_neighbours(view_of(rows), 15)));
  }
  set_thread_count(before);
  for_each_level(
      [&](CpuKernels) { CHECK(same_neighbours(one, tasks::nearest_neighbours(view_of(rows), 15))); });
}

TEST_CASE("principal components are orthonormal and hold the variance") {
  const auto rows = rows_like("low rank", 400, 30, 7);
  const auto pc = tasks::principal_components(view_of(rows), {.components = 10});
  REQUIRE(pc.count() == 10);
  for (std::int64_t a = 0; a < 10; ++a)
    for (std::int64_t b = 0; b <= a; ++b) {
      double dot = 0;
      for (std::int64_t j = 0; j < 30; ++j) dot += pc.loadings(a, j) * pc.loadings(b, j);
      CHECK(agrees(dot, a == b ? 1.0 : 0.0, 1e-12));  // 30 products of numbers below 1
    }
  double held = 0;
  for (int k = 0; k < 6; ++k) held += pc.variances[static_cast<std::size_t>(k)];
  CHECK(held > 0.99 * pc.total_variance);
  const auto scores = tasks::component_scores(pc, view_of(rows));
  for (std::int64_t k = 0; k < 6; ++k) {
    double mean = 0, square = 0;
    for (std::int64_t i = 0; i < 400; ++i) mean += static_cast<double>(scores(i, k)) / 400;
    for (std::int64_t i = 0; i < 400; ++i)
      square += (static_cast<double>(scores(i, k)) - mean) * (static_cast<double>(scores(i, k)) - mean) / 399;
    CHECK(square == doctest::Approx(pc.variances[static_cast<std::size_t>(k)]).epsilon(1e-5));
  }
  CHECK(tasks::principal_components(view_of(rows_like("one place", 20, 5, 1)), {}).count() == 0);
  CHECK(refusal_code([&] { tasks::principal_components(view_of(rows), {.components = 0}); }) == "STOFM-4708");
}

TEST_CASE("neighbours refuse what they can not measure") {
  auto rows = rows_like("normal", 20, 4, 1);
  const auto wide = rows_like("normal", 20, 5, 1);
  CHECK(refusal_code([&] { tasks::nearest_neighbours(view_of(rows), 0); }) == "STOFM-4706");
  CHECK(refusal_code([&] { tasks::nearest_neighbours(view_of(rows), view_of(wide), 3, false); }) ==
        "STOFM-4713");
  rows(3, 3) = std::numeric_limits<float>::infinity();
  CHECK(refusal_code([&] { tasks::nearest_neighbours(view_of(rows), 3); }) == "STOFM-4703");
}

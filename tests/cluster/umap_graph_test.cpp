// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "stofm/cluster/umap_graph.hpp"
#include "tests/cluster/point_sets.hpp"

using namespace stofm;

namespace {
/// Dense W + W^T - W o W^T in double; sigma by bisection to the last bit.
std::map<std::pair<std::int64_t, std::int64_t>, double> by_definition(const Tensor<double>& z,
                                                                      std::int64_t neighbours) {
  const auto near = cluster::nearest_neighbours_2d(z.view(), neighbours - 1);
  std::map<std::pair<std::int64_t, std::int64_t>, double> w, a;
  for (std::int64_t i = 0; i < near.points; ++i) {
    std::vector<double> d;
    double rho = 0, mean = 0;
    for (std::int64_t j = 0; j < near.k; ++j) {
      d.push_back(std::sqrt(near.squared_distances[static_cast<std::size_t>(i * near.k + j)]));
      if (rho == 0) rho = d.back();
      mean += d.back() / static_cast<double>(neighbours);
    }
    auto sum = [&](double sigma) {
      double s = 0;
      for (const double x : d) s += x <= rho ? 1.0 : std::exp(-(x - rho) / sigma);
      return s;
    };
    double low = 0, high = 1e12;
    for (int step = 0; step < 200; ++step)
      (sum((low + high) / 2) > std::log2(static_cast<double>(neighbours)) ? high : low) = (low + high) / 2;
    const double sigma = std::max(low, 1e-3 * mean);
    for (std::size_t j = 0; j < d.size(); ++j)
      w[{i, near.indices[static_cast<std::size_t>(i * near.k) + j]}] =
          d[j] <= rho ? 1.0 : std::exp(-(d[j] - rho) / sigma);
  }
  for (const auto& [pair, value] : w) {
    const auto other = w.find({pair.second, pair.first});
    const double back = other == w.end() ? 0 : other->second;
    a[pair] = a[{pair.second, pair.first}] = value + back - value * back;
  }
  return a;
}
}  // namespace

TEST_CASE("weights are the fuzzy union by definition, symmetric and without loops (D03 D22 D23 D26)") {
  for (const std::string& kind : test::point_set_names())
    for (const std::int64_t n : {2, 3, 5, 9, 10, 11, 200}) {
      const auto z = test::point_set(kind, n, 3);
      const auto graph = cluster::umap_graph_2d(z.view());
      const auto expected = by_definition(z, n < 10 ? 1 + n / 2 : 10);
      CAPTURE(kind);
      CAPTURE(n);
      double worst = 0;
      std::int64_t listed = 0;
      for (std::int64_t i = 0; i < n; ++i)
        for (auto e = graph.row_offsets[static_cast<std::size_t>(i)];
             e < graph.row_offsets[static_cast<std::size_t>(i) + 1]; ++e) {
          const std::int64_t j = graph.columns[static_cast<std::size_t>(e)];
          CHECK(i != j);
          const auto found = expected.find({i, j});
          REQUIRE(found != expected.end());
          worst = std::max(worst, std::abs(found->second -
                                           static_cast<double>(graph.weights[static_cast<std::size_t>(e)])));
          ++listed;
        }
      std::int64_t positive = 0;
      for (const auto& [pair, value] : expected) positive += value > 1e-40;
      CHECK(listed >= positive);
      // The bisection stops once the row sum is within 1e-5; with one far neighbour that is up to 3e-5 in a
      // weight.
      CHECK(worst < 4e-5);
    }
}

TEST_CASE("one point or none has no edges; options out of range are refused (D02)") {
  CHECK(cluster::umap_graph_2d(Tensor<double>::zeros({1, 2}).view()).entries() == 0);
  CHECK(cluster::umap_graph_2d(Tensor<double>::zeros({0, 2}).view()).nodes == 0);
  CHECK_THROWS_AS(cluster::umap_graph_2d(Tensor<double>::zeros({3, 2}).view(), {.n_neighbors = 1}),
                  UsageError);
}

TEST_CASE("100,000 points at one place still make a graph in a moment (D22 D32)") {
  const auto graph = cluster::umap_graph_2d(Tensor<double>::zeros({100000, 2}).view());
  CHECK(graph.entries() > 0);
  CHECK(graph.weights[0] == 1.0F);
}

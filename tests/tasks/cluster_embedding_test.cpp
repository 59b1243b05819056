// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <atomic>
#include <set>

#include "stofm/core/random.hpp"
#include "stofm/tasks/cluster_embedding.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;
using tasks::ClusterMethod;

namespace {
TensorView<const float> view_of(const Tensor<float>& rows) { return rows.view(); }

struct Cells {
  Tensor<float> rows;
  std::vector<std::int32_t> type, slice;
};
/// `n` cells of `types` kinds of falling size in `slices` slices, each slice with a scale and shift of its
/// own.
Cells cells_of(std::int64_t n, std::int64_t width, std::int64_t types, std::int64_t slices, double spread) {
  Random random(12);
  std::vector<double> places(static_cast<std::size_t>(types * width)),
      shift(static_cast<std::size_t>(slices * width));
  for (double& p : places) p = spread * random.normal();
  for (double& s : shift) s = 20 * random.normal();
  Cells cells{Tensor<float>({n, width}), {}, {}};
  for (std::int64_t i = 0; i < n; ++i) {
    const double draw = random.uniform();
    const auto type = static_cast<std::int64_t>(draw * std::sqrt(draw) * static_cast<double>(types));
    const std::int64_t slice = i % slices;
    cells.type.push_back(static_cast<std::int32_t>(type));
    cells.slice.push_back(static_cast<std::int32_t>(slice));
    for (std::int64_t j = 0; j < width; ++j)
      cells.rows.data()[i * width + j] =
          static_cast<float>(static_cast<double>(slice + 1) *
                                 (places[static_cast<std::size_t>(type * width + j)] + random.normal()) +
                             shift[static_cast<std::size_t>(slice * width + j)]);
  }
  return cells;
}

bool numbered_by_size(const std::vector<std::int32_t>& labels, std::int64_t clusters) {
  std::vector<std::int64_t> size(static_cast<std::size_t>(clusters), 0);
  for (const std::int32_t label : labels) ++size.at(static_cast<std::size_t>(label));
  return std::is_sorted(size.rbegin(), size.rend()) && size.back() > 0;
}

constexpr ClusterMethod all_methods[] = {ClusterMethod::leiden, ClusterMethod::kmeans,
                                         ClusterMethod::mini_batch_kmeans, ClusterMethod::gaussian_mixture};
}  // namespace

TEST_CASE("labels are numbered by size, ties by first cell") {
  std::vector<std::int32_t> labels{7, 2, 2, 9, 9, 0, 2};
  CHECK(cluster::number_by_size(labels) == std::vector<std::int64_t>{3, 2, 1, 1});
  CHECK(labels == std::vector<std::int32_t>{2, 0, 0, 1, 1, 3, 0});
  std::vector<std::int32_t> none;
  CHECK(cluster::number_by_size(none).empty());
}

TEST_CASE("mixtures and k-means end where scikit-learn's do") {
  const auto fixture = task_fixture("mixtures.json");
  const auto values = fixture.at("rows").get<std::vector<float>>();
  const std::int64_t width = fixture.at("width"), n = static_cast<std::int64_t>(values.size()) / width;
  const auto rows = Tensor<float>::from({n, width}, values);
  const auto start = labels_of(fixture.at("start"));
  const auto means = tasks::kmeans(view_of(rows), {.clusters = 3});
  // Distances are float: 2^-24 of sums of 3 terms.
  CHECK(means.inertia == doctest::Approx(fixture.at("inertia").get<double>()).epsilon(1e-5));
  CHECK(tasks::clustering_scores(start, means.labels).adjusted_rand == 1.0);
  REQUIRE(fixture.at("cases").size() == 3);
  for (const auto& c : fixture.at("cases")) {
    const std::string kind = c.at("covariance");
    CAPTURE(kind);
    tasks::GaussianMixtureOptions options;
    options.components = 3;
    options.covariance = kind == "full"   ? tasks::Covariance::full
                         : kind == "tied" ? tasks::Covariance::tied
                                          : tasks::Covariance::diagonal;
    options.tolerance = 1e-13;
    options.max_iterations = 5000;
    const auto found = tasks::gaussian_mixture_from(view_of(rows), start, options);
    CHECK(found.converged);
    CHECK(found.clusters == 3);
    CHECK(numbered_by_size(found.labels, 3));
    CHECK(agrees(found.log_likelihood, c.at("log_likelihood"), 1e-8));
    CHECK(tasks::clustering_scores(labels_of(c.at("labels")), found.labels).adjusted_rand == 1.0);
    auto weights = found.weights;
    std::sort(weights.begin(), weights.end());
    for (std::size_t k = 0; k < 3; ++k) CHECK(agrees(weights[k], c.at("weights")[k], 1e-5));
    for (std::int64_t i = 0; i < n; ++i) {
      std::vector<double> row(found.probabilities.data() + 3 * i, found.probabilities.data() + 3 * i + 3);
      CHECK(row[static_cast<std::size_t>(found.labels[static_cast<std::size_t>(i)])] ==
            *std::max_element(row.begin(), row.end()));
      std::sort(row.begin(), row.end());
      for (std::size_t k = 0; k < 3; ++k)
        CHECK(agrees(row[k], c.at("probabilities")[static_cast<std::size_t>(3 * i) + k], 1e-4));
    }
  }
}

TEST_CASE("k-means ends with every cell at its nearest centre and centres at means") {
  const auto cells = cells_of(400, 5, 6, 1, 1.0);
  const auto found = tasks::kmeans(view_of(cells.rows), {.clusters = 6, .restarts = 3, .seed = 2});
  CHECK(numbered_by_size(found.labels, 6));
  std::vector<double> sums(30, 0.0), counts(6, 0.0);
  for (std::int64_t i = 0; i < 400; ++i) {
    const auto own = static_cast<std::size_t>(found.labels[static_cast<std::size_t>(i)]);
    counts[own] += 1;
    std::vector<double> to;
    for (std::int64_t c = 0; c < 6; ++c)
      to.push_back(
          tasks::detail::square_distance(cells.rows.data() + 5 * i, found.centres.data() + 5 * c, 5));
    CHECK(to[own] <= *std::min_element(to.begin(), to.end()) * (1 + 1e-5));
    for (std::size_t j = 0; j < 5; ++j)
      sums[5 * own + j] += static_cast<double>(cells.rows.data()[5 * i + static_cast<std::int64_t>(j)]);
  }
  for (std::size_t e = 0; e < 30; ++e)
    CHECK(agrees(sums[e] / counts[e / 5], static_cast<double>(found.centres.data()[e]), 1e-5));
  const auto one = tasks::kmeans(view_of(cells.rows), {.clusters = 6, .restarts = 1, .seed = 2});
  CHECK(found.inertia <= one.inertia);
}

TEST_CASE("scaling by slice leaves mean 0 and deviation 1 in each") {
  auto cells = cells_of(300, 4, 3, 3, 1.0);
  for (std::int64_t i = 0; i < 300; i += 3) cells.rows(i, 2) = 7.5F;  // constant in the first slice
  const auto scaled = tasks::standardised_by_slice(view_of(cells.rows), cells.slice);
  for (std::int64_t s = 0; s < 3; ++s)
    for (std::int64_t j = 0; j < 4; ++j) {
      double mean = 0, square = 0;
      for (std::int64_t i = s; i < 300; i += 3) {
        mean += static_cast<double>(scaled(i, j)) / 100;
        square += static_cast<double>(scaled(i, j)) * static_cast<double>(scaled(i, j)) / 100;
      }
      CHECK(agrees(mean, 0.0, 1e-6));  // rounding to float
      CHECK(agrees(square, s == 0 && j == 2 ? 0.0 : 1.0, 1e-6));
    }
}

TEST_CASE("Leiden meets every number of clusters, by a resolution or by merging") {
  const auto cells = cells_of(500, 8, 5, 1, 1.5);
  const auto graph = tasks::embedding_graph(tasks::nearest_neighbours(view_of(cells.rows), 14));
  for (const std::int64_t k : {1, 2, 3, 5, 8, 13, 40, 499, 500}) {
    CAPTURE(k);
    const auto found = tasks::leiden_clusters(graph, {.clusters = k});
    CHECK(numbered_by_size(found.labels, k));
    CHECK(found.modularity == cluster::modularity(graph, found.labels, found.resolution));
    CHECK(found.runs <= 60);
  }
  CHECK(refusal_code([&] { tasks::leiden_clusters(graph, {.clusters = 501}); }) == "STOFM-4720");
  CHECK(refusal_code([&] { tasks::leiden_clusters(graph, {.clusters = 0}); }) == "STOFM-4722");
  // Five islands can not be fewer by any resolution; a graph without edges neither.
  const auto apart = cells_of(200, 8, 5, 1, 50.0);
  const auto islands = tasks::embedding_graph(tasks::nearest_neighbours(view_of(apart.rows), 5));
  const auto merged = tasks::leiden_clusters(islands, {.clusters = 2});
  CHECK(numbered_by_size(merged.labels, 2));
  CHECK(merged.merged >= 3);
  cluster::WeightedGraph empty;
  empty.nodes = 6;
  empty.row_offsets.assign(7, 0);
  CHECK(numbered_by_size(tasks::leiden_clusters(empty, {.clusters = 4}).labels, 4));
}

TEST_CASE("merging joins the smallest cluster to the one it gains most with") {
  // 0-1-2 | 3-4 | 5: 5 hangs on 3, weakly on 0.
  cluster::WeightedGraph graph;
  graph.nodes = 6;
  graph.row_offsets = {0, 3, 5, 7, 9, 10, 12};
  graph.columns = {1, 2, 5, 0, 2, 0, 1, 4, 5, 3, 0, 3};
  graph.weights = {1, 1, 0.1F, 1, 1, 1, 1, 1, 0.5F, 1, 0.1F, 0.5F};
  std::vector<std::int32_t> labels{0, 0, 0, 1, 1, 2};
  tasks::merge_smallest_clusters(graph, labels, 2, 0.1);
  CHECK(labels == std::vector<std::int32_t>{0, 0, 0, 1, 1, 1});
  tasks::merge_smallest_clusters(graph, labels, 1, 0.1);
  CHECK(labels == std::vector<std::int32_t>(6, 0));
}

TEST_CASE("every method finds the types of cells across slices") {
  const auto cells = cells_of(600, 12, 5, 3, 2.0);
  for (const auto method : all_methods) {
    CAPTURE(static_cast<int>(method));
    tasks::ClusterOptions options;
    options.method = method;
    options.clusters = 5;
    const auto found = tasks::cluster_embedding(view_of(cells.rows), cells.slice, options);
    CHECK(found.clusters() == 5);
    CHECK(numbered_by_size(found.labels, 5));
    // Types lie 2 sqrt(24) = 10 deviations apart: next to no cell is in doubt. Without the scaling slices are
    // found instead.
    CHECK(tasks::clustering_scores(cells.type, found.labels).adjusted_rand > 0.95);
    CHECK(std::isnan(found.resolution) == (method != ClusterMethod::leiden));
    options.standardise = false;
    const auto raw = tasks::cluster_embedding(view_of(cells.rows), cells.slice, options);
    CHECK(tasks::clustering_scores(cells.type, raw.labels).adjusted_rand < 0.5);
    options.standardise = true;
    options.components = 4;
    const auto reduced = tasks::cluster_embedding(view_of(cells.rows), cells.slice, options);
    CHECK(tasks::clustering_scores(cells.type, reduced.labels).adjusted_rand > 0.95);
  }
  tasks::ClusterOptions by_resolution;
  by_resolution.resolution = 0.5;
  const auto found = tasks::cluster_embedding(view_of(cells.rows), cells.slice, by_resolution);
  CHECK(found.resolution == 0.5);
  CHECK(found.clusters() >= 5);
}

TEST_CASE("clusters have the same bits at any thread count") {
  const auto cells = cells_of(900, 10, 4, 2, 1.0);
  const int before = thread_count();
  for (const auto method : all_methods) {
    tasks::ClusterOptions options;
    options.method = method;
    options.clusters = 6;
    options.components = 5;
    set_thread_count(1);
    const auto one = tasks::cluster_embedding(view_of(cells.rows), cells.slice, options);
    for (const int threads : {2, 5}) {
      set_thread_count(threads);
      const auto other = tasks::cluster_embedding(view_of(cells.rows), cells.slice, options);
      CHECK(one.labels == other.labels);
      if (method == ClusterMethod::leiden) CHECK(one.modularity == other.modularity);
      if (method == ClusterMethod::gaussian_mixture)
        CHECK(std::equal(one.probabilities.span().begin(), one.probabilities.span().end(),
                         other.probabilities.span().begin()));
    }
  }
  set_thread_count(before);
}

TEST_CASE("stability suggests the number of types") {
  const auto cells = cells_of(400, 10, 4, 2, 2.0);
  tasks::ClusterOptions options;
  options.method = ClusterMethod::kmeans;
  options.restarts = 5;
  const auto found = tasks::cluster_stability(view_of(cells.rows), cells.slice, options,
                                              {.smallest = 2, .largest = 7, .pairs = 4});
  CHECK(found.clusters == std::vector<std::int64_t>{2, 3, 4, 5, 6, 7});
  CHECK(found.stability[2] > 0.98);
  CHECK(found.stability[4] < 0.95);
  CHECK(found.suggested <= 4);
}

TEST_CASE("clustering refuses what it can not do") {
  auto cells = cells_of(30, 4, 3, 1, 1.0);
  const auto code = [&](const tasks::ClusterOptions& options, std::span<const std::int32_t> slices = {}) {
    return refusal_code([&] { tasks::cluster_embedding(view_of(cells.rows), slices, options); });
  };
  CHECK(code({.method = ClusterMethod::kmeans, .clusters = 0}) == "STOFM-4722");
  CHECK(code({.clusters = -1}) == "STOFM-4722");
  CHECK(code({.clusters = 3, .neighbours = 1}) == "STOFM-4722");
  CHECK(code({.clusters = 31}) == "STOFM-4720");
  CHECK(code({.clusters = 3}, std::vector<std::int32_t>{0, 1}) == "STOFM-4700");
  CHECK(code({.clusters = 3}, std::vector<std::int32_t>(30, -1)) == "STOFM-4702");
  const Tensor<float> none({0, 4});
  CHECK(refusal_code([&] { tasks::cluster_embedding(view_of(none), {}, {.clusters = 3}); }) == "STOFM-4701");
  const Tensor<float> equal = Tensor<float>::full({30, 4}, 1.0F);
  for (const auto method :
       {ClusterMethod::kmeans, ClusterMethod::mini_batch_kmeans, ClusterMethod::gaussian_mixture})
    CHECK(refusal_code([&] {
            tasks::cluster_embedding(view_of(equal), {}, {.method = method, .clusters = 3});
          }) == "STOFM-4720");
  CHECK(tasks::cluster_embedding(view_of(equal), {}, {.clusters = 3}).clusters() == 3);
  cells.rows(2, 1) = std::numeric_limits<float>::quiet_NaN();
  CHECK(code({.clusters = 3}) == "STOFM-4703");
  CHECK(refusal_code([&] {
          tasks::gaussian_mixture_from(view_of(equal), std::vector<std::int32_t>(30, 0),
                                       {.components = 1, .regularisation = 0});
        }) == "STOFM-4721");
}

TEST_CASE("what the stop check throws ends a clustering, wherever it is") {
  const auto cells = cells_of(600, 12, 5, 3, 2.0);
  for (const auto method : {ClusterMethod::leiden, ClusterMethod::kmeans, ClusterMethod::gaussian_mixture}) {
    CAPTURE(static_cast<int>(method));
    tasks::ClusterOptions options;
    options.method = method;
    options.clusters = 5;
    options.restarts = 2;
    const auto expected = tasks::cluster_embedding(view_of(cells.rows), cells.slice, options).labels;
    std::atomic<int> asked{0};
    options.stop = StopCheck([&] { ++asked; });
    CHECK(tasks::cluster_embedding(view_of(cells.rows), cells.slice, options).labels == expected);
    // Leiden: 5 tiles of 128 queries look at the nearest block at least; the others once an iteration.
    CHECK(asked >= (method == ClusterMethod::leiden ? 5 : 2));
    for (int last = 1; last <= asked; ++last) {
      std::atomic<int> left{last};
      options.stop = StopCheck([&] {
        if (--left == 0) throw last;
      });
      CHECK_THROWS_AS(tasks::cluster_embedding(view_of(cells.rows), cells.slice, options), int);
    }
  }
}

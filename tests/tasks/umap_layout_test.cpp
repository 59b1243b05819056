// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/tasks/embedding_graph.hpp"
#include "stofm/tasks/layout_quality.hpp"
#include "stofm/tasks/umap_layout.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
TensorView<const float> view_of(const Tensor<float>& rows) { return rows.view(); }

/// Twelve groups in 20 dimensions, each a bent line: two components can not show them apart.
Tensor<float> groups_in_space(std::int64_t n) {
  Random random(6);
  constexpr std::int64_t width = 20, groups = 12;
  std::vector<double> places(groups * width), along(groups * width), bend(groups * width);
  for (auto* list : {&places, &along, &bend})
    for (double& v : *list) v = random.normal();
  Tensor<float> rows({n, width});
  for (std::int64_t i = 0; i < n; ++i) {
    const auto g = static_cast<std::int64_t>(random.below(groups));
    const double t = 2 * random.uniform() - 1;
    for (std::int64_t j = 0; j < width; ++j) {
      const auto e = static_cast<std::size_t>(g * width + j);
      rows.data()[i * width + j] =
          static_cast<float>(3 * places[e] + 2 * t * along[e] + 2 * t * t * bend[e] + 0.3 * random.normal());
    }
  }
  return rows;
}
}  // namespace

TEST_CASE("the curve is the one umap-learn fits") {
  // scipy.optimize.curve_fit on umap-learn's points, tolerances 1e-15.
  const struct {
    double spread, min_dist, a, b;
  } cases[] = {{1, 0.1, 1.5769436134456798, 0.8950607194372566},
               {1, 0.5, 0.5830298055312382, 1.3341673830015464},
               {1, 0.001, 1.9290740616041113, 0.7915042336618413},
               {2, 0.3, 0.3794946768714025, 0.9488152533309383},
               {1, 0.0, 1.9328090880855, 0.7904946611253174}};
  for (const auto& c : cases) {
    const auto curve = tasks::umap_curve(c.min_dist, c.spread);
    CHECK(curve.a == doctest::Approx(c.a).epsilon(1e-6));
    CHECK(curve.b == doctest::Approx(c.b).epsilon(1e-6));
  }
  CHECK(refusal_code([] { tasks::umap_curve(1.5, 1.0); }) == "STOFM-4715");
  CHECK(refusal_code([] { tasks::umap_curve(-0.1, 1.0); }) == "STOFM-4715");
  CHECK(refusal_code([] { tasks::umap_curve(0.0, 0.0); }) == "STOFM-4715");
}

TEST_CASE("trustworthiness is that of scikit-learn") {
  const auto cases = task_fixture("metrics.json").at("layout");
  REQUIRE(cases.size() == 6);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const auto values = c.at("rows").get<std::vector<float>>(),
               plane = c.at("layout").get<std::vector<float>>();
    const std::int64_t wide = c.at("width"), flat = c.at("layout_width"), n = 70;
    const auto rows = Tensor<float>::from({n, wide}, values), layout = Tensor<float>::from({n, flat}, plane);
    const auto found = tasks::layout_quality(view_of(rows), view_of(layout), c.at("k"));
    CHECK(agrees(found.trustworthiness, c.at("trustworthiness"), 1e-9));
    CHECK((found.preservation == 1.0) == (flat == wide));
    CHECK(refusal_code([&] { tasks::layout_quality(view_of(rows), view_of(layout), 35); }) == "STOFM-4706");
  }
}

TEST_CASE("the layout keeps neighbours that principal components lose") {
  const auto rows = groups_in_space(900);
  const auto graph = tasks::embedding_graph(tasks::nearest_neighbours(view_of(rows), 14));
  const auto start = tasks::layout_start(view_of(rows), 0);
  const auto layout = tasks::umap_layout(graph, view_of(start));
  const auto before = tasks::layout_quality(view_of(rows), view_of(start)),
             after = tasks::layout_quality(view_of(rows), view_of(layout));
  MESSAGE("trustworthiness " << before.trustworthiness << " -> " << after.trustworthiness << ", preservation "
                             << before.preservation << " -> " << after.preservation);
  CHECK(after.trustworthiness > before.trustworthiness);
  CHECK(after.trustworthiness > 0.97);
  CHECK(after.preservation > 1.5 * before.preservation);
  double mean[2] = {0, 0};
  for (std::int64_t e = 0; e < layout.numel(); ++e) {
    CHECK(std::isfinite(layout.data()[e]));
    mean[e % 2] += static_cast<double>(layout.data()[e]) / 900;
  }
  CHECK(std::abs(mean[0]) < 1e-5);  // rounding to float of numbers around 10
  CHECK(std::abs(mean[1]) < 1e-5);
}

TEST_CASE("the layout has the same bits at any thread count, others for another seed") {
  const auto rows = groups_in_space(2500);
  const auto graph = tasks::embedding_graph(tasks::nearest_neighbours(view_of(rows), 10));
  const auto start = tasks::layout_start(view_of(rows), 0);
  const int before = thread_count();
  set_thread_count(1);
  const auto one = tasks::umap_layout(graph, view_of(start), {.epochs = 20});
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    const auto other = tasks::umap_layout(graph, view_of(start), {.epochs = 20});
    CHECK(std::equal(one.span().begin(), one.span().end(), other.span().begin()));
  }
  const auto another = tasks::umap_layout(graph, view_of(start), {.epochs = 20, .seed = 1});
  CHECK_FALSE(std::equal(one.span().begin(), one.span().end(), another.span().begin()));
  set_thread_count(before);
}

TEST_CASE("layouts of few, equal or unconnected points") {
  for (const std::int64_t n : {1, 2, 7, 9, 40}) {
    const Tensor<float> equal = Tensor<float>::full({n, 3}, 2.0F);
    const auto graph = tasks::embedding_graph(tasks::nearest_neighbours(view_of(equal), 5));
    const auto start = tasks::layout_start(view_of(equal), 0);
    const auto layout = tasks::umap_layout(graph, view_of(start), {.epochs = 30});
    CHECK(layout.dim(0) == n);
    for (const float v : layout.span()) CHECK(std::isfinite(v));
  }
  cluster::WeightedGraph apart;
  apart.nodes = 3;
  apart.row_offsets.assign(4, 0);
  const Tensor<float> start = Tensor<float>::from({3, 2}, {0, 0, 3, 0, 0, 3});
  const auto layout = tasks::umap_layout(apart, view_of(start));
  CHECK(layout(1, 0) - layout(0, 0) == 3.0F);
  CHECK(refusal_code([&] { tasks::umap_layout(apart, view_of(start.slice(0, 0, 2))); }) == "STOFM-4700");
  CHECK(refusal_code([&] { tasks::umap_layout(apart, view_of(start), {.epochs = -1}); }) == "STOFM-4715");
  CHECK(refusal_code([&] { tasks::umap_layout(apart, view_of(start), {.learning_rate = 0}); }) ==
        "STOFM-4715");
}

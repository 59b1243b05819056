// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <numeric>
#include <utility>

#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/clustering_metrics.hpp"
#include "stofm/tasks/regression_metrics.hpp"
#include "stofm/tasks/silhouette.hpp"
#include "stofm/tasks/spatial_coherence.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
constexpr double tolerance = 1e-9;
const double missing_value = std::numeric_limits<double>::quiet_NaN();

Tensor<double> matrix_of(const nlohmann::json& list, std::int64_t width) {
  const auto values = numbers_of(list);
  return Tensor<double>::from({static_cast<std::int64_t>(values.size()) / width, width}, values);
}
}  // namespace

TEST_CASE("classification figures are those of scikit-learn") {
  const auto cases = task_fixture("metrics.json").at("classification");
  REQUIRE(cases.size() == 10);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const auto truth = labels_of(c.at("truth")), predicted = labels_of(c.at("predicted"));
    const auto matrix = tasks::confusion_matrix(truth, predicted, c.at("classes"));
    CHECK(matrix.counts == c.at("confusion").get<std::vector<std::int64_t>>());
    const auto scores = tasks::classification_scores(matrix);
    CHECK(scores.cells == static_cast<std::int64_t>(truth.size()));
    CHECK(agrees(scores.accuracy, c.at("accuracy"), tolerance));
    CHECK(agrees(scores.balanced_accuracy, c.at("balanced_accuracy"), tolerance));
    CHECK(agrees(scores.macro_precision, c.at("macro_precision"), tolerance));
    CHECK(agrees(scores.macro_recall, c.at("macro_recall"), tolerance));
    CHECK(agrees(scores.macro_f1, c.at("macro_f1"), tolerance));
    CHECK(agrees(scores.weighted_f1, c.at("weighted_f1"), tolerance));
    REQUIRE(scores.by_class.size() == c.at("f1").size());
    for (std::size_t k = 0; k < scores.by_class.size(); ++k) {
      CHECK(agrees(scores.by_class[k].precision, c.at("precision")[k], tolerance));
      CHECK(agrees(scores.by_class[k].recall, c.at("recall")[k], tolerance));
      CHECK(agrees(scores.by_class[k].f1, c.at("f1")[k], tolerance));
      CHECK(scores.by_class[k].support == c.at("support")[k].get<std::int64_t>());
    }
  }
}

TEST_CASE("clustering figures are those of scikit-learn") {
  const auto cases = task_fixture("metrics.json").at("clustering");
  REQUIRE(cases.size() == 12);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const auto scores = tasks::clustering_scores(labels_of(c.at("truth")), labels_of(c.at("found")));
    CHECK(agrees(scores.adjusted_rand, c.at("adjusted_rand"), tolerance));
    CHECK(agrees(scores.normalized_mutual_information, c.at("normalized_mutual_information"), tolerance));
    CHECK(agrees(scores.homogeneity, c.at("homogeneity"), tolerance));
    CHECK(agrees(scores.completeness, c.at("completeness"), tolerance));
    CHECK(agrees(scores.v_measure, c.at("v_measure"), tolerance));
  }
}

TEST_CASE("silhouettes are those of scikit-learn") {
  const auto cases = task_fixture("metrics.json").at("silhouette");
  REQUIRE(cases.size() == 5);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const auto rows = matrix_of(c.at("rows"), c.at("width"));
    tasks::SilhouetteOptions options;
    if (c.at("metric") == "cosine") options.distance = tasks::Distance::cosine;
    const auto labels = labels_of(c.at("labels"));
    const auto found = tasks::silhouette(rows.view(), labels, options);
    CHECK(agrees(found.mean, c.at("mean"), tolerance));
    const auto values = numbers_of(c.at("values"));
    REQUIRE(found.values.size() == values.size());
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(agrees(found.values[i], values[i], tolerance));

    options.sample = 20;
    options.seed = 5;
    const auto sampled = tasks::silhouette(rows.view(), labels, options);
    CHECK(sampled.cells.size() == (std::min<std::size_t>)(20, labels.size()));
    for (std::size_t s = 0; s < sampled.cells.size(); ++s) {
      if (s > 0) CHECK(sampled.cells[s] > sampled.cells[s - 1]);
      CHECK(sampled.values[s] == found.values[static_cast<std::size_t>(sampled.cells[s])]);
    }
  }
}

TEST_CASE("spatial coherence is its definition") {
  const auto cases = task_fixture("metrics.json").at("spatial");
  REQUIRE(cases.size() == 3);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const auto xy = matrix_of(c.at("xy"), 2);
    const auto found = tasks::spatial_coherence(xy.view(), labels_of(c.at("labels")), c.at("k"));
    CHECK(agrees(found.mean, c.at("mean"), tolerance));
    const auto by_label = numbers_of(c.at("by_label"));
    REQUIRE(found.by_label.size() == by_label.size());
    for (std::size_t i = 0; i < by_label.size(); ++i)
      CHECK(agrees(found.by_label[i], by_label[i], tolerance));
  }
  // Ten cells of each of two labels: by chance 9 of the 19 others.
  Random random(3);
  Tensor<double> xy({20, 2});
  std::vector<std::int32_t> labels(20);
  for (std::int64_t i = 0; i < 40; ++i) xy.data()[i] = random.uniform();
  for (std::size_t i = 0; i < 20; ++i) labels[i] = static_cast<std::int32_t>(i % 2);
  const auto found = tasks::spatial_coherence(std::as_const(xy).view(), labels, 500);
  CHECK(found.k == 19);
  CHECK(found.by_chance == doctest::Approx(9.0 / 19.0).epsilon(1e-14));
  CHECK(found.mean == doctest::Approx(found.by_chance).epsilon(1e-14));  // all others are neighbours
}

TEST_CASE("regression figures are those of SciPy") {
  const auto cases = task_fixture("metrics.json").at("regression");
  REQUIRE(cases.size() == 11);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const auto truth = numbers_of(c.at("truth")), predicted = numbers_of(c.at("predicted"));
    CHECK(agrees(tasks::pearson(truth, predicted), number_of(c.at("pearson")), tolerance));
    CHECK(agrees(tasks::spearman(truth, predicted), number_of(c.at("spearman")), tolerance));
    CHECK(agrees(tasks::root_mean_squared_error(truth, predicted), number_of(c.at("rmse")), tolerance));
    const double js = number_of(c.at("jensen_shannon")), nats = number_of(c.at("jensen_shannon_nats"));
    // A root turns rounding of 1e-16 in the divergence into 1e-8 where it is 0.
    const double near_zero = js < 1e-7 ? 1e-7 : tolerance;
    CHECK(agrees(std::sqrt(std::log(2.0)) * js, nats, near_zero));
    const auto count = static_cast<std::int64_t>(truth.size());
    const auto columns =
        tasks::column_scores(matrix_view(truth.data(), count, 1), matrix_view(predicted.data(), count, 1));
    REQUIRE(columns.size() == 1);
    CHECK(agrees(columns[0].jensen_shannon, js, near_zero));
    CHECK(agrees(columns[0].pearson, number_of(c.at("pearson")), tolerance));
    CHECK(agrees(columns[0].spearman, number_of(c.at("spearman")), tolerance));
    CHECK(agrees(columns[0].rmse, number_of(c.at("rmse")), tolerance));
    if (!std::isnan(js)) CHECK(agrees(tasks::jensen_shannon(truth, predicted), js, near_zero));
  }
}

TEST_CASE("metrics refuse what they can not measure") {
  const std::vector<std::int32_t> none, two{0, 1}, three{0, 1, 2}, unlabelled{0, -1};
  CHECK(refusal_code([&] { tasks::confusion_matrix(two, three, 3); }) == "STOFM-4700");
  CHECK(refusal_code([&] { tasks::confusion_matrix(none, none, 3); }) == "STOFM-4701");
  CHECK(refusal_code([&] { tasks::confusion_matrix(two, unlabelled, 3); }) == "STOFM-4702");
  CHECK(refusal_code([&] { tasks::confusion_matrix(three, three, 2); }) == "STOFM-4702");
  CHECK(refusal_code([&] { tasks::confusion_matrix(three, three, -1); }) == "STOFM-4702");
  CHECK(refusal_code([&] { tasks::classification_scores(tasks::ConfusionMatrix{}); }) == "STOFM-4701");
  CHECK(refusal_code([&] { tasks::clustering_scores(two, three); }) == "STOFM-4700");
  CHECK(refusal_code([&] { tasks::clustering_scores(none, none); }) == "STOFM-4701");
  CHECK(refusal_code([&] { tasks::clustering_scores(unlabelled, two); }) == "STOFM-4702");

  const std::vector<double> numbers{1, 2}, more{1, 2, 3}, missing{1, missing_value}, nothing, negative{1, -1};
  CHECK(refusal_code([&] { tasks::pearson(numbers, more); }) == "STOFM-4700");
  CHECK(refusal_code([&] { tasks::spearman(nothing, nothing); }) == "STOFM-4701");
  CHECK(refusal_code([&] { tasks::root_mean_squared_error(numbers, missing); }) == "STOFM-4703");
  CHECK(refusal_code([&] { tasks::jensen_shannon(numbers, negative); }) == "STOFM-4707");
  CHECK(refusal_code([&] {
          tasks::column_scores(matrix_view(numbers.data(), 1, 2), matrix_view(missing.data(), 1, 2));
        }) == "STOFM-4703");
  CHECK(refusal_code([&] {
          tasks::column_scores(matrix_view(numbers.data(), 1, 2), matrix_view(numbers.data(), 2, 1));
        }) == "STOFM-4700");

  const std::vector<double> rows{0, 1, 2, 3, 4, 5}, broken{0, 1, missing_value, 3, 4, 5};
  const auto r = matrix_view(rows.data(), 3, 2);
  CHECK(refusal_code([&] { tasks::silhouette(r, two); }) == "STOFM-4700");
  CHECK(refusal_code([&] { tasks::silhouette(r, three); }) == "STOFM-4705");
  CHECK(refusal_code([&] { tasks::silhouette(r, std::vector<std::int32_t>{1, 1, 1}); }) == "STOFM-4705");
  CHECK(refusal_code([&] {
          tasks::silhouette(matrix_view(broken.data(), 3, 2), std::vector<std::int32_t>{1, 1, 0});
        }) == "STOFM-4703");
  CHECK(refusal_code([&] { tasks::spatial_coherence(r, three, 0); }) == "STOFM-4706");
  CHECK(refusal_code([&] { tasks::spatial_coherence(r, two, 1); }) == "STOFM-4700");
  CHECK(refusal_code([&] {
          tasks::spatial_coherence(matrix_view(rows.data(), 1, 2), std::vector<std::int32_t>{0}, 1);
        }) == "STOFM-4701");
}

TEST_CASE("silhouettes have the same bits at any thread count") {
  Random random(8);
  Tensor<float> rows({300, 7});
  std::vector<std::int32_t> labels(300);
  for (float& v : rows.span()) v = static_cast<float>(random.normal());
  for (auto& label : labels) label = static_cast<std::int32_t>(random.below(4));
  const int before = thread_count();
  set_thread_count(1);
  const auto one = tasks::silhouette(std::as_const(rows).view(), labels);
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    CHECK(tasks::silhouette(std::as_const(rows).view(), labels).values == one.values);
  }
  set_thread_count(before);
}

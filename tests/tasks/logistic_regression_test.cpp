// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <numeric>

#include "stofm/core/random.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/logistic_regression.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
Tensor<float> rows_of(const nlohmann::json& list, std::int64_t width) {
  const auto values = list.get<std::vector<float>>();
  return Tensor<float>::from({static_cast<std::int64_t>(values.size()) / width, width}, values);
}

/// `n` rows around one of `classes` places; labels in turn.
struct Cells {
  Tensor<float> rows;
  std::vector<std::int32_t> labels;
};
Cells cells_around(std::int64_t n, std::int64_t width, std::int64_t classes, double spread) {
  Random random(4);
  std::vector<double> places(static_cast<std::size_t>(classes * width));
  for (double& p : places) p = spread * random.normal();
  Cells cells{Tensor<float>({n, width}), std::vector<std::int32_t>(static_cast<std::size_t>(n))};
  for (std::int64_t i = 0; i < n; ++i) {
    cells.labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % classes);
    for (std::int64_t j = 0; j < width; ++j)
      cells.rows.data()[i * width + j] =
          static_cast<float>(places[static_cast<std::size_t>(i % classes * width + j)] + random.normal());
  }
  return cells;
}
TensorView<const float> view_of(const Tensor<float>& rows) { return rows.view(); }
}  // namespace

TEST_CASE("logistic regression ends at scikit-learn's optimum") {
  const auto cases = task_fixture("logistic.json").at("cases");
  REQUIRE(cases.size() == 8);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const auto rows = rows_of(c.at("rows"), c.at("features"));
    tasks::LogisticRegressionOptions options;
    options.c = c.at("c");
    options.class_weights =
        c.at("balanced").get<bool>() ? tasks::ClassWeights::balanced : tasks::ClassWeights::none;
    options.standardise = c.at("standardise");
    const auto model =
        tasks::fit_logistic_regression(view_of(rows), labels_of(c.at("labels")), c.at("classes"), options);
    CHECK(model.report.converged);
    CHECK(model.report.loss == doctest::Approx(c.at("loss").get<double>()).epsilon(1e-8));
    const auto coefficients = numbers_of(c.at("coefficients")), intercepts = numbers_of(c.at("intercepts"));
    REQUIRE(model.coefficients.numel() == static_cast<std::int64_t>(coefficients.size()));
    for (std::size_t e = 0; e < coefficients.size(); ++e)
      CHECK(agrees(model.coefficients.data()[e], coefficients[e], 1e-4));
    REQUIRE(model.intercepts.size() == intercepts.size());
    for (std::size_t e = 0; e < intercepts.size(); ++e)
      CHECK(agrees(model.intercepts[e], intercepts[e], 1e-4));
    const auto probabilities = tasks::predict_probabilities(model, view_of(rows));
    const auto expected = numbers_of(c.at("probabilities"));
    REQUIRE(probabilities.numel() == static_cast<std::int64_t>(expected.size()));
    for (std::size_t e = 0; e < expected.size(); ++e)
      CHECK(agrees(probabilities.data()[e], expected[e], 1e-5));
  }
}

TEST_CASE("the gradient is the slope of the loss, the curvature that of the gradient") {
  const auto cells = cells_around(50, 4, 3, 1.0);
  for (const int classes : {2, 3}) {
    std::vector<std::int64_t> listed;
    std::vector<std::int32_t> target;
    for (std::size_t i = 0; i < 50; ++i)
      if (cells.labels[i] < classes) {
        listed.push_back(static_cast<std::int64_t>(i));
        target.push_back(cells.labels[i]);
      }
    std::vector<double> weight{0.5, 2.0, 1.0};
    weight.resize(static_cast<std::size_t>(classes));
    const tasks::detail::LogisticProblem problem(
        view_of(cells.rows), listed, target, weight,
        tasks::detail::standardisation_of(view_of(cells.rows), listed), 0.3);
    Random random(9);
    std::vector<double> at(problem.size()), along(problem.size());
    for (std::size_t e = 0; e < at.size(); ++e) at[e] = random.normal(), along[e] = random.normal();
    const auto shifted = [&](double step) {
      std::vector<double> to = at;
      for (std::size_t e = 0; e < to.size(); ++e) to[e] += step * along[e];
      return problem.evaluate(to);
    };
    const auto here = problem.evaluate(at), above = shifted(1e-5), below = shifted(-1e-5);
    // Central differences: error of order h^2 = 1e-10 and rounding 1e-16 / h = 1e-11.
    CHECK(agrees((above.loss - below.loss) / 2e-5, tasks::detail::inner(here.gradient, along), 1e-8));
    const auto bent = problem.curvature_times(here, along);
    for (std::size_t e = 0; e < bent.size(); ++e)  // single precision: 2^-24 of sums of about 50 terms of 1
      CHECK(agrees((above.gradient[e] - below.gradient[e]) / 2e-5, bent[e], 1e-5));
  }
}

TEST_CASE("classes without cells and cells without labels are left out") {
  auto cells = cells_around(90, 5, 3, 2.0);
  for (auto& label : cells.labels) label = label == 2 ? 6 : label == 1 ? 3 : 1;
  std::vector<std::int32_t> some = cells.labels;
  for (std::size_t i = 0; i < some.size(); i += 4) some[i] = -1;
  const auto model = tasks::fit_logistic_regression(view_of(cells.rows), some, 8);
  CHECK(model.present == std::vector<std::int32_t>{1, 3, 6});
  CHECK(model.report.cells == 67);
  const auto probabilities = tasks::predict_probabilities(model, view_of(cells.rows));
  for (std::int64_t i = 0; i < 90; ++i) {
    double sum = 0;
    for (std::int64_t c = 0; c < 8; ++c) sum += probabilities(i, c);
    CHECK(sum == doctest::Approx(1.0).epsilon(1e-14));
    for (const std::int64_t c : {0, 2, 4, 5, 7}) CHECK(probabilities(i, c) == 0.0);
  }
  const auto predicted = tasks::most_probable(probabilities.view());
  CHECK(tasks::classification_scores(cells.labels, predicted, 8).accuracy > 0.9);
}

TEST_CASE("logistic regression has the same bits at any thread count") {
  const auto cells = cells_around(1500, 40, 7, 0.3);
  const int before = thread_count();
  set_thread_count(1);
  const auto one = tasks::fit_logistic_regression(view_of(cells.rows), cells.labels, 7);
  const auto one_predicted = tasks::predict_probabilities(one, view_of(cells.rows));
  CHECK(one.report.converged);
  CHECK(one.report.iterations < 20);
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    const auto other = tasks::fit_logistic_regression(view_of(cells.rows), cells.labels, 7);
    CHECK(std::equal(one.coefficients.span().begin(), one.coefficients.span().end(),
                     other.coefficients.span().begin()));
    CHECK(one.intercepts == other.intercepts);
    const auto predicted = tasks::predict_probabilities(other, view_of(cells.rows));
    CHECK(std::equal(one_predicted.span().begin(), one_predicted.span().end(), predicted.span().begin()));
  }
  set_thread_count(before);
}

TEST_CASE("logistic regression says when it did not converge") {
  const auto cells = cells_around(200, 10, 4, 0.2);
  tasks::LogisticRegressionOptions options;
  options.max_iterations = 1;
  const auto model = tasks::fit_logistic_regression(view_of(cells.rows), cells.labels, 4, options);
  CHECK_FALSE(model.report.converged);
  CHECK(model.report.iterations == 1);
  CHECK(model.report.gradient > options.tolerance);
}

TEST_CASE("logistic regression refuses what it can not fit") {
  auto cells = cells_around(30, 4, 3, 1.0);
  const auto fit = [&](std::span<const std::int32_t> labels, std::int64_t classes,
                       const tasks::LogisticRegressionOptions& options = {}) {
    return refusal_code(
        [&] { tasks::fit_logistic_regression(view_of(cells.rows), labels, classes, options); });
  };
  CHECK(fit(std::vector<std::int32_t>(30, 1), 3) == "STOFM-4710");
  CHECK(fit(std::vector<std::int32_t>(30, -1), 3) == "STOFM-4701");
  CHECK(fit(std::vector<std::int32_t>(29, 1), 3) == "STOFM-4700");
  CHECK(fit(cells.labels, 2) == "STOFM-4702");
  CHECK(fit(std::vector<std::int32_t>(30, -2), 3) == "STOFM-4702");
  CHECK(fit(cells.labels, 3, {.c = 0}) == "STOFM-4712");
  CHECK(fit(cells.labels, 3, {.c = std::numeric_limits<double>::quiet_NaN()}) == "STOFM-4712");
  CHECK(fit(cells.labels, 3, {.max_iterations = 0}) == "STOFM-4712");
  const auto model = tasks::fit_logistic_regression(view_of(cells.rows), cells.labels, 3);
  CHECK(refusal_code([&] {
          tasks::predict_probabilities(model, view_of(cells.rows.slice(1, 0, 3).clone()));
        }) == "STOFM-4711");
  cells.rows(7, 2) = std::numeric_limits<float>::quiet_NaN();
  CHECK(fit(cells.labels, 3) == "STOFM-4703");
  CHECK(refusal_code([&] { tasks::predict_probabilities(model, view_of(cells.rows)); }) == "STOFM-4703");
}

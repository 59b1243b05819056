// SPDX-License-Identifier: MIT
// The frozen head: 5,000 cells x 512 features x 20 classes. Baseline: plain gradient descent with a line
// search over the same objective, stopped after as many evaluations as are given; `gap`: loss above the
// minimum, relative.
#include <benchmark/benchmark.h>

#include <map>
#include <numeric>

#include "stofm/core/random.hpp"
#include "stofm/tasks/logistic_regression.hpp"

using namespace stofm;

namespace {
constexpr std::int64_t classes = 20;

struct Workload {
  Tensor<float> rows;
  std::vector<std::int32_t> labels;
};
/// Overlapping classes whose features are correlated (a mixing matrix), as those of an embedding are.
const Workload& workload(std::int64_t n, std::int64_t width) {
  static std::map<std::pair<std::int64_t, std::int64_t>, Workload> made;
  const auto key = std::pair(n, width);
  if (const auto found = made.find(key); found != made.end()) return found->second;
  Random random(1);
  constexpr std::int64_t latent = 40;
  std::vector<float> mixing(static_cast<std::size_t>(latent * width)), places(classes * latent);
  for (float& m : mixing) m = static_cast<float>(random.normal());
  for (float& p : places) p = static_cast<float>(random.normal());
  Workload load{Tensor<float>::zeros({n, width}), std::vector<std::int32_t>(static_cast<std::size_t>(n))};
  for (std::int64_t i = 0; i < n; ++i) {
    const auto label = static_cast<std::int64_t>(random.below(classes));
    load.labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(label);
    float* row = load.rows.data() + i * width;
    for (std::int64_t l = 0; l < latent; ++l) {
      const float value =
          places[static_cast<std::size_t>(label * latent + l)] + 1.5F * static_cast<float>(random.normal());
      for (std::int64_t j = 0; j < width; ++j)
        row[j] += value * mixing[static_cast<std::size_t>(l * width + j)];
    }
    for (std::int64_t j = 0; j < width; ++j) row[j] += static_cast<float>(random.normal());
  }
  return made.emplace(key, std::move(load)).first->second;
}

void newton(benchmark::State& state) {
  const Workload& load = workload(state.range(0), state.range(1));
  tasks::LogisticRegression model;
  for (auto _ : state)
    model = tasks::fit_logistic_regression(std::as_const(load.rows).view(), load.labels, classes);
  state.counters["loss"] = model.report.loss;
  state.counters["gradient"] = model.report.gradient;
  state.counters["steps"] = model.report.iterations;
  state.counters["products"] = static_cast<double>(model.report.curvature_products);
}
BENCHMARK(newton)
    ->Name("tasks/logistic_regression/newton_cg/cells/features")
    ->Args({5000, 512})
    ->Args({5000, 192})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void gradient_descent(benchmark::State& state) {
  const Workload& load = workload(state.range(0), state.range(1));
  const double least =
      tasks::fit_logistic_regression(std::as_const(load.rows).view(), load.labels, classes).report.loss;
  double loss = 0;
  for (auto _ : state) {
    std::vector<std::int64_t> listed(load.labels.size());
    std::iota(listed.begin(), listed.end(), 0);
    std::vector<double> weight(classes, 0.0);
    for (const std::int32_t label : load.labels) weight[static_cast<std::size_t>(label)] += 1;
    for (double& w : weight) w = static_cast<double>(listed.size()) / (static_cast<double>(classes) * w);
    const auto view = std::as_const(load.rows).view();
    const auto by = tasks::detail::standardisation_of(view, listed);
    const tasks::detail::LogisticProblem problem(view, listed, load.labels, weight, by, 1.0);
    auto point = problem.evaluate(std::vector<double>(problem.size(), 0.0));
    double step = 1;
    for (std::int64_t evaluation = 0; evaluation < state.range(2); ++evaluation) {
      auto to = point.coefficients;
      for (std::size_t e = 0; e < to.size(); ++e) to[e] -= step * point.gradient[e];
      auto next = problem.evaluate(std::move(to));
      const bool lower =
          next.loss <= point.loss - 0.5 * step * tasks::detail::inner(point.gradient, point.gradient);
      step *= lower ? 1.5 : 0.5;
      if (lower) point = std::move(next);
    }
    loss = point.loss;
  }
  state.counters["gap"] = loss / least - 1;
}
BENCHMARK(gradient_descent)
    ->Name("tasks/logistic_regression/gradient_descent/cells/features/evaluations")
    ->Args({5000, 512, 30})
    ->Args({5000, 512, 200})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
}  // namespace

BENCHMARK_MAIN();

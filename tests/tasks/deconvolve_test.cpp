// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/core/random.hpp"
#include "stofm/tasks/composition_scores.hpp"
#include "stofm/tasks/deconvolve.hpp"
#include "stofm/tasks/regression_metrics.hpp"
#include "tests/tasks/counts.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;
using tasks::DeconvolutionMethod;

namespace {
double poisson_draw(Random& random, double mean) {  // by inversion; means here are below 50
  double p = std::exp(-mean), sum = p;
  const double u = random.uniform();
  int k = 0;
  while (u > sum && k < 500) sum += p *= mean / ++k;
  return k;
}

constexpr std::int64_t types = 5, genes = 60;

/// Cells of five types with signatures of their own, and spots that are sums of eight of them, with effects
/// on genes that the reference does not have.
struct Tissue {
  io::CountRows reference, spots;
  std::vector<std::int32_t> labels;
  Tensor<double> truth;        // [spots, types] shares of cells
  std::vector<double> effect;  // [genes]
};
Tissue tissue(std::int64_t spots, bool other_platform) {
  Random random(31);
  std::vector<double> rate(types * genes), effect(genes, 1.0);
  for (double& r : rate) r = 0.2 + (random.uniform() < 0.2 ? 6 * random.uniform() : 0.0);
  if (other_platform)
    for (double& e : effect) e = std::exp(0.8 * random.normal());
  const auto draw_cell = [&](std::int64_t type, bool in_spot) {
    std::vector<double> cell(genes);
    for (std::size_t g = 0; g < genes; ++g)
      cell[g] = poisson_draw(random,
                             rate[static_cast<std::size_t>(type * genes) + g] * (in_spot ? effect[g] : 1.0));
    return cell;
  };
  Tissue made;
  made.effect = effect;
  std::vector<std::vector<double>> cells, sums;
  for (std::int32_t i = 0; i < 400; ++i) {
    made.labels.push_back(i % types);
    cells.push_back(draw_cell(i % types, false));
  }
  made.truth = Tensor<double>::zeros({spots, types});
  for (std::int64_t s = 0; s < spots; ++s) {
    std::vector<double> sum(genes, 0.0);
    for (int c = 0; c < 8; ++c) {
      const auto type = static_cast<std::int64_t>((std::min)(random.below(types), random.below(types)));
      made.truth(s, type) += 1.0 / 8;
      const auto cell = draw_cell(type, true);
      for (std::size_t g = 0; g < genes; ++g) sum[g] += cell[g];
    }
    sums.push_back(sum);
  }
  made.reference = counts_of(cells);
  made.spots = counts_of(sums);
  return made;
}

double mean_pearson(const Tensor<double>& truth, const Tensor<double>& found) {
  double sum = 0;
  const auto scores = tasks::column_scores(truth.view(), found.view());
  for (const auto& s : scores) sum += s.pearson / static_cast<double>(scores.size());
  return sum;
}
}  // namespace

TEST_CASE("profiles are means over cells, block by block") {
  tasks::CellTypeSums sums(3, 4);
  sums.add(counts_of({{1, 3, 0, 0}, {0, 0, 0, 10}}), std::vector<std::int32_t>{0, -1});
  sums.add(counts_of({{5, 0, 5, 0}, {0, 0, 0, 2}, {0, 0, 0, 0}}), std::vector<std::int32_t>{0, 2, 2});
  const auto profiles = sums.profiles();
  CHECK(profiles.cells == std::vector<std::int64_t>{2, 0, 2});
  CHECK(profiles.cell_counts == std::vector<double>{7, 0, 1});
  CHECK(profiles.rates(0, 0) == 0.375);
  CHECK(profiles.rates(0, 1) == 0.375);
  CHECK(profiles.rates(0, 2) == 0.25);
  CHECK(profiles.rates(2, 3) == 1.0);  // the cell without counts has no shares
  CHECK(profiles.rates(1, 3) == 0.0);
}

TEST_CASE("the Poisson weights are a maximum of the likelihood") {
  const auto made = tissue(6, false);
  tasks::CellTypeSums sums(types, genes);
  sums.add(made.reference, made.labels);
  const auto m = tasks::detail::mixture_genes(sums.profiles(), std::vector<double>(genes, 1.0));
  tasks::detail::MixtureSearch options;
  options.tolerance = 1e-12;
  options.max_iterations = 200000;
  for (std::int64_t i = 0; i < 6; ++i) {
    const auto begin = made.spots.offsets[static_cast<std::size_t>(i)],
               end = made.spots.offsets[static_cast<std::size_t>(i) + 1];
    const std::vector<std::int32_t> g(made.spots.columns.begin() + begin, made.spots.columns.begin() + end);
    const std::vector<double> y(made.spots.values.begin() + begin, made.spots.values.begin() + end);
    double total = 0;
    for (const double v : y) total += v;
    const tasks::detail::SpotCounts spot{g, y, total};
    std::vector<double> w;
    REQUIRE(tasks::detail::poisson_weights(m, spot, options, w));
    for (std::size_t t = 0; t < types; ++t) {  // the conditions of Karush, Kuhn and Tucker
      double slope = -m.expected[t];
      for (std::size_t e = 0; e < g.size(); ++e) {
        const double* row = m.rates.data() + g[e] * types;
        double mean = 0;
        for (std::size_t u = 0; u < types; ++u) mean += w[u] * row[u];
        slope += y[e] * row[t] / mean;
      }
      CHECK(slope < 1e-4);
      if (w[t] > 1e-3 * total) CHECK(std::abs(slope) < 1e-6);
    }
    std::vector<double> v;
    REQUIRE(tasks::detail::least_squares_weights(m, spot, options, v));
    for (std::size_t t = 0; t < types; ++t) {
      double slope = 0;
      for (std::size_t e = 0; e < g.size(); ++e)
        slope += y[e] * m.rates[static_cast<std::size_t>(g[e]) * types + t];
      for (std::size_t u = 0; u < types; ++u) slope -= m.gram[t * types + u] * v[u];
      CHECK(slope < 1e-6);
      if (v[t] > 0) CHECK(std::abs(slope) < 1e-6);
    }
  }
}

TEST_CASE("spots of known composition are told apart") {
  const auto made = tissue(200, false);
  tasks::CellTypeSums sums(types, genes);
  sums.add(made.reference, made.labels);
  const auto poisson = tasks::deconvolve(made.spots, sums.profiles(), {.as_cells = true});
  const auto squares = tasks::deconvolve(made.spots, sums.profiles(),
                                         {.method = DeconvolutionMethod::least_squares, .as_cells = true});
  CHECK(poisson.not_converged == 0);
  CHECK(poisson.empty_spots == 0);
  CHECK(mean_pearson(made.truth, poisson.proportions) > 0.9);
  CHECK(mean_pearson(made.truth, squares.proportions) > 0.8);
  CHECK(mean_pearson(made.truth, poisson.proportions) > mean_pearson(made.truth, squares.proportions));
  for (std::int64_t i = 0; i < 200; ++i) {
    double sum = 0;
    for (std::int64_t t = 0; t < types; ++t) sum += poisson.proportions(i, t);
    CHECK(sum == doctest::Approx(1.0).epsilon(1e-12));
  }
}

TEST_CASE("estimated platform effects help where the technologies differ") {
  const auto made = tissue(200, true);
  tasks::CellTypeSums sums(types, genes);
  sums.add(made.reference, made.labels);
  const auto without = tasks::deconvolve(made.spots, sums.profiles(), {.as_cells = true});
  const auto with =
      tasks::deconvolve(made.spots, sums.profiles(), {.platform_effects = true, .as_cells = true});
  const auto error = [&](const Tensor<double>& found) {
    double sum = 0;
    for (const auto& scores : tasks::column_scores(made.truth.view(), found.view()))
      sum += scores.rmse / types;
    return sum;
  };
  MESSAGE("RMSE without " << error(without.proportions) << ", with " << error(with.proportions));
  CHECK(error(with.proportions) < 0.9 * error(without.proportions));
  std::vector<double> found, drawn;
  for (std::size_t g = 0; g < genes; ++g) {
    found.push_back(std::log(with.platform[g]));
    drawn.push_back(std::log(made.effect[g]));
  }
  MESSAGE("effects found against drawn: Pearson " << tasks::pearson(drawn, found));
  CHECK(tasks::pearson(drawn, found) > 0.8);
}

TEST_CASE("types without cells, genes without signatures and empty spots") {
  tasks::CellTypeSums sums(3, 4);
  sums.add(counts_of({{4, 1, 0, 0}, {1, 4, 0, 0}}), std::vector<std::int32_t>{0, 2});
  const auto profiles = sums.profiles();
  const auto found = tasks::deconvolve(counts_of({{40, 10, 0, 7}, {0, 0, 0, 9}, {25, 25, 0, 0}}), profiles);
  CHECK(found.genes_used == 2);
  CHECK(found.empty_spots == 1);
  CHECK(found.counts == std::vector<double>{50, 0, 50});
  CHECK(found.platform == std::vector<double>{1, 1, 0, 0});
  CHECK(agrees(found.proportions(0, 0), 1.0, 1e-3));  // the boundary is approached, tolerance 1e-6 a step
  CHECK(found.proportions(0, 1) == 0.0);
  CHECK(std::isnan(found.proportions(1, 0)));
  CHECK(agrees(found.proportions(2, 2), 0.5, 1e-5));
  CHECK(tasks::deconvolve(counts_of({}), profiles, {.platform_effects = true}).proportions.dim(0) == 0);
  CHECK(refusal_code([&] { tasks::deconvolve(counts_of({{1, 1, 1, 1, 1}}), profiles); }) == "STOFM-4731");
  CHECK(refusal_code([&] { tasks::deconvolve(counts_of({{1}}), profiles, {.tolerance = 0}); }) ==
        "STOFM-4733");
  CHECK(refusal_code([&] { tasks::deconvolve(counts_of({{1}}), tasks::CellTypeSums(2, 4).profiles()); }) ==
        "STOFM-4734");
  auto broken = counts_of({{1, 2, 3, 4}});
  broken.values[1] = std::numeric_limits<double>::quiet_NaN();
  CHECK(refusal_code([&] { tasks::deconvolve(broken, profiles); }) == "STOFM-4732");
  CHECK(refusal_code([&] { sums.add(broken, std::vector<std::int32_t>{0}); }) == "STOFM-4732");
  CHECK(refusal_code([&] { sums.add(counts_of({{1}}), std::vector<std::int32_t>{3}); }) == "STOFM-4702");
  CHECK(refusal_code([&] { sums.add(counts_of({{1}}), {}); }) == "STOFM-4700");
  CHECK(refusal_code([&] { tasks::deconvolve(counts_of({{1}}), profiles, {.platform_rounds = -1}); }) ==
        "STOFM-4733");
  CHECK(refusal_code([&] { tasks::CellTypeSums(0, 4); }) == "STOFM-4730");
}

TEST_CASE("proportions have the same bits at any thread count") {
  const auto made = tissue(60, false);
  tasks::CellTypeSums sums(types, genes);
  sums.add(made.reference, made.labels);
  const int before = thread_count();
  set_thread_count(1);
  const auto one = tasks::deconvolve(made.spots, sums.profiles(), {.platform_effects = true});
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    const auto other = tasks::deconvolve(made.spots, sums.profiles(), {.platform_effects = true});
    CHECK(std::equal(one.proportions.span().begin(), one.proportions.span().end(),
                     other.proportions.span().begin()));
  }
  set_thread_count(before);
}

TEST_CASE("scores of proportions are those of their columns and rows") {
  const auto truth = Tensor<double>::from({4, 3}, std::vector<double>{2, 2, 0, 1, 0, 0, 1, 3, 0, 0, 0, 0});
  const auto found =
      Tensor<double>::from({4, 3}, std::vector<double>{0.4, 0.6, 0, 0.9, 0, 0.1, 0.25, 0.75, 0, 1, 0, 0});
  const auto low =
      Tensor<double>::from({4, 3}, std::vector<double>{0.3, 0.4, 0, 0.9, 0, 0, 0, 0.8, 0, 0, 0, 0});
  const auto high =
      Tensor<double>::from({4, 3}, std::vector<double>{0.5, 0.7, 0.1, 1, 0.1, 0.1, 0.5, 1, 0.1, 1, 1, 1});
  const auto scores = tasks::composition_scores(truth.view(), found.view(), low.view(), high.view());
  CHECK(scores.spots == 3);  // the last has no truth
  const std::vector<double> t0{0.5, 1, 0.25}, f0{0.4, 0.9, 0.25}, t1{0.5, 0, 0.75}, f1{0.6, 0, 0.75};
  CHECK(agrees(scores.pearson, (tasks::pearson(t0, f0) + tasks::pearson(t1, f1)) / 2, 1e-12));
  CHECK(agrees(scores.rmse, std::sqrt(0.04 / 9), 1e-12));
  CHECK(agrees(scores.coverage, 8.0 / 9, 1e-12));
  CHECK(agrees(scores.coverage_present, 4.0 / 5, 1e-12));
  CHECK(scores.jensen_shannon > 0);
  CHECK(std::isnan(tasks::composition_scores(truth.view(), found.view()).coverage));
  const auto none = Tensor<double>::zeros({4, 3});
  CHECK(refusal_code([&] { tasks::composition_scores(none.view(), found.view()); }) == "STOFM-4701");
}

TEST_CASE("a prior draws shallow spots to the others and leaves deep ones") {
  const auto made = tissue(60, false);
  tasks::CellTypeSums sums(types, genes);
  sums.add(made.reference, made.labels);
  const auto without = tasks::deconvolve(made.spots, sums.profiles(), {});
  const auto strong = tasks::deconvolve(made.spots, sums.profiles(), {.prior_counts = 1e9});
  CHECK(strong.prior_counts > 0);
  double before = 0, after = 0;
  const auto spread = [&](const Tensor<double>& found) {
    double sum = 0;
    for (std::int64_t t = 0; t < types; ++t) {
      double mean = 0, square = 0;
      for (std::int64_t i = 0; i < 60; ++i)
        mean += found(i, t) / 60, square += found(i, t) * found(i, t) / 60;
      sum += square - mean * mean;
    }
    return sum;
  };
  before = spread(without.proportions), after = spread(strong.proportions);
  CHECK(after < before);
  CHECK(after > 0.3 * before);  // it never weighs more than a tenth of the counts
  std::vector<std::int32_t> next;
  for (std::int32_t i = 0; i < 60; ++i) next.push_back((i + 1) % 60);
  const auto beside =
      tasks::deconvolve(made.spots, sums.profiles(), {.prior_counts = 5, .neighbours = next}).proportions;
  const auto global = tasks::deconvolve(made.spots, sums.profiles(), {.prior_counts = 5}).proportions;
  CHECK(!std::equal(beside.span().begin(), beside.span().end(), global.span().begin()));
  next.back() = 60;
  CHECK(refusal_code([&] {
          tasks::deconvolve(made.spots, sums.profiles(), {.prior_counts = 5, .neighbours = next});
        }) == "STOFM-4731");
  next.pop_back();
  CHECK(refusal_code([&] {
          tasks::deconvolve(made.spots, sums.profiles(), {.prior_counts = 5, .neighbours = next});
        }) == "STOFM-4700");
  CHECK(refusal_code([&] {
          tasks::deconvolve(made.spots, sums.profiles(),
                            {.method = DeconvolutionMethod::least_squares, .interval = 0.9});
        }) == "STOFM-4733");
  CHECK(refusal_code([&] { tasks::deconvolve(made.spots, sums.profiles(), {.interval = 1.0}); }) ==
        "STOFM-4733");
}

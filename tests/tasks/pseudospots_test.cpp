// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/tasks/deconvolve.hpp"
#include "stofm/tasks/pseudospots.hpp"
#include "tests/tasks/counts.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
namespace pseudospots_test {

/// Cells on a lattice of 1 apart, `side` to a side, of types in stripes; the counts of gene g of a cell of
/// type t have the mean rate[t][g].
struct Cells {
  io::Slice slice;
  std::vector<std::int32_t> labels;
  Tensor<double> xy;
};
double draw(Random& random, double mean) {
  double p = std::exp(-mean), sum = p;
  const double u = random.uniform();
  int k = 0;
  while (u > sum && k < 500) sum += p *= mean / ++k;
  return k;
}
Cells cells(std::int64_t side, std::int32_t types, std::int64_t genes, std::uint64_t seed) {
  Cells made;
  Random random(seed);
  std::vector<double> rate(static_cast<std::size_t>(types * genes));
  for (double& r : rate) r = 0.3 + (random.uniform() < 0.25 ? 8 * random.uniform() : 0.0);
  auto rows = std::make_shared<std::vector<std::vector<double>>>();
  made.xy = Tensor<double>::zeros({side * side, 2});
  for (std::int64_t i = 0; i < side * side; ++i) {
    made.xy(i, 0) = static_cast<double>(i % side);
    made.xy(i, 1) = static_cast<double>(i / side);
    made.labels.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(types))));
    rows->emplace_back();
    for (std::int64_t g = 0; g < genes; ++g)
      rows->back().push_back(draw(random, rate[static_cast<std::size_t>(made.labels.back() * genes + g)]));
  }
  made.slice.path = "made";
  made.slice.cells = side * side;
  made.slice.gene_ids.resize(static_cast<std::size_t>(genes));
  made.slice.read_counts = [rows](std::int64_t begin, std::int64_t end) {
    return counts_of(*rows, begin, end);
  };
  return made;
}
double total(const io::CountRows& counts) {
  double sum = 0;
  for (const double v : counts.values) sum += v;
  return sum;
}

}  // namespace pseudospots_test
}  // namespace

TEST_CASE("squares of a grid hold their cells, counts are sums, composition is told") {
  const auto made = pseudospots_test::cells(6, 2, 5, 3);
  std::vector<std::int32_t> labels = made.labels;
  labels[0] = -1;
  const auto plan = tasks::plan_pseudospots(made.xy.view(), labels, 2, {.size = 3, .min_cells = 9});
  // The first square has a cell without a label and so only 8.
  CHECK(plan.spots() == 3);
  CHECK(plan.sparse == 8);
  CHECK(plan.unlabelled == 1);
  CHECK(plan.xy(0, 0) == 4.5);
  CHECK(plan.xy(0, 1) == 1.5);
  CHECK(plan.xy(1, 0) == 1.5);
  CHECK(plan.xy(1, 1) == 4.5);
  for (std::int64_t s = 0; s < 3; ++s) CHECK(plan.composition(s, 0) + plan.composition(s, 1) == 9);
  const auto counts = tasks::sum_pseudospots(made.slice, plan, {}, 7);
  const auto all = made.slice.read_counts(0, 36);
  for (std::int64_t s = 0; s < 3; ++s) {
    std::vector<double> sum(5, 0.0), found(5, 0.0);
    for (auto c = plan.offsets[static_cast<std::size_t>(s)];
         c < plan.offsets[static_cast<std::size_t>(s) + 1]; ++c) {
      const std::int64_t i = plan.cells[static_cast<std::size_t>(c)];
      for (auto e = all.offsets[static_cast<std::size_t>(i)];
           e < all.offsets[static_cast<std::size_t>(i) + 1]; ++e)
        sum[static_cast<std::size_t>(all.columns[static_cast<std::size_t>(e)])] +=
            all.values[static_cast<std::size_t>(e)];
    }
    for (auto e = counts.offsets[static_cast<std::size_t>(s)];
         e < counts.offsets[static_cast<std::size_t>(s) + 1]; ++e)
      found[static_cast<std::size_t>(counts.columns[static_cast<std::size_t>(e)])] =
          counts.values[static_cast<std::size_t>(e)];
    CHECK(sum == found);
  }
}

TEST_CASE("a size is found for a number of cells in a spot") {
  const auto made = pseudospots_test::cells(40, 3, 2, 4);
  for (const double wanted : {4.0, 9.0, 25.0}) {
    const auto plan =
        tasks::plan_pseudospots(made.xy.view(), made.labels, 3, {.cells_per_spot = wanted, .min_cells = 1});
    // On a lattice the mean jumps: with n squares to a side, the last of which may hold less, from
    // (40 / n)^2 to (40 / (n - 1))^2. What was asked for is within the jump.
    const double side = std::sqrt(static_cast<double>(plan.spots()));
    CHECK(1600.0 / ((side + 1) * (side + 1)) <= wanted);
    CHECK(wanted <= 1600.0 / ((side - 1) * (side - 1)));
    CHECK(static_cast<std::int64_t>(plan.cells.size()) == 1600);
  }
}

TEST_CASE("random spots have the cells that they say, all types alike") {
  const auto made = pseudospots_test::cells(20, 4, 3, 5);
  std::vector<std::int32_t> labels = made.labels;
  for (std::size_t i = 0; i < labels.size(); ++i)  // types 0 has two cells only
    if (labels[i] == 0) labels[i] = i < 10 ? 0 : 1;
  const auto plan =
      tasks::plan_random_pseudospots(labels, 4, {.cells_per_spot = 12, .random = 400, .seed = 9});
  CHECK(plan.spots() == 400);
  std::vector<double> sums(4, 0.0);
  for (std::int64_t s = 0; s < 400; ++s) {
    double cells = 0;
    for (std::int64_t t = 0; t < 4; ++t) {
      double counted = 0;
      for (auto c = plan.offsets[static_cast<std::size_t>(s)];
           c < plan.offsets[static_cast<std::size_t>(s) + 1]; ++c)
        counted += labels[static_cast<std::size_t>(plan.cells[static_cast<std::size_t>(c)])] == t;
      CHECK(counted == plan.composition(s, t));
      sums[static_cast<std::size_t>(t)] += counted;
      cells += counted;
    }
    CHECK(cells >= 3);
  }
  double all = 0;
  for (const double s : sums) all += s;
  // Mean of 400 Poisson numbers of 12: standard deviation sqrt(12 / 400) = 0.17; five of them.
  CHECK(std::abs(all / 400 - 12) < 0.9);
  // A type has a share with mean 1/4 and standard deviation below 0.43 in a spot: 0.022 over 400; five.
  for (const double s : sums) CHECK(std::abs(s / all - 0.25) < 0.11);
  const auto again =
      tasks::plan_random_pseudospots(labels, 4, {.cells_per_spot = 12, .random = 400, .seed = 9});
  CHECK(again.cells == plan.cells);
  CHECK(tasks::plan_random_pseudospots(labels, 4, {.cells_per_spot = 12, .random = 400, .seed = 8}).cells !=
        plan.cells);
}

TEST_CASE("depth and platform effects take counts away as chance does") {
  const auto made = pseudospots_test::cells(30, 2, 20, 6);
  const auto plan = tasks::plan_pseudospots(made.xy.view(), made.labels, 2, {.size = 5});
  const auto whole = tasks::sum_pseudospots(made.slice, plan);
  const double all = pseudospots_test::total(whole);
  const tasks::PseudospotOptions thin{.depth = 0.3, .seed = 2};
  const double kept = pseudospots_test::total(tasks::sum_pseudospots(made.slice, plan, thin));
  CHECK(std::abs(kept - 0.3 * all) < 5 * std::sqrt(all * 0.3 * 0.7));  // five standard deviations
  const tasks::PseudospotOptions noisy{.depth = 0.5, .platform_noise = 0.7, .seed = 2};
  const auto share = tasks::pseudospot_shares(20, noisy);
  CHECK(*std::max_element(share.begin(), share.end()) == 0.5);
  const auto rows = tasks::sum_pseudospots(made.slice, plan, noisy);
  std::vector<double> before(20, 0.0), after(20, 0.0);
  for (std::size_t e = 0; e < whole.columns.size(); ++e)
    before[static_cast<std::size_t>(whole.columns[e])] += whole.values[e];
  for (std::size_t e = 0; e < rows.columns.size(); ++e)
    after[static_cast<std::size_t>(rows.columns[e])] += rows.values[e];
  for (std::size_t g = 0; g < 20; ++g)
    CHECK(std::abs(after[g] - share[g] * before[g]) <
          5 * std::sqrt(before[g] * share[g] * (1 - share[g])) + 1e-9);
  const int threads = thread_count();
  for (const int n : {1, 2, 5}) {
    set_thread_count(n);
    const auto other = tasks::sum_pseudospots(made.slice, plan, noisy, 100);
    CHECK(other.values == rows.values);
    CHECK(other.columns == rows.columns);
  }
  set_thread_count(threads);
}

TEST_CASE("intervals hold the share that they promise") {
  const auto made = pseudospots_test::cells(60, 4, 60, 7);
  // Every other row of cells is the reference, the rest makes the spots.
  std::vector<std::int32_t> reference = made.labels, rest = made.labels;
  for (std::size_t i = 0; i < reference.size(); ++i) (i / 60 % 2 == 0 ? rest : reference)[i] = -1;
  tasks::CellTypeSums sums(4, 60);
  sums.add(made.slice.read_counts(0, 3600), reference);
  const auto plan = tasks::plan_pseudospots(made.xy.view(), rest, 4, {.cells_per_spot = 8});
  const auto spots = tasks::sum_pseudospots(made.slice, plan, {.depth = 0.5});
  for (const double prior : {0.0, 5.0}) {
    const auto found =
        tasks::deconvolve(spots, sums.profiles(), {.as_cells = true, .interval = 0.9, .prior_counts = prior});
    double inside = 0, width = 0;
    for (std::int64_t s = 0; s < plan.spots(); ++s) {
      double cells = 0;
      for (std::int64_t t = 0; t < 4; ++t) cells += plan.composition(s, t);
      for (std::int64_t t = 0; t < 4; ++t) {
        const double truth = plan.composition(s, t) / cells;
        CHECK(found.low(s, t) <= found.proportions(s, t));
        CHECK(found.proportions(s, t) <= found.high(s, t));
        inside += truth >= found.low(s, t) && truth <= found.high(s, t);
        width += found.high(s, t) - found.low(s, t);
      }
    }
    const auto n = static_cast<double>(4 * plan.spots());
    MESSAGE("coverage " << inside / n << ", width " << width / n << " at a prior of " << prior);
    // The shares of a spot sum to 1: of four at most three are free, so 0.75 n of them say something. Five
    // standard deviations below 0.9. From above: an interval for shares at 0 is one-sided and holds them
    // always; what is there must be told apart.
    CHECK(inside / n > 0.9 - 5 * std::sqrt(0.9 * 0.1 / (0.75 * n)));
    CHECK(width / n < 0.5);
    CHECK(width > 0);
  }
}

TEST_CASE("pseudo-spots that can not be made are refused") {
  const auto made = pseudospots_test::cells(4, 2, 3, 8);
  const auto plan = [&](const tasks::PseudospotOptions& o) {
    return refusal_code([&] { tasks::plan_pseudospots(made.xy.view(), made.labels, 2, o); });
  };
  CHECK(plan({.size = -1}) == "STOFM-4760");
  CHECK(plan({.cells_per_spot = 0}) == "STOFM-4760");
  CHECK(plan({.depth = 0}) == "STOFM-4760");
  CHECK(plan({.depth = 1.5}) == "STOFM-4760");
  CHECK(plan({.platform_noise = -1}) == "STOFM-4760");
  CHECK(plan({.size = 1, .min_cells = 2}) == "STOFM-4761");
  CHECK(plan({.size = 1e-300, .min_cells = 1}) == "");  // a size too small for an index is made larger
  CHECK(refusal_code([&] { tasks::plan_pseudospots(made.xy.view(), std::vector<std::int32_t>(16, 2), 2); }) ==
        "STOFM-4702");
  CHECK(refusal_code([&] { tasks::plan_pseudospots(made.xy.view(), {}, 2); }) == "STOFM-4700");
  CHECK(refusal_code([&] {
          tasks::plan_random_pseudospots(std::vector<std::int32_t>(3, -1), 2, {.random = 5});
        }) == "STOFM-4761");
  auto broken = made;
  broken.slice.read_counts = [read = made.slice.read_counts](std::int64_t begin, std::int64_t end) {
    auto rows = read(begin, end);
    for (double& v : rows.values) v += 0.5;
    return rows;
  };
  const auto squares = tasks::plan_pseudospots(made.xy.view(), made.labels, 2, {.size = 4});
  CHECK(refusal_code([&] { tasks::sum_pseudospots(broken.slice, squares, {.depth = 0.5}); }) == "STOFM-4762");
  CHECK(refusal_code([&] { tasks::sum_pseudospots(broken.slice, squares); }) == "");
}

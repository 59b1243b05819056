// SPDX-License-Identifier: MIT
// Intervals by squares of tissue; scores from counts; proportions.
#include "stofm/tasks/block_bootstrap.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "stofm/core/parallel.hpp"
#include "stofm/tasks/clustering_metrics.hpp"
#include "stofm/tasks/proportion_metrics.hpp"

using namespace stofm;
using namespace stofm::tasks;

namespace block_bootstrap_test {

TEST_CASE("squares of tissue: of one size, none without cells, along a strip as well") {
  std::vector<double> xy;
  for (int i = 0; i < 40; ++i)
    for (int j = 0; j < 40; ++j) xy.insert(xy.end(), {static_cast<double>(i), static_cast<double>(j)});
  const auto squares = tissue_squares(matrix_view<const double>(xy.data(), 1600, 2), 16);
  std::vector<int> size(static_cast<std::size_t>(*std::max_element(squares.begin(), squares.end()) + 1), 0);
  for (const auto square : squares) ++size[static_cast<std::size_t>(square)];
  // 39 / 4 = 9.75 wide; the cells on the far edge have squares of their own.
  CHECK(size.size() == 25);
  for (const int cells : size) CHECK(cells > 0);
  CHECK(size[0] == 100);
  CHECK(squares[0] == squares[41]);
  CHECK(squares[0] != squares[1599]);
  std::vector<double> line;
  for (int i = 0; i < 100; ++i) line.insert(line.end(), {static_cast<double>(i), 5.0});
  const auto strip = tissue_squares(matrix_view<const double>(line.data(), 100, 2), 10);
  CHECK(std::set<std::int32_t>(strip.begin(), strip.end()).size() == 11);
  const std::vector<double> place{3, 4, 3, 4};
  CHECK(tissue_squares(matrix_view<const double>(place.data(), 2, 2)) == std::vector<std::int32_t>{0, 0});
  const std::vector<double> bad{3, std::nan("")};
  CHECK_THROWS_AS(tissue_squares(matrix_view<const double>(bad.data(), 1, 2)), DataError);
}

TEST_CASE("intervals of a mean of blocks: as wide as theory says, the same for a seed, any thread count") {
  // 400 blocks of which a share of 0.25 counts 1: the mean of a draw has a standard deviation of
  // sqrt(0.25 0.75 / 400) = 0.02165; 95 % lie within 1.96 of these, by the normal approximation. 2,000 draws
  // give a quantile to 0.02165 sqrt(0.025 0.975 / 2000) / 0.0584 = 0.0013 (one standard error).
  const std::vector<std::int64_t> blocks{100, 300};
  const auto mean = [](std::span<const std::int64_t> times) {
    double sum = 0, count = 0;
    for (std::size_t b = 0; b < times.size(); ++b) {
      sum += static_cast<double>(times[b]) * (b % 4 == 0);
      count += static_cast<double>(times[b]);
    }
    return std::vector<double>{sum / count, std::nan(""), count};
  };
  const auto intervals = block_bootstrap(blocks, 3, 2000, 5, mean);
  CHECK(intervals[0].low == doctest::Approx(0.25 - 1.96 * 0.02165).epsilon(0.03));
  CHECK(intervals[0].high == doctest::Approx(0.25 + 1.96 * 0.02165).epsilon(0.03));
  CHECK(std::isnan(intervals[1].low));
  CHECK(intervals[2].low == 400);  // each draw has as many blocks as there are
  CHECK(intervals[2].high == 400);
  const int threads = thread_count();
  for (const int count : {1, 3}) {
    set_thread_count(count);
    const auto again = block_bootstrap(blocks, 3, 2000, 5, mean);
    CHECK(again[0].low == intervals[0].low);
    CHECK(again[0].high == intervals[0].high);
  }
  set_thread_count(threads);
  CHECK(block_bootstrap(blocks, 3, 2000, 6, mean)[0].low != intervals[0].low);
  const std::vector<std::int64_t> few{7};
  CHECK(std::isnan(block_bootstrap(few, 1, 100, 5, mean)[0].low));
  CHECK(std::isnan(block_bootstrap(blocks, 3, 0, 5, mean)[0].low));
}

TEST_CASE("quantiles lie between two values by proportion") {
  const std::vector<double> sorted{0, 1, 10};
  CHECK(quantile_of_sorted(sorted, 0) == 0);
  CHECK(quantile_of_sorted(sorted, 0.75) == doctest::Approx(5.5));
  CHECK(quantile_of_sorted(sorted, 1) == 10);
}

TEST_CASE("clustering scores of counts are those of labels to the last bit") {
  std::vector<std::int32_t> truth, found;
  for (int i = 0; i < 500; ++i) {
    truth.push_back(i % 7);
    found.push_back(7 + (i * i % 11 + i / 50) % 5);  // of other names
  }
  const ClusteringScores labels = clustering_scores(truth, found);
  const ClusteringScores counts = clustering_scores(confusion_matrix(truth, found, 12));
  CHECK(labels.adjusted_rand == counts.adjusted_rand);
  CHECK(labels.normalized_mutual_information == counts.normalized_mutual_information);
  CHECK(labels.homogeneity == counts.homogeneity);
  CHECK(labels.completeness == counts.completeness);
  CHECK_THROWS_AS(clustering_scores(ConfusionMatrix{2, {0, 0, 0, 0}}), DataError);
}

TEST_CASE("proportions: figures by hand, rows that are no composition") {
  std::vector<double> row{1, 3, 0};
  CHECK(normalize_composition(row));
  CHECK(row == std::vector<double>{0.25, 0.75, 0});
  for (std::vector<double> bad : {std::vector<double>{0, 0}, {1, -1}, {1, std::nan("")}, {1, INFINITY}}) {
    const std::vector<double> before = bad;
    CHECK(!normalize_composition(bad));
    CHECK(std::equal(bad.begin(), bad.end(), before.begin(),
                     [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
  }
  const std::vector<double> truth{1, 0, 0, 1, 0.5, 0.5}, found{0.5, 0.5, 0, 1, 0.5, 0.5};
  const ProportionScores scores = proportion_scores(matrix_view<const double>(truth.data(), 3, 2),
                                                    matrix_view<const double>(found.data(), 3, 2));
  CHECK(scores.rmse == doctest::Approx(std::sqrt(0.5 / 6)).epsilon(1e-14));
  // Deviations (0.5, -0.5, 0) and (1, -2, 1) / 6: 0.25 / sqrt(0.5 / 6) = sqrt(3) / 2.
  CHECK(scores.mean_pearson == doctest::Approx(std::sqrt(3.0) / 2).epsilon(1e-14));
  // One spot of three differs: 1 against (1/2, 1/2) has a divergence of (log2(4/3) + (log2(2/3) + 1) / 2)
  // / 2.
  const double divergence = (std::log2(4.0 / 3) + (std::log2(2.0 / 3) + 1) / 2) / 2;
  CHECK(scores.mean_jensen_shannon == doctest::Approx(std::sqrt(divergence) / 3).epsilon(1e-14));
}

}  // namespace block_bootstrap_test

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <numeric>

#include "stofm/core/random.hpp"
#include "stofm/tasks/ridge_regression.hpp"
#include "stofm/tasks/spatial_blocks.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace ridge_test {
/// Features and sparse targets.
struct Data {
  Tensor<float> rows;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> columns;
  std::vector<float> values;

  tasks::SparseTargets targets() const { return {offsets, columns, values}; }
};

Data data_of(std::vector<float> rows, std::int64_t width, const std::vector<float>& truth,
             std::int64_t targets) {
  const auto n = static_cast<std::int64_t>(rows.size()) / width;
  Data data{Tensor<float>::from({n, width}, rows), {0}, {}, {}};
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t g = 0; g < targets; ++g) {
      const float value = truth[static_cast<std::size_t>(i * targets + g)];
      if (value == 0) continue;
      data.columns.push_back(static_cast<std::int32_t>(g));
      data.values.push_back(value);
    }
    data.offsets.push_back(static_cast<std::int64_t>(data.columns.size()));
  }
  return data;
}

Data ridge_data(std::int64_t n, std::int64_t width, std::int64_t targets) {
  Random random(8);
  std::vector<float> rows(static_cast<std::size_t>(n * width)), truth(static_cast<std::size_t>(n * targets));
  for (float& x : rows) x = static_cast<float>(random.normal());
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t g = 0; g < targets; ++g)
      truth[static_cast<std::size_t>(i * targets + g)] = static_cast<float>((std::max)(
          0.0, static_cast<double>(rows[static_cast<std::size_t>(i * width + g % width)]) + random.normal()));
  return data_of(rows, width, truth, targets);
}

std::vector<std::int64_t> numbers(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> list(static_cast<std::size_t>(end - begin));
  std::iota(list.begin(), list.end(), begin);
  return list;
}
std::vector<std::int32_t> all_targets(std::int64_t count) {
  std::vector<std::int32_t> list(static_cast<std::size_t>(count));
  std::iota(list.begin(), list.end(), 0);
  return list;
}
tasks::RidgeSums sums_of(const Data& data, std::int64_t targets, std::int64_t begin, std::int64_t end) {
  tasks::RidgeSums sums(data.rows.dim(1), targets);
  sums.add(data.rows.view(), data.targets(), numbers(begin, end));
  return sums;
}
}  // namespace ridge_test
using namespace ridge_test;

TEST_CASE("ridge regression from sums is scikit-learn's on standardised features") {
  const auto cases = task_fixture("ridge.json").at("cases");
  REQUIRE(cases.size() == 4);
  for (const auto& c : cases) {
    CAPTURE(c.at("name").get<std::string>());
    const std::int64_t cells = c.at("cells"), held = c.at("held"), width = c.at("features"),
                       targets = c.at("targets");
    const Data data = data_of(c.at("rows").get<std::vector<float>>(), width,
                              c.at("truth").get<std::vector<float>>(), targets);
    const tasks::RidgeSums learnt = sums_of(data, targets, 0, cells),
                           judged = sums_of(data, targets, cells, cells + held);
    const tasks::RidgeProblem problem(learnt);
    const auto listed = all_targets(targets);
    CHECK(problem.cross_validation(c.at("penalty"), listed) ==
          doctest::Approx(c.at("gcv").get<double>()).epsilon(1e-8));
    const tasks::RidgeFit fit = problem.fit(c.at("penalty"), listed);
    const Tensor<float> held_rows = data.rows.slice(0, cells, cells + held);
    const Tensor<float> predicted = tasks::ridge_predictions(fit, std::as_const(held_rows).view());
    const auto expected = numbers_of(c.at("predicted"));
    for (std::size_t e = 0; e < expected.size(); ++e)  // rounded to float
      CHECK(static_cast<double>(predicted.data()[e]) == doctest::Approx(expected[e]).epsilon(1e-6).scale(10));
    const tasks::RidgeScores scores = tasks::ridge_scores(fit, judged);
    const auto errors = numbers_of(c.at("squared_error")), pearson = numbers_of(c.at("pearson"));
    for (std::size_t g = 0; g < errors.size(); ++g) {
      CHECK(agrees(scores.squared_error[g], errors[g], 1e-9 * (1 + errors[g])));
      CHECK(agrees(scores.pearson[g], pearson[g], 1e-9));
    }
  }
}

TEST_CASE("ridge sums do not hang on calls, on threads, nor on the order of targets") {
  const Data data = ridge_data(1300, 70, 45);
  const tasks::RidgeSums whole = sums_of(data, 45, 0, 1300);
  tasks::RidgeSums parts = sums_of(data, 45, 0, 512);
  parts.add(data.rows.view(), data.targets(), numbers(512, 1300));
  CHECK(parts.cells() == 1300);
  CHECK((parts.sum_yx().array() == whole.sum_yx().array()).all());
  tasks::RidgeSums added = sums_of(data, 45, 0, 700);
  added.add(sums_of(data, 45, 700, 1300));
  CHECK((added.sum_yx() - whole.sum_yx()).cwiseAbs().maxCoeff() < 1e-9);
  const int before = thread_count();
  std::vector<double> reference;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    const tasks::RidgeSums sums = sums_of(data, 45, 0, 1300);
    const tasks::RidgeFit fit = tasks::RidgeProblem(sums).fit(0.3, all_targets(45));
    const Tensor<float> predicted = tasks::ridge_predictions(fit, data.rows.view());
    const auto scores = tasks::ridge_scores(fit, whole);
    std::vector<double> found(fit.coefficients.data(), fit.coefficients.data() + fit.coefficients.numel());
    found.insert(found.end(), predicted.data(), predicted.data() + predicted.numel());
    found.insert(found.end(), scores.pearson.begin(), scores.pearson.end());
    if (reference.empty()) reference = found;
    CHECK(found == reference);
  }
  set_thread_count(before);
}

TEST_CASE("ridge regression refuses what it can not use") {
  const Data data = ridge_data(10, 3, 2);
  CHECK(refusal_code([] { tasks::RidgeSums(0, 3); }) == "STOFM-4770");
  tasks::RidgeSums one(3, 1), other(4, 2);
  CHECK(refusal_code([&] { one.add(data.rows.view(), data.targets(), numbers(0, 10)); }) == "STOFM-4771");
  CHECK(refusal_code([&] { other.add(data.rows.view(), data.targets(), numbers(0, 10)); }) == "STOFM-4713");
  CHECK(refusal_code([&] { one.add(other); }) == "STOFM-4713");
  const tasks::RidgeSums alone = sums_of(data, 2, 0, 1), sums = sums_of(data, 2, 0, 10);
  CHECK(refusal_code([&] { tasks::RidgeProblem{alone}; }) == "STOFM-4772");
  const tasks::RidgeProblem problem(sums);
  CHECK(refusal_code([&] { problem.fit(0, all_targets(2)); }) == "STOFM-4773");
  Data broken = ridge_data(10, 3, 2);
  broken.rows.data()[4] = std::numeric_limits<float>::quiet_NaN();
  CHECK(refusal_code([&] { sums_of(broken, 2, 0, 10); }) == "STOFM-4703");
}

TEST_CASE("tiles that are held out lie all over a slice and are apart from each other") {
  const std::int64_t side = 60;
  Tensor<double> xy({side * side, 2});
  for (std::int64_t i = 0; i < side * side; ++i)
    xy.data()[2 * i] = static_cast<double>(i % side), xy.data()[2 * i + 1] = static_cast<double>(i / side);
  for (const double share : {0.1, 0.2, 0.25, 0.5}) {
    CAPTURE(share);
    const auto held = tasks::hold_out_tiles(std::as_const(xy).view(), {.share = share});
    const double count = static_cast<double>(std::count(held.begin(), held.end(), 1));
    CHECK(count == doctest::Approx(share * side * side).epsilon(0.15));
    for (std::int64_t corner = 0; corner < 4; ++corner) {  // each quarter has about its share
      double inside = 0;
      for (std::int64_t i = 0; i < side * side; ++i)
        inside += held[static_cast<std::size_t>(i)] != 0 && (i % side >= side / 2) == (corner % 2 == 1) &&
                  (i / side >= side / 2) == (corner / 2 == 1);
      CHECK(inside > 0.6 * share * side * side / 4);
    }
    if (share > 0.2) continue;
    std::int64_t inner = 0;  // held out, and so are the cells to the left and right
    for (std::int64_t i = 0; i < side * side; ++i)
      inner += i % side > 0 && i % side < side - 1 && held[static_cast<std::size_t>(i)] != 0 &&
               held[static_cast<std::size_t>(i - 1)] != 0 && held[static_cast<std::size_t>(i + 1)] != 0;
    CHECK(static_cast<double>(inner) > 0.6 * count);
  }
  CHECK(refusal_code([&] { tasks::hold_out_tiles(std::as_const(xy).view(), {.share = 0.7}); }) ==
        "STOFM-4774");
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <array>
#include <set>

#include "stofm/core/random.hpp"
#include "stofm/tasks/frozen_head.hpp"
#include "stofm/tasks/label_splits.hpp"
#include "stofm/tasks/neighbour_vote.hpp"
#include "stofm/tasks/shared_classes.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using tasks::CellRole;
using tasks::CellRoles;
using test::refusal_code;

namespace {
std::int64_t cells_with(const CellRoles& roles, CellRole role) {
  return std::count(roles.begin(), roles.end(), role);
}
/// n labels of three classes in the shares 0.7, 0.25, 0.05; each seventh has none.
std::vector<std::int32_t> uneven_labels(std::size_t n) {
  std::vector<std::int32_t> labels(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t at = i * 37 % 100;
    labels[i] = i % 7 == 0 ? -1 : at < 70 ? 0 : at < 95 ? 1 : 2;
  }
  return labels;
}
}  // namespace

TEST_CASE("label splits: by place, the test lies beyond every training cell") {
  const std::vector<std::int32_t> labels = uneven_labels(200);
  Tensor<double> xy({200, 2});
  Random random(3);
  for (std::int64_t i = 0; i < 400; ++i) xy.data()[i] = random.uniform();
  const auto labelled = static_cast<std::int64_t>(200 - std::count(labels.begin(), labels.end(), -1));
  std::set<CellRoles> different;
  for (std::int64_t direction = 0; direction < 5; ++direction) {
    const CellRoles roles = tasks::hold_out_by_place(xy.view(), labels, direction);
    different.insert(roles);
    CHECK(cells_with(roles, CellRole::test) == std::llround(0.2 * static_cast<double>(labelled)));
    CHECK(cells_with(roles, CellRole::train) + cells_with(roles, CellRole::test) == labelled);
    const double angle = 2 * std::numbers::pi * static_cast<double>(direction) / 5;
    double last_train = -1e9, first_test = 1e9;
    for (std::int64_t i = 0; i < 200; ++i) {
      const double along = xy.data()[2 * i] * std::cos(angle) + xy.data()[2 * i + 1] * std::sin(angle);
      const CellRole role = roles[static_cast<std::size_t>(i)];
      if (role == CellRole::train) last_train = std::max(last_train, along);
      if (role == CellRole::test) first_test = std::min(first_test, along);
    }
    CHECK(last_train < first_test);
  }
  CHECK(different.size() == 5);
  CHECK(refusal_code([&] { tasks::hold_out_by_place(xy.view(), labels, 5); }) == "STOFM-4791");
  CHECK(refusal_code([&] { tasks::hold_out_by_place(xy.view(), labels, 0, 5, 1.0); }) == "STOFM-4790");
}

TEST_CASE("label splits: at random, every class in proportion, one cell left to train") {
  const std::vector<std::int32_t> labels = uneven_labels(700);
  const CellRoles roles = tasks::hold_out_at_random(labels, {11});
  for (std::int32_t c = 0; c < 3; ++c) {
    std::int64_t all = 0, test = 0;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      all += labels[i] == c;
      test += labels[i] == c && roles[i] == CellRole::test;
    }
    CHECK(test == std::llround(0.2 * static_cast<double>(all)));
  }
  for (std::size_t i = 0; i < labels.size(); ++i) CHECK((labels[i] == -1) == (roles[i] == CellRole::none));
  CHECK(roles == tasks::hold_out_at_random(labels, {11}));
  CHECK(roles != tasks::hold_out_at_random(labels, {12}));
  const std::vector<std::int32_t> single{0, 1, 1};
  CHECK(tasks::hold_out_at_random(single, {1}, 0.9)[0] == CellRole::train);
  CHECK(cells_with(tasks::hold_out_at_random(single, {1}, 0.9), CellRole::test) == 1);
}

TEST_CASE("label splits: folds are a partition, each class dealt evenly") {
  const std::vector<std::int32_t> labels = uneven_labels(703);
  const std::vector<std::int32_t> fold = tasks::stratified_folds(labels, 5, {4});
  std::vector<std::array<std::int64_t, 5>> count(3);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    CHECK((fold[i] == -1) == (labels[i] == -1));
    if (labels[i] >= 0) ++count[static_cast<std::size_t>(labels[i])][static_cast<std::size_t>(fold[i])];
  }
  for (const auto& one : count) {
    const auto [low, high] = std::minmax_element(one.begin(), one.end());
    CHECK(*high - *low <= 1);
  }
  CHECK(refusal_code([&] { tasks::stratified_folds(labels, 1, {4}); }) == "STOFM-4791");
}

TEST_CASE("label splits: leave a slice out, budgets of labels, validation out of training alone") {
  const std::vector<std::vector<std::int32_t>> labels{uneven_labels(300), uneven_labels(200),
                                                      uneven_labels(100)};
  std::vector<CellRoles> roles = tasks::leave_slice_out(labels, 1);
  CHECK(cells_with(roles[1], CellRole::train) == 0);
  CHECK(cells_with(roles[0], CellRole::test) + cells_with(roles[2], CellRole::test) == 0);
  CHECK(cells_with(roles[1], CellRole::test) == 200 - std::count(labels[1].begin(), labels[1].end(), -1));
  CHECK(refusal_code([&] { tasks::leave_slice_out(labels, 3); }) == "STOFM-4791");

  const auto training = [&](const std::vector<CellRoles>& of, std::int32_t c) {
    std::int64_t found = 0;
    for (std::size_t s = 0; s < of.size(); ++s)
      for (std::size_t i = 0; i < of[s].size(); ++i)
        found += labels[s][i] == c && of[s][i] == CellRole::train;
    return found;
  };
  std::vector<CellRoles> few = roles;
  tasks::keep_some_labels(few, labels, {.share = 0.05}, {9});
  for (std::int32_t c = 0; c < 3; ++c)
    CHECK(training(few, c) ==
          std::max<std::int64_t>(1, std::llround(0.05 * static_cast<double>(training(roles, c)))));
  CHECK(few[1] == roles[1]);  // the test stays what it was
  std::vector<CellRoles> ten = roles;
  tasks::keep_some_labels(ten, labels, {.per_class = 10}, {9});
  for (std::int32_t c = 0; c < 3; ++c)
    CHECK(training(ten, c) == std::min<std::int64_t>(10, training(roles, c)));
  CHECK(refusal_code([&] { tasks::keep_some_labels(ten, labels, {.share = 0}, {9}); }) == "STOFM-4790");

  std::vector<CellRoles> judged = roles;
  tasks::hold_out_validation(judged, labels, {2});
  CHECK(judged[1] == roles[1]);
  for (std::int32_t c = 0; c < 3; ++c)
    CHECK(training(judged, c) ==
          training(roles, c) - std::llround(0.2 * static_cast<double>(training(roles, c))));
  const std::vector<std::int32_t> test = tasks::labels_with(labels[1], judged[1], CellRole::test);
  CHECK(test == labels[1]);
  CHECK(refusal_code([&] { tasks::labels_with(labels[0], judged[1], CellRole::test); }) == "STOFM-4700");
}

TEST_CASE("neighbour vote: mends a wrong cell, keeps its own label among equals, fills a gap") {
  Tensor<double> xy({7, 2});
  for (std::int64_t i = 0; i < 7; ++i) {
    xy.data()[2 * i] = static_cast<double>(i);
    xy.data()[2 * i + 1] = 0;
  }
  const std::vector<std::int32_t> labels{1, 1, 0, 1, 1, -1, 2};
  // neighbours of 2: 1 and 3; of 5: 4 and 6 (one vote each: the lowest); of 6: 5 and 4
  CHECK(tasks::vote_of_neighbours(xy.view(), labels, 2) == std::vector<std::int32_t>{1, 1, 1, 1, 1, 1, 2});
  CHECK(tasks::vote_of_neighbours(xy.view(), labels, 0) == labels);
  const std::vector<std::int32_t> bad{0, 0, 0, -2, 0, 0, 0};
  CHECK(refusal_code([&] { tasks::vote_of_neighbours(xy.view(), bad, 2); }) == "STOFM-4702");
}

TEST_CASE("shared classes: one numbering by name, the first colour, words for no label") {
  const io::SliceLabels a{"region", {0, 1, -1, 2, 1}, {"L1", "L2", "NA"}, {"#111111", "#222222", "#333333"}};
  const io::SliceLabels b{"region", {2, 0, 0}, {"L2", "empty", "L3"}, {"#aaaaaa", "#bbbbbb", "#cccccc"}};
  const std::vector<const io::SliceLabels*> labels{&a, nullptr, &b};
  const std::vector<std::int64_t> cells{5, 4, 3};
  const tasks::SharedClasses shared = tasks::share_classes(labels, cells);
  CHECK(shared.names == std::vector<std::string>{"L1", "L2", "L3"});
  CHECK(shared.colours == std::vector<std::string>{"#111111", "#222222", "#cccccc"});
  CHECK(shared.codes[0] == std::vector<std::int32_t>{0, 1, -1, -1, 1});
  CHECK(shared.codes[1] == std::vector<std::int32_t>(4, -1));
  CHECK(shared.codes[2] == std::vector<std::int32_t>{2, 1, 1});
  CHECK(shared.unlabelled == std::vector<std::int64_t>{2, 4, 0});
  CHECK(shared.cells[2] == std::vector<std::int64_t>{0, 2, 1});
  const auto after = tasks::share_classes(labels, cells, tasks::words_for_no_label(), {"L9", "L3"});
  CHECK(after.names == std::vector<std::string>{"L9", "L3", "L1", "L2"});
  CHECK(after.codes[2] == std::vector<std::int32_t>{1, 3, 3});
}

TEST_CASE("frozen head: the penalty that predicts held-out cells, refitted to all labels") {
  // One column tells the classes apart, 40 are noise: a strong penalty must win over a weak one.
  Random random(5);
  Tensor<float> rows({400, 41});
  std::vector<std::int32_t> labels(400);
  for (std::int64_t i = 0; i < 400; ++i) {
    labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i % 2);
    for (std::int64_t j = 0; j < 41; ++j)
      rows.data()[i * 41 + j] =
          static_cast<float>(random.normal() + (j == 0 ? 3.0 * static_cast<double>(i % 2) : 0.0));
  }
  const tasks::FrozenHead head =
      tasks::fit_frozen_head(std::as_const(rows).view(), labels, 2, {1}, {.strengths = {1e-9, 0.01, 100.0}});
  CHECK(head.strength == 0.01);
  CHECK(head.held_out_f1 > 0.8);  // the best there is: 0.93; of 80 cells, less 4 sd
  CHECK(head.model.report.cells == 400);
  std::vector<std::int32_t> few(400, -1);
  few[0] = 0;
  few[1] = 1;
  CHECK(tasks::fit_frozen_head(std::as_const(rows).view(), few, 2, {1}).strength == 0.1);
  CHECK(refusal_code([&] {
          tasks::fit_frozen_head(std::as_const(rows).view(), few, 2, {1}, {.strengths = {}});
        }) == "STOFM-4792");
}

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which labelled cells a head may learn from and which judge it: by place, at random, slice by slice, and
/// with few labels. Labels are codes of classes, -1: none; a cell without a label has no role.
///
/// A random split leaks in tissue: a held-out cell has training cells as neighbours, and whatever looks at
/// neighbours reads their answer. Split by place, or by slice, where that matters.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/random_key.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// What a cell's label is used for.
enum class CellRole : std::uint8_t {
  none,        ///< not used: no label, or left out
  train,       ///< carries loss
  validation,  ///< decides when to stop and which penalty; never the test
  test         ///< judges
};

using CellRoles = std::vector<CellRole>;  ///< [cells] of one slice

namespace detail {
/// Cells of each class in ascending order, those only for which `use` says so.
template <class Use>
std::map<std::int32_t, std::vector<std::int64_t>> cells_by_class(std::span<const std::int32_t> labels,
                                                                 Use&& use) {
  std::map<std::int32_t, std::vector<std::int64_t>> cells;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0 && use(i)) cells[labels[i]].push_back(static_cast<std::int64_t>(i));
  return cells;
}

/// In random order (Fisher-Yates), the same for the same key.
inline void shuffle_cells(std::vector<std::int64_t>& cells, const RandomKey& key) {
  Random random = key.generator();
  for (std::size_t i = cells.size(); i > 1; --i)
    std::swap(cells[i - 1], cells[static_cast<std::size_t>(random.below(i))]);
}

inline void require_share(const char* op, double share) {
  if (!(share > 0 && share < 1))
    throw UsageError({"STOFM-4790", "", op, concat("a share of ", share), "a number between 0 and 1",
                      "Give the share of the cells to hold out."});
}

/// All labels of several slices in one row, and where each slice begins.
inline std::vector<std::int32_t> joined_labels(std::span<const std::vector<std::int32_t>> labels) {
  std::vector<std::int32_t> all;
  for (const auto& one : labels) all.insert(all.end(), one.begin(), one.end());
  return all;
}
inline void require_roles(const char* op, std::span<const CellRoles> roles,
                          std::span<const std::vector<std::int32_t>> labels) {
  require_same_count(op, roles.size(), labels.size(), "slices with roles and with labels");
  for (std::size_t s = 0; s < roles.size(); ++s)
    require_same_count(op, roles[s].size(), labels[s].size(), "roles and labels");
}
}  // namespace detail

/// Every labelled cell has `role`.
inline CellRoles role_of_labelled(std::span<const std::int32_t> labels, CellRole role) {
  CellRoles roles(labels.size(), CellRole::none);
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0) roles[i] = role;
  return roles;
}

/// The `share` of the labelled cells that lie furthest in one direction are the test, the others train.
/// `xy` [cells, 2]; direction d of `directions`: angle 2 pi d / directions against the x axis. At equal
/// places the later cell is further. \throws ShapeError (STOFM-4700, 4704), UsageError (4790, 4791).
/// *Cost* O(N log N).
inline CellRoles hold_out_by_place(TensorView<const double> xy, std::span<const std::int32_t> labels,
                                   std::int64_t direction, std::int64_t directions = 5, double share = 0.2) {
  constexpr const char* op = "[hold_out_by_place]";
  detail::require_rows(op, xy);
  detail::require_same_count(op, static_cast<std::size_t>(xy.dim(0)), labels.size(), "places and labels");
  detail::require_share(op, share);
  if (directions < 1 || direction < 0 || direction >= directions || xy.dim(1) != 2)
    throw UsageError({"STOFM-4791", "", op,
                      concat("direction ", direction, " of ", directions, ", places of ", xy.dim(1)),
                      "a direction in [0, directions) and places [cells, 2]", "Check the call."});
  const double angle =
      2 * std::numbers::pi * static_cast<double>(direction) / static_cast<double>(directions);
  const double dx = std::cos(angle), dy = std::sin(angle);
  std::vector<std::int64_t> cells;
  std::vector<double> along(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= 0) {
      const double* place = xy.row(static_cast<std::int64_t>(i));
      along[i] = place[0] * dx + place[1] * dy;
      cells.push_back(static_cast<std::int64_t>(i));
    }
  std::stable_sort(cells.begin(), cells.end(), [&](std::int64_t a, std::int64_t b) {
    return along[static_cast<std::size_t>(a)] < along[static_cast<std::size_t>(b)];
  });
  CellRoles roles = role_of_labelled(labels, CellRole::train);
  const auto out = static_cast<std::size_t>(std::llround(share * static_cast<double>(cells.size())));
  for (std::size_t i = cells.size() - out; i < cells.size(); ++i)
    roles[static_cast<std::size_t>(cells[i])] = CellRole::test;
  return roles;
}

/// Which of `folds` parts each cell belongs to, -1 without a label: every class is dealt to the parts in turn
/// in random order. \throws UsageError (STOFM-4791) unless folds >= 2. *Cost* O(N).
inline std::vector<std::int32_t> stratified_folds(std::span<const std::int32_t> labels, std::int64_t folds,
                                                  const RandomKey& key) {
  if (folds < 2)
    throw UsageError({"STOFM-4791", "", "[stratified_folds]", concat(folds, " folds"), "at least 2",
                      "Give a number of parts."});
  std::vector<std::int32_t> fold(labels.size(), -1);
  std::int64_t next = 0;  // goes on over classes, so that parts differ by one cell at most
  for (auto& [label, cells] : detail::cells_by_class(labels, [](std::size_t) { return true; })) {
    detail::shuffle_cells(cells, key.child(static_cast<std::uint64_t>(label)));
    for (const std::int64_t i : cells)
      fold[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(next++ % folds);
  }
  return fold;
}

/// About `share` of the cells of each class are the test, the others train; a class of one cell trains.
/// \throws UsageError (STOFM-4790). *Cost* O(N).
inline CellRoles hold_out_at_random(std::span<const std::int32_t> labels, const RandomKey& key,
                                    double share = 0.2) {
  detail::require_share("[hold_out_at_random]", share);
  CellRoles roles = role_of_labelled(labels, CellRole::train);
  for (auto& [label, cells] : detail::cells_by_class(labels, [](std::size_t) { return true; })) {
    detail::shuffle_cells(cells, key.child(static_cast<std::uint64_t>(label)));
    const auto size = static_cast<double>(cells.size());
    const auto out =
        (std::min)(static_cast<std::size_t>(std::llround(share * size)), cells.size() - 1);  // one trains
    for (std::size_t i = 0; i < out; ++i) roles[static_cast<std::size_t>(cells[i])] = CellRole::test;
  }
  return roles;
}

/// Slice `held_out` is the test, all others train. \throws UsageError (STOFM-4791).
inline std::vector<CellRoles> leave_slice_out(std::span<const std::vector<std::int32_t>> labels,
                                              std::size_t held_out) {
  if (held_out >= labels.size())
    throw UsageError({"STOFM-4791", "", "[leave_slice_out]", concat("slice ", held_out),
                      concat("a slice below ", labels.size()), "Check the call."});
  std::vector<CellRoles> roles;
  for (std::size_t s = 0; s < labels.size(); ++s)
    roles.push_back(role_of_labelled(labels[s], s == held_out ? CellRole::test : CellRole::train));
  return roles;
}

/// How many labels a head may see.
struct LabelBudget {
  double share = 1;            ///< of the training cells of each class, at least one of each
  std::int64_t per_class = 0;  ///< at most so many of each class over all slices; 0: no limit
};

/// Training cells beyond the budget lose their role; which ones is random. \throws ShapeError (STOFM-4700),
/// UsageError (4790) for a share outside (0, 1] or a number below 0. *Cost* O(N).
inline void keep_some_labels(std::span<CellRoles> roles, std::span<const std::vector<std::int32_t>> labels,
                             const LabelBudget& budget, const RandomKey& key) {
  constexpr const char* op = "[keep_some_labels]";
  detail::require_roles(op, roles, labels);
  if (!(budget.share > 0 && budget.share <= 1) || budget.per_class < 0)
    throw UsageError({"STOFM-4790", "", op,
                      concat("a share of ", budget.share, ", ", budget.per_class, " of a class"),
                      "a share in (0, 1] and a number >= 0", "Check the budget of labels."});
  std::vector<std::pair<std::size_t, std::size_t>> place;  // of each cell in the joined row
  for (std::size_t s = 0; s < labels.size(); ++s)
    for (std::size_t i = 0; i < labels[s].size(); ++i) place.emplace_back(s, i);
  const std::vector<std::int32_t> all = detail::joined_labels(labels);
  auto classes = detail::cells_by_class(
      all, [&](std::size_t i) { return roles[place[i].first][place[i].second] == CellRole::train; });
  for (auto& [label, cells] : classes) {
    detail::shuffle_cells(cells, key.child(static_cast<std::uint64_t>(label)));
    auto keep = static_cast<std::int64_t>(std::llround(budget.share * static_cast<double>(cells.size())));
    keep = (std::max<std::int64_t>)(keep, 1);
    if (budget.per_class > 0) keep = (std::min)(keep, budget.per_class);
    for (auto i = static_cast<std::size_t>(keep); i < cells.size(); ++i) {
      const auto [s, cell] = place[static_cast<std::size_t>(cells[i])];
      roles[s][cell] = CellRole::none;
    }
  }
}

/// About `share` of the training cells of each class become validation; a class keeps at least one cell for
/// training, so that classes of one cell are not validated. \throws ShapeError (STOFM-4700), UsageError
/// (4790). *Cost* O(N).
inline void hold_out_validation(std::span<CellRoles> roles, std::span<const std::vector<std::int32_t>> labels,
                                const RandomKey& key, double share = 0.2) {
  constexpr const char* op = "[hold_out_validation]";
  detail::require_roles(op, roles, labels);
  detail::require_share(op, share);
  std::vector<std::int32_t> training;
  for (std::size_t s = 0; s < labels.size(); ++s)
    for (std::size_t i = 0; i < labels[s].size(); ++i)
      training.push_back(roles[s][i] == CellRole::train ? labels[s][i] : -1);
  const CellRoles drawn = hold_out_at_random(training, key, share);
  std::size_t at = 0;
  for (CellRoles& one : roles)
    for (CellRole& role : one)
      if (drawn[at++] == CellRole::test) role = CellRole::validation;
}

/// `labels` of the cells that have `role`, -1 elsewhere: what a head is fitted to, or judged by.
inline std::vector<std::int32_t> labels_with(std::span<const std::int32_t> labels, const CellRoles& roles,
                                             CellRole role) {
  detail::require_same_count("[labels_with]", roles.size(), labels.size(), "roles and labels");
  std::vector<std::int32_t> kept(labels.begin(), labels.end());
  for (std::size_t i = 0; i < kept.size(); ++i)
    if (roles[i] != role) kept[i] = -1;
  return kept;
}

}  // namespace stofm::tasks

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums of products of features and of sparse targets over cells: all that ridge_regression.hpp needs to know
/// of them. Cells are met block by block, in any number of calls.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cpu/matrix.hpp"
#include "stofm/core/checked.hpp"
#include "stofm/tasks/checks.hpp"

namespace stofm::tasks {

/// Targets of rows, sparse: `columns` of row i are offsets[i] .. offsets[i + 1], each at most once a row.
struct SparseTargets {
  std::span<const std::int64_t> offsets;  ///< [rows + 1]; may begin above 0
  std::span<const std::int32_t> columns;
  std::span<const float> values;
};

/// Sums over cells. Everything in double, in the order of the cells.
class RidgeSums {
 public:
  /// \throws UsageError STOFM-4770 unless there is a feature and a target.
  RidgeSums(std::int64_t features, std::int64_t targets) : features_(features), targets_(targets) {
    if (features < 1 || targets < 1)
      throw UsageError({"STOFM-4770", "", "[ridge_regression]",
                        concat(features, " features, ", targets, " targets"), "at least one of each",
                        "Give features of the cells and genes to predict."});
    checked_mul(features, (std::max)(features, targets), "sums of products");
    x_.assign(static_cast<std::size_t>(features), 0.0);
    y_.assign(static_cast<std::size_t>(targets), 0.0);
    yy_.assign(static_cast<std::size_t>(targets), 0.0);
    xx_.setZero(features, features);
    yx_.setZero(targets, features);
  }

  /// Adds the cells `listed` of `rows` [N, features] (float, rows dense) and their targets; `first`: row of
  /// `targets` that cell 0 is. \throws ShapeError (STOFM-4704, 4713); DataError for a value that is not
  /// finite (4703) or a target out of range (4771). *Cost* cells features^2 + entries features operations in
  /// double, parallel.
  void add(TensorView<const float> rows, const SparseTargets& targets, std::span<const std::int64_t> listed) {
    constexpr const char* op = "[ridge_regression]";
    detail::require_rows(op, rows);
    if (rows.dim(1) != features_)
      throw ShapeError({"STOFM-4713", "", op, concat(rows.dim(1), " features"),
                        concat(features_, " features"), "Give rows of the same kind."});
    if (static_cast<std::int64_t>(targets.offsets.size()) != rows.dim(0) + 1)
      throw ShapeError({"STOFM-4700", "", op, concat(targets.offsets.size(), " offsets of targets"),
                        concat(rows.dim(0) + 1, ", one more than cells"), "Give one row of each per cell."});
    for (std::size_t begin = 0; begin < listed.size(); begin += block_rows)
      add_block(rows, targets, listed.subspan(begin, (std::min)(block_rows, listed.size() - begin)));
  }

  /// Adds the sums over other cells. \throws ShapeError STOFM-4713 for other features or targets.
  void add(const RidgeSums& other) {
    if (other.features_ != features_ || other.targets_ != targets_)
      throw ShapeError({"STOFM-4713", "", "[ridge_regression]",
                        concat(other.features_, " features, ", other.targets_, " targets"),
                        concat(features_, " and ", targets_), "Add sums of the same kind."});
    cells_ += other.cells_;
    for (std::size_t j = 0; j < x_.size(); ++j) x_[j] += other.x_[j];
    for (std::size_t g = 0; g < y_.size(); ++g) y_[g] += other.y_[g], yy_[g] += other.yy_[g];
    xx_ += other.xx_;
    yx_ += other.yx_;
  }

  std::int64_t cells() const { return cells_; }
  std::int64_t features() const { return features_; }
  std::int64_t targets() const { return targets_; }
  const std::vector<double>& sum_x() const { return x_; }    ///< [features]
  const std::vector<double>& sum_y() const { return y_; }    ///< [targets]
  const std::vector<double>& sum_yy() const { return yy_; }  ///< [targets] of squares
  /// [features, features]; only the part with column <= row is filled.
  const backend::EigenRowMajor<double>& sum_xx() const { return xx_; }
  const backend::EigenRowMajor<double>& sum_yx() const { return yx_; }  ///< [targets, features]

 private:
  static constexpr std::size_t block_rows = 512;
  static constexpr std::int64_t tile = 64;

  void add_block(TensorView<const float> rows, const SparseTargets& targets,
                 std::span<const std::int64_t> listed) {
    const auto count = static_cast<std::int64_t>(listed.size());
    backend::EigenRowMajor<double> block(count, features_);
    parallel_for(count, 32, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* row = rows.row(listed[static_cast<std::size_t>(i)]);
        for (std::int64_t j = 0; j < features_; ++j) {
          if (!std::isfinite(row[j]))
            throw DataError(
                {"STOFM-4703", "",
                 concat("[ridge_regression] row ", listed[static_cast<std::size_t>(i)], ", column ", j),
                 concat(row[j]), "a finite value", "Leave out or mend this row."});
          block(i, j) = static_cast<double>(row[j]);
        }
      }
    });
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t j = 0; j < features_; ++j) x_[static_cast<std::size_t>(j)] += block(i, j);
    parallel_for((features_ + tile - 1) / tile, 1, [&](std::int64_t begin, std::int64_t) {
      const std::int64_t first = begin * tile, last = (std::min)(features_, first + tile);
      xx_.block(first, 0, last - first, last).noalias() +=
          block.middleCols(first, last - first).transpose() * block.leftCols(last);
    });
    // Entries by target, in the order of cells.
    std::vector<std::int64_t> start(static_cast<std::size_t>(targets_) + 1, 0);
    const auto each_entry = [&](auto&& use) {
      for (std::int64_t i = 0; i < count; ++i) {
        const auto row = static_cast<std::size_t>(listed[static_cast<std::size_t>(i)]);
        for (auto e = static_cast<std::size_t>(targets.offsets[row] - targets.offsets[0]);
             e < static_cast<std::size_t>(targets.offsets[row + 1] - targets.offsets[0]); ++e)
          use(i, row, targets.columns[e], targets.values[e]);
      }
    };
    each_entry([&](std::int64_t, std::size_t row, std::int32_t target, float value) {
      if (target < 0 || target >= targets_ || !std::isfinite(value))
        throw DataError({"STOFM-4771", "", concat("[ridge_regression] targets of row ", row),
                         concat(value, " for target ", target),
                         concat("a finite value for a target in [0, ", targets_, ")"),
                         "Number the genes to predict from 0."});
      ++start[static_cast<std::size_t>(target) + 1];
    });
    for (std::size_t g = 1; g < start.size(); ++g) start[g] += start[g - 1];
    std::vector<std::pair<std::int32_t, float>> entries(static_cast<std::size_t>(start.back()));
    std::vector<std::int64_t> next(start.begin(), start.end() - 1);
    each_entry([&](std::int64_t i, std::size_t, std::int32_t target, float value) {
      entries[static_cast<std::size_t>(next[static_cast<std::size_t>(target)]++)] = {
          static_cast<std::int32_t>(i), value};
    });
    parallel_for(targets_, 32, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t g = begin; g < end; ++g) {
        const auto at = static_cast<std::size_t>(g);
        double* sums = yx_.data() + g * features_;
        for (auto e = static_cast<std::size_t>(start[at]); e < static_cast<std::size_t>(start[at + 1]); ++e) {
          const double y = static_cast<double>(entries[e].second);
          const double* row = block.data() + entries[e].first * features_;
          for (std::int64_t j = 0; j < features_; ++j) sums[j] += y * row[j];
          y_[at] += y;
          yy_[at] += y * y;
        }
      }
    });
    cells_ += count;
  }

  std::int64_t features_, targets_, cells_ = 0;
  std::vector<double> x_, y_, yy_;
  backend::EigenRowMajor<double> xx_, yx_;
};

}  // namespace stofm::tasks

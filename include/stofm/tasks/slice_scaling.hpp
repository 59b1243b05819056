// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Embeddings brought to one scale slice by slice: every column to mean 0 and deviation 1 over the cells of a
/// slice. In an embedding whose columns differ in variance the loud ones decide what is near; here all count
/// the same, and what sets whole slices apart (panel, depth, batch) is taken away.

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/tasks/logistic_problem.hpp"

namespace stofm::tasks {

/// `rows` [N, C] (float, rows dense) standardised within each slice; `slice_of` [N] (any numbers >= 0),
/// empty: one slice. Deviations divide by N; a column that is constant in a slice becomes 0 there. \throws
/// ShapeError (STOFM-4700, 4704); DataError for a negative number of a slice (4702) or a value that is not
/// finite (4703). *Cost* three reads of the rows, parallel. *Deterministic* yes, any thread count.
inline Tensor<float> standardised_by_slice(TensorView<const float> rows,
                                           std::span<const std::int32_t> slice_of = {}) {
  constexpr const char* op = "[standardised_by_slice]";
  detail::require_rows(op, rows);
  const auto n = static_cast<std::size_t>(rows.dim(0));
  if (!slice_of.empty()) {
    detail::require_same_count(op, n, slice_of.size(), "rows and slices");
    detail::require_labels(op, slice_of);
  }
  detail::require_finite_rows(op, rows);
  std::int32_t last = 0;
  for (const std::int32_t s : slice_of) last = (std::max)(last, s);
  std::vector<std::vector<std::int64_t>> cells(static_cast<std::size_t>(last) + 1);
  for (std::size_t i = 0; i < n; ++i)
    cells[slice_of.empty() ? 0 : static_cast<std::size_t>(slice_of[i])].push_back(
        static_cast<std::int64_t>(i));
  const std::int64_t width = rows.dim(1);
  Tensor<float> result({rows.dim(0), width});
  for (const auto& listed : cells) {
    if (listed.empty()) continue;
    const Standardisation by = detail::standardisation_of(rows, listed);
    parallel_for(static_cast<std::int64_t>(listed.size()), 256, [&](std::int64_t begin, std::int64_t end) {
      backend::EigenRowMajor<double> block;
      detail::standardised_block(rows, listed, by, begin, end, block);
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < width; ++j)
          result.data()[listed[static_cast<std::size_t>(i)] * width + j] =
              static_cast<float>(block(i - begin, j));
    });
  }
  return result;
}

/// Gives the first `own` columns of `rows` [N, C] the share `weight` of the total variance and the others the
/// rest, in place: how much a cell counts against its surroundings where an embedding has a half for each
/// (SliceFeatures::own_columns). A side without variance stays as it is. \throws UsageError (STOFM-4756)
/// unless 0 < own < C and 0 <= weight <= 1. *Cost* two reads of the rows. *Deterministic* yes, any thread
/// count.
inline void weigh_halves(Tensor<float>& rows, std::int64_t own, double weight) {
  const std::int64_t n = rows.dim(0), width = rows.dim(1);
  if (own < 1 || own >= width || !(weight >= 0 && weight <= 1))
    throw UsageError({"STOFM-4756", "", "[weigh_halves]",
                      concat("weight ", weight, " for ", own, " of ", width, " columns"),
                      "a weight from 0 to 1, columns on both sides",
                      "Weigh halves of an embedding that has them."});
  if (n == 0) return;
  std::vector<std::int64_t> all(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) all[static_cast<std::size_t>(i)] = i;
  const Standardisation spread = detail::standardisation_of(std::as_const(rows).view(), all);
  const std::vector<double> squares =
      detail::sums_over_rows(n, static_cast<std::size_t>(width), [&](std::int64_t i, double* sums) {
        for (std::int64_t j = 0; j < width; ++j) {
          const double d =
              static_cast<double>(rows.data()[i * width + j]) - spread.mean[static_cast<std::size_t>(j)];
          sums[j] += d * d;
        }
      });
  double variance[2] = {0, 0};
  for (std::int64_t j = 0; j < width; ++j) variance[j < own ? 0 : 1] += squares[static_cast<std::size_t>(j)];
  const double total = variance[0] + variance[1];
  const double factor[2] = {variance[0] > 0 ? std::sqrt(weight * total / variance[0]) : 1.0,
                            variance[1] > 0 ? std::sqrt((1 - weight) * total / variance[1]) : 1.0};
  parallel_for(n, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < width; ++j)
        rows.data()[i * width + j] =
            static_cast<float>(static_cast<double>(rows.data()[i * width + j]) * factor[j < own ? 0 : 1]);
  });
}

}  // namespace stofm::tasks

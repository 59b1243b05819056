// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the tasks refuse: labels, rows and columns that do not fit each other or are not finite.

#include <cmath>
#include <cstdint>
#include <span>
#include <string>

#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::tasks::detail {

/// \throws ShapeError STOFM-4700 unless both have the same number of entries.
inline void require_same_count(const char* op, std::size_t left, std::size_t right, const char* what) {
  if (left != right)
    throw ShapeError({"STOFM-4700", "", op, concat(left, " and ", right, " ", what),
                      "the same number on both sides", "Give one per cell, in the same order."});
}

/// \throws DataError STOFM-4701 for no cells.
inline void require_some(const char* op, std::size_t count) {
  if (count == 0)
    throw DataError({"STOFM-4701", "", op, "no cells", "at least one", "Check what was left out before."});
}

/// \throws DataError STOFM-4702 for a label below 0, or from `classes` on where that is given (>= 0).
inline void require_labels(const char* op, std::span<const std::int32_t> labels, std::int64_t classes = -1) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || (classes >= 0 && labels[i] >= classes))
      throw DataError({"STOFM-4702", "", concat(op, " cell ", i), concat("label ", labels[i]),
                       classes >= 0 ? concat("a label in [0, ", classes, ")") : std::string("a label >= 0"),
                       "Leave out cells without a label, and number the classes from 0."});
}

/// \throws DataError STOFM-4703 for NaN or inf.
inline void require_finite(const char* op, const char* what, std::span<const double> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw DataError({"STOFM-4703", "", concat(op, " ", what, " ", i), concat(values[i]), "a finite value",
                       "Leave out what is missing on either side."});
}

/// \throws ShapeError STOFM-4704 unless `rows` is a matrix with dense rows and at least one column.
template <class T>
void require_rows(const char* op, const TensorView<const T>& rows) {
  if (rows.rank() != 2 || rows.dim(1) < 1 || (rows.dim(1) > 1 && rows.stride(1) != 1))
    throw ShapeError({"STOFM-4704", "", op, layout_text(rows),
                      "[cells, columns], rows dense, at least one column", "Give one row per cell."});
}

/// \throws DataError STOFM-4703 for NaN or inf in a row; the first in order is named. Parallel.
template <class T>
void require_finite_rows(const char* op, const TensorView<const T>& rows) {
  parallel_for(rows.dim(0), 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < rows.dim(1); ++j)
        if (!std::isfinite(rows.row(i)[j]))
          throw DataError({"STOFM-4703", "", concat(op, " row ", i, ", column ", j), concat(rows.row(i)[j]),
                           "a finite value", "Leave out or mend this row."});
  });
}

}  // namespace stofm::tasks::detail

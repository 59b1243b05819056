// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which pairs of nodes are listed: the one form that distances, biases and attention share. Values stand
/// beside it, one for each entry.

#include <cstdint>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm {

/// Rows of columns (CSR) over [nodes, nodes]; columns ascend within a row.
struct PairList {
  std::int64_t nodes = 0;
  std::vector<std::int64_t> row_offsets{0};  ///< [nodes + 1]
  std::vector<std::int32_t> columns;         ///< [entries]

  std::int64_t entries() const { return static_cast<std::int64_t>(columns.size()); }

  /// \throws ShapeError, in the name of `op`: STOFM-1105 for the number of nodes, 1104 for row offsets, 1103
  /// for columns that do not ascend in [0, nodes). *Cost* O(nodes + entries).
  void validate(const char* op) const {
    const auto refuse = [&](const char* code, std::string found, std::string expected, const char* remedy) {
      throw ShapeError({code, "", concat("[", op, "]"), std::move(found), std::move(expected), remedy});
    };
    if (nodes < 0) refuse("STOFM-1105", concat(nodes, " nodes"), "0 or more", "Check the shapes.");
    bool valid = static_cast<std::int64_t>(row_offsets.size()) == nodes + 1 && row_offsets.front() == 0 &&
                 row_offsets.back() == entries();
    for (std::size_t i = 0; valid && i + 1 < row_offsets.size(); ++i)
      valid = row_offsets[i] <= row_offsets[i + 1];
    if (!valid)
      refuse("STOFM-1104", concat("row offsets of ", row_offsets.size(), " values"),
             concat(nodes + 1, " ascending values from 0 to ", entries()), "Check the offsets.");
    for (std::size_t i = 0; i + 1 < row_offsets.size(); ++i)
      for (std::int64_t e = row_offsets[i], least = 0; e < row_offsets[i + 1]; ++e) {
        const std::int64_t column = columns[static_cast<std::size_t>(e)];
        if (column < least || column >= nodes)
          refuse("STOFM-1103", concat("column ", column, " in row ", i),
                 concat(least, " to ", nodes - 1, ", ascending within a row"), "Check the columns.");
        least = column + 1;
      }
  }
};

}  // namespace stofm

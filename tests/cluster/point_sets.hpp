// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Point sets that break naive code: heaps, lines, lattices, outliers, offsets.

#include <cmath>
#include <string>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::test {

inline const std::vector<std::string>& point_set_names() {
  static const std::vector<std::string> names{"random", "line",           "diagonal",    "point",
                                              "heap",   "square lattice", "hex lattice", "outlier",
                                              "offset", "twins",          "islands"};
  return names;
}

/// `n` points of one kind, [n, 2].
inline Tensor<double> point_set(const std::string& kind, std::int64_t n, std::uint64_t seed) {
  Random random(seed, 99);
  Tensor<double> xy({n, 2});
  const auto side =
      static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(std::max<std::int64_t>(n, 1)))));
  for (std::int64_t i = 0; i < n; ++i) {
    double x = random.uniform() * 1000, y = random.uniform() * 700;
    const auto row = static_cast<double>(i / side), column = static_cast<double>(i % side);
    if (kind == "line") y = 5;
    if (kind == "diagonal") y = x;
    if (kind == "point" || (kind == "heap" && i % 3 != 0)) x = y = 42;
    if (kind == "square lattice") x = column, y = row;
    if (kind == "hex lattice") x = column + (i / side % 2 == 0 ? 0.0 : 0.5), y = row * std::sqrt(0.75);
    if (kind == "outlier" && i == n / 2) x = 1e9;
    if (kind == "offset") x += 1e9, y -= 1e9;
    if (kind == "twins") x = std::floor(x / 20), y = std::floor(y / 20);
    if (kind == "islands")
      x = x / 500 + 100 * static_cast<double>(i / 15 % 14),
      y = y / 500 + 100 * static_cast<double>(i / 15 / 14);
    xy(i, 0) = x;
    xy(i, 1) = y;
  }
  return xy;
}

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Silhouette: how much nearer a cell is to its own cluster than to the next one, by distances alone.
///
///     s_i = (b_i - a_i) / max(a_i, b_i)
///
/// a_i: mean distance to the other cells of its cluster, b_i: the smallest mean distance to the cells of
/// another cluster; 0 for a cell that is alone in its cluster. *Source* Rousseeuw (1987); as scikit-learn's
/// `silhouette_samples`.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/tasks/checks.hpp"
#include "stofm/tasks/distances.hpp"

namespace stofm::tasks {

struct SilhouetteOptions {
  Distance distance = Distance::euclidean;
  std::int64_t sample = 0;  ///< cells that are looked at, each against all others; 0: all
  std::uint64_t seed = 0;   ///< of the sample
};

struct Silhouette {
  double mean = 0;                  ///< over the cells looked at
  std::vector<std::int64_t> cells;  ///< those looked at, ascending
  std::vector<double> values;       ///< of each, in [-1, 1]
};

namespace detail {
/// `count` of [0, n) without repetition, ascending.
inline std::vector<std::int64_t> sample_without_repetition(std::int64_t n, std::int64_t count,
                                                           std::uint64_t seed) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  if (count >= n) return all;
  Random random(seed, 0x73616D70);
  for (std::int64_t i = 0; i < count; ++i)
    std::swap(all[static_cast<std::size_t>(i)],
              all[static_cast<std::size_t>(i) + random.below(static_cast<std::uint64_t>(n - i))]);
  all.resize(static_cast<std::size_t>(count));
  std::sort(all.begin(), all.end());
  return all;
}
}  // namespace detail

/// Silhouette of `rows` [N, C] under `labels` [N] (any numbers >= 0).
/// With `sample` M < N, M cells drawn without repetition are looked at, each against all N: an unbiased
/// estimate of the exact mean (scikit-learn's sample_size thins out the clusters as well). \throws ShapeError
/// (STOFM-4700, 4704); DataError for no cells (4701), a negative label (4702), a value that is not finite
/// (4703), one cluster only or as many clusters as cells (4705). *Cost* M N C operations in double, parallel.
/// *Deterministic* yes, any thread count.
template <class T>
Silhouette silhouette(TensorView<const T> rows, std::span<const std::int32_t> labels,
                      const SilhouetteOptions& options = {}) {
  constexpr const char* op = "[silhouette]";
  detail::require_rows(op, rows);
  detail::require_same_count(op, static_cast<std::size_t>(rows.dim(0)), labels.size(), "rows and labels");
  detail::require_some(op, labels.size());
  detail::require_labels(op, labels);
  detail::require_finite_rows(op, rows);
  std::vector<std::int32_t> names(labels.begin(), labels.end());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.size() < 2 || names.size() >= labels.size())
    throw DataError({"STOFM-4705", "", op, concat(names.size(), " clusters of ", labels.size(), " cells"),
                     "at least two clusters and fewer than cells",
                     "A silhouette needs another cluster to compare with."});
  const std::int64_t n = rows.dim(0), width = rows.dim(1);
  std::vector<std::size_t> cluster(labels.size());
  std::vector<std::int64_t> sizes(names.size(), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    cluster[i] =
        static_cast<std::size_t>(std::lower_bound(names.begin(), names.end(), labels[i]) - names.begin());
    ++sizes[cluster[i]];
  }
  std::vector<double> lengths;
  if (options.distance == Distance::cosine) {
    lengths.resize(labels.size());
    for (std::int64_t i = 0; i < n; ++i)
      lengths[static_cast<std::size_t>(i)] = std::sqrt(detail::dot_product(rows.row(i), rows.row(i), width));
  }
  Silhouette result;
  result.cells = detail::sample_without_repetition(n, options.sample > 0 ? options.sample : n, options.seed);
  result.values.assign(result.cells.size(), 0.0);
  const auto looked_at = static_cast<std::int64_t>(result.cells.size());
  parallel_for(looked_at, 16, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> sums(sizes.size());
    for (std::int64_t s = begin; s < end; ++s) {
      const std::int64_t i = result.cells[static_cast<std::size_t>(s)];
      const std::size_t own = cluster[static_cast<std::size_t>(i)];
      if (sizes[own] < 2) continue;
      std::fill(sums.begin(), sums.end(), 0.0);
      for (std::int64_t j = 0; j < n; ++j) {
        if (j == i) continue;
        const double distance = options.distance == Distance::euclidean
                                    ? std::sqrt(detail::square_distance(rows.row(i), rows.row(j), width))
                                    : detail::cosine_distance(rows.row(i), rows.row(j), width,
                                                              lengths[static_cast<std::size_t>(i)],
                                                              lengths[static_cast<std::size_t>(j)]);
        sums[cluster[static_cast<std::size_t>(j)]] += distance;
      }
      const double a = sums[own] / static_cast<double>(sizes[own] - 1);
      double b = std::numeric_limits<double>::infinity();
      for (std::size_t c = 0; c < sizes.size(); ++c)
        if (c != own) b = (std::min)(b, sums[c] / static_cast<double>(sizes[c]));
      const double larger = (std::max)(a, b);
      result.values[static_cast<std::size_t>(s)] = larger > 0 ? (b - a) / larger : 0.0;
    }
  });
  for (const double value : result.values) result.mean += value;
  result.mean /= static_cast<double>(looked_at);
  return result;
}

}  // namespace stofm::tasks

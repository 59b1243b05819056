// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the other spots say of the shares of one: a prior for spots with few counts.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::tasks::detail {

/// Counts that a prior adds to a spot: never more than a tenth of what it has.
inline double prior_weight(double counts, double total) { return (std::min)(counts, 0.1 * total); }

/// Shares that the prior has for each spot, from the weights of all: their mean, half of it that of the
/// neighbours if there are any. [spots, types]
inline Tensor<double> prior_shares(const Tensor<double>& weights, const std::vector<double>& counts,
                                   std::span<const std::int32_t> neighbours) {
  const std::int64_t n = weights.dim(0), types = weights.dim(1);
  std::vector<double> mean(static_cast<std::size_t>(types), 0.0);
  double all = 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t t = 0; t < types; ++t) {
      mean[static_cast<std::size_t>(t)] += weights(i, t);
      all += weights(i, t);
    }
  for (double& share : mean) share /= all > 0 ? all : 1.0;
  Tensor<double> prior = Tensor<double>::zeros({n, types});
  const auto k = n > 0 ? static_cast<std::int64_t>(neighbours.size()) / n : 0;
  parallel_for(n, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double* row = prior.data() + i * types;
      double seen = 0;
      for (std::int64_t e = i * k; e < (i + 1) * k; ++e) {
        const std::int64_t other = neighbours[static_cast<std::size_t>(e)];
        if (!(counts[static_cast<std::size_t>(other)] > 0)) continue;
        double sum = 0;
        for (std::int64_t t = 0; t < types; ++t) sum += weights(other, t);
        if (!(sum > 0)) continue;
        ++seen;
        for (std::int64_t t = 0; t < types; ++t) row[t] += weights(other, t) / sum;
      }
      for (std::int64_t t = 0; t < types; ++t)
        row[t] = seen > 0 ? 0.5 * row[t] / seen + 0.5 * mean[static_cast<std::size_t>(t)]
                          : mean[static_cast<std::size_t>(t)];
    }
  });
  return prior;
}

}  // namespace stofm::tasks::detail

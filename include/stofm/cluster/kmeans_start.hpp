// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// First centres for k-means: greedy k-means++ on a sample, each new centre the best of a few drawn with
/// probability proportional to the squared distance to the centres so far. *Source* Arthur and Vassilvitskii,
/// "k-means++: the advantages of careful seeding" (2007); number of trials 2 + log(K) from the authors'
/// implementation.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "stofm/cluster/nearest_centre.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/core/random.hpp"

namespace stofm::cluster {

namespace detail {
/// Index drawn with probability proportional to `weights`, whose running sums are `cumulative`.
inline std::int64_t draw_weighted(const std::vector<double>& cumulative, double uniform) {
  const double target = uniform * cumulative.back();
  const auto found = std::upper_bound(cumulative.begin(), cumulative.end(), target);
  return (std::min<std::int64_t>)(found - cumulative.begin(),
                                  static_cast<std::int64_t>(cumulative.size()) - 1);
}
}  // namespace detail

/// Up to `k` centres [<= k, C] chosen among the rows, all different. Fewer come back only where there are
/// fewer distinct rows. `sample_size` rows (all, if there are not more) are looked at; the rest only if the
/// sample has too few distinct ones. *Cost* K log K sample_size C operations. *Deterministic* yes for a state
/// of `random`.
STOFM_INLINE Tensor<float> kmeans_start(TensorView<const float> rows, std::int64_t k,
                                        std::int64_t sample_size, Random& random);

}  // namespace stofm::cluster

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto cluster::kmeans_start(TensorView<const float> rows, std::int64_t k,
                                        std::int64_t sample_size, Random& random) -> Tensor<float> {
  const std::int64_t n = rows.dim(0), d = rows.dim(1), s = (std::min)(n, sample_size);
  Tensor<float> centres({k, d}), sample({s, d});
  for (std::int64_t i = 0; i < s; ++i) {
    const std::int64_t row =
        s == n ? i : static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n)));
    std::copy_n(rows.row(row), d, sample.data() + i * d);
  }
  const PackedPoints packed(sample.view());
  const auto padded = static_cast<std::size_t>(packed.blocks() * PackedPoints::lanes);
  const auto trials = 2 + static_cast<std::int64_t>(std::log(static_cast<double>(k)));
  std::vector<float> nearest(padded, std::numeric_limits<float>::infinity()), tried(4 * padded), best(padded);
  std::vector<double> cumulative(static_cast<std::size_t>(s));
  std::int64_t made = 0;
  while (made < k) {
    std::vector<std::int64_t> candidates;
    if (made == 0) {
      candidates.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(s))));
    } else {
      double sum = 0;
      for (std::size_t i = 0; i < cumulative.size(); ++i)
        cumulative[i] = sum += static_cast<double>(nearest[i]);
      if (!(sum > 0)) break;  // every row of the sample is a centre
      for (std::int64_t t = 0; t < trials; ++t)
        candidates.push_back(detail::draw_weighted(cumulative, random.uniform()));
    }
    double best_sum = std::numeric_limits<double>::infinity();
    std::int64_t chosen = candidates.front();
    for (std::size_t first = 0; first < candidates.size(); first += 4) {
      const std::size_t count = (std::min<std::size_t>)(4, candidates.size() - first);
      std::vector<float> points(count * static_cast<std::size_t>(d));
      for (std::size_t t = 0; t < count; ++t)
        std::copy_n(sample.data() + candidates[first + t] * d, d,
                    points.data() + static_cast<std::int64_t>(t) * d);
      detail::distances_dispatched(points.data(), d, static_cast<std::int64_t>(count), packed, tried.data());
      for (std::size_t t = 0; t < count; ++t) {
        float* distance = tried.data() + t * padded;
        for (std::size_t i = 0; i < padded; ++i) distance[i] = (std::min)(distance[i], nearest[i]);
        double sum = 0;
        for (std::size_t i = 0; i < static_cast<std::size_t>(s); ++i) sum += static_cast<double>(distance[i]);
        if (sum < best_sum) {
          best_sum = sum;
          chosen = candidates[first + t];
          std::copy_n(distance, padded, best.data());
        }
      }
    }
    nearest.swap(best);
    std::copy_n(sample.data() + chosen * d, d, centres.data() + made++ * d);
  }
  if (made == k || s == n) return made == k ? centres : centres.slice(0, 0, made).clone();

  // The sample ran out of distinct rows: go on with the farthest of all rows.
  std::vector<float> distances(static_cast<std::size_t>(n)), to_new(static_cast<std::size_t>(n));
  std::vector<std::int32_t> ignored(static_cast<std::size_t>(n));
  nearest_centres(rows, PackedPoints(centres.slice(0, 0, made).view()), ignored, distances);
  for (; made < k; ++made) {
    const auto farthest = std::max_element(distances.begin(), distances.end()) - distances.begin();
    if (!(distances[static_cast<std::size_t>(farthest)] > 0)) break;
    std::copy_n(rows.row(farthest), d, centres.data() + made * d);
    nearest_centres(rows, PackedPoints(centres.slice(0, made, made + 1).view()), ignored, to_new);
    for (std::size_t i = 0; i < distances.size(); ++i) distances[i] = (std::min)(distances[i], to_new[i]);
  }
  return made == k ? centres : centres.slice(0, 0, made).clone();
}

}  // namespace stofm
#endif

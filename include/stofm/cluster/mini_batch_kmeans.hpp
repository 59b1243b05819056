// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Mini-batch k-means: a faster choice of clusters than Leiden, for points of any dimension.
///
/// Centres start by greedy k-means++ on a sample; each batch of points is assigned, then every point pulls
/// its centre by 1 / (points this centre has seen); batches go on until their mean distance stops falling.
/// Then all points are assigned and a few full steps (centre = mean of its points) finish it. *Source*
/// Sculley, "Web-scale k-means clustering" (2010); Arthur and Vassilvitskii, "k-means++" (2007). Batch size,
/// sample size and the rule to stop are those of scikit-learn's MiniBatchKMeans. Number of clusters, if not
/// given: ours.

#include <cmath>
#include <cstdint>
#include <vector>

#include "stofm/cluster/kmeans_start.hpp"
#include "stofm/cluster/nearest_centre.hpp"
#include "stofm/core/callback.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/core/exact_rounding.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/random.hpp"

namespace stofm::cluster {

struct MiniBatchKMeansOptions {
  std::int64_t clusters = 0;      ///< 0: kmeans_cluster_count(N)
  std::int64_t batch = 1024;      ///< points per batch: larger is steadier and slower
  std::int64_t max_passes = 100;  ///< over the points, in batches
  std::int64_t patience = 10;     ///< batches without improvement before it stops
  std::int64_t full_steps = 2;    ///< steps over all points at the end
  std::uint64_t seed = 0;
};

struct MiniBatchKMeansResult {
  std::vector<std::int32_t> labels;  ///< [N]
  Tensor<float> centres;             ///< [K, C]
  std::int64_t clusters = 0;         ///< K: what was asked for, or fewer (see notices)
  double inertia = 0;                ///< sum of squared distances to the own centre
  std::int64_t batches = 0;
  bool settled = false;  ///< patience ended it, not max_passes
  Notices notices;       ///< W1201: fewer distinct points than clusters
};

/// A function with the contract of mini_batch_kmeans, that may run elsewhere.
using KMeansFunction =
    Callback<MiniBatchKMeansResult(TensorView<const float> rows, const MiniBatchKMeansOptions& options)>;

/// Number of clusters for N points if none is given: floor(sqrt(N / 2)), at least 1. Ours; on the three
/// slices at hand (30, 1,049, 6,471 cells) it gives 3, 22, 56, which are the numbers Leiden finds there.
inline std::int64_t kmeans_cluster_count(std::int64_t n) {
  return (std::max<std::int64_t>)(1, static_cast<std::int64_t>(std::sqrt(static_cast<double>(n) / 2)));
}

namespace detail {
/// Work on rows is cut into at most 16 parts whose borders depend on N only; their sums are added in order.
inline std::int64_t kmeans_part_rows(std::int64_t n) { return (std::max<std::int64_t>)(1024, (n + 15) / 16); }

/// Moves each centre to the mean of its rows (kept where it has none). \return rows per centre.
inline std::vector<std::int64_t> centres_to_means(TensorView<const float> rows,
                                                  const std::vector<std::int32_t>& labels,
                                                  Tensor<float>& centres) {
  const std::int64_t n = rows.dim(0), d = rows.dim(1), k = centres.dim(0), per_part = kmeans_part_rows(n);
  const auto size = static_cast<std::size_t>(checked_mul(k, d, "centres"));
  const auto parts = static_cast<std::size_t>((n + per_part - 1) / per_part);
  std::vector<double> sums(parts * size, 0);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(k), 0);
  parallel_for(n, per_part, [&](std::int64_t begin, std::int64_t end) {
    double* part = sums.data() + static_cast<std::size_t>(begin / per_part) * size;
    for (std::int64_t i = begin; i < end; ++i) {
      double* sum = part + static_cast<std::int64_t>(labels[static_cast<std::size_t>(i)]) * d;
      for (std::int64_t j = 0; j < d; ++j) sum[j] += static_cast<double>(rows.row(i)[j]);
    }
  });
  for (const std::int32_t label : labels) ++counts[static_cast<std::size_t>(label)];
  for (std::size_t p = 1; p < parts; ++p)
    for (std::size_t e = 0; e < size; ++e) sums[e] += sums[p * size + e];
  for (std::int64_t c = 0; c < k; ++c)
    for (std::int64_t j = 0; j < d && counts[static_cast<std::size_t>(c)] > 0; ++j)
      centres.data()[c * d + j] =
          static_cast<float>(sums[static_cast<std::size_t>(c * d + j)] /
                             static_cast<double>(counts[static_cast<std::size_t>(c)]));
  return counts;
}

/// Gives each centre without rows the row farthest from its centre (lowest index of equals), until none is
/// empty or no row is away from its centre. \return centres still empty.
inline std::int64_t fill_empty_centres(TensorView<const float> rows, Tensor<float>& centres,
                                       std::vector<std::int32_t>& labels, std::vector<float>& distances) {
  const std::int64_t d = rows.dim(1), k = centres.dim(0);
  for (std::int64_t moved = 0;; ++moved) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(k), 0);
    for (const std::int32_t label : labels) ++counts[static_cast<std::size_t>(label)];
    const auto empty = std::find(counts.begin(), counts.end(), 0);
    if (empty == counts.end()) return 0;
    const auto farthest = std::max_element(distances.begin(), distances.end()) - distances.begin();
    if (!(distances[static_cast<std::size_t>(farthest)] > 0) || moved >= 2 * k)
      return std::count(counts.begin(), counts.end(), 0);
    const auto c = static_cast<std::int64_t>(empty - counts.begin());
    std::copy_n(rows.row(farthest), d, centres.data() + c * d);
    const PackedPoints one(centres.slice(0, c, c + 1).view());
    std::vector<std::int32_t> ignored(labels.size());
    std::vector<float> to_new(labels.size());
    nearest_centres(rows, one, ignored, to_new);
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (to_new[i] < distances[i]) {
        distances[i] = to_new[i];
        labels[i] = static_cast<std::int32_t>(c);
      }
  }
}

/// Removes centres without rows.
inline void drop_empty_centres(Tensor<float>& centres, std::vector<std::int32_t>& labels) {
  const std::int64_t k = centres.dim(0), d = centres.dim(1);
  std::vector<std::int32_t> number(static_cast<std::size_t>(k), -1);
  for (const std::int32_t label : labels) number[static_cast<std::size_t>(label)] = 0;
  std::int32_t next = 0;
  for (std::int64_t c = 0; c < k; ++c) {
    if (number[static_cast<std::size_t>(c)] < 0) continue;
    number[static_cast<std::size_t>(c)] = next;
    std::copy_n(centres.data() + c * d, d, centres.data() + std::int64_t{next++} * d);
  }
  centres = centres.slice(0, 0, next).clone();
  for (std::int32_t& label : labels) label = number[static_cast<std::size_t>(label)];
}

/// Most batches there may be.
inline std::int64_t most_batches(std::int64_t n, const MiniBatchKMeansOptions& options) {
  const std::int64_t size = (std::min)(options.batch, n);
  return (std::max<std::int64_t>)(1, checked_mul(options.max_passes, (n + size - 1) / size, "batches"));
}

/// The batches. \return how many.
STOFM_UNFUSED inline std::int64_t run_batches(TensorView<const float> rows,
                                              const MiniBatchKMeansOptions& options, Random& random,
                                              Tensor<float>& centres) {
  STOFM_UNFUSED_BODY  // a GPU gives the same bits
      const std::int64_t n = rows.dim(0),
                         d = rows.dim(1), size = (std::min)(options.batch, n);
  Tensor<float> batch({size, d});
  std::vector<std::int32_t> labels(static_cast<std::size_t>(size));
  std::vector<float> distances(static_cast<std::size_t>(size));
  std::vector<double> seen(static_cast<std::size_t>(centres.dim(0)), 0);
  PackedPoints packed(centres.view());
  const double alpha = (std::min)(1.0, 2.0 * static_cast<double>(size) / static_cast<double>(n + 1));
  const std::int64_t most = most_batches(n, options);
  double mean = 0, least = std::numeric_limits<double>::infinity();
  std::int64_t step = 0;
  for (std::int64_t waited = 0; step < most && waited < options.patience; ++step) {
    for (std::int64_t i = 0; i < size; ++i)
      std::copy_n(rows.row(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n)))), d,
                  batch.data() + i * d);
    nearest_centres(batch.view(), packed, labels, distances);
    double sum = 0;
    for (const float distance : distances) sum += static_cast<double>(distance);
    for (std::int64_t i = 0; i < size; ++i) {
      const auto c = static_cast<std::size_t>(labels[static_cast<std::size_t>(i)]);
      const auto rate = static_cast<float>(1.0 / (seen[c] += 1.0));
      float* centre = centres.data() + static_cast<std::int64_t>(c) * d;
      for (std::int64_t j = 0; j < d; ++j) centre[j] += rate * (batch.data()[i * d + j] - centre[j]);
    }
    for (std::int64_t c = 0; c < centres.dim(0); ++c) packed.set(c, centres.data() + c * d);
    sum /= static_cast<double>(size);
    mean = step == 0 ? sum : mean * (1 - alpha) + sum * alpha;
    waited = mean < least ? 0 : waited + 1;
    least = (std::min)(least, mean);
  }
  return step;
}

/// What mini_batch_kmeans() refuses.
inline void check_mini_batch_kmeans(TensorView<const float> rows, const MiniBatchKMeansOptions& options) {
  if (rows.rank() != 2 || rows.dim(1) < 1 || (rows.dim(1) > 1 && rows.stride(1) != 1))
    throw ShapeError({"STOFM-1231", "", "[mini_batch_kmeans]", layout_text(rows),
                      "[rows, columns], rows dense, at least one column", "Give one row per point."});
  const std::int64_t n = rows.dim(0), d = rows.dim(1);
  if (options.clusters < 0 || options.batch < 1 || options.max_passes < 1 || options.patience < 1 ||
      options.full_steps < 0)
    throw UsageError(
        {"STOFM-1233", "", "[mini_batch_kmeans]",
         concat("clusters ", options.clusters, ", batch ", options.batch, ", passes ", options.max_passes,
                ", patience ", options.patience, ", full steps ", options.full_steps),
         "clusters, full steps >= 0 and the others >= 1", "Check the options."});
  if (n == 0)
    throw DataError(
        {"STOFM-1232", "", "[mini_batch_kmeans]", "no rows", "at least one", "Give some points."});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j)
      if (!(std::abs(rows.row(i)[j]) <= 1e17F))
        throw DataError({"STOFM-1232", "", concat("[mini_batch_kmeans] row ", i, ", column ", j),
                         concat(rows.row(i)[j]), "finite values below 1e17", "Drop or mend this row."});
}
inline void note_fewer_clusters(MiniBatchKMeansResult& result, std::int64_t wanted) {
  if (result.clusters < wanted)
    result.notices.push_back({"STOFM-W1201",
                              concat("k-means: ", wanted, " clusters asked for, but only ", result.clusters,
                                     " distinct points: ", result.clusters, " clusters made"),
                              wanted - result.clusters});
}
}  // namespace detail

/// Clusters of `rows` [N, C] (float, rows dense).
/// K is what is asked for or chosen; where there are fewer distinct points it becomes their number (said in
/// notices). No cluster is empty. \throws ShapeError for another shape, UsageError for options out of range,
/// DataError (STOFM-1232) for no rows or a value that is not finite. *Cost* one batch N_b K C operations,
/// full steps N K C; memory 12 N bytes plus the centres (16 K C doubles at most while they are averaged).
/// *Deterministic* yes for a seed, any thread count.
STOFM_INLINE MiniBatchKMeansResult mini_batch_kmeans(TensorView<const float> rows,
                                                     const MiniBatchKMeansOptions& options = {});

/// The same for doubles in any layout (a column-major matrix of Eigen's, say): rows are taken relative to
/// their mean, so that coordinates far from 0 keep their differences as floats. `centres` are rounded to
/// float. \throws as above; DataError (STOFM-1232) for a value that is not finite or beyond 1e16. Memory: a
/// copy as floats.
STOFM_INLINE MiniBatchKMeansResult mini_batch_kmeans(TensorView<const double> rows,
                                                     const MiniBatchKMeansOptions& options = {});

}  // namespace stofm::cluster

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto cluster::mini_batch_kmeans(TensorView<const float> rows,
                                             const MiniBatchKMeansOptions& options) -> MiniBatchKMeansResult {
  detail::check_mini_batch_kmeans(rows, options);
  const std::int64_t n = rows.dim(0);
  const std::int64_t wanted = options.clusters > 0 ? options.clusters : kmeans_cluster_count(n);
  Random random(options.seed, 0x6B6D);
  MiniBatchKMeansResult result;
  result.centres =
      kmeans_start(rows, (std::min)(wanted, n), (std::max)(3 * options.batch, 3 * wanted), random);
  result.batches = detail::run_batches(rows, options, random, result.centres);
  result.settled = result.batches < detail::most_batches(n, options);
  result.labels.resize(static_cast<std::size_t>(n));
  std::vector<float> distances(static_cast<std::size_t>(n));
  std::int64_t empty = 0;
  for (std::int64_t step = 0; step <= options.full_steps; ++step) {
    if (step > 0) detail::centres_to_means(rows, result.labels, result.centres);
    nearest_centres(rows, PackedPoints(result.centres.view()), result.labels, distances);
    empty = detail::fill_empty_centres(rows, result.centres, result.labels, distances);
  }
  if (empty > 0) detail::drop_empty_centres(result.centres, result.labels);
  result.clusters = result.centres.dim(0);
  for (const float distance : distances) result.inertia += static_cast<double>(distance);
  detail::note_fewer_clusters(result, wanted);
  return result;
}

STOFM_INLINE auto cluster::mini_batch_kmeans(TensorView<const double> rows,
                                             const MiniBatchKMeansOptions& options) -> MiniBatchKMeansResult {
  constexpr const char* op = "[mini_batch_kmeans]";
  if (rows.rank() != 2)
    throw ShapeError(
        {"STOFM-1231", "", op, to_string(rows.shape), "[rows, columns]", "Give one row per point."});
  const std::int64_t n = rows.dim(0), d = rows.dim(1);
  std::vector<double> mean(static_cast<std::size_t>(d), 0);
  const auto at = [&](std::int64_t i, std::int64_t j) {
    return rows.data[i * rows.stride(0) + j * rows.stride(1)];
  };
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j) {
      if (!(std::abs(at(i, j)) <= 1e16))
        throw DataError({"STOFM-1232", "", concat(op, " row ", i, ", column ", j), concat(at(i, j)),
                         "finite values below 1e16", "Drop or mend this row."});
      mean[static_cast<std::size_t>(j)] += at(i, j) / static_cast<double>(n);
    }
  Tensor<float> centred({n, d});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j)
      centred.data()[i * d + j] = static_cast<float>(at(i, j) - mean[static_cast<std::size_t>(j)]);
  MiniBatchKMeansResult result = mini_batch_kmeans(std::as_const(centred).view(), options);
  for (std::int64_t c = 0; c < result.clusters; ++c)
    for (std::int64_t j = 0; j < d; ++j) {
      float& value = result.centres.data()[c * d + j];
      value = static_cast<float>(static_cast<double>(value) + mean[static_cast<std::size_t>(j)]);
    }
  return result;
}

}  // namespace stofm
#endif

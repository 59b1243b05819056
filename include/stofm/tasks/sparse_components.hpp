// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Leading principal components of sparse rows (several matrices, one below the other) that are never made
/// dense: centred, not scaled, signs as in principal_components.hpp. Few columns: by their covariance,
/// exactly. Many: by block Krylov iteration (Musco and Musco, 2015) with a seeded start, whose leading
/// components agree with the exact ones to rounding where their variances differ.

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/tasks/log_counts.hpp"
#include "stofm/tasks/principal_components.hpp"

namespace stofm::tasks {

struct SparseComponentsOptions {
  std::int64_t components = 30;     ///< at most
  std::int64_t exact_below = 1024;  ///< columns up to which the covariance is formed
  int steps = 6;                    ///< of the Krylov iteration
  std::int64_t more = 16;           ///< columns of the block beside `components`
  std::uint64_t seed = 0;
};

namespace detail {

/// Rows of several matrices in one order, cut into at most 16 parts.
struct SparseParts {
  struct Part {
    const SparseRows* rows;
    std::int64_t begin, end;
  };
  std::vector<Part> parts;
  std::int64_t rows = 0;
};
inline SparseParts sparse_parts(std::span<const SparseRows> slices) {
  SparseParts result;
  for (const SparseRows& slice : slices) result.rows += slice.rows();
  const std::int64_t per_part = cluster::detail::pca_part_rows((std::max<std::int64_t>)(result.rows, 1));
  for (const SparseRows& slice : slices)
    for (std::int64_t begin = 0; begin < slice.rows(); begin += per_part)
      result.parts.push_back({&slice, begin, (std::min)(slice.rows(), begin + per_part)});
  return result;
}

/// Calls body(part index, row entries begin, end) for each row; parts in parallel.
template <class Body>
void for_sparse_rows(const SparseParts& all, const Body& body) {
  parallel_for(static_cast<std::int64_t>(all.parts.size()), 1, [&](std::int64_t first, std::int64_t last) {
    for (auto p = static_cast<std::size_t>(first); p < static_cast<std::size_t>(last); ++p) {
      const SparseParts::Part& part = all.parts[p];
      for (std::int64_t i = part.begin; i < part.end; ++i)
        body(p, *part.rows, static_cast<std::size_t>(part.rows->offsets[static_cast<std::size_t>(i)]),
             static_cast<std::size_t>(part.rows->offsets[static_cast<std::size_t>(i) + 1]));
    }
  });
}

/// Sums of columns and of their squares, parts added in order.
inline void sparse_moments(const SparseParts& all, std::size_t width, std::vector<double>& mean,
                           double& total_variance) {
  std::vector<std::vector<double>> sums(all.parts.size(), std::vector<double>(2 * width, 0.0));
  for_sparse_rows(all, [&](std::size_t p, const SparseRows& rows, std::size_t begin, std::size_t end) {
    for (std::size_t e = begin; e < end; ++e) {
      const auto c = static_cast<std::size_t>(rows.columns[e]);
      const auto v = static_cast<double>(rows.values[e]);
      sums[p][c] += v;
      sums[p][width + c] += v * v;
    }
  });
  for (std::size_t p = 1; p < sums.size(); ++p)
    for (std::size_t j = 0; j < 2 * width; ++j) sums[0][j] += sums[p][j];
  const auto n = static_cast<double>(all.rows);
  mean.resize(width);
  total_variance = 0;
  for (std::size_t j = 0; j < width; ++j) {
    mean[j] = sums[0][j] / n;
    total_variance += (std::max)(0.0, sums[0][width + j] - n * mean[j] * mean[j]) / (std::max)(n - 1, 1.0);
  }
}

/// Covariance [width, width].
inline std::vector<double> sparse_covariance(const SparseParts& all, std::size_t width,
                                             const std::vector<double>& mean) {
  std::vector<std::vector<double>> grams(all.parts.size(), std::vector<double>(width * width, 0.0));
  for_sparse_rows(all, [&](std::size_t p, const SparseRows& rows, std::size_t begin, std::size_t end) {
    double* gram = grams[p].data();
    for (std::size_t a = begin; a < end; ++a) {
      double* row = gram + static_cast<std::size_t>(rows.columns[a]) * width;
      const auto left = static_cast<double>(rows.values[a]);
      for (std::size_t b = a; b < end; ++b)
        row[rows.columns[b]] += left * static_cast<double>(rows.values[b]);
    }
  });
  for (std::size_t p = 1; p < grams.size(); ++p)
    for (std::size_t e = 0; e < width * width; ++e) grams[0][e] += grams[p][e];
  std::vector<double> covariance = std::move(grams[0]);
  const auto n = static_cast<double>(all.rows), divisor = (std::max)(n - 1, 1.0);
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = i; j < width; ++j)
      covariance[i * width + j] = covariance[j * width + i] =
          (covariance[i * width + j] - n * mean[i] * mean[j]) / divisor;
  return covariance;
}

#if STOFM_BODIES
/// Covariance times `block` [width, b], without the covariance.
inline backend::EigenRowMajor<double> covariance_times(const SparseParts& all,
                                                       const backend::EigenRowMajor<double>& block,
                                                       const std::vector<double>& mean) {
  using Matrix = backend::EigenRowMajor<double>;
  const auto width = static_cast<std::int64_t>(mean.size()), b = static_cast<std::int64_t>(block.cols());
  const Eigen::Map<const Eigen::RowVectorXd> m(mean.data(), width);
  const Eigen::RowVectorXd shift = m * block;
  std::vector<Matrix> sums(all.parts.size());
  std::vector<Eigen::RowVectorXd> rest(all.parts.size(), Eigen::RowVectorXd::Zero(b));
  for (auto& sum : sums) sum = Matrix::Zero(width, b);
  for_sparse_rows(all, [&](std::size_t p, const SparseRows& rows, std::size_t begin, std::size_t end) {
    Eigen::RowVectorXd score = -shift;
    for (std::size_t e = begin; e < end; ++e)
      score.noalias() += static_cast<double>(rows.values[e]) * block.row(rows.columns[e]);
    for (std::size_t e = begin; e < end; ++e)
      sums[p].row(rows.columns[e]).noalias() += static_cast<double>(rows.values[e]) * score;
    rest[p] += score;
  });
  for (std::size_t p = 1; p < sums.size(); ++p) {
    sums[0] += sums[p];
    rest[0] += rest[p];
  }
  if (sums.empty()) return Matrix::Zero(width, b);
  sums[0].noalias() -= m.transpose() * rest[0];
  return sums[0] / (std::max)(static_cast<double>(all.rows) - 1, 1.0);
}

/// Orthonormal columns of `block` that are orthogonal to those of `basis`.
inline backend::EigenRowMajor<double> orthonormal_block(const Eigen::MatrixXd& basis,
                                                        const backend::EigenRowMajor<double>& block) {
  Eigen::MatrixXd q = block;
  for (int pass = 0; pass < 2; ++pass) {
    if (basis.cols() > 0) q -= basis * (basis.transpose() * q);
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(q);
    q = qr.householderQ() * Eigen::MatrixXd::Identity(q.rows(), q.cols());
  }
  return q;
}

/// Ritz values and vectors of the covariance in a block Krylov space.
inline cluster::LeadingEigenpairs krylov_eigenpairs(const SparseParts& all, const std::vector<double>& mean,
                                                    std::int64_t wanted,
                                                    const SparseComponentsOptions& options) {
  using Matrix = backend::EigenRowMajor<double>;
  const auto width = static_cast<std::int64_t>(mean.size());
  const std::int64_t b = (std::min)(wanted + options.more, width);
  const int steps = static_cast<int>((std::min<std::int64_t>)(options.steps, width / b));
  Matrix block(width, b);
  Random random = RandomKey{.seed = options.seed, .stream = 0x70636173ULL}.generator();
  for (std::int64_t i = 0; i < width; ++i)
    for (std::int64_t j = 0; j < b; ++j) block(i, j) = random.normal();
  Eigen::MatrixXd basis(width, 0), images(width, 0);
  for (int step = 0; step < steps; ++step) {
    block = orthonormal_block(basis, block);
    const Matrix image = covariance_times(all, block, mean);
    basis.conservativeResize(Eigen::NoChange, basis.cols() + b);
    basis.rightCols(b) = block;
    images.conservativeResize(Eigen::NoChange, images.cols() + b);
    images.rightCols(b) = image;
    block = image;
  }
  const Matrix projected = basis.transpose() * images;
  const auto size = static_cast<std::int64_t>(projected.rows());
  std::vector<double> symmetric(static_cast<std::size_t>(size * size));
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = 0; j < size; ++j)
      symmetric[static_cast<std::size_t>(i * size + j)] = 0.5 * (projected(i, j) + projected(j, i));
  cluster::LeadingEigenpairs ritz = cluster::leading_eigenpairs(std::move(symmetric), size, wanted);
  const auto vectors = backend::eigen_rows<const double>(ritz.vectors.data(), wanted, size, size);
  const Matrix full = vectors * basis.transpose();
  ritz.vectors.assign(full.data(), full.data() + full.size());
  return ritz;
}
#endif

}  // namespace detail

/// Components of all rows of `slices` together, each [cells, width]. Directions whose variance is rounding
/// are left out. \throws ShapeError for different widths (STOFM-4713); UsageError for components < 1 (4708);
/// DataError for no rows (4701). *Cost* up to `exact_below` columns a product of each pair of entries of a
/// row; beyond 2 steps (components + more) multiplications an entry; memory 16 width^2 doubles, or 16 + 2
/// steps blocks. *Deterministic* yes for a seed, any thread count.
STOFM_INLINE PrincipalComponents sparse_components(std::span<const SparseRows> slices,
                                                   const SparseComponentsOptions& options = {});

/// Scores [rows, P] of sparse rows: (row - mean) . loading. \throws ShapeError STOFM-4713 for another width.
/// *Cost* P multiplications an entry, parallel. *Deterministic* yes, any thread count.
STOFM_INLINE Tensor<float> sparse_component_scores(const PrincipalComponents& components,
                                                   const SparseRows& rows);

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::sparse_components(std::span<const SparseRows> slices,
                                           const SparseComponentsOptions& options) -> PrincipalComponents {
  constexpr const char* op = "[sparse_components]";
  if (options.components < 1 || options.steps < 1 || options.more < 0)
    throw UsageError({"STOFM-4708", "", op,
                      concat("components ", options.components, ", steps ", options.steps), "at least 1",
                      "Give a number of components."});
  const detail::SparseParts all = detail::sparse_parts(slices);
  detail::require_some(op, static_cast<std::size_t>(all.rows));
  for (const SparseRows& slice : slices)
    if (slice.width != slices[0].width || slice.width < 1)
      throw ShapeError({"STOFM-4713", "", op, concat(slice.width, " columns"),
                        concat((std::max<std::int64_t>)(slices[0].width, 1), " columns"),
                        "Give rows of the same genes."});
  const auto width = static_cast<std::size_t>(slices[0].width);
  const std::int64_t c = slices[0].width;
  PrincipalComponents result;
  detail::sparse_moments(all, width, result.mean, result.total_variance);
  const std::int64_t wanted = (std::min)({options.components, c, (std::max<std::int64_t>)(all.rows - 1, 0)});
  cluster::LeadingEigenpairs pairs;
  if (wanted > 0)
    pairs = c <= options.exact_below
                ? cluster::leading_eigenpairs(detail::sparse_covariance(all, width, result.mean), c, wanted)
                : detail::krylov_eigenpairs(all, result.mean, wanted, options);
  // Sums of squares less n mean^2: what is left of a constant column is rounding of the larger of the two.
  double largest_square = 0;
  for (const double m : result.mean) largest_square = (std::max)(largest_square, m * m);
  const double noise = (wanted > 0 ? (std::max)(pairs.values[0], largest_square) : 0.0) *
                       std::numeric_limits<double>::epsilon() *
                       static_cast<double>((std::max<std::int64_t>)(c, 16));
  std::int64_t kept = 0;
  while (kept < wanted && pairs.values[static_cast<std::size_t>(kept)] > noise) ++kept;
  result.loadings = Tensor<double>({kept, c});
  for (std::int64_t k = 0; k < kept; ++k) {
    const double* v = pairs.vectors.data() + static_cast<std::size_t>(k) * width;
    std::size_t largest = 0;
    for (std::size_t j = 1; j < width; ++j)
      if (std::abs(v[j]) > std::abs(v[largest])) largest = j;
    for (std::size_t j = 0; j < width; ++j)
      result.loadings.data()[k * c + static_cast<std::int64_t>(j)] = v[largest] < 0 ? -v[j] : v[j];
    result.variances.push_back(pairs.values[static_cast<std::size_t>(k)]);
  }
  return result;
}

}  // namespace stofm
#endif

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::sparse_component_scores(const PrincipalComponents& components,
                                                 const SparseRows& rows) -> Tensor<float> {
  const std::int64_t p = components.count(), width = rows.width;
  if (width != static_cast<std::int64_t>(components.mean.size()))
    throw ShapeError({"STOFM-4713", "", "[sparse_component_scores]", concat(width, " columns"),
                      concat(components.mean.size(), " columns"), "Give rows of the same genes."});
  Tensor<float> scores({rows.rows(), p});
  if (p == 0) return scores;
  const backend::EigenRowMajor<double> by_gene =
      backend::eigen_rows<const double>(components.loadings.data(), p, width, width).transpose();
  const Eigen::Map<const Eigen::RowVectorXd> mean(components.mean.data(), width);
  const Eigen::RowVectorXd shift = mean * by_gene;
  parallel_for(rows.rows(), 256, [&](std::int64_t begin, std::int64_t end) {
    Eigen::RowVectorXd score;
    for (std::int64_t i = begin; i < end; ++i) {
      score = -shift;
      for (auto e = static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(i)]);
           e < static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(i) + 1]); ++e)
        score.noalias() += static_cast<double>(rows.values[e]) * by_gene.row(rows.columns[e]);
      for (std::int64_t k = 0; k < p; ++k) scores.data()[i * p + k] = static_cast<float>(score[k]);
    }
  });
  return scores;
}

}  // namespace stofm
#endif

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Non-negative weights that explain the counts of one spot as a mixture of signatures: by Poisson
/// likelihood, which expectation and maximisation climbs,
///
///     w_t <- (w_t sum_g y_g s_tg / (sum_u w_u s_ug) + k q_t) / (sum_g s_tg + k / sum_g y_g)
///
/// where k counts with the shares q of a prior are added (a gamma prior, k = 0: none); or by least squares.
/// *Source* Shepp and Vardi, "Maximum likelihood reconstruction for emission tomography" (1982); Varadhan and
/// Roland, "Simple and globally convergent methods for accelerating the convergence of any EM algorithm"
/// (2008).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "stofm/tasks/cell_type_profiles.hpp"

namespace stofm::tasks::detail {

/// Signatures as the solvers read them: gene by gene, types that have cells only, with the platform effect of
/// each gene multiplied in.
struct MixtureGenes {
  std::vector<std::int64_t> types;  ///< those that have cells
  std::vector<double> rates;        ///< [genes, types]
  std::vector<double> expected;     ///< [types] sum over genes
  std::vector<double> gram;         ///< [types, types] sum over genes of products

  const double* row(std::int32_t gene) const {
    return rates.data() + static_cast<std::size_t>(gene) * types.size();
  }
};

inline MixtureGenes mixture_genes(const CellTypeProfiles& profiles, const std::vector<double>& platform) {
  MixtureGenes m;
  for (std::int64_t t = 0; t < profiles.types(); ++t)
    if (profiles.cells[static_cast<std::size_t>(t)] > 0) m.types.push_back(t);
  const std::size_t types = m.types.size(), genes = platform.size();
  m.rates.assign(genes * types, 0.0);
  m.expected.assign(types, 0.0);
  m.gram.assign(types * types, 0.0);
  // A type that never showed a gene may still have some of it: a ten-thousandth of the mean rate.
  for (std::size_t g = 0; g < genes; ++g) {
    double mean = 0;
    for (std::size_t t = 0; t < types; ++t)
      mean += profiles.rates(m.types[t], static_cast<std::int64_t>(g)) / static_cast<double>(types);
    double* row = m.rates.data() + g * types;
    for (std::size_t t = 0; t < types; ++t) {
      row[t] =
          platform[g] * (std::max)(profiles.rates(m.types[t], static_cast<std::int64_t>(g)), 1e-4 * mean);
      m.expected[t] += row[t];
    }
    for (std::size_t t = 0; t < types; ++t)
      for (std::size_t u = 0; u < types; ++u) m.gram[t * types + u] += row[t] * row[u];
  }
  return m;
}

/// Counts of one spot on the genes that some type expresses; others are 0.
struct SpotCounts {
  std::vector<std::int32_t> genes;
  std::vector<double> values;
  double total = 0;
};

struct MixtureSearch {
  double tolerance = 1e-6;          ///< largest change of a share in a step
  int max_iterations = 5000;        ///< steps of expectation and maximisation
  double prior_counts = 0;          ///< k
  std::span<const double> prior{};  ///< [types] q
};

/// One step of expectation and maximisation from `w` to `next`. \return largest change of a weight
inline double poisson_step(const MixtureGenes& m, const SpotCounts& spot, const MixtureSearch& search,
                           const std::vector<double>& w, std::vector<double>& next) {
  const std::size_t types = m.types.size();
  const double k = search.prior.empty() ? 0.0 : search.prior_counts;
  next.assign(types, 0.0);
  for (std::size_t e = 0; e < spot.genes.size(); ++e) {
    const double* row = m.row(spot.genes[e]);
    double mean = 0;
    for (std::size_t t = 0; t < types; ++t) mean += w[t] * row[t];
    const double ratio = spot.values[e] / mean;
    for (std::size_t t = 0; t < types; ++t) next[t] += ratio * row[t];
  }
  double change = 0;
  for (std::size_t t = 0; t < types; ++t) {
    const double prior = k > 0 ? k * search.prior[t] : 0.0;
    const double below = m.expected[t] + (k > 0 ? k / spot.total : 0.0);
    next[t] = m.expected[t] > 0 ? (w[t] * next[t] + prior) / below : 0.0;
    change = (std::max)(change, std::abs(next[t] - w[t]));
  }
  return change;
}

/// Most likely weights. Two steps say where the third should go (SQUAREM); where that leads astray, which the
/// length of the next step tells, it is taken back. \return whether it converged. *Cost* entries x types a
/// step.
inline bool poisson_weights(const MixtureGenes& m, const SpotCounts& spot, const MixtureSearch& search,
                            std::vector<double>& w) {
  const std::size_t types = m.types.size();
  const double enough = search.tolerance * spot.total;
  w.assign(types, spot.total / static_cast<double>(types));
  std::vector<double> once, twice, safe;
  double before = std::numeric_limits<double>::infinity();
  for (int step = 0; step < search.max_iterations; step += 2) {
    const double change = poisson_step(m, spot, search, w, once);
    if (change <= enough) {
      w.swap(once);
      return true;
    }
    if (change > 4 * before && !safe.empty()) {
      w.swap(safe);
      safe.clear();
      before = std::numeric_limits<double>::infinity();
      continue;
    }
    before = change;
    if (poisson_step(m, spot, search, once, twice) <= enough) {
      w.swap(twice);
      return true;
    }
    double first = 0, second = 0;
    for (std::size_t t = 0; t < types; ++t) {
      const double r = once[t] - w[t], v = twice[t] - once[t] - r;
      first += r * r, second += v * v;
    }
    safe = twice;
    const double reach = second > 0 ? std::sqrt(first / second) : 1.0;
    if (reach > 1)
      for (std::size_t t = 0; t < types; ++t) {
        const double r = once[t] - w[t], v = twice[t] - once[t] - r;
        // A weight that would fall below 0 stays positive, or it could not come back.
        const double far = w[t] + 2 * reach * r + reach * reach * v;
        twice[t] = (std::max)(far, 0.1 * twice[t]);
      }
    w.swap(twice);
  }
  return false;
}

/// Non-negative least squares by cyclic coordinate descent. \return whether it converged.
inline bool least_squares_weights(const MixtureGenes& m, const SpotCounts& spot, const MixtureSearch& search,
                                  std::vector<double>& w) {
  const std::size_t types = m.types.size();
  std::vector<double> wanted(types, 0.0);
  for (std::size_t e = 0; e < spot.genes.size(); ++e)
    for (std::size_t t = 0; t < types; ++t) wanted[t] += spot.values[e] * m.row(spot.genes[e])[t];
  w.assign(types, 0.0);
  for (int step = 0; step < search.max_iterations; ++step) {
    double change = 0;
    for (std::size_t t = 0; t < types; ++t) {
      if (!(m.gram[t * types + t] > 0)) continue;
      double slope = wanted[t];
      for (std::size_t u = 0; u < types; ++u) slope -= m.gram[t * types + u] * w[u];
      const double next = (std::max)(0.0, w[t] + slope / m.gram[t * types + t]);
      change = (std::max)(change, std::abs(next - w[t]));
      w[t] = next;
    }
    if (change <= search.tolerance * spot.total) return true;
  }
  return false;
}

}  // namespace stofm::tasks::detail

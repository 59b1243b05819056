// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which cell types a spot is made of, from its counts and signatures of the types.
///
///     y_g ~ Poisson(f_g sum_t w_t s_tg),  w >= 0
///
/// with s the rates of the types and f the platform effect of a gene.
///
/// The likelihood is concave in w; expectation and maximisation climbs it with w >= 0 kept:
///     w_t <- w_t / (sum_g f_g s_tg) * sum_g y_g f_g s_tg / (sum_u w_u f_g s_ug)
/// f is 1, or estimated, drawn to 1 for genes with few counts: first from the sum of all spots, as RCTD does,
/// which leaves the bias that this sum's mixture has; then a few rounds of spots given f and f given spots,
/// which take most of it away. Meant for a reference of another technology: where reference and spots are of
/// one, it may help or cost a little. The baseline is non-negative least squares.
/// Source: Shepp and Vardi, "Maximum likelihood reconstruction for emission tomography" (1982); Cable et al.,
/// "Robust decomposition of cell type mixtures in spatial transcriptomics" (2022).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "stofm/core/parallel.hpp"
#include "stofm/tasks/cell_type_profiles.hpp"

namespace stofm::tasks {

enum class DeconvolutionMethod { poisson, least_squares };

struct DeconvolutionOptions {
  DeconvolutionMethod method = DeconvolutionMethod::poisson;
  bool platform_effects = false;  ///< estimate f; for a reference of another technology
  bool as_cells = false;  ///< shares of cells: w divided by the counts of a cell of the type; else of counts
  double tolerance = 1e-6;  ///< largest change of a share in a step
  int max_iterations = 5000;
  int platform_rounds = 5;     ///< of estimating f from the spots one by one, after that from their sum
  double platform_prior = 10;  ///< counts that draw f to 1
};

struct Deconvolution {
  Tensor<double> proportions;      ///< [spots, types], rows sum to 1; NaN for a spot without counts
  std::vector<double> counts;      ///< [spots], on the genes that some type expresses
  std::vector<double> platform;    ///< [genes] f; 1 if it was not asked for, 0 for a gene no type expresses
  std::int64_t genes_used = 0;     ///< that some type expresses
  std::int64_t empty_spots = 0;    ///< without counts on these
  std::int64_t not_converged = 0;  ///< spots stopped by max_iterations
};

namespace detail {
/// Signatures as the solvers read them: gene by gene, types that have cells only, with f multiplied in.
struct MixtureGenes {
  std::vector<std::int64_t> types;  ///< those that have cells
  std::vector<double> rates;        ///< [genes, types]
  std::vector<double> expected;     ///< [types] sum over genes
  std::vector<double> gram;         ///< [types, types] sum over genes of products
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

/// Most likely weights for counts `y` of genes `g` (listed ones; others are 0). \return whether it converged.
inline bool poisson_weights(const MixtureGenes& m, const std::vector<std::int32_t>& g,
                            const std::vector<double>& y, const DeconvolutionOptions& options,
                            std::vector<double>& w) {
  const std::size_t types = m.types.size();
  double total = 0;
  for (const double v : y) total += v;
  w.assign(types, total / static_cast<double>(types));
  std::vector<double> gain(types);
  for (int step = 0; step < options.max_iterations; ++step) {
    std::fill(gain.begin(), gain.end(), 0.0);
    for (std::size_t e = 0; e < g.size(); ++e) {
      const double* row = m.rates.data() + static_cast<std::size_t>(g[e]) * types;
      double mean = 0;
      for (std::size_t t = 0; t < types; ++t) mean += w[t] * row[t];
      const double ratio = y[e] / mean;
      for (std::size_t t = 0; t < types; ++t) gain[t] += ratio * row[t];
    }
    double change = 0;
    for (std::size_t t = 0; t < types; ++t) {
      const double next = m.expected[t] > 0 ? w[t] * gain[t] / m.expected[t] : 0.0;
      change = (std::max)(change, std::abs(next - w[t]));
      w[t] = next;
    }
    if (change <= options.tolerance * total) return true;
  }
  return false;
}

/// Non-negative least squares by cyclic coordinate descent. \return whether it converged.
inline bool least_squares_weights(const MixtureGenes& m, const std::vector<std::int32_t>& g,
                                  const std::vector<double>& y, const DeconvolutionOptions& options,
                                  std::vector<double>& w) {
  const std::size_t types = m.types.size();
  std::vector<double> wanted(types, 0.0);
  double total = 0;
  for (std::size_t e = 0; e < g.size(); ++e) {
    total += y[e];
    for (std::size_t t = 0; t < types; ++t)
      wanted[t] += y[e] * m.rates[static_cast<std::size_t>(g[e]) * types + t];
  }
  w.assign(types, 0.0);
  for (int step = 0; step < options.max_iterations; ++step) {
    double change = 0;
    for (std::size_t t = 0; t < types; ++t) {
      if (!(m.gram[t * types + t] > 0)) continue;
      double slope = wanted[t];
      for (std::size_t u = 0; u < types; ++u) slope -= m.gram[t * types + u] * w[u];
      const double next = (std::max)(0.0, w[t] + slope / m.gram[t * types + t]);
      change = (std::max)(change, std::abs(next - w[t]));
      w[t] = next;
    }
    if (change <= options.tolerance * total) return true;
  }
  return false;
}
}  // namespace detail

/// Proportions of the types of `profiles` in each row of `spots`, whose columns are the genes of the
/// profiles. Types without cells get 0. Throws: UsageError for options out of range (STOFM-4733); ShapeError
/// for a column out of range (4731); DataError for a count that is negative or not finite (4732), profiles
/// without a type that has cells (4734). Cost: entries x types operations an iteration, 50 to 1,000
/// iterations, parallel over spots. Deterministic: yes, any thread count.
inline Deconvolution deconvolve(const io::CountRows& spots, const CellTypeProfiles& profiles,
                                const DeconvolutionOptions& options = {}) {
  constexpr const char* op = "[deconvolve]";
  if (!(options.tolerance > 0) || options.max_iterations < 1 || options.platform_rounds < 0 ||
      !(options.platform_prior > 0))
    throw UsageError({"STOFM-4733", "", op,
                      concat("tolerance ", options.tolerance, ", iterations ", options.max_iterations,
                             ", platform prior ", options.platform_prior),
                      "numbers > 0 (rounds: or 0)", "Check the options."});
  const std::int64_t n = spots.rows(), genes = profiles.genes();
  Deconvolution result;
  result.platform.assign(static_cast<std::size_t>(genes), 0.0);
  for (std::int64_t g = 0; g < genes; ++g)
    for (std::int64_t t = 0; t < profiles.types(); ++t)
      if (profiles.rates(t, g) > 0) result.platform[static_cast<std::size_t>(g)] = 1.0;
  result.genes_used = std::count(result.platform.begin(), result.platform.end(), 1.0);
  detail::MixtureGenes m = detail::mixture_genes(profiles, result.platform);
  const std::size_t types = m.types.size();
  if (types == 0)
    throw DataError({"STOFM-4734", "", op, "no type with cells and counts", "at least one",
                     "Give a reference with labelled cells on the genes that are shared."});

  std::vector<double> bulk(static_cast<std::size_t>(genes), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto begin = static_cast<std::size_t>(spots.offsets[static_cast<std::size_t>(i)]),
               end = static_cast<std::size_t>(spots.offsets[static_cast<std::size_t>(i) + 1]);
    CellTypeSums::checked_total(spots, begin, end, genes, i);
    double used = 0;
    for (std::size_t e = begin; e < end; ++e) {
      const auto g = static_cast<std::size_t>(spots.columns[e]);
      if (!(result.platform[g] > 0)) continue;
      bulk[g] += spots.values[e];
      used += spots.values[e];
    }
    result.counts.push_back(used);
    result.empty_spots += !(used > 0);
  }
  std::vector<double> w;
  if (options.platform_effects && result.empty_spots < n) {
    std::vector<std::int32_t> listed;
    std::vector<double> y;
    for (std::size_t g = 0; g < bulk.size(); ++g)
      if (bulk[g] > 0) {
        listed.push_back(static_cast<std::int32_t>(g));
        y.push_back(bulk[g]);
      }
    detail::poisson_weights(m, listed, y, options, w);
    for (std::size_t g = 0; g < bulk.size(); ++g) {
      if (!(result.platform[g] > 0)) continue;
      double mean = 0;
      for (std::size_t t = 0; t < types; ++t) mean += w[t] * m.rates[g * types + t];
      result.platform[g] = (bulk[g] + options.platform_prior) / (mean + options.platform_prior);
    }
    m = detail::mixture_genes(profiles, result.platform);
  }

  result.proportions = Tensor<double>::zeros({n, profiles.types()});
  std::vector<std::uint8_t> converged(static_cast<std::size_t>(n), 1);
  const std::int64_t rounds = options.platform_effects ? options.platform_rounds : 0;
  for (std::int64_t round = 0; round <= rounds; ++round) {
    Tensor<double> fitted = Tensor<double>::zeros({n, static_cast<std::int64_t>(types)});
    parallel_for(n, 8, [&](std::int64_t begin, std::int64_t end) {
      std::vector<std::int32_t> listed;
      std::vector<double> y, weights;
      for (std::int64_t i = begin; i < end; ++i) {
        const auto row = static_cast<std::size_t>(i);
        double* out = result.proportions.data() + i * profiles.types();
        if (!(result.counts[row] > 0)) {
          std::fill_n(out, profiles.types(), std::numeric_limits<double>::quiet_NaN());
          continue;
        }
        listed.clear(), y.clear();
        for (auto e = static_cast<std::size_t>(spots.offsets[row]);
             e < static_cast<std::size_t>(spots.offsets[row + 1]); ++e) {
          const auto g = static_cast<std::size_t>(spots.columns[e]);
          if (!(result.platform[g] > 0) || !(spots.values[e] > 0)) continue;
          listed.push_back(spots.columns[e]);
          y.push_back(spots.values[e]);
        }
        converged[row] = options.method == DeconvolutionMethod::poisson
                             ? detail::poisson_weights(m, listed, y, options, weights)
                             : detail::least_squares_weights(m, listed, y, options, weights);
        std::copy(weights.begin(), weights.end(), fitted.data() + i * static_cast<std::int64_t>(types));
        double sum = 0;
        for (std::size_t t = 0; t < types; ++t) {
          if (options.as_cells) weights[t] /= profiles.cell_counts[static_cast<std::size_t>(m.types[t])];
          sum += weights[t];
        }
        for (std::size_t t = 0; t < types; ++t) out[m.types[t]] = sum > 0 ? weights[t] / sum : 0.0;
      }
    });

    if (round == rounds) break;
    // What the spots' mixtures explain of each gene, in the order of spots.
    std::vector<double> whole(types, 0.0);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::size_t t = 0; t < types; ++t) whole[t] += fitted(i, static_cast<std::int64_t>(t));
    for (std::size_t g = 0; g < bulk.size(); ++g) {
      if (!(result.platform[g] > 0)) continue;
      double mean = 0;
      for (std::size_t t = 0; t < types; ++t) mean += whole[t] * m.rates[g * types + t];
      mean /= result.platform[g];
      result.platform[g] = (bulk[g] + options.platform_prior) / (mean + options.platform_prior);
    }
    m = detail::mixture_genes(profiles, result.platform);
  }
  for (const std::uint8_t c : converged) result.not_converged += c == 0;
  return result;
}

}  // namespace stofm::tasks

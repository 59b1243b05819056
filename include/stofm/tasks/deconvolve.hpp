// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which cell types a spot is made of, from its counts and signatures of the types.
///
///     y_g ~ Poisson(f_g sum_t w_t s_tg),  w >= 0
///
/// with s the rates of the types and f the platform effect of a gene. The likelihood is concave in w
/// (mixture_weights.hpp); how sure a share is: mixture_interval.hpp.
///
/// f is 1, or estimated, drawn to 1 for genes with few counts: first from the sum of all spots, as RCTD does,
/// which leaves the bias that this sum's mixture has; then a few rounds of spots given f and f given spots,
/// which take most of it away. Meant for a reference of another technology: where reference and spots are of
/// one, it may help or cost a little. `effect_spread` tells which it is.
/// A prior adds k counts to each spot, with the mean shares of all spots, or half of these and half of the
/// mean of its neighbours. k is `prior_counts` times the median misfit of the spots (mixture_interval.hpp):
/// where counts scatter more than chance has it, each of them says less. It is at most a tenth of the spot.
/// The baseline is non-negative least squares. *Source* Cable et al., "Robust decomposition of cell type
/// mixtures in spatial transcriptomics" (2022).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/tasks/mixture_interval.hpp"
#include "stofm/tasks/mixture_prior.hpp"

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
  double interval = 0;         ///< coverage of low to high, such as 0.9; 0: none. Poisson only
  double prior_counts = 0;     ///< weight of the prior, times the spots' misfit; 0: none. Poisson only
  int prior_rounds = 3;        ///< of estimating the prior from the spots and the spots given the prior
  std::span<const std::int32_t> neighbours{};  ///< [spots, k] other spots of each, for the prior; empty: none
};

struct Deconvolution {
  Tensor<double> proportions;      ///< [spots, types], rows sum to 1; NaN for a spot without counts
  Tensor<double> low, high;        ///< [spots, types] where an interval was asked for, else empty
  std::vector<double> counts;      ///< [spots], on the genes that some type expresses
  std::vector<double> explained;   ///< [spots] counts that the mixture stands for
  std::vector<double> dispersion;  ///< [spots] misfit where an interval was asked for: 1 is that of chance
  std::vector<double> platform;    ///< [genes] f; 1 if it was not asked for, 0 for a gene no type expresses
  double prior_counts = 0;         ///< weight that the prior had, in counts
  std::int64_t genes_used = 0;     ///< that some type expresses
  std::int64_t empty_spots = 0;    ///< without counts on these
  std::int64_t not_converged = 0;  ///< spots stopped by max_iterations
};

namespace detail {

inline void check_deconvolution(const DeconvolutionOptions& o, std::int64_t spots) {
  constexpr const char* op = "[deconvolve]";
  if (!(o.tolerance > 0) || o.max_iterations < 1 || o.platform_rounds < 0 || !(o.platform_prior > 0) ||
      !(o.interval >= 0 && o.interval < 1) || !(o.prior_counts >= 0 && std::isfinite(o.prior_counts)) ||
      o.prior_rounds < 1)
    throw UsageError(
        {"STOFM-4733", "", op,
         concat("tolerance ", o.tolerance, ", iterations ", o.max_iterations, ", platform prior ",
                o.platform_prior, ", interval ", o.interval, ", prior ", o.prior_counts),
         "numbers > 0 (rounds and priors: or 0), an interval below 1", "Check the options."});
  if (o.method != DeconvolutionMethod::poisson && (o.interval > 0 || o.prior_counts > 0))
    throw UsageError({"STOFM-4733", "", op, "an interval or a prior with least squares",
                      "the Poisson likelihood for these", "Leave them out, or use the Poisson likelihood."});
  if (o.neighbours.empty()) return;
  if (spots == 0 || static_cast<std::int64_t>(o.neighbours.size()) % spots != 0)
    throw ShapeError({"STOFM-4700", "", op, concat(o.neighbours.size(), " neighbours of ", spots, " spots"),
                      "the same number for each spot", "Give one row per spot."});
  for (const std::int32_t i : o.neighbours)
    if (i < 0 || i >= spots)
      throw ShapeError({"STOFM-4731", "", op, concat("neighbour ", i), concat("one in [0, ", spots, ")"),
                        "Number the spots from 0."});
}

/// Counts of row `i` on the genes with f > 0.
inline void take_spot(const io::CountRows& spots, std::int64_t i, const std::vector<double>& platform,
                      SpotCounts& spot) {
  spot.genes.clear(), spot.values.clear();
  spot.total = 0;
  const auto begin = static_cast<std::size_t>(spots.offsets[static_cast<std::size_t>(i)]),
             end = static_cast<std::size_t>(spots.offsets[static_cast<std::size_t>(i) + 1]);
  for (std::size_t e = begin; e < end; ++e) {
    const auto g = static_cast<std::size_t>(spots.columns[e]);
    if (!(platform[g] > 0) || !(spots.values[e] > 0)) continue;
    spot.genes.push_back(spots.columns[e]);
    spot.values.push_back(spots.values[e]);
    spot.total += spots.values[e];
  }
}

}  // namespace detail

/// Standard deviation of log f over genes, each with the weight that its counts give it: 0.07 to 0.4
/// between sections of one technology, 1.1 between single cells and imaging (docs/deconvolve.md).
inline double effect_spread(const io::CountRows& spots, const std::vector<double>& platform) {
  std::vector<double> counts(platform.size(), 0.0);
  for (std::size_t e = 0; e < spots.columns.size(); ++e)
    counts[static_cast<std::size_t>(spots.columns[e])] += spots.values[e];
  double weight = 0, mean = 0, square = 0;
  for (std::size_t g = 0; g < platform.size(); ++g) {
    if (!(platform[g] > 0)) continue;
    const double w = counts[g] / (counts[g] + 20), log = std::log(platform[g]);
    weight += w, mean += w * log, square += w * log * log;
  }
  if (!(weight > 0)) return 0;
  mean /= weight;
  return std::sqrt((std::max)(0.0, square / weight - mean * mean));
}

/// Proportions of the types of `profiles` in each row of `spots`, whose columns are the genes of the
/// profiles. Types without cells get 0. \throws UsageError for options out of range (STOFM-4733); ShapeError
/// for a column or a neighbour out of range (4731), neighbours that are no rows (4700); DataError for a count
/// that is negative or not finite (4732), profiles without a type that has cells (4734). *Cost* entries x
/// types operations an iteration, 50 to 1,000 iterations, parallel over spots. *Deterministic* yes, any
/// thread count.
STOFM_INLINE Deconvolution deconvolve(const io::CountRows& spots, const CellTypeProfiles& profiles,
                                      const DeconvolutionOptions& options = {});

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::deconvolve(const io::CountRows& spots, const CellTypeProfiles& profiles,
                                    const DeconvolutionOptions& options) -> Deconvolution {
  constexpr const char* op = "[deconvolve]";
  const std::int64_t n = spots.rows(), genes = profiles.genes();
  detail::check_deconvolution(options, n);
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
  detail::SpotCounts whole;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto row = static_cast<std::size_t>(i);
    CellTypeSums::checked_total(spots, static_cast<std::size_t>(spots.offsets[row]),
                                static_cast<std::size_t>(spots.offsets[row + 1]), genes, i);
    detail::take_spot(spots, i, result.platform, whole);
    for (std::size_t e = 0; e < whole.genes.size(); ++e)
      bulk[static_cast<std::size_t>(whole.genes[e])] += whole.values[e];
    result.counts.push_back(whole.total);
    result.empty_spots += !(whole.total > 0);
  }
  /// f from what mixtures with these weights, summed over spots, explain of each gene.
  const auto set_platform = [&](const std::vector<double>& weights) {
    for (std::size_t g = 0; g < bulk.size(); ++g) {
      if (!(result.platform[g] > 0)) continue;
      double mean = 0;
      for (std::size_t t = 0; t < types; ++t) mean += weights[t] * m.rates[g * types + t];
      mean /= result.platform[g];
      result.platform[g] = (bulk[g] + options.platform_prior) / (mean + options.platform_prior);
    }
    m = detail::mixture_genes(profiles, result.platform);
  };
  detail::MixtureSearch search{options.tolerance, options.max_iterations, 0, {}};
  if (options.platform_effects && result.empty_spots < n) {
    whole = {};
    for (std::size_t g = 0; g < bulk.size(); ++g) {
      if (!(bulk[g] > 0)) continue;
      whole.genes.push_back(static_cast<std::int32_t>(g));
      whole.values.push_back(bulk[g]);
      whole.total += bulk[g];
    }
    std::vector<double> weights;
    detail::poisson_weights(m, whole, search, weights);
    set_platform(weights);
  }

  Tensor<double> fitted = Tensor<double>::zeros({n, static_cast<std::int64_t>(types)});
  std::vector<std::uint8_t> converged(static_cast<std::size_t>(n), 1);
  const auto fit = [&](const Tensor<double>* prior) {
    parallel_for(n, 8, [&](std::int64_t begin, std::int64_t end) {
      detail::SpotCounts spot;
      std::vector<double> weights;
      for (std::int64_t i = begin; i < end; ++i) {
        if (!(result.counts[static_cast<std::size_t>(i)] > 0)) continue;
        detail::take_spot(spots, i, result.platform, spot);
        detail::MixtureSearch own = search;
        if (prior != nullptr) {
          own.prior = {prior->data() + i * static_cast<std::int64_t>(types), types};
          own.prior_counts = detail::prior_weight(search.prior_counts, spot.total);
        }
        converged[static_cast<std::size_t>(i)] = options.method == DeconvolutionMethod::poisson
                                                     ? detail::poisson_weights(m, spot, own, weights)
                                                     : detail::least_squares_weights(m, spot, own, weights);
        std::copy(weights.begin(), weights.end(), fitted.data() + i * static_cast<std::int64_t>(types));
      }
    });
  };
  fit(nullptr);
  for (std::int64_t round = 0; options.platform_effects && round < options.platform_rounds; ++round) {
    std::vector<double> sums(types, 0.0);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::size_t t = 0; t < types; ++t) sums[t] += fitted(i, static_cast<std::int64_t>(t));
    set_platform(sums);
    fit(nullptr);
  }

  std::vector<double> unit(types, 1.0), spread(types, 0.0);
  for (std::size_t t = 0; options.as_cells && t < types; ++t) {
    unit[t] = profiles.cell_counts[static_cast<std::size_t>(m.types[t])];
    if (!profiles.cell_spread.empty()) spread[t] = profiles.cell_spread[static_cast<std::size_t>(m.types[t])];
  }
  const bool bounds = options.interval > 0;
  detail::MixtureIntervalOptions interval{
      unit, spread, result.genes_used, detail::normal_width(bounds ? options.interval : 0.5), 0, {}};
  Tensor<double> prior;
  /// Interval and misfit of a spot that has counts.
  const auto look_at = [&](std::int64_t i) {
    detail::SpotCounts spot;
    detail::take_spot(spots, i, result.platform, spot);
    const double* row = fitted.data() + i * static_cast<std::int64_t>(types);
    detail::MixtureIntervalOptions own = interval;
    if (search.prior_counts > 0) {
      own.prior = {prior.data() + i * static_cast<std::int64_t>(types), types};
      own.prior_counts = detail::prior_weight(search.prior_counts, spot.total);
    }
    return detail::mixture_interval(m, spot, std::vector<double>(row, row + types), own);
  };
  if (options.prior_counts > 0 && result.empty_spots < n) {
    std::vector<double> misfit(static_cast<std::size_t>(n), 0.0);
    parallel_for(n, 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        if (result.counts[static_cast<std::size_t>(i)] > 0)
          misfit[static_cast<std::size_t>(i)] = look_at(i).dispersion;
    });
    std::erase(misfit, 0.0);
    const auto middle = misfit.begin() + static_cast<std::ptrdiff_t>(misfit.size() / 2);
    std::nth_element(misfit.begin(), middle, misfit.end());
    search.prior_counts = options.prior_counts * *middle;
    for (int round = 0; round < options.prior_rounds; ++round) {
      prior = detail::prior_shares(fitted, result.counts, options.neighbours);
      fit(&prior);
    }
  }
  for (const std::uint8_t c : converged) result.not_converged += c == 0;
  result.prior_counts = search.prior_counts;
  result.proportions = Tensor<double>::zeros({n, profiles.types()});
  if (bounds) {
    result.low = Tensor<double>::zeros({n, profiles.types()});
    result.high = Tensor<double>::zeros({n, profiles.types()});
    result.dispersion.assign(static_cast<std::size_t>(n), std::numeric_limits<double>::quiet_NaN());
  }
  result.explained.assign(static_cast<std::size_t>(n), 0.0);
  parallel_for(n, 8, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> weights(types);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto row = static_cast<std::size_t>(i);
      if (!(result.counts[row] > 0)) {
        for (Tensor<double>* table : {&result.proportions, &result.low, &result.high})
          if (table == &result.proportions || bounds)
            std::fill_n(table->data() + i * profiles.types(), profiles.types(),
                        std::numeric_limits<double>::quiet_NaN());
        continue;
      }
      double sum = 0;
      for (std::size_t t = 0; t < types; ++t) {
        weights[t] = fitted(i, static_cast<std::int64_t>(t));
        sum += weights[t] / unit[t];
        result.explained[row] += weights[t] * m.expected[t];
      }
      for (std::size_t t = 0; t < types; ++t)
        result.proportions(i, m.types[t]) = sum > 0 ? weights[t] / unit[t] / sum : 0.0;
      if (!bounds) continue;
      const auto ends = look_at(i);
      result.dispersion[row] = ends.dispersion;
      for (std::size_t t = 0; t < types; ++t) {
        result.low(i, m.types[t]) = ends.low[t];
        result.high(i, m.types[t]) = ends.high[t];
      }
    }
  });
  return result;
}

}  // namespace stofm
#endif

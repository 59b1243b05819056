// SPDX-License-Identifier: MIT
/// \file
/// `stofm deconvolve`: shares of cell types in spots, with an interval each.

#include <algorithm>
#include <cmath>

#include "console.hpp"
#include "stofm/cluster/knn_2d.hpp"
#include "tasks/deconvolve_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

constexpr double effect_spread_of_another_technology = 0.5;

/// A table over `types` from one over other columns of the same spots; what is not there is 0.
Tensor<double> deconvolve_columns(const Tensor<double>& values, const std::vector<std::string>& from,
                                  const std::vector<std::string>& types) {
  const auto plain = [](std::string name) {
    std::replace(name.begin(), name.end(), '|', '/');
    return name;
  };
  Tensor<double> result = Tensor<double>::zeros({values.dim(0), static_cast<std::int64_t>(types.size())});
  for (std::size_t t = 0; t < types.size(); ++t)
    for (std::size_t c = 0; c < from.size(); ++c)
      if (plain(from[c]) == plain(types[t]))
        for (std::int64_t i = 0; i < values.dim(0); ++i)
          result(i, static_cast<std::int64_t>(t)) += values(i, static_cast<std::int64_t>(c));
  return result;
}

/// Scores over the types of both sides.
void judge_deconvolve(const TaskSlice& spots, const DeconvolveReference& reference,
                      const io::CountRows& counts, const tasks::CellTypeProfiles& profiles,
                      const tasks::DeconvolutionOptions& options, DeconvolveResult& result) {
  const DeconvolveTruth truth = read_deconvolve_truth(spots, reference.types);
  if (truth.source.empty()) return;
  result.truth = truth.source;
  result.judged = result.types;
  const Tensor<double> own = deconvolve_columns(truth.cells, truth.types, result.types);
  for (const std::string& type : truth.types) {
    std::string plain = type;
    std::replace(plain.begin(), plain.end(), '|', '/');
    const bool has = std::any_of(result.types.begin(), result.types.end(), [&](std::string name) {
      std::replace(name.begin(), name.end(), '|', '/');
      return name == plain;
    });
    if (!has) result.judged.push_back(type);
  }
  const Tensor<double> known = deconvolve_columns(truth.cells, truth.types, result.judged);
  const auto wide = [&](const Tensor<double>& table) {
    return deconvolve_columns(table, result.types, result.judged);
  };
  const tasks::Deconvolution& found = result.found;
  const bool interval = options.interval > 0;
  const Tensor<double> shares = wide(found.proportions), low = interval ? wide(found.low) : Tensor<double>(),
                       high = interval ? wide(found.high) : Tensor<double>();
  result.scores = interval ? tasks::composition_scores(known.view(), shares.view(), low.view(), high.view())
                           : tasks::composition_scores(known.view(), shares.view());
  if (options.method == tasks::DeconvolutionMethod::least_squares) return;
  tasks::DeconvolutionOptions plain;
  plain.method = tasks::DeconvolutionMethod::least_squares;
  plain.as_cells = options.as_cells;
  const tasks::Deconvolution squares = tasks::deconvolve(counts, profiles, plain);
  result.baseline = tasks::composition_scores(known.view(), wide(squares.proportions).view());
}

void summarise_deconvolve(const DeconvolveArguments& a, DeconvolveResult& result) {
  const tasks::Deconvolution& found = result.found;
  const std::int64_t n = found.proportions.dim(0), types = found.proportions.dim(1);
  const auto as_floats = [&](const Tensor<double>& table) {
    Tensor<float> floats = Tensor<float>::zeros({n, types});
    for (std::int64_t i = 0; i < n * types; ++i) floats.data()[i] = static_cast<float>(table.data()[i]);
    return floats;
  };
  result.shares = as_floats(found.proportions);
  if (a.interval > 0 && a.method == "poisson") {
    result.low = as_floats(found.low);
    result.high = as_floats(found.high);
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const double counts = found.counts[static_cast<std::size_t>(i)];
    result.few += counts < static_cast<double>(a.min_counts);
    std::int32_t best = counts > 0 ? 0 : -1;
    double entropy = counts > 0 ? 0 : std::nan("");
    for (std::int64_t t = 0; t < types && counts > 0; ++t) {
      const double p = found.proportions(i, t);
      if (p > found.proportions(i, best)) best = static_cast<std::int32_t>(t);
      if (p > 0) entropy -= p * std::log2(p);
    }
    result.dominant.push_back(best);
    result.entropy.push_back(entropy);
  }
}

DeconvolveResult deconvolve_slice(const DeconvolveArguments& a, const TaskSlice& spots,
                                  const DeconvolveReference& reference) {
  Console& console = Console::get();
  const tasks::SharedGenes shared = deconvolve_genes(a, spots.slice, reference);
  DeconvolveResult result;
  result.genes = shared.size();
  result.matched_by = shared.matched_by;
  const tasks::CellTypeProfiles profiles =
      keep_deconvolve_types(deconvolve_profiles(reference, shared), reference, a.min_cells, result);
  console.say(concat(spots.name, ": ", format_count(result.genes), " genes shared by ", result.matched_by,
                     ", ", result.types.size(), " types"));
  for (const auto& [list, why] :
       {std::pair{&result.rare, concat(" with fewer than ", a.min_cells, " cells")},
        std::pair{&result.without, std::string(" without counts on shared genes")}}) {
    std::string names;
    for (const std::string& name : *list) names += (names.empty() ? "" : ", ") + name;
    if (!names.empty()) console.warn(concat("left out, types", why, ": ", names));
  }
  const io::CountRows counts = deconvolve_counts(spots.slice, shared.gene_of[0], shared.size());
  if (spots.slice.stream_notices) say_notices(spots.slice.stream_notices(), spots.slice.path);

  tasks::DeconvolutionOptions options;
  options.as_cells = a.as == "cells";
  const bool by_head = a.method == "head";
  if (a.method == "nnls") {
    options.method = tasks::DeconvolutionMethod::least_squares;
  } else if (!by_head) {
    options.interval = a.interval;
    options.prior_counts = a.prior;
  }
  std::vector<std::int32_t> neighbours;
  if (options.prior_counts > 0 && !spots.slice.coordinates_source.empty() && spots.slice.cells > 1) {
    neighbours = cluster::nearest_neighbours_2d(spots.slice.coordinates.view(), 6).indices;
    options.neighbours = neighbours;
  }
  options.platform_effects = a.platform_effect == "on" && !by_head;
  if (a.platform_effect == "auto" && !by_head) {
    // The effects alone first: no interval, no prior, and shares no finer than they need.
    tasks::DeconvolutionOptions look;
    look.platform_effects = true;
    look.platform_rounds = 2;
    look.tolerance = 1e-4;
    result.effect_spread = tasks::effect_spread(counts, tasks::deconvolve(counts, profiles, look).platform);
    options.platform_effects = result.effect_spread > effect_spread_of_another_technology;
  }
  result.found = by_head ? deconvolve_by_head(a, spots, reference, shared, profiles, counts, result.types)
                         : tasks::deconvolve(counts, profiles, options);
  if (result.found.empty_spots == counts.rows())
    throw DataError({"STOFM-2076", spots.slice.path, "counts", "no spot with counts on shared genes",
                     "at least one",
                     "Check that spots and reference name genes alike, and are of one tissue."});
  result.platform = options.platform_effects;
  if (options.platform_effects && a.platform_effect == "on")
    result.effect_spread = tasks::effect_spread(counts, result.found.platform);
  if (a.platform_effect != "off" && !by_head)
    console.say(concat("effects of the genes spread by ", format_number(result.effect_spread, 2),
                       result.platform ? ": estimated" : ": left out, as of one technology"));
  summarise_deconvolve(a, result);
  if (result.found.not_converged > 0)
    console.warn(concat(format_count(result.found.not_converged), " spots stopped before they were settled"));
  if (result.found.empty_spots > 0)
    console.warn(
        concat(format_count(result.found.empty_spots), " spots without counts on shared genes: NaN"));
  if (result.few > result.found.empty_spots)
    console.warn(concat(format_count(result.few), " spots with fewer than ", a.min_counts,
                        " counts: obs stofm_few_counts; --prior 5 is for such slices"));
  if (!a.no_truth) judge_deconvolve(spots, reference, counts, profiles, options, result);
  if (result.scores) {
    const tasks::CompositionScores& s = *result.scores;
    console.say(
        concat("against ", result.truth, ": Pearson per type ", format_number(s.pearson, 3), ", RMSE ",
               format_number(s.rmse, 3), ", Jensen-Shannon ", format_number(s.jensen_shannon, 3),
               std::isnan(s.coverage)
                   ? std::string()
                   : concat(", intervals hold ", format_number(100 * s.coverage, 3), " % of the true shares"),
               result.baseline ? concat(" (least squares: ", format_number(result.baseline->pearson, 3), ", ",
                                        format_number(result.baseline->rmse, 3), ", ",
                                        format_number(result.baseline->jensen_shannon, 3), ")")
                               : std::string()));
  }
  return result;
}

}  // namespace

int run_deconvolve(const Arguments& arguments) {
  const DeconvolveArguments& a = arguments.deconvolve;
  const DeconvolveReference reference = open_deconvolve_reference(a);
  const std::vector<TaskSlice> slices = open_inputs(a.task, "deconvolve", {}, false);
  std::vector<DeconvolveResult> results;
  results.reserve(slices.size());
  for (const TaskSlice& spots : slices) results.push_back(deconvolve_slice(a, spots, reference));
  std::vector<TaskOutput> outputs(slices.size());
  TaskReport report;
  nlohmann::json summary;
  fill_deconvolve(a, slices, results, outputs, report, summary);
  std::vector<std::string> files;
  for (const TaskSlice& slice : reference.slices) files.push_back(slice.slice.path);
  const std::map<std::string, io::H5adValue> provenance{
      {"reference", files},
      {"label", a.label},
      {"method", a.method},
      {"shares_of", a.as},
      {"interval", a.method == "poisson" ? a.interval : 0.0},
      {"prior", a.prior},
      {"min_cells", a.min_cells},
      {"min_counts", a.min_counts},
      {"leave_out", reference.left_out}};
  write_task(a.task, "deconvolve", arguments, slices, outputs, nullptr, provenance, report, summary);
  return 0;
}

}  // namespace stofm::program

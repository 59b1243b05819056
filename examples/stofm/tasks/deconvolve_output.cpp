// SPDX-License-Identifier: MIT
/// \file
/// What `stofm deconvolve` writes: columns, report, summary.

#include <algorithm>
#include <cmath>

#include "console.hpp"
#include "tasks/deconvolve_run.hpp"

namespace stofm::program {
namespace {

TaskOutput deconvolve_file(const DeconvolveArguments& a, const DeconvolveResult& result) {
  TaskOutput output;
  io::H5adResult& file = output.file;
  file.obsm.push_back({"stofm_proportions", result.shares.view(), result.types});
  if (result.low.numel() > 0) {
    file.obsm.push_back({"stofm_proportions_low", result.low.view(), result.types});
    file.obsm.push_back({"stofm_proportions_high", result.high.view(), result.types});
  }
  io::H5adColumn dominant, entropy, counts, explained, few, misfit;
  dominant.name = "stofm_dominant_type";
  dominant.codes = result.dominant;
  dominant.categories = result.types;
  entropy.name = "stofm_entropy";
  entropy.reals = result.entropy;
  counts.name = "stofm_counts";
  counts.reals = result.found.counts;
  explained.name = "stofm_explained_counts";
  explained.reals = result.found.explained;
  few.name = "stofm_few_counts";
  for (const double c : result.found.counts) few.integers.push_back(c < static_cast<double>(a.min_counts));
  for (io::H5adColumn* column : {&dominant, &entropy, &counts, &explained, &few})
    if (column != &explained || !explained.reals.empty())  // a head explains no counts
      file.obs.push_back(std::move(*column));
  if (!result.found.dispersion.empty()) {
    misfit.name = "stofm_misfit";
    misfit.reals = result.found.dispersion;
    file.obs.push_back(std::move(misfit));
  }
  file.uns_lists["stofm_dominant_type_colors"] = result.colours;
  output.provenance = {{"types", result.types},
                       {"types_with_few_cells", result.rare},
                       {"types_without_counts", result.without},
                       {"genes", result.genes},
                       {"genes_matched_by", result.matched_by},
                       {"reference_cells", result.reference_cells},
                       {"platform_effects", std::string(result.platform ? "estimated" : "none")},
                       {"effect_spread", result.effect_spread},
                       {"prior_counts", result.found.prior_counts},
                       {"spots_with_few_counts", result.few},
                       {"empty_spots", result.found.empty_spots}};
  if (result.scores) {
    output.provenance["truth"] = result.truth;
    output.provenance["pearson"] = result.scores->pearson;
    output.provenance["rmse"] = result.scores->rmse;
    output.provenance["jensen_shannon"] = result.scores->jensen_shannon;
    if (!std::isnan(result.scores->coverage)) output.provenance["coverage"] = result.scores->coverage;
  }
  return output;
}

nlohmann::json deconvolve_number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
}

nlohmann::json deconvolve_json(const TaskSlice& slice, const DeconvolveResult& result) {
  nlohmann::json one = {{"name", slice.name},
                        {"spots", result.found.counts.size()},
                        {"genes", result.genes},
                        {"matched_by", result.matched_by},
                        {"types", result.types},
                        {"types_with_few_cells", result.rare},
                        {"types_without_counts", result.without},
                        {"platform_effects", result.platform},
                        {"effect_spread", result.effect_spread},
                        {"prior_counts", result.found.prior_counts},
                        {"spots_with_few_counts", result.few},
                        {"empty_spots", result.found.empty_spots},
                        {"not_converged", result.found.not_converged}};
  for (std::size_t t = 0; t < result.types.size(); ++t) {
    double sum = 0, spots = 0;
    for (std::int64_t i = 0; i < result.shares.dim(0); ++i) {
      const double share = result.found.proportions(i, static_cast<std::int64_t>(t));
      if (std::isnan(share)) continue;
      sum += share, ++spots;
    }
    one["mean_share"][result.types[t]] = deconvolve_number(sum / spots);
  }
  if (!result.scores) return one;
  const auto scores = [](const tasks::CompositionScores& s) {
    return nlohmann::json{{"pearson", s.pearson},
                          {"rmse", s.rmse},
                          {"jensen_shannon", s.jensen_shannon},
                          {"coverage", deconvolve_number(s.coverage)},
                          {"coverage_present", deconvolve_number(s.coverage_present)},
                          {"spots", s.spots}};
  };
  one["truth"] = result.truth;
  one["scores"] = scores(*result.scores);
  for (std::size_t t = 0; t < result.judged.size(); ++t)
    one["scores"]["by_type"][result.judged[t]] = {
        {"pearson", deconvolve_number(result.scores->by_type[t].pearson)},
        {"rmse", deconvolve_number(result.scores->by_type[t].rmse)}};
  if (result.baseline) one["least_squares"] = scores(*result.baseline);
  return one;
}

/// Mean share of each type over the spots of all slices that have it.
TaskReportBars deconvolve_mean_bars(const std::vector<DeconvolveResult>& results,
                                    const std::vector<std::string>& types) {
  TaskReportBars bars;
  bars.title = "Mean share of each type";
  bars.unit = "share";
  for (const std::string& type : types) {
    double sum = 0, spots = 0;
    for (const DeconvolveResult& result : results) {
      const auto at = std::find(result.types.begin(), result.types.end(), type);
      if (at == result.types.end()) continue;
      for (std::int64_t i = 0; i < result.shares.dim(0); ++i) {
        const double share = result.found.proportions(i, at - result.types.begin());
        if (!std::isnan(share)) sum += share, ++spots;
      }
    }
    bars.names.push_back(type);
    bars.values.push_back(spots > 0 ? sum / spots : 0);
  }
  return bars;
}

void report_deconvolve_scores(const TaskSlice& slice, const DeconvolveResult& result,
                              const std::string& method, bool several, TaskReport& report) {
  const tasks::CompositionScores& s = *result.scores;
  const std::string of = several ? ", " + slice.name : std::string();
  report.facts.emplace_back("Pearson per type" + of, format_number(s.pearson, 3));
  report.facts.emplace_back("RMSE" + of, format_number(s.rmse, 3));
  report.facts.emplace_back("Jensen-Shannon" + of, format_number(s.jensen_shannon, 3));
  if (!std::isnan(s.coverage))
    report.facts.emplace_back("true shares in their interval" + of,
                              format_number(100 * s.coverage, 3) + " %");
  TaskReportBars bars;
  bars.title = "Pearson of each type against the truth" + of;
  bars.unit = "Pearson";
  for (std::size_t t = 0; t < result.judged.size(); ++t) {
    if (std::isnan(s.by_type[t].pearson)) continue;
    bars.names.push_back(result.judged[t]);
    bars.values.push_back(s.by_type[t].pearson);
  }
  report.bars.push_back(std::move(bars));
  TaskReportTable table{
      "Against the known composition" + of, {"method", "Pearson per type", "RMSE", "Jensen-Shannon"}, {}};
  const auto row = [&](const char* name, const tasks::CompositionScores& scores) {
    table.rows.push_back({name, format_number(scores.pearson, 3), format_number(scores.rmse, 3),
                          format_number(scores.jensen_shannon, 3)});
  };
  row(method == "poisson" ? "Poisson likelihood"
      : method == "head"  ? "head on the simplex"
                          : "least squares",
      s);
  if (result.baseline) row("least squares", *result.baseline);
  report.tables.push_back(std::move(table));
}

}  // namespace

void fill_deconvolve(const DeconvolveArguments& a, const std::vector<TaskSlice>& slices,
                     const std::vector<DeconvolveResult>& results, std::vector<TaskOutput>& outputs,
                     TaskReport& report, nlohmann::json& summary) {
  summary["slices"] = nlohmann::json::array();
  // Slices may have other types, if a gene panel hides some: the report has all.
  std::vector<std::string> types, colours;
  for (const DeconvolveResult& result : results)
    for (std::size_t t = 0; t < result.types.size(); ++t)
      if (std::find(types.begin(), types.end(), result.types[t]) == types.end()) {
        types.push_back(result.types[t]);
        colours.push_back(result.colours[t]);
      }
  report.title = slices.size() == 1 ? concat("Cell types in the spots of ", slices.front().name)
                                    : concat("Cell types in the spots of ", slices.size(), " slices");
  report.proportions.names = types;
  report.proportions.colours = colours;
  TaskReportGroups dominant{"stofm_dominant_type",
                            "type with the largest share",
                            "A spot holds several cells: the largest share may be far below one half.",
                            types,
                            colours,
                            {}};
  std::vector<TaskReportScore> scores;
  scores.push_back({"stofm_entropy", "entropy of the shares (bits)", "spots", {}});
  scores.push_back({"stofm_counts", "counts on shared genes", "spots", {}});
  if (a.interval > 0 && a.method == "poisson")
    scores.push_back({"stofm_misfit", "misfit (1: that of chance)", "spots", {}});
  const std::size_t first = scores.size();
  for (const std::string& type : types) scores.push_back({"share:" + type, type, "proportions", {}});
  std::int64_t spots = 0, few = 0;
  for (std::size_t k = 0; k < results.size(); ++k) {
    const DeconvolveResult& result = results[k];
    outputs[k] = deconvolve_file(a, result);
    summary["slices"].push_back(deconvolve_json(slices[k], result));
    report.slices.push_back(report_slice(slices[k]));
    const std::int64_t n = result.shares.dim(0);
    spots += n;
    few += result.few;
    std::vector<float>& pies = report.proportions.values.emplace_back();
    pies.assign(static_cast<std::size_t>(n) * types.size(), 0.0F);
    std::vector<std::int32_t>& codes = dominant.codes.emplace_back(static_cast<std::size_t>(n), -1);
    scores[0].values.emplace_back(result.entropy.begin(), result.entropy.end());
    scores[1].values.emplace_back(result.found.counts.begin(), result.found.counts.end());
    if (first == 3)
      scores[2].values.emplace_back(result.found.dispersion.begin(), result.found.dispersion.end());
    for (std::size_t t = 0; t < types.size(); ++t) {
      std::vector<float>& column = scores[first + t].values.emplace_back(static_cast<std::size_t>(n), 0.0F);
      const auto at = std::find(result.types.begin(), result.types.end(), types[t]) - result.types.begin();
      if (at == static_cast<std::ptrdiff_t>(result.types.size())) continue;
      for (std::int64_t i = 0; i < n; ++i) {
        const auto row = static_cast<std::size_t>(i);
        column[row] = pies[row * types.size() + t] = result.shares.data()[i * result.shares.dim(1) + at];
        if (result.dominant[row] == at) codes[row] = static_cast<std::int32_t>(t);
      }
    }
  }
  report.facts = {{"spots", format_count(spots)},
                  {"types", std::to_string(types.size())},
                  {"shared genes", format_count(results.front().genes)},
                  {"spots with few counts", format_count(few)}};
  report.groups.push_back(std::move(dominant));
  for (TaskReportScore& score : scores) report.scores.push_back(std::move(score));
  report.bars.push_back(deconvolve_mean_bars(results, types));
  for (std::size_t k = 0; k < results.size(); ++k)
    if (results[k].scores)
      report_deconvolve_scores(slices[k], results[k], a.method, results.size() > 1, report);
  report.next = {
      {"python",
       "import anndata\nspots = anndata.read_h5ad(\"" + slices.front().h5ad +
           "\")\nspots.obsm[\"stofm_proportions\"]       # a data frame, rows sum to 1\n"
           "spots.obs[spots.obsm[\"stofm_proportions\"].columns] = spots.obsm[\"stofm_proportions\"]\n"
           "import scanpy as sc\nsc.pl.spatial(spots, color=\"stofm_dominant_type\", spot_size=1)"}};
}

}  // namespace stofm::program

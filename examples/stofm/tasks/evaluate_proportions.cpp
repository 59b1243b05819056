// SPDX-License-Identifier: MIT
/// \file
/// Proportions against proportions for `stofm evaluate`.

#include <algorithm>
#include <cmath>
#include <limits>

#include "console.hpp"
#include "stofm/tasks/proportion_metrics.hpp"
#include "tasks/evaluate_run.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {
namespace {

bool has_shares(const EvaluateSlice& slice, std::int64_t i) {
  return std::isfinite(slice.true_shares(i, 0)) && std::isfinite(slice.predicted_shares(i, 0));
}

/// Sums over the spots of one block, from which scores can be made again.
struct ShareSums {
  double spots = 0, squares = 0, shannon = 0;
  std::vector<double> t, p, tt, pp, tp;  ///< by type
};

std::vector<ShareSums> sums_of_blocks(const EvaluateInput& input, const EvaluateBlocks& blocks) {
  std::int64_t count = 0;
  for (const std::int64_t of_slice : blocks.of_slice) count += of_slice;
  const std::size_t width = input.types.size();
  const std::vector<double> none(width, 0.0);
  std::vector<ShareSums> all(static_cast<std::size_t>(count),
                             ShareSums{0, 0, 0, none, none, none, none, none});
  for (std::size_t s = 0; s < input.slices.size(); ++s)
    for (std::size_t i = 0; i < blocks.number[s].size(); ++i) {
      if (blocks.number[s][i] < 0) continue;
      ShareSums& sums = all[static_cast<std::size_t>(blocks.number[s][i])];
      const EvaluateSlice& slice = input.slices[s];
      const std::span<const double> t(slice.true_shares.data() + i * width, width);
      const std::span<const double> p(slice.predicted_shares.data() + i * width, width);
      sums.spots += 1;
      sums.shannon += tasks::jensen_shannon(t, p);
      for (std::size_t c = 0; c < width; ++c) {
        sums.squares += (t[c] - p[c]) * (t[c] - p[c]);
        sums.t[c] += t[c], sums.p[c] += p[c];
        sums.tt[c] += t[c] * t[c], sums.pp[c] += p[c] * p[c], sums.tp[c] += t[c] * p[c];
      }
    }
  return all;
}

/// Mean Pearson, RMSE, mean Jensen-Shannon under times of blocks.
std::vector<double> redrawn_shares(const std::vector<ShareSums>& blocks,
                                   std::span<const std::int64_t> times) {
  const double unknown = std::numeric_limits<double>::quiet_NaN();
  const std::size_t width = blocks.front().t.size();
  double spots = 0, squares = 0, shannon = 0;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto n = static_cast<double>(times[b]);
    spots += n * blocks[b].spots;
    squares += n * blocks[b].squares;
    shannon += n * blocks[b].shannon;
  }
  if (!(spots > 0)) return {unknown, unknown, unknown};
  double sum = 0;
  std::int64_t defined = 0;
  for (std::size_t c = 0; c < width; ++c) {
    double t = 0, p = 0, tt = 0, pp = 0, tp = 0;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      const auto n = static_cast<double>(times[b]);
      t += n * blocks[b].t[c], p += n * blocks[b].p[c];
      tt += n * blocks[b].tt[c], pp += n * blocks[b].pp[c], tp += n * blocks[b].tp[c];
    }
    const double of_t = tt - t * t / spots, of_p = pp - p * p / spots;
    // What is left of a constant column is rounding.
    if (!(of_t > 1e-12 * tt) || !(of_p > 1e-12 * pp)) continue;
    sum += std::clamp((tp - t * p / spots) / std::sqrt(of_t * of_p), -1.0, 1.0);
    ++defined;
  }
  return {defined > 0 ? sum / static_cast<double>(defined) : unknown,
          std::sqrt(squares / (spots * static_cast<double>(width))), shannon / spots};
}

/// Rows with shares on both sides.
tasks::ProportionScores scores_of_slices(const EvaluateInput& input, std::span<const EvaluateSlice> slices,
                                         std::int64_t& spots) {
  const std::size_t width = input.types.size();
  std::vector<double> truth, predicted;
  for (const EvaluateSlice& slice : slices)
    for (std::int64_t i = 0; i < slice.cells; ++i) {
      if (!has_shares(slice, i)) continue;
      const double* t = slice.true_shares.data() + i * static_cast<std::int64_t>(width);
      const double* p = slice.predicted_shares.data() + i * static_cast<std::int64_t>(width);
      truth.insert(truth.end(), t, t + width);
      predicted.insert(predicted.end(), p, p + width);
    }
  spots = static_cast<std::int64_t>(truth.size() / width);
  if (spots == 0) return {};
  const auto columns = static_cast<std::int64_t>(width);
  return tasks::proportion_scores(matrix_view<const double>(truth.data(), spots, columns),
                                  matrix_view<const double>(predicted.data(), spots, columns));
}

nlohmann::json share_figures_json(const tasks::ProportionScores& scores) {
  return {{"mean_pearson", number_json(scores.mean_pearson)},
          {"mean_spearman", number_json(scores.mean_spearman)},
          {"rmse", number_json(scores.rmse)},
          {"mean_jensen_shannon", number_json(scores.mean_jensen_shannon)}};
}

}  // namespace

void evaluate_proportions(const EvaluateArguments& a, const EvaluateInput& input, EvaluateResult& result) {
  std::int64_t spots = 0;
  const tasks::ProportionScores scores = scores_of_slices(input, input.slices, spots);
  if (spots == 0)
    throw DataError({"STOFM-4781", input.slices.front().path,
                     a.truth_proportions + ", " + a.predicted_proportions,
                     concat("none of ", input.cells, " spots has proportions on both sides"),
                     "rows of numbers from 0 on, not all 0", "Name proportions, or counts of cells."});
  nlohmann::json json = {{"truth", a.truth_proportions},
                         {"predicted", a.predicted_proportions},
                         {"spots", spots},
                         {"left_out", input.cells - spots},
                         {"scores", share_figures_json(scores)}};
  result.words.push_back(concat(a.predicted_proportions, " against ", a.truth_proportions, ": ",
                                format_count(spots), " spots, ", input.types.size(), " types"));
  if (spots < input.cells)
    result.words.push_back(concat("left out: ", format_count(input.cells - spots),
                                  " spots without proportions on one side (missing, negative, or all 0)"));
  if (!input.one_sided_types.empty()) {
    std::string names;
    for (std::size_t i = 0; i < input.one_sided_types.size() && i < 10; ++i)
      names += concat(i > 0 ? ", " : "", input.one_sided_types[i]);
    result.words.push_back(concat("types of one side only, 0 on the other: ", names,
                                  input.one_sided_types.size() > 10 ? ", ..." : ""));
    json["one_sided_types"] = input.one_sided_types;
  }
  std::vector<EvaluateFigure> figures{
      {"mean_pearson", "mean Pearson of the types", scores.mean_pearson},
      {"rmse", "RMSE", scores.rmse},
      {"mean_jensen_shannon", "mean Jensen-Shannon distance", scores.mean_jensen_shannon}};
  const EvaluateBlocks blocks = evaluate_blocks(input, has_shares);
  if (a.bootstrap > 0 && !blocks.of_slice.empty()) {
    const std::vector<ShareSums> sums = sums_of_blocks(input, blocks);
    const auto intervals = tasks::block_bootstrap(
        blocks.of_slice, figures.size(), a.bootstrap, a.task.geometry.seed,
        [&](std::span<const std::int64_t> times) { return redrawn_shares(sums, times); });
    for (std::size_t k = 0; k < figures.size(); ++k) {
      figures[k].interval = intervals[k];
      if (std::isfinite(intervals[k].low))
        json["intervals"][figures[k].key] = {intervals[k].low, intervals[k].high};
    }
  }
  figures.insert(figures.begin() + 1, {"mean_spearman", "mean Spearman of the types", scores.mean_spearman});
  result.figures.insert(result.figures.end(), figures.begin(), figures.end());
  TaskReportTable table{"Each type", {"type", "Pearson", "Spearman", "RMSE", "Jensen-Shannon"}, {}};
  TaskReportBars bars{"Pearson of each type", "Pearson", {}, {}, {}, {}};
  json["types"] = nlohmann::json::array();
  for (std::size_t c = 0; c < input.types.size(); ++c) {
    const tasks::ColumnScores& s = scores.by_type[c];
    table.rows.push_back({input.types[c], figure_text(s.pearson), figure_text(s.spearman),
                          figure_text(s.rmse), figure_text(s.jensen_shannon)});
    json["types"].push_back({{"name", input.types[c]},
                             {"pearson", number_json(s.pearson)},
                             {"spearman", number_json(s.spearman)},
                             {"rmse", number_json(s.rmse)},
                             {"jensen_shannon", number_json(s.jensen_shannon)}});
    bars.names.push_back(input.types[c]);
    bars.values.push_back(s.pearson);
  }
  result.tables.push_back(std::move(table));
  result.report.bars.push_back(std::move(bars));
  if (a.by == "slice") {
    TaskReportTable each{
        "Each slice, proportions", {"slice", "spots", "mean Pearson", "RMSE", "Jensen-Shannon"}, {}};
    json["slices"] = nlohmann::json::array();
    for (const EvaluateSlice& slice : input.slices) {
      std::int64_t count = 0;
      const tasks::ProportionScores one = scores_of_slices(input, std::span(&slice, 1), count);
      nlohmann::json entry = {{"name", slice.name}, {"path", slice.path}, {"spots", count}};
      if (count > 0) entry["scores"] = share_figures_json(one);
      json["slices"].push_back(std::move(entry));
      each.rows.push_back({slice.name, format_count(count), count > 0 ? figure_text(one.mean_pearson) : "-",
                           count > 0 ? figure_text(one.rmse) : "-",
                           count > 0 ? figure_text(one.mean_jensen_shannon) : "-"});
    }
    result.tables.push_back(std::move(each));
  }
  result.report.proportions.names = input.types;
  for (const EvaluateSlice& slice : input.slices)
    result.report.proportions.values.emplace_back(
        slice.predicted_shares.data(), slice.predicted_shares.data() + slice.predicted_shares.numel());
  TaskReportScore distance;
  distance.key = "jensen_shannon";
  distance.label = "Jensen-Shannon distance to the truth";
  distance.group = "proportions";
  for (const EvaluateSlice& slice : input.slices) {
    auto& values = distance.values.emplace_back(static_cast<std::size_t>(slice.cells),
                                                std::numeric_limits<float>::quiet_NaN());
    const std::size_t width = input.types.size();
    for (std::int64_t i = 0; i < slice.cells; ++i)
      if (has_shares(slice, i))
        values[static_cast<std::size_t>(i)] = static_cast<float>(tasks::jensen_shannon(
            std::span<const double>(slice.true_shares.data() + i * slice.true_shares.dim(1), width),
            std::span<const double>(slice.predicted_shares.data() + i * slice.predicted_shares.dim(1),
                                    width)));
  }
  result.report.scores.push_back(std::move(distance));
  result.summary["proportions"] = std::move(json);
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
/// \file
/// What `stofm impute` says of its predictions: report, terminal, JSON.

#include <algorithm>
#include <cmath>
#include <limits>

#include "console.hpp"
#include "tasks/impute_run.hpp"

namespace stofm::program {
namespace {

std::string impute_number_text(double value) { return std::isnan(value) ? "-" : format_number(value, 2); }

double impute_median(std::vector<double> values) {
  values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }),
               values.end());
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

nlohmann::json impute_number_json(double value) {
  return std::isnan(value) ? nlohmann::json() : nlohmann::json(value);
}

/// Genes shown on maps: those asked for, hidden ones, then those told best.
std::vector<std::int32_t> shown_imputed_genes(const tasks::ImputeResult& result, bool asked,
                                              std::size_t most) {
  std::vector<std::int32_t> listed(result.imputation.genes.size());
  for (std::size_t g = 0; g < listed.size(); ++g) listed[g] = static_cast<std::int32_t>(g);
  const auto known = [&](std::int32_t g) {
    const double p = result.imputation.genes[static_cast<std::size_t>(g)].pearson;
    return std::isnan(p) ? -2.0 : p;
  };
  if (!asked)
    std::stable_sort(listed.begin(), listed.end(),
                     [&](std::int32_t a, std::int32_t b) { return known(a) > known(b); });
  if (listed.size() > most) listed.resize(most);
  return listed;
}

}  // namespace

void add_impute_to_report(TaskReport& report, std::span<const TaskSlice> slices, std::size_t s,
                          const ImputedSlice& done, const ImputeArguments& a) {
  const tasks::ImputeResult& result = done.result;
  const std::size_t all = slices.size();
  const auto score_of = [&](const std::string& key, const std::string& label,
                            const char* group) -> std::vector<float>& {
    for (TaskReportScore& score : report.scores)
      if (score.key == key) return score.values[s];
    TaskReportScore score{key, label, group, std::vector<std::vector<float>>(all)};
    for (std::size_t i = 0; i < all; ++i)
      score.values[i].assign(static_cast<std::size_t>(slices[i].slice.cells),
                             std::numeric_limits<float>::quiet_NaN());
    report.scores.push_back(std::move(score));
    return report.scores.back().values[s];
  };
  for (const std::int32_t g : shown_imputed_genes(result, !a.genes.empty(), 24)) {
    const tasks::ImputedGene& gene = result.imputation.genes[static_cast<std::size_t>(g)];
    const auto target = static_cast<std::size_t>(gene.target);
    const std::string& name = result.genes.targets.shown[target];
    std::vector<float>& imputed = score_of("imputed " + name, name + ", predicted", "predicted genes");
    for (std::int64_t i = 0; i < slices[s].slice.cells; ++i)
      imputed[static_cast<std::size_t>(i)] = result.imputation.values(i, std::int64_t{g});
    if (!result.genes.measured[target]) continue;
    std::vector<float>& measured = score_of("measured " + name, name + ", measured", "measured genes");
    std::fill(measured.begin(), measured.end(), 0.0F);
    const tasks::SparseRows& rows = result.slice_targets;
    for (std::size_t i = 0; i < measured.size(); ++i)
      for (auto e = static_cast<std::size_t>(rows.offsets[i]);
           e < static_cast<std::size_t>(rows.offsets[i + 1]); ++e)
        if (rows.columns[e] == gene.target) measured[i] = rows.values[e];
  }
  TaskReportBars bars{
      concat("How well each gene is told in held-out cells of the references (can't be told below ",
             format_number(a.told_from, 2), all > 1 ? "), for " + slices[s].name : std::string(")")),
      "Pearson",
      {},
      {},
      {},
      {}};
  for (const std::int32_t g : shown_imputed_genes(result, !a.genes.empty(), 60)) {
    const tasks::ImputedGene& gene = result.imputation.genes[static_cast<std::size_t>(g)];
    if (std::isnan(gene.pearson)) continue;
    bars.names.push_back(result.genes.targets.shown[static_cast<std::size_t>(gene.target)]);
    bars.values.push_back(gene.pearson);
  }
  if (!bars.names.empty()) report.bars.push_back(std::move(bars));
  TaskReportTable table{concat("Predicted genes", all > 1 ? " of " + slices[s].name : std::string()),
                        {"gene", "told", "Pearson, held out", "Spearman, held out", "cells with a count",
                         "Pearson, measured here", "Spearman, measured here"},
                        {}};
  for (const std::int32_t g : shown_imputed_genes(result, !a.genes.empty(), 500)) {
    const tasks::ImputedGene& gene = result.imputation.genes[static_cast<std::size_t>(g)];
    double pearson = std::numeric_limits<double>::quiet_NaN(), spearman = pearson;
    for (const tasks::MeasuredGeneScore& one : result.measured)
      if (one.target == gene.target) pearson = one.scores.pearson, spearman = one.scores.spearman;
    table.rows.push_back({result.genes.targets.shown[static_cast<std::size_t>(gene.target)],
                          gene.told ? "yes" : "can't be told", impute_number_text(gene.pearson),
                          impute_number_text(gene.spearman), format_count(gene.expressed),
                          impute_number_text(pearson), impute_number_text(spearman)});
  }
  report.tables.push_back(std::move(table));
}

nlohmann::json summarise_impute(const TaskSlice& slice, const ImputedSlice& done, const ImputeArguments& a,
                                TaskReport& report, bool several) {
  const tasks::ImputeResult& result = done.result;
  Console& console = Console::get();
  std::vector<double> held, measured, measured_spearman, measured_rmse;
  std::int64_t told = 0;
  nlohmann::json genes = nlohmann::json::array();
  std::vector<std::string> not_told;
  for (const tasks::ImputedGene& gene : result.imputation.genes) {
    held.push_back(gene.pearson);
    told += gene.told;
    const std::string& name = result.genes.targets.shown[static_cast<std::size_t>(gene.target)];
    if (!gene.told) not_told.push_back(name);
    nlohmann::json one{{"gene", name},
                       {"pearson", impute_number_json(gene.pearson)},
                       {"spearman", impute_number_json(gene.spearman)},
                       {"told", gene.told},
                       {"cells", gene.expressed}};
    for (const tasks::MeasuredGeneScore& score : result.measured)
      if (score.target == gene.target) {
        one["measured_pearson"] = impute_number_json(score.scores.pearson);
        one["measured_spearman"] = impute_number_json(score.scores.spearman);
        one["measured_rmse"] = impute_number_json(score.scores.rmse);
        measured.push_back(score.scores.pearson);
        measured_spearman.push_back(score.scores.spearman);
        measured_rmse.push_back(score.scores.rmse);
      }
    genes.push_back(std::move(one));
  }
  const auto mean = [](const std::vector<double>& values) {
    double sum = 0, n = 0;
    for (const double v : values)
      if (!std::isnan(v)) sum += v, ++n;
    return n > 0 ? sum / n : std::numeric_limits<double>::quiet_NaN();
  };
  console.say(concat(
      slice.name, ": ", format_count(static_cast<std::int64_t>(result.imputation.genes.size())),
      " genes predicted from ", result.features, " (matched by ", result.genes.matched_by, "), learnt from ",
      format_count(result.imputation.learnt_cells + result.imputation.held_out_cells), " cells"));
  if (a.hold_out > 0)
    console.say(concat("  in held-out cells of the references: median Pearson ",
                       impute_number_text(impute_median(held)), ", ", told, " of ",
                       result.imputation.genes.size(), " genes are told (from ",
                       format_number(a.told_from, 2), ")"));
  if (!not_told.empty() && a.hold_out > 0)
    console.warn(concat("can't be told from these references: ", tasks::detail::listed_names(not_told, 10)),
                 {{"code", "STOFM-W2055"}, {"file", slice.slice.path}});
  if (!measured.empty())
    console.say(concat("  against what the slice measured: mean Pearson ", impute_number_text(mean(measured)),
                       ", Spearman ", impute_number_text(mean(measured_spearman)), ", RMSE ",
                       impute_number_text(mean(measured_rmse)), " over ", measured.size(), " genes"));
  const std::string of = several ? slice.name + ": " : std::string();
  report.facts.emplace_back(of + "genes predicted",
                            format_count(static_cast<std::int64_t>(result.imputation.genes.size())));
  if (a.hold_out > 0) {
    report.facts.emplace_back(of + "told", concat(told, " of ", result.imputation.genes.size()));
    report.facts.emplace_back(of + "median Pearson, held out", impute_number_text(impute_median(held)));
  }
  if (!measured.empty())
    report.facts.emplace_back(of + "mean Pearson against measured genes", impute_number_text(mean(measured)));
  nlohmann::json summary{{"input", slice.slice.path},
                         {"genes", std::move(genes)},
                         {"told", told},
                         {"shared_genes", result.genes.shared.size()},
                         {"learnt_genes", result.learnt_genes},
                         {"learnt_cells", result.imputation.learnt_cells},
                         {"held_out_cells", result.imputation.held_out_cells},
                         {"penalty", result.imputation.penalty},
                         {"features", result.features},
                         {"median_pearson", impute_number_json(impute_median(held))}};
  if (!measured.empty()) {
    summary["measured_pearson"] = impute_number_json(mean(measured));
    summary["measured_spearman"] = impute_number_json(mean(measured_spearman));
    summary["measured_rmse"] = impute_number_json(mean(measured_rmse));
  }
  return summary;
}

}  // namespace stofm::program

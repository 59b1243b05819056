// SPDX-License-Identifier: MIT
/// \file
/// What `stofm cluster` writes: columns, report, summary.

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "console.hpp"
#include "option_flags.hpp"
#include "tasks/cluster_run.hpp"

namespace stofm::program {
namespace {

std::vector<std::string> cluster_names(const ClusterWork& work) {
  std::vector<std::string> names;
  for (std::int64_t c = 0; c < work.clusters.clusters(); ++c) names.push_back(std::to_string(c));
  return names;
}

std::vector<std::int32_t> labels_of(const ClusterWork& work, std::size_t slice) {
  return {work.clusters.labels.begin() + work.first[slice],
          work.clusters.labels.begin() + work.first[slice + 1]};
}

std::map<std::string, io::H5adValue> cluster_provenance(const ClusterWork& work, const ClusterArguments& a) {
  std::map<std::string, io::H5adValue> values{{"features", work.features.name},
                                              {"method", a.method},
                                              {"scale", a.scale},
                                              {"layout", a.layout},
                                              {"neighbours", a.neighbours},
                                              {"seed", static_cast<std::int64_t>(a.task.geometry.seed)},
                                              {"clusters", work.clusters.clusters()}};
  std::vector<std::string> names;
  for (const TaskSlice& slice : work.slices) names.push_back(slice.name);
  values["slices"] = names;
  if (a.own_weight >= 0) values["own_weight"] = a.own_weight;
  if (a.clusters > 0) values["clusters_asked_for"] = a.clusters;
  if (work.features.shared_genes > 0) values["shared_genes"] = work.features.shared_genes;
  if (std::isfinite(work.clusters.resolution)) values["resolution"] = work.clusters.resolution;
  if (std::isfinite(work.clusters.modularity)) values["modularity"] = work.clusters.modularity;
  if (work.clusters.merged > 0) values["merged"] = work.clusters.merged;
  if (!work.silhouettes.empty()) values["silhouette"] = work.silhouette;
  std::vector<std::string> sweep;
  for (const ClusterTrial& trial : work.trials)
    sweep.push_back(concat(trial.clusters, ": stability ", format_number(trial.stability, 4), ", silhouette ",
                           format_number(trial.silhouette, 4)));
  if (!sweep.empty()) values["sweep"] = sweep;
  return values;
}

nlohmann::json number_or_null(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

nlohmann::json cluster_summary(const ClusterWork& work, const ClusterArguments& a) {
  nlohmann::json summary = {
      {"features", work.features.name},
      {"method", a.method},
      {"clusters", work.clusters.clusters()},
      {"sizes", work.clusters.sizes},
      {"resolution", number_or_null(work.clusters.resolution)},
      {"merged", work.clusters.merged},
      {"silhouette", work.silhouettes.empty() ? nlohmann::json() : nlohmann::json(work.silhouette)},
      {"counts", work.counts}};
  for (const auto& [part, seconds] : work.seconds) summary["seconds"][part] = seconds;
  for (const ClusterTrial& trial : work.trials)
    summary["sweep"].push_back({{"clusters", trial.clusters},
                                {"stability", trial.stability},
                                {"silhouette", number_or_null(trial.silhouette)}});
  return summary;
}

TaskReport cluster_report(const ClusterWork& work, const ClusterArguments& a) {
  TaskReport report;
  report.title = "Clusters of " +
                 (work.slices.size() == 1 ? work.slices.front().name : concat(work.slices.size(), " slices"));
  report.facts = {{"cells", format_count(work.rows())},
                  {"clusters", std::to_string(work.clusters.clusters())},
                  {"embedding", work.features.name},
                  {"method", a.method}};
  if (!work.silhouettes.empty()) report.facts.emplace_back("silhouette", format_number(work.silhouette, 3));
  const std::vector<std::string> names = cluster_names(work);
  TaskReportGroups groups{
      "stofm_cluster",
      "cluster",
      "Cells that are alike in the embedding, over all slices together; numbered by size.",
      names,
      group_colours(names.size()),
      {}};
  TaskReportTable shares{"Share of each slice in each cluster", {"cluster", "cells"}, {}};
  for (std::size_t s = 0; s < work.slices.size(); ++s) {
    groups.codes.push_back(labels_of(work, s));
    shares.columns.push_back(work.slices[s].name);
    TaskReportSlice drawn = report_slice(work.slices[s]);
    for (std::int64_t i = 0; i < (work.views.empty() ? 0 : work.views[s].dim(0)); ++i) {
      drawn.view_x.push_back(work.views[s](i, 0));
      drawn.view_y.push_back(work.views[s](i, 1));
    }
    report.slices.push_back(std::move(drawn));
  }
  report.groups.push_back(std::move(groups));
  if (work.slices.size() == 1)
    for (const io::SliceLabels& label : work.slices.front().slice.labels)
      report.groups.push_back({label.name, label.name, "", label.categories, label.colours, {label.codes}});
  for (std::size_t c = 0; c < names.size(); ++c) {
    std::vector<std::string> row{names[c], format_count(work.clusters.sizes[c])};
    for (std::size_t s = 0; s < work.slices.size(); ++s)
      row.push_back(format_number(100 * static_cast<double>(work.counts[c][s]) /
                                      static_cast<double>(work.first[s + 1] - work.first[s]),
                                  3) +
                    " %");
    shares.rows.push_back(std::move(row));
  }
  report.tables.push_back(std::move(shares));
  if (!work.silhouettes.empty())
    report.bars.push_back({"Silhouette per cluster", "silhouette", names, work.silhouettes, {}, {}});
  if (!work.trials.empty()) {
    TaskReportCurve stability{"stability", {}, {}}, apart{"silhouette", {}, {}};
    for (const ClusterTrial& trial : work.trials) {
      stability.x.push_back(static_cast<double>(trial.clusters));
      stability.y.push_back(trial.stability);
      apart.x.push_back(static_cast<double>(trial.clusters));
      apart.y.push_back(trial.silhouette);
    }
    report.curves.push_back({"How many clusters", "clusters", "stability, silhouette", {stability, apart}});
  }
  for (const Notice& notice : work.features.notices) report.notices.push_back(with_flags(notice.text));
  report.next = {
      {"Python", concat("import scanpy as sc\nadata = sc.read_h5ad(\"", work.slices.front().h5ad,
                        "\")\nsc.pl.embedding(adata, basis=\"spatial\", color=\"stofm_cluster\")")}};
  return report;
}

}  // namespace

void write_clusters(ClusterWork& work, const Arguments& arguments, const LoadedModel* model) {
  const ClusterArguments& a = arguments.cluster;
  std::vector<TaskOutput> outputs(work.slices.size());
  for (std::size_t s = 0; s < work.slices.size(); ++s) {
    io::H5adResult& file = outputs[s].file;
    io::H5adColumn column;
    column.name = "stofm_cluster";
    column.codes = labels_of(work, s);
    column.categories = cluster_names(work);
    file.obs.push_back(std::move(column));
    file.uns_lists["stofm_cluster_colors"] =
        group_colours(static_cast<std::size_t>(work.clusters.clusters()));
    if (work.view.numel() > 0) work.views.push_back(work.view.slice(0, work.first[s], work.first[s + 1]));
    if (a.task.use == "context") file.obsm.push_back({"X_stofm_context", work.features.rows[s].view(), {}});
  }
  for (std::size_t s = 0; s < work.views.size(); ++s)
    outputs[s].file.obsm.push_back({"X_stofm_umap", std::as_const(work.views[s]).view(), {}});
  TaskReport report;
  if (!a.task.report.empty() || !a.task.figures.empty()) report = cluster_report(work, a);
  write_task(a.task, "cluster", arguments, work.slices, outputs, model, cluster_provenance(work, a), report,
             cluster_summary(work, a));
}

}  // namespace stofm::program

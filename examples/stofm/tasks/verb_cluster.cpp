// SPDX-License-Identifier: MIT
/// \file
/// `stofm cluster`: clusters and a 2-D view of one or many slices together.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "console.hpp"
#include "stofm/pipeline/embed.hpp"
#include "stofm/tasks/umap_layout.hpp"
#include "tasks/cluster_run.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

constexpr std::int64_t silhouette_cells = 2000;  ///< at most, each against all others
constexpr std::int64_t sweep_cells = 20000;      ///< at most, for the stability of many numbers of clusters

using ClusterTimer = pipeline::detail::StageTimer;

/// Rows of all slices, scaled and weighed.
Tensor<float> scaled_rows(const ClusterArguments& a, ClusterWork& work) {
  Tensor<float> rows = tasks::stacked_rows(work.features.rows);
  std::vector<std::int32_t> slice_of;
  std::int32_t groups = 0;
  for (const TaskSlice& one : work.slices) {
    for (std::int64_t i = 0; i < one.slice.cells; ++i)
      slice_of.push_back(groups +
                         (one.slice.library.empty() ? 0 : one.slice.library[static_cast<std::size_t>(i)]));
    groups += static_cast<std::int32_t>((std::max<std::size_t>)(1, one.slice.library_names.size()));
  }
  if (a.scale == "all") slice_of.clear();
  if (a.scale != "none") rows = tasks::standardised_by_slice(std::as_const(rows).view(), slice_of);
  if (a.own_weight < 0) return rows;
  if (work.features.own_columns < 1 || work.features.own_columns >= rows.dim(1))
    throw UsageError({"STOFM-2058", "", "--own-weight",
                      concat("an embedding without halves: ", work.features.name),
                      "one with a half for the cell and one for its surroundings",
                      "Leave --own-weight out, or choose another embedding (--use stofm, --use pca+nbr)."});
  tasks::weigh_halves(rows, work.features.own_columns, a.own_weight);
  return rows;
}

tasks::ClusterOptions cluster_options(const ClusterArguments& a) {
  tasks::ClusterOptions options;
  using tasks::ClusterMethod;
  options.method = a.method == "gmm"         ? ClusterMethod::gaussian_mixture
                   : a.method == "kmeans"    ? ClusterMethod::kmeans
                   : a.method == "minibatch" ? ClusterMethod::mini_batch_kmeans
                                             : ClusterMethod::leiden;
  options.clusters = a.clusters;
  options.resolution = a.resolution > 0 ? a.resolution : 1.0;
  options.standardise = false;  // done before
  options.neighbours = a.neighbours;
  options.seed = a.task.geometry.seed;
  return options;
}

/// Evenly spaced rows, at most so many.
Tensor<float> thinned(const Tensor<float>& rows, std::int64_t most) {
  if (rows.dim(0) <= most) return rows;
  Tensor<float> some({most, rows.dim(1)});
  for (std::int64_t i = 0; i < most; ++i)
    std::copy_n(rows.data() + i * rows.dim(0) / most * rows.dim(1), rows.dim(1),
                some.data() + i * rows.dim(1));
  return some;
}

double mean_silhouette(const Tensor<float>& rows, const std::vector<std::int32_t>& labels,
                       std::int64_t clusters, std::uint64_t seed) {
  if (clusters < 2 || clusters >= rows.dim(0)) return std::numeric_limits<double>::quiet_NaN();
  return tasks::silhouette(rows.view(), labels,
                           {.sample = (std::min)(silhouette_cells, rows.dim(0)), .seed = seed})
      .mean;
}

cluster::WeightedGraph neighbour_graph(const ClusterArguments& a, const Tensor<float>& rows) {
  return tasks::embedding_graph(tasks::nearest_neighbours(rows.view(), a.neighbours - 1));
}

/// Stability and silhouette of each number of clusters; \return the number that is suggested.
std::int64_t sweep(const ClusterArguments& a, const Tensor<float>& rows, tasks::ClusterOptions options,
                   ClusterWork& work) {
  Console& console = Console::get();
  std::int64_t first = 0, last = 0;
  (void)read_sweep(a.sweep, first, last);
  const Tensor<float> some = thinned(rows, sweep_cells);
  if (some.dim(0) < rows.dim(0))
    console.say(concat("sweep: on ", format_count(some.dim(0)), " of ", format_count(rows.dim(0)), " cells"));
  std::optional<cluster::WeightedGraph> graph;  // one for all numbers
  if (options.method == tasks::ClusterMethod::leiden && last <= some.dim(0)) graph = neighbour_graph(a, some);
  std::int64_t suggested = first;
  double best = -1;
  for (std::int64_t k = first; k <= last; ++k) {
    console.progress("sweep", k - first, last - first + 1, "numbers of clusters");
    options.clusters = k;
    ClusterTrial trial{k, 0, 0};
    trial.stability =
        tasks::cluster_stability(some.view(), {}, options, {.smallest = k, .largest = k}).stability[0];
    const auto found =
        graph ? tasks::cluster_graph(*graph, options) : tasks::cluster_embedding(some.view(), {}, options);
    trial.silhouette = mean_silhouette(some, found.labels, found.clusters(), options.seed);
    if (trial.stability > best) {
      best = trial.stability;
      suggested = k;
    }
    work.trials.push_back(trial);
  }
  console.end_progress();
  for (const ClusterTrial& trial : work.trials)
    console.say(concat("  ", trial.clusters, " clusters: stability ", format_number(trial.stability, 3),
                       ", silhouette ", format_number(trial.silhouette, 3),
                       trial.clusters == suggested ? "  <- most stable" : ""));
  return suggested;
}

/// Clusters and view; Leiden and the view share one graph.
void cluster_rows(const ClusterArguments& a, const Tensor<float>& rows, const tasks::ClusterOptions& options,
                  ClusterWork& work) {
  const bool by_graph = options.method == tasks::ClusterMethod::leiden, draw = a.layout == "umap";
  Console& console = Console::get();
  cluster::WeightedGraph graph;
  if (by_graph || draw) {
    const ClusterTimer timer(work.seconds, "neighbours");
    console.progress("neighbours", 0, rows.dim(0), "cells");
    graph = neighbour_graph(a, rows);
  }
  console.progress("clusters", 0, rows.dim(0), "cells");
  std::optional<ClusterTimer> clustering(std::in_place, work.seconds, "clusters");
  if (by_graph) {
    if (options.clusters > rows.dim(0))
      throw DataError({"STOFM-4720", "", "[cluster]", concat(rows.dim(0), " cells"),
                       concat("at least as many as clusters, ", options.clusters),
                       "Ask for fewer clusters."});
    work.clusters = tasks::cluster_graph(graph, options);
  } else {
    work.clusters = tasks::cluster_embedding(rows.view(), {}, options);
  }
  clustering.reset();
  if (draw) {
    const ClusterTimer timer(work.seconds, "layout");
    console.progress("layout", 0, rows.dim(0), "cells");
    const Tensor<float> start = tasks::layout_start(rows.view(), options.seed);
    work.view = tasks::umap_layout(graph, start.view(), {.seed = options.seed});
  }
  console.end_progress();
}

/// Cells of each cluster in each slice, and how well clusters are apart.
void measure_clusters(const Tensor<float>& rows, std::uint64_t seed, ClusterWork& work) {
  const std::int64_t clusters = work.clusters.clusters();
  work.counts.assign(static_cast<std::size_t>(clusters), std::vector<std::int64_t>(work.slices.size(), 0));
  for (std::size_t s = 0; s < work.slices.size(); ++s)
    for (std::int64_t i = work.first[s]; i < work.first[s + 1]; ++i)
      ++work.counts[static_cast<std::size_t>(work.clusters.labels[static_cast<std::size_t>(i)])][s];
  if (clusters < 2 || clusters >= rows.dim(0)) return;
  const tasks::Silhouette found = tasks::silhouette(
      rows.view(), work.clusters.labels, {.sample = (std::min)(silhouette_cells, rows.dim(0)), .seed = seed});
  work.silhouette = found.mean;
  std::vector<double> sums(static_cast<std::size_t>(clusters), 0.0), cells(sums.size(), 0.0);
  for (std::size_t i = 0; i < found.cells.size(); ++i) {
    const auto c = static_cast<std::size_t>(work.clusters.labels[static_cast<std::size_t>(found.cells[i])]);
    sums[c] += found.values[i];
    ++cells[c];
  }
  for (std::size_t c = 0; c < sums.size(); ++c)
    work.silhouettes.push_back(cells[c] > 0 ? sums[c] / cells[c] : std::numeric_limits<double>::quiet_NaN());
}

/// How the clusters came about, and where their cells are.
void say_clusters(const ClusterArguments& a, const ClusterWork& work) {
  Console& console = Console::get();
  const tasks::EmbeddingClusters& found = work.clusters;
  std::string how = a.method;
  if (std::isfinite(found.resolution)) how += concat(" at resolution ", format_number(found.resolution, 3));
  if (found.merged > 0)
    how += concat(", ", found.merged, " merged away, as no resolution gives ", a.clusters, " clusters");
  console.say(concat(found.clusters(), " clusters of ", format_count(work.rows()), " cells by ", how, " on ",
                     work.features.name,
                     work.silhouettes.empty() ? "" : ", silhouette " + format_number(work.silhouette, 3)));
  if (a.clusters > 0 && found.clusters() != a.clusters)
    console.warn(concat("--clusters ", a.clusters, ": only ", found.clusters(),
                        " of them are the most probable one of any cell"));
  for (std::size_t c = 0; c < work.counts.size(); ++c) {
    std::string shares;
    for (std::size_t s = 0; s < work.slices.size(); ++s) {
      const auto cells = static_cast<double>(work.first[s + 1] - work.first[s]);
      shares += concat(shares.empty() ? "" : ", ",
                       format_number(100 * static_cast<double>(work.counts[c][s]) / cells, 2), " % of ",
                       work.slices[s].name);
    }
    console.say(concat("  cluster ", c, ": ", format_count(found.sizes[c]), " cells, ", shares));
  }
  if (work.slices.size() < 2) return;
  for (std::size_t c = 0; c < work.counts.size(); ++c)
    if (std::count(work.counts[c].begin(), work.counts[c].end(), 0) + 1 ==
        static_cast<std::int64_t>(work.slices.size()))
      console.warn(
          concat("cluster ", c, " has cells of one slice only: biology, or a difference between slices"));
}

}  // namespace

int run_cluster(const Arguments& arguments) {
  Arguments settled = arguments;
  ClusterArguments& a = settled.cluster;
  if (a.scale == "auto")
    a.scale = a.task.use == "linear-context" || a.task.use == "fitted-context" ? "none" : "slice";
  if (a.method != "leiden" && a.clusters == 0 && a.sweep.empty())
    throw UsageError({"STOFM-2059", "", "--clusters", concat("--method ", a.method, " without a number"),
                      "--clusters K or --sweep A:B", "Give --clusters, or use --method leiden."});
  if (a.method != "leiden" && a.resolution > 0)
    throw UsageError({"STOFM-2059", "", "--resolution", concat("with --method ", a.method), "--method leiden",
                      "Leave --resolution out, or use --method leiden."});
  ClusterWork work;
  work.slices = open_inputs(a.task, "cluster", {}, true, 4);
  std::optional<LoadedModel> model;
  if (task_needs_model(a.task)) model = load_task_model(a.task);
  tasks::SliceFeatureOptions features = task_feature_options(a.task);
  features.context.rounds = a.rounds;
  features.context.seed = a.task.geometry.seed;
  std::optional<ClusterTimer> timer(std::in_place, work.seconds, "features");
  work.features = task_features(work.slices, model ? &*model : nullptr, a.task, features);
  timer.reset();
  work.first.push_back(0);
  for (const TaskSlice& slice : work.slices) work.first.push_back(work.first.back() + slice.slice.cells);
  const Tensor<float> rows = scaled_rows(a, work);
  tasks::ClusterOptions options = cluster_options(a);
  if (!a.sweep.empty()) {
    const std::int64_t suggested = sweep(a, rows, options, work);
    if (a.clusters == 0) options.clusters = suggested;
  }
  cluster_rows(a, rows, options, work);
  measure_clusters(rows, options.seed, work);
  say_clusters(a, work);
  write_clusters(work, settled, model ? &*model : nullptr);
  return 0;
}

}  // namespace stofm::program

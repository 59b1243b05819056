// SPDX-License-Identifier: MIT
/// \file
/// Options of `stofm cluster`.

#include <charconv>

#include "command_line_options.hpp"
#include "stofm/core/error.hpp"
#include "tasks/cluster_run.hpp"

namespace stofm::program {

bool read_sweep(const std::string& text, std::int64_t& first, std::int64_t& last) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return false;
  const char *begin = text.data(), *middle = begin + colon, *end = begin + text.size();
  const auto low = std::from_chars(begin, middle, first), high = std::from_chars(middle + 1, end, last);
  return low.ec == std::errc() && low.ptr == middle && high.ec == std::errc() && high.ptr == end &&
         first >= 2 && first <= last && last <= 1000;
}

void add_cluster(CLI::App& app, ClusterArguments& a) {
  a.task.use = "linear-context";  // docs/cluster.md: what found regions best
  add_task(app, a.task);
  const char* group = "Clusters";
  option(app, group, "--method", a.method,
         "leiden: on a graph of neighbours; gmm: Gaussian mixture; kmeans; minibatch: k-means for very many "
         "cells",
         "leiden|gmm|kmeans|minibatch")
      ->check(one_of({"leiden", "gmm", "kmeans", "minibatch"}))
      ->capture_default_str();
  auto* clusters =
      option(app, group, "-k,--clusters", a.clusters,
             "How many clusters, exactly (default: what --sweep suggests, or what Leiden finds at "
             "--resolution)",
             "K")
          ->check(integer(1, 1000));
  auto* resolution =
      option(app, group, "--resolution", a.resolution,
             "Resolution of Leiden: more gives more clusters (default: 1, as scanpy's)", "NUMBER")
          ->check(number_between(1e-6, 1e6, "a number above 0"))
          ->excludes(clusters);
  option(
      app, group, "--sweep", a.sweep,
      "Try every number of clusters from A to B: stability under leaving cells out, and silhouette; without "
      "--clusters the most stable number is taken",
      "A:B")
      ->check(CLI::Validator(
          [](std::string& text) {
            std::int64_t first = 0, last = 0;
            return read_sweep(text, first, last)
                       ? std::string()
                       : "found " + stofm::quoted(text) + ", expected A:B such as 4:20, from 2 to 1000";
          },
          ""))
      ->excludes(resolution);
  option(
      app, group, "--scale", a.scale,
      "Bring every column of the embedding to deviation 1: within each slice, over all slices, or not at "
      "all. "
      "Without it the columns with most variance decide, in the model's embedding those of the cell itself. "
      "auto: slice, but none for linear-context and fitted-context, whose variance says what the "
      "surroundings tell",
      "auto|slice|all|none")
      ->check(one_of({"auto", "slice", "all", "none"}))
      ->capture_default_str();
  option(
      app, group, "--own-weight", a.own_weight,
      "Share of the variance that the cell itself has, against its surroundings, from 0 to 1 (for embeddings "
      "with a half for each: stofm of the demo weights, pca+nbr; default: as the columns come)",
      "NUMBER")
      ->check(number_between(0, 1, "a number from 0 to 1"));
  option(app, group, "--neighbours", a.neighbours,
         "Neighbours of a cell in the graph of Leiden and of the layout, itself counted, as scanpy's", "N")
      ->check(integer(2, 1000))
      ->capture_default_str();
  option(app, group, "--layout", a.layout, "2-D view of the embedding, for looking at", "umap|none")
      ->check(one_of({"umap", "none"}))
      ->capture_default_str();
  option(app, group, "--rounds", a.rounds,
         "How often each cell is masked and predicted for --use context; more costs as much more", "N")
      ->check(integer(1, 100))
      ->capture_default_str();
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Rows of `stofm ablate`: what the head is given in each.

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "console.hpp"
#include "slice_run.hpp"
#include "stofm/tasks/ablation.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "stofm/tasks/slice_scaling.hpp"
#include "tasks/task_run.hpp"

namespace stofm::program {

using AblationFeatures = std::vector<Tensor<float>>;  ///< by slice

/// One row of the table.
struct AblationRow {
  std::string group, name;
  bool seeded = false;  ///< features hang on the seed of the clustering
  std::function<AblationFeatures(std::uint64_t seed)> make;
  std::vector<double> f1, accuracy;  ///< by seed
  std::int64_t width = 0;
};

/// Slices, model and what is computed once. It must outlive its rows.
class AblationRun {
 public:
  AblationRun(const AblateArguments& a, std::vector<const io::Slice*> slices, const LoadedModel& model)
      : a_(a),
        slices_(std::move(slices)),
        model_(model.model),
        progress_([](const pipeline::ProgressEvent& event) {
          Console::get().progress(stage_name(event.stage), event.done, event.total, event.unit);
        }) {
    base_ = task_embed_options(a.task, task_memory(a.task));
  }

  std::vector<AblationRow> rows() {
    std::vector<AblationRow> rows;
    const auto add = [&](const char* group, std::string name, bool seeded, auto make) {
      if (a_.rows.empty() || std::find(a_.rows.begin(), a_.rows.end(), group) != a_.rows.end())
        rows.push_back({group, std::move(name), seeded, std::move(make), {}, {}, 0});
    };
    const auto kind = [this](tasks::FeatureKind which) {
      return [this, which](std::uint64_t seed) { return features_of(which, seed); };
    };
    add("inputs", "genes", false, kind(tasks::FeatureKind::genes));
    add("inputs", "PCA (30)", false, kind(tasks::FeatureKind::pca));
    add("inputs", "PCA + mean of 10 neighbours", false, kind(tasks::FeatureKind::pca_neighbours));
    add("scales", "gene only (cells)", false, [this](std::uint64_t) { return cells(); });
    add("scales", "+ micro, no virtual cell", false,
        [this](std::uint64_t) { return without_virtual_cells(); });
    const auto one = [](pipeline::EmbedOptions& o) {
      o.clustering = pipeline::ClusterMethod::kmeans, o.clusters = 1;
    };
    add("scales", "+ micro, one virtual cell", false, changed(one));
    add("scales", whole_name(), true, changed([](pipeline::EmbedOptions&) {}));
    for (const double resolution : {0.3, 3.0})
      add("virtual-cells", concat("Leiden, resolution ", resolution), true,
          changed([resolution](pipeline::EmbedOptions& o) {
            o.clustering = pipeline::ClusterMethod::leiden, o.resolution = resolution;
          }));
    for (const std::int64_t clusters : {0, 5, 50})
      add("virtual-cells",
          clusters == 0 ? std::string("k-means, sqrt(cells / 2)") : concat("k-means, ", clusters), true,
          changed([clusters](pipeline::EmbedOptions& o) {
            o.clustering = pipeline::ClusterMethod::kmeans, o.clusters = clusters;
          }));
    for (const double alpha : {0.0, 0.5, 1.0})
      add("alpha", concat("alpha ", alpha), true,
          changed([alpha](pipeline::EmbedOptions& o) { o.alpha = alpha; }));
    for (const std::int64_t split : {250, 500, 2000})
      add("split", concat("split ", split), true,
          changed([split](pipeline::EmbedOptions& o) { o.split = split; }));
    const bool stable = base_.geometry == pipeline::Geometry::stable;
    add("geometry", stable ? "reference geometry" : "stable geometry", true,
        changed([stable](pipeline::EmbedOptions& o) {
          o.geometry = stable ? pipeline::Geometry::reference : pipeline::Geometry::stable;
        }));
    add("scaling", "whole model, standardised per slice", true,
        [this](std::uint64_t seed) { return standardised(embedded([](pipeline::EmbedOptions&) {}, seed)); });
    add("scaling", "gene only, standardised per slice", false,
        [this](std::uint64_t) { return standardised(cells()); });
    add("context", "context (predicted from surroundings)", true, kind(tasks::FeatureKind::context));
    add("context", "linear context on PCA", false, kind(tasks::FeatureKind::linear_context));
    return rows;
  }

  /// The genes of all cells are too many numbers for a head where this is so.
  bool too_wide(const AblationRow& row) const {
    return row.name == "genes" && tasks::share_genes(std::span(slices_), &model_).size() > most_gene_columns;
  }
  static constexpr std::int64_t most_gene_columns = 2000;

 private:
  std::string whole_name() const {
    const std::string clusters = base_.clustering == pipeline::ClusterMethod::leiden
                                     ? concat("Leiden, resolution ", base_.resolution)
                                 : base_.clusters > 0 ? concat("k-means, ", base_.clusters)
                                                      : std::string("k-means");
    return concat("+ macro: whole model (", clusters, ", alpha ", base_.alpha, ", split ", base_.split, ")");
  }
  std::function<AblationFeatures(std::uint64_t)> changed(
      std::function<void(pipeline::EmbedOptions&)> change) {
    return [this, change = std::move(change)](std::uint64_t seed) { return embedded(change, seed); };
  }
  AblationFeatures features_of(tasks::FeatureKind kind, std::uint64_t seed) {
    tasks::SliceFeatureOptions options;
    options.kind = kind;
    options.embed = base_;
    options.embed.seed = seed;
    return tasks::slice_features(std::span<const io::Slice* const>(slices_), &model_, options, progress_)
        .rows;
  }
  const AblationFeatures& cells() {
    if (cells_.empty()) cells_ = features_of(tasks::FeatureKind::cells, base_.seed);
    return cells_;
  }
  AblationFeatures embedded(const std::function<void(pipeline::EmbedOptions&)>& change, std::uint64_t seed) {
    AblationFeatures rows;
    for (std::size_t s = 0; s < slices_.size(); ++s) {
      pipeline::EmbedOptions options = base_;
      options.seed = seed;
      options.cell_embeddings = cells()[s];
      options.cell_embeddings_source = "the cell encoder";
      change(options);
      rows.push_back(pipeline::embed_slice(*slices_[s], model_, options, progress_).embeddings);
    }
    return rows;
  }
  AblationFeatures without_virtual_cells() {
    AblationFeatures rows;
    for (std::size_t s = 0; s < slices_.size(); ++s) {
      pipeline::EmbedOptions options = base_;
      options.cell_embeddings = cells()[s];
      rows.push_back(tasks::embed_without_virtual_cells(*slices_[s], model_, options, progress_));
    }
    return rows;
  }
  static AblationFeatures standardised(const AblationFeatures& features) {
    AblationFeatures rows;
    for (const Tensor<float>& one : features) rows.push_back(tasks::standardised_by_slice(one.view()));
    return rows;
  }

  const AblateArguments& a_;
  std::vector<const io::Slice*> slices_;
  const pipeline::Model& model_;
  pipeline::EmbedOptions base_;
  pipeline::Progress progress_;
  AblationFeatures cells_;
};

}  // namespace stofm::program

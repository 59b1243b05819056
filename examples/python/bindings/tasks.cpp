// SPDX-License-Identifier: MIT
/// \file
/// Clusters of an embedding, and classes of cells from labelled slices: what `stofm cluster`, `segment` and
/// `annotate` do between reading and writing.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "interruptible.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/cluster_embedding.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/fine_tune.hpp"
#include "stofm/tasks/frozen_head.hpp"
#include "stofm/tasks/neighbour_vote.hpp"
#include "stofm/tasks/prepare_rows.hpp"
#include "stofm/tasks/shared_classes.hpp"
#include "stofm/tasks/shared_genes.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "stofm/tasks/slice_scaling.hpp"
#include "values.hpp"

namespace stofm::python {
namespace {

using Codes = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::tuple cluster_rows(const FloatMatrix& rows, const Codes& slice_of, const nb::dict& given) {
  tasks::ClusterOptions options;
  const auto method = value_or<std::string>(given, "method", "leiden");
  options.method = method == "gmm"      ? tasks::ClusterMethod::gaussian_mixture
                   : method == "kmeans" ? tasks::ClusterMethod::kmeans
                                        : tasks::ClusterMethod::leiden;
  options.clusters = value_or(given, "clusters", options.clusters);
  options.resolution = value_or(given, "resolution", options.resolution);
  options.neighbours = value_or(given, "neighbours", options.neighbours);
  options.seed = value_or(given, "seed", options.seed);
  const Tensor<float> copy = copy_of(rows);
  const std::vector<std::int32_t> groups(slice_of.data(), slice_of.data() + slice_of.size());
  tasks::EmbeddingClusters found = run_interruptibly(nb::none(), [&](const pipeline::Progress&) {
    return tasks::cluster_embedding(copy.view(), groups, options);
  });
  return nb::make_tuple(array_of(std::move(found.labels)), found.resolution);
}

/// What a head is learnt from and by.
struct ClassifyTask {
  std::vector<const io::Slice*> slices;  ///< labelled ones first
  std::size_t labelled = 0;
  std::vector<io::SliceLabels> labels;  ///< of the labelled ones
  const pipeline::Model* model = nullptr;
  pipeline::EmbedOptions embed;
  std::vector<std::string> use, ignore;
  bool tune = false, balanced = true;
  std::string centre;
  std::int64_t epochs = 20, smooth = 0;
};

struct ClassifyAnswer {
  std::vector<std::string> names;
  std::vector<std::vector<std::int32_t>> labels;  ///< by slice that is predicted
  std::vector<Tensor<double>> probabilities;
  std::string features;
  bool centred = false;
  Notices notices;
};

tasks::SliceFeatures features_of(const ClassifyTask& task, const std::string& use,
                                 const pipeline::Progress& progress, Notices& notices) {
  tasks::SliceFeatureOptions options;
  options.kind = tasks::feature_kind(use);
  options.embed = task.embed;
  auto features =
      tasks::slice_features(std::span<const io::Slice* const>(task.slices), task.model, options, progress);
  notices.insert(notices.end(), features.notices.begin(), features.notices.end());
  return features;
}

/// \throws DataError STOFM-2083, 2084 as the program
void require_classes(const std::vector<std::vector<std::int32_t>>& codes, std::size_t classes,
                     const std::string& column, const std::vector<std::string>& names) {
  std::vector<std::int64_t> cells(classes, 0);
  for (const auto& one : codes)
    for (const std::int32_t code : one)
      if (code >= 0) ++cells[static_cast<std::size_t>(code)];
  const auto found = std::count_if(cells.begin(), cells.end(), [](std::int64_t n) { return n > 0; });
  if (found == 0)
    throw DataError({"STOFM-2083", "", column, "no labelled cell to learn from", "labels of two classes",
                     "Check label and ignore_labels, or give another slice to train."});
  if (found < 2)
    throw DataError({"STOFM-2084", "", column, "one class only to learn from: " + quoted(names.front(), 60),
                     "at least two", "Add a slice where others are labelled to train."});
}

/// Logistic regression on features that stay as they are.
void learn_frozen(const ClassifyTask& task, const std::vector<std::vector<std::int32_t>>& codes,
                  const pipeline::Progress& progress, ClassifyAnswer& answer) {
  std::vector<Tensor<float>> rows;
  for (const std::string& use : task.use) {
    tasks::SliceFeatures made = features_of(task, use, progress, answer.notices);
    answer.features += (answer.features.empty() ? "" : " + ") + made.name;
    if (rows.empty())
      rows = std::move(made.rows);
    else
      for (std::size_t s = 0; s < rows.size(); ++s)
        rows[s] = tasks::columns_beside("use", rows[s], made.rows[s]);
  }
  // As `stofm annotate --center auto`.
  answer.centred = task.centre == "on" ||
                   (task.centre == "auto" && tasks::panel_overlap(task.slices, task.model).differ());
  if (answer.centred)
    for (Tensor<float>& one : rows) one = tasks::standardised_by_slice(std::as_const(one).view());
  progress.check();
  const std::int64_t width = rows.front().dim(1);
  std::vector<std::int32_t> targets;
  std::vector<float> chosen;
  for (std::size_t s = 0; s < task.labelled; ++s)
    for (std::size_t i = 0; i < codes[s].size(); ++i)
      if (codes[s][i] >= 0) {
        targets.push_back(codes[s][i]);
        const float* row = rows[s].data() + static_cast<std::int64_t>(i) * width;
        chosen.insert(chosen.end(), row, row + width);
      }
  const auto joined =
      Tensor<float>::from({static_cast<std::int64_t>(targets.size()), width}, std::span<const float>(chosen));
  tasks::FrozenHeadOptions options;
  options.regression.class_weights =
      task.balanced ? tasks::ClassWeights::balanced : tasks::ClassWeights::none;
  const tasks::FrozenHead head =  // the key is that of the program's first head
      tasks::fit_frozen_head(joined.view(), targets, static_cast<std::int64_t>(answer.names.size()),
                             RandomKey{task.embed.seed, 0x636c6173U}.child(0), options);
  for (std::size_t s = task.labelled; s < rows.size(); ++s) {
    progress.check();
    answer.probabilities.push_back(tasks::predict_probabilities(head.model, std::as_const(rows[s]).view()));
  }
}

/// The SE(2) Transformer trained with the head.
void learn_tuned(const ClassifyTask& task, const std::vector<std::vector<std::int32_t>>& codes,
                 const pipeline::Progress& progress, ClassifyAnswer& answer) {
  const tasks::SliceFeatures cells = features_of(task, "cells", progress, answer.notices);
  answer.features = cells.name;
  std::vector<train::PreparedSlice> prepared;
  for (std::size_t s = 0; s < task.slices.size(); ++s)
    prepared.push_back(tasks::prepare_rows(*task.slices[s], cells.rows[s], task.embed));
  std::vector<tasks::LabelledSlice> labelled;
  for (std::size_t s = 0; s < task.labelled; ++s)
    if (std::any_of(codes[s].begin(), codes[s].end(), [](std::int32_t label) { return label >= 0; }))
      labelled.push_back({&prepared[s], codes[s]});
  tasks::FineTuneOptions options;
  options.class_weights = task.balanced ? tasks::ClassWeights::balanced : tasks::ClassWeights::none;
  options.epochs = task.epochs;
  options.seed =
      RandomKey{task.embed.seed, 0}.child(0).stream ^ task.embed.seed;  // of the program's first head
  const tasks::FineTuneResult tuned =
      tasks::fine_tune_classifier(*task.model, labelled, answer.names, options, progress);
  answer.notices.insert(answer.notices.end(), tuned.notices.begin(), tuned.notices.end());
  for (std::size_t s = task.labelled; s < prepared.size(); ++s)
    answer.probabilities.push_back(
        tasks::predict_classes(tuned.classifier, *task.model, prepared[s], progress));
}

ClassifyAnswer run_classify(const ClassifyTask& task, const pipeline::Progress& progress) {
  std::vector<const io::SliceLabels*> labels;
  std::vector<std::int64_t> cells;
  for (std::size_t s = 0; s < task.labelled; ++s) {
    labels.push_back(&task.labels[s]);
    cells.push_back(task.slices[s]->cells);
  }
  std::vector<std::string> none = tasks::words_for_no_label();
  none.insert(none.end(), task.ignore.begin(), task.ignore.end());
  tasks::SharedClasses classes = tasks::share_classes(labels, cells, none);
  ClassifyAnswer answer;
  answer.names = classes.names;
  require_classes(classes.codes, classes.names.size(),
                  concat("obs[", quoted(task.labels.front().name, 60), "]"), classes.names);
  if (task.tune)
    learn_tuned(task, classes.codes, progress, answer);
  else
    learn_frozen(task, classes.codes, progress, answer);
  for (std::size_t k = 0; k < answer.probabilities.size(); ++k) {
    std::vector<std::int32_t> found = tasks::most_probable(answer.probabilities[k].view());
    if (task.smooth > 0)
      found =
          tasks::vote_of_neighbours(task.slices[task.labelled + k]->coordinates.view(), found, task.smooth);
    answer.labels.push_back(std::move(found));
  }
  return answer;
}

/// \param labels by labelled slice: (codes, categories) \param model a Model, or None where nothing needs it
nb::dict classify(const std::vector<const ArraySlice*>& slices, const nb::list& labels,
                  const std::string& label, const LoadedModel* model, const nb::dict& given,
                  const nb::object& heard) {
  ClassifyTask task;
  for (const ArraySlice* slice : slices) task.slices.push_back(&slice->slice);
  task.labelled = nb::len(labels);
  for (const nb::handle one : labels) {
    const auto parts = nb::cast<nb::tuple>(one);
    const auto codes = nb::cast<Codes>(parts[0]);
    io::SliceLabels column;
    column.name = label;
    column.codes.assign(codes.data(), codes.data() + codes.size());
    column.categories = nb::cast<std::vector<std::string>>(parts[1]);
    task.labels.push_back(std::move(column));
  }
  task.model = model == nullptr ? nullptr : &model->model;
  task.embed = embed_options(given);
  task.use = tasks::parts_of_use(value_or<std::string>(given, "use", "stofm"));
  task.ignore = value_or<std::vector<std::string>>(given, "ignore", {});
  task.tune = value_or(given, "tune", false);
  task.balanced = value_or(given, "balanced", true);
  task.centre = value_or<std::string>(given, "center", "auto");
  task.epochs = value_or(given, "epochs", task.epochs);
  task.smooth = value_or(given, "smooth", task.smooth);
  ClassifyAnswer found = run_interruptibly(
      heard, [&](const pipeline::Progress& progress) { return run_classify(task, progress); });
  nb::dict answer;
  nb::list codes, probabilities;
  for (auto& one : found.labels) codes.append(array_of(std::move(one)));
  for (auto& one : found.probabilities) probabilities.append(array_of(std::move(one)));
  answer["codes"] = codes;
  answer["probabilities"] = probabilities;
  answer["names"] = found.names;
  answer["features"] = found.features;
  answer["centred"] = found.centred;
  answer["notices"] = notice_list(found.notices);
  return answer;
}

}  // namespace

void define_tasks(nb::module_& module) {
  module.def("use_needs_model", [](const std::string& use) {
    const std::vector<std::string> parts = tasks::parts_of_use(use);
    return std::any_of(parts.begin(), parts.end(),
                       [](const std::string& part) { return tasks::needs_model(tasks::feature_kind(part)); });
  });
  module.def("cluster_rows", &cluster_rows);
  module.def("classify", &classify, nb::arg("slices"), nb::arg("labels"), nb::arg("label"),
             nb::arg("model").none(), nb::arg("options"), nb::arg("progress") = nb::none());
}

}  // namespace stofm::python

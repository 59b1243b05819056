// SPDX-License-Identifier: MIT
/// \file
/// Clusters of an embedding, and classes of cells from labelled slices: what `stofm cluster`, `segment` and
/// `annotate` do between reading and writing.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "interruptible.hpp"
#include "stofm/core/stop_check.hpp"
#include "stofm/tasks/classification_metrics.hpp"
#include "stofm/tasks/cluster_embedding.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/fine_tune.hpp"
#include "stofm/tasks/fit_heads.hpp"
#include "stofm/tasks/group_colours.hpp"
#include "stofm/tasks/head_file.hpp"
#include "stofm/tasks/head_rows.hpp"
#include "stofm/tasks/pooled_classifier.hpp"
#include "stofm/tasks/prepare_rows.hpp"
#include "stofm/tasks/shared_classes.hpp"
#include "stofm/tasks/shared_genes.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "stofm/tasks/slice_scaling.hpp"
#include "stofm/version.hpp"
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
  tasks::EmbeddingClusters found = run_interruptibly(nb::none(), [&](const pipeline::Progress& progress) {
    options.stop = StopCheck([&] { progress.check(); });
    return tasks::cluster_embedding(copy.view(), groups, options);
  });
  return nb::make_tuple(array_of(std::move(found.labels)), found.resolution);
}

/// A head from a file.
struct LoadedHead {
  tasks::Classifier classifier;
  std::string path;
};

std::unique_ptr<LoadedHead> load_head(const std::string& path) {
  return run_interruptibly(nb::none(), [&](const pipeline::Progress&) {
    return std::make_unique<LoadedHead>(LoadedHead{tasks::load_classifier(path), path});
  });
}

bool words_need_model(const std::string& use) { return use == "auto" || tasks::use_needs_model(use); }

bool head_needs_model(const LoadedHead& head) { return tasks::head_needs_model(head.classifier); }

/// Keys of obsm among the words of `use`.
std::vector<std::string> obsm_keys_of(const std::string& use) {
  std::vector<std::string> keys;
  if (use == "auto") return keys;
  for (const std::string& word : tasks::words_of_use(use))
    if (std::string key = tasks::given_key(word); !key.empty()) keys.push_back(std::move(key));
  return keys;
}

/// Matrices that come with slices, by slice and key.
using GivenMatrices = std::map<std::pair<const io::Slice*, std::string>, Tensor<float>>;

/// What a head is learnt from and by.
struct ClassifyTask {
  std::vector<const io::Slice*> slices;  ///< labelled ones first
  std::size_t labelled = 0;
  std::vector<io::SliceLabels> labels;  ///< of the labelled ones
  const pipeline::Model* model = nullptr;
  pipeline::EmbedOptions embed;
  std::vector<std::string> ignore;
  std::string use;  ///< as the program's --use
  std::string verb, label, model_name;
  std::string save;                  ///< file for the head; empty: none is written
  const LoadedHead* head = nullptr;  ///< in place of learning
  GivenMatrices given;
  bool tune = false, balanced = true;
  std::string centre;
  std::int64_t epochs = 20, smooth = 0;  ///< smooth -1: chosen on held-out labels
};

struct ClassifyAnswer {
  std::vector<std::string> names, colours;
  std::vector<std::vector<std::int32_t>> labels;  ///< by slice that is predicted
  std::vector<Tensor<double>> probabilities;
  std::string features;
  bool centred = false;
  Notices notices;
};

/// What reads the matrices of a task.
auto given_of(const ClassifyTask& task) {
  return [&task](const io::Slice& slice, const std::string& key) { return task.given.at({&slice, key}); };
}

tasks::SliceFeatures features_of(const ClassifyTask& task, const std::string& use,
                                 const pipeline::Progress& progress, Notices& notices) {
  tasks::SliceFeatureOptions options;
  options.kind = tasks::feature_kind(use);
  options.given_key = tasks::given_key(use);
  options.read_given = given_of(task);
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
    throw DataError({"STOFM-2084", "", column,
                     "one class only to learn from: " + stofm::quoted(names.front(), 60), "at least two",
                     "Add a slice where others are labelled to train."});
}

/// What a head keeps of its features. \param made the features, by part of `parts`
tasks::ClassifierInput head_input(const ClassifyTask& task, const std::vector<std::string>& parts,
                                  const std::vector<tasks::SliceFeatures>& made,
                                  const ClassifyAnswer& answer) {
  tasks::ClassifierInput input;
  input.kind = task.tune ? tasks::FeatureKind::stofm : tasks::feature_kind(parts.front());
  std::string use;
  for (const std::string& part : parts) use += (use.empty() ? "" : "+") + part;
  input.name = task.tune ? "a head and all layers of the SE(2) Transformer" : "logistic regression on " + use;
  input.settings["use"] = use;
  input.settings["center"] = answer.centred;
  if (task.save.empty()) return input;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (made[p].components) tasks::store_components(*made[p].components, input);
    if (parts[p] == "genes") tasks::store_genes(task.slices, task.model, input);
  }
  return input;
}

void save_head(const ClassifyTask& task, std::int64_t labelled, const ClassifyAnswer& answer,
               tasks::Classifier& classifier) {
  if (task.save.empty()) return;
  if (classifier.input.needs_model()) {
    classifier.model_identity = tasks::model_identity(*task.model);
    classifier.model_name = task.model_name;
  }
  std::vector<std::string> names;
  for (std::size_t s = 0; s < task.labelled; ++s) names.push_back(task.slices[s]->path);
  classifier.provenance = {{"verb", task.verb},        {"label", task.label},
                           {"train", names},           {"learnt", classifier.input.name},
                           {"cells", labelled},        {"program", STOFM_VERSION},
                           {"colours", answer.colours}};
  tasks::save_classifier(task.save, classifier, true);
}

/// Logistic regressions on features that stay as they are, one a head of `use`.
void learn_frozen(const ClassifyTask& task, const std::vector<std::vector<std::int32_t>>& codes,
                  const pipeline::Progress& progress, ClassifyAnswer& answer) {
  const std::vector<std::string> uses =
      tasks::heads_of_use(task.use == "auto" ? tasks::heads_for_regions(task.slices) : task.use);
  // As `stofm annotate --center auto`.
  answer.centred = task.centre == "on" ||
                   (task.centre == "auto" && tasks::panel_overlap(task.slices, task.model).differ());
  std::map<std::string, tasks::SliceFeatures> made;  // by word: heads may share some
  std::vector<std::vector<Tensor<float>>> rows;      // by head
  tasks::PooledClassifierParts parts;
  parts.classes = answer.names;
  for (const std::string& use : uses) {
    std::vector<Tensor<float>> beside;
    std::vector<tasks::SliceFeatures> of_head;
    for (const std::string& word : tasks::parts_of_use(use)) {
      auto known = made.find(word);
      if (known == made.end()) {
        known = made.emplace(word, features_of(task, word, progress, answer.notices)).first;
        answer.features += (answer.features.empty() ? "" : " + ") + known->second.name;
      }
      if (beside.empty())
        beside = known->second.rows;
      else
        for (std::size_t s = 0; s < beside.size(); ++s)
          beside[s] = tasks::columns_beside("use", beside[s], known->second.rows[s]);
      of_head.push_back(known->second);
    }
    if (answer.centred)
      for (Tensor<float>& one : beside) one = tasks::standardised_by_slice(std::as_const(one).view());
    rows.push_back(std::move(beside));
    parts.inputs.push_back(head_input(task, tasks::parts_of_use(use), of_head, answer));
    progress.check();
  }
  const std::vector<tasks::HeadRows> features(rows.begin(), rows.end());
  std::vector<std::vector<std::int32_t>> labels = codes;
  std::int64_t labelled = 0;
  for (const auto& one : codes)
    labelled += std::count_if(one.begin(), one.end(), [](std::int32_t label) { return label >= 0; });
  for (std::size_t s = task.labelled; s < task.slices.size(); ++s)
    labels.emplace_back(static_cast<std::size_t>(task.slices[s]->cells), -1);
  const auto classes = static_cast<std::int64_t>(answer.names.size());
  const RandomKey key = RandomKey{task.embed.seed, 0x636c6173U}.child(0);  // of the program's first head
  const tasks::PooledHead pooled = tasks::fit_heads(
      features, task.slices, labels, classes, key,
      {.class_weights = task.balanced ? tasks::ClassWeights::balanced : tasks::ClassWeights::none,
       .smooth = task.smooth});
  if (!task.save.empty() && task.model != nullptr) {
    parts.model_identity = tasks::model_identity(*task.model);
    parts.model_name = task.model_name;
  }
  for (std::size_t s = task.labelled; s < task.slices.size(); ++s) {
    progress.check();
    std::vector<Tensor<double>> said(uses.size());
    for (std::size_t m = 0; m < uses.size(); ++m)
      if (pooled.weights[m] > 0)
        said[m] = tasks::predict_probabilities(pooled.heads[m], std::as_const(rows[m][s]).view());
    const Tensor<double> mixed = tasks::mixed_probabilities(said, pooled.weights);
    answer.probabilities.push_back(
        tasks::smoothed_probabilities(*task.slices[s], std::as_const(mixed).view(), pooled.smooth));
  }
  tasks::Classifier classifier = tasks::pooled_classifier(pooled, parts);
  save_head(task, labelled, answer, classifier);
}

/// The SE(2) Transformer trained with the head.
void learn_tuned(const ClassifyTask& task, const std::vector<std::vector<std::int32_t>>& codes,
                 const pipeline::Progress& progress, ClassifyAnswer& answer) {
  std::vector<tasks::SliceFeatures> made;
  made.push_back(features_of(task, "cells", progress, answer.notices));
  tasks::SliceFeatures& cells = made.front();
  answer.features = cells.name;
  answer.centred = task.centre == "on";
  std::vector<double> centre;
  if (answer.centred) tasks::centre_by_slice(cells.rows, centre);
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
  options.input = head_input(task, {"cells"}, made, answer);
  if (answer.centred) options.input.settings["centre"] = centre;
  tasks::FineTuneResult tuned =
      tasks::fine_tune_classifier(*task.model, labelled, answer.names, options, progress);
  answer.notices.insert(answer.notices.end(), tuned.notices.begin(), tuned.notices.end());
  if (task.smooth > 0) tuned.classifier.smooth = task.smooth;
  for (std::size_t s = task.labelled; s < prepared.size(); ++s)
    answer.probabilities.push_back(tasks::smoothed_by_head(
        tuned.classifier, *task.slices[s],
        tasks::predict_classes(tuned.classifier, *task.model, prepared[s], progress)));
  save_head(task, tuned.labelled, answer, tuned.classifier);
}

/// Labels by a head that was learnt before.
void ask_head(const ClassifyTask& task, const pipeline::Progress& progress, ClassifyAnswer& answer) {
  const tasks::Classifier& head = task.head->classifier;
  const std::string verb = head.provenance.value("verb", task.verb);
  if (verb != task.verb)
    throw UsageError({"STOFM-2087", task.head->path, "head", concat("a head that was saved by ", verb),
                      concat("one of ", task.verb), concat("Use ", verb, " with this head.")});
  if (head_needs_model(*task.head)) tasks::require_model_of(head, *task.model);
  answer.names = head.classes;
  answer.colours = tasks::with_usual_colours(head.provenance.value("colours", std::vector<std::string>()),
                                             answer.names.size());
  answer.features = head.input.name;
  answer.centred = head.input.settings.value("center", false);
  for (const io::Slice* slice : task.slices) {
    const tasks::FeatureMaker make = [&](tasks::SliceFeatureOptions options) {
      options.read_given = given_of(task);
      auto made = tasks::slice_features(std::span(&slice, 1), task.model, options, progress);
      answer.notices.insert(answer.notices.end(), made.notices.begin(), made.notices.end());
      return made;
    };
    Tensor<double> said;
    if (head.kind != tasks::ClassifierKind::fine_tuned) {
      said = tasks::frozen_probabilities(head, *slice, task.model, task.embed, make, answer.notices);
    } else {
      const Tensor<float> rows =
          tasks::rows_for_head(head, *slice, task.model, task.embed, make, answer.notices);
      progress.check();
      said =
          tasks::predict_classes(head, *task.model, tasks::prepare_rows(*slice, rows, task.embed), progress);
    }
    answer.probabilities.push_back(tasks::smoothed_by_head(head, *slice, std::move(said)));
  }
}

void learn(const ClassifyTask& task, const pipeline::Progress& progress, ClassifyAnswer& answer) {
  if (const std::string why = tasks::unsaved_features(task.use);
      !task.save.empty() && !task.tune && !why.empty())
    throw UsageError({"STOFM-2088", task.save, "save", why, "other features",
                      "Choose other features with use, or leave save out."});
  std::vector<const io::SliceLabels*> labels;
  std::vector<std::int64_t> cells;
  for (std::size_t s = 0; s < task.labelled; ++s) {
    labels.push_back(&task.labels[s]);
    cells.push_back(task.slices[s]->cells);
  }
  std::vector<std::string> none = tasks::words_for_no_label();
  none.insert(none.end(), task.ignore.begin(), task.ignore.end());
  tasks::SharedClasses classes = tasks::share_classes(labels, cells, none);
  answer.names = classes.names;
  answer.colours = tasks::with_usual_colours(classes.colours, classes.names.size());
  require_classes(classes.codes, classes.names.size(),
                  concat("obs[", stofm::quoted(task.labels.front().name, 60), "]"), classes.names);
  if (task.tune)
    learn_tuned(task, classes.codes, progress, answer);
  else
    learn_frozen(task, classes.codes, progress, answer);
}

ClassifyAnswer run_classify(const ClassifyTask& task, const pipeline::Progress& progress) {
  ClassifyAnswer answer;
  if (task.head != nullptr)
    ask_head(task, progress, answer);
  else
    learn(task, progress, answer);
  for (const Tensor<double>& one : answer.probabilities)
    answer.labels.push_back(tasks::most_probable(one.view()));
  return answer;
}

/// \param labels by labelled slice: (codes, categories, colours) \param model a Model, or None where nothing
/// needs it \param head a Head in place of labelled slices, or None
nb::dict classify(const std::vector<const ArraySlice*>& slices, const nb::list& labels,
                  const LoadedModel* model, const LoadedHead* head, const nb::dict& given,
                  const nb::object& heard) {
  ClassifyTask task;
  for (const ArraySlice* slice : slices) task.slices.push_back(&slice->slice);
  task.labelled = nb::len(labels);
  for (const nb::handle one : labels) {
    const auto parts = nb::cast<nb::tuple>(one);
    const auto codes = nb::cast<Codes>(parts[0]);
    io::SliceLabels column;
    column.name = value_or<std::string>(given, "label", "");
    column.codes.assign(codes.data(), codes.data() + codes.size());
    column.categories = nb::cast<std::vector<std::string>>(parts[1]);
    column.colours = nb::cast<std::vector<std::string>>(parts[2]);
    task.labels.push_back(std::move(column));
  }
  task.model = model == nullptr ? nullptr : &model->model;
  task.embed = embed_options(given);
  task.head = head;
  task.verb = value_or<std::string>(given, "verb", "");
  task.label = value_or<std::string>(given, "label", "");
  task.save = value_or<std::string>(given, "save", "");
  task.model_name = value_or<std::string>(given, "model_name", "");
  task.use = value_or<std::string>(given, "use", "stofm");
  if (task.use != "auto") (void)tasks::words_of_use(task.use);
  task.ignore = value_or<std::vector<std::string>>(given, "ignore", {});
  task.tune = value_or(given, "tune", false);
  task.balanced = value_or(given, "balanced", true);
  task.centre = value_or<std::string>(given, "center", "auto");
  task.epochs = value_or(given, "epochs", task.epochs);
  task.smooth = value_or(given, "smooth", task.smooth);
  const auto matrices =
      value_or<std::vector<nb::dict>>(given, "obsm", {});  // by slice: key to [cells, width]
  for (std::size_t s = 0; s < matrices.size() && s < task.slices.size(); ++s)
    for (const auto& [key, matrix] : matrices[s]) {
      const auto values =
          nb::cast<nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>>(matrix);
      const Shape shape{static_cast<std::int64_t>(values.shape(0)),
                        static_cast<std::int64_t>(values.shape(1))};
      task.given[{task.slices[s], nb::cast<std::string>(key)}] =
          Tensor<float>::from(shape, std::span<const float>(values.data(), values.size()));
    }
  ClassifyAnswer found = run_interruptibly(
      heard, [&](const pipeline::Progress& progress) { return run_classify(task, progress); });
  nb::dict answer;
  nb::list codes, probabilities;
  for (auto& one : found.labels) codes.append(array_of(std::move(one)));
  for (auto& one : found.probabilities) probabilities.append(array_of(std::move(one)));
  answer["codes"] = codes;
  answer["probabilities"] = probabilities;
  answer["names"] = found.names;
  answer["colours"] = found.colours;
  answer["features"] = found.features;
  answer["centred"] = found.centred;
  answer["notices"] = notice_list(found.notices);
  return answer;
}

}  // namespace

void define_tasks(nb::module_& module) {
  nb::class_<LoadedHead>(module, "Head")
      .def_ro("path", &LoadedHead::path)
      .def_prop_ro("needs_model", &head_needs_model)
      .def_prop_ro("obsm_keys", [](const LoadedHead& head) {
        return head.classifier.kind == tasks::ClassifierKind::fine_tuned
                   ? std::vector<std::string>()
                   : obsm_keys_of(tasks::use_of_head(head.classifier));
      });
  module.def("load_head", &load_head);
  module.def("use_needs_model", &words_need_model);
  module.def("obsm_keys_of", &obsm_keys_of);
  module.def("group_colours", &tasks::group_colours);
  module.def("cluster_rows", &cluster_rows);
  module.def("classify", &classify, nb::arg("slices"), nb::arg("labels"), nb::arg("model").none(),
             nb::arg("head").none(), nb::arg("options"), nb::arg("progress") = nb::none());
}

}  // namespace stofm::python

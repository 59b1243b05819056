// SPDX-License-Identifier: MIT
#include "tasks/classify_learn.hpp"

#include <algorithm>
#include <utility>

#include "console.hpp"
#include "resources.hpp"
#include "stofm/model/init.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/fine_tune.hpp"
#include "stofm/tasks/fit_heads.hpp"
#include "stofm/tasks/head_file.hpp"
#include "stofm/tasks/head_rows.hpp"
#include "stofm/tasks/pooled_classifier.hpp"
#include "stofm/tasks/prepare_rows.hpp"
#include "stofm/tasks/shared_genes.hpp"
#include "stofm/tasks/slice_scaling.hpp"

namespace stofm::program {
namespace {

/// Genes above which the floor on all genes is left out: minutes, and in such panels components do better.
constexpr std::int64_t most_floor_genes = 4000;

pipeline::Progress classify_progress() {
  return pipeline::Progress([](const pipeline::ProgressEvent& event) {
    Console::get().progress(event.stage, event.done, event.total, event.unit);
  });
}

std::vector<const io::Slice*> classify_slices(std::span<const TaskSlice> slices) {
  std::vector<const io::Slice*> list;
  for (const TaskSlice& one : slices) list.push_back(&one.slice);
  return list;
}

/// Rows of several slices one below the other, those for which `use` says so.
template <class Use>
Tensor<float> classify_rows(const std::vector<Tensor<float>>& rows, Use&& use) {
  std::int64_t count = 0, width = 0;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    width = rows[s].dim(1);
    for (std::int64_t i = 0; i < rows[s].dim(0); ++i) count += use(s, static_cast<std::size_t>(i)) ? 1 : 0;
  }
  Tensor<float> joined({count, width});
  float* out = joined.data();
  for (std::size_t s = 0; s < rows.size(); ++s)
    for (std::int64_t i = 0; i < rows[s].dim(0); ++i)
      if (use(s, static_cast<std::size_t>(i))) out = std::copy_n(rows[s].data() + i * width, width, out);
  return joined;
}

/// Label of each training cell, -1 elsewhere; by slice.
std::vector<std::vector<std::int32_t>> training_labels(const tasks::SharedClasses& classes,
                                                       const std::vector<tasks::CellRoles>& roles) {
  std::vector<std::vector<std::int32_t>> labels;
  for (std::size_t s = 0; s < roles.size(); ++s)
    labels.push_back(tasks::labels_with(classes.codes[s], roles[s], tasks::CellRole::train));
  return labels;
}

tasks::ClassWeights class_weights(const ClassifyArguments& a) {
  return a.class_weights == "balanced" ? tasks::ClassWeights::balanced : tasks::ClassWeights::none;
}

/// Random numbers of a run of a command.
RandomKey classify_key(const ClassifyArguments& a, std::uint64_t number) {
  return RandomKey{a.task.geometry.seed, 0x636c6173U}.child(number);
}

}  // namespace

tasks::Classifier read_head(const std::string& path) { return tasks::load_classifier(path); }
void write_head(const std::string& path, const tasks::Classifier& head, bool overwrite) {
  tasks::save_classifier(path, head, overwrite);
}
void check_head_model(const tasks::Classifier& head, const LoadedModel& model) {
  tasks::require_model_of(head, model.model);
}

Tensor<double> ask_head(const tasks::Classifier& head, const TaskSlice& slice, const LoadedModel* model,
                        const TaskArguments& task, Notices& notices) {
  const pipeline::Model* weights = model == nullptr ? nullptr : &model->model;
  const pipeline::EmbedOptions embed = task_embed_options(task, task_memory(task));
  const tasks::FeatureMaker make = [&](const tasks::SliceFeatureOptions& options) {
    return task_features(std::span(&slice, 1), model, task, options);
  };
  if (head.kind != tasks::ClassifierKind::fine_tuned)
    return tasks::frozen_probabilities(head, slice.slice, weights, embed, make, notices);
  const Tensor<float> rows = tasks::rows_for_head(head, slice.slice, weights, embed, make, notices);
  return tasks::predict_classes(head, model->model,
                                tasks::prepare_rows(slice.slice, rows, task_embed_options(task, 0)),
                                classify_progress());
}

std::string usual_heads(std::span<const TaskSlice> slices) {
  return tasks::heads_for_regions(classify_slices(slices));
}

ClassifyLearner::ClassifyLearner(const ClassifyArguments& arguments, std::span<const TaskSlice> slices,
                                 const LoadedModel* model, std::vector<std::string> names,
                                 tasks::SharedClasses classes, std::string use)
    : arguments_(arguments),
      slices_(slices),
      model_(model),
      names_(std::move(names)),
      classes_(std::move(classes)),
      use_(std::move(use)) {
  decide_to_centre();
}

/// With --center auto: where panels differ, what the model makes of a cell hangs on the panel, and a head
/// that learnt from one slice is wrong about another.
void ClassifyLearner::decide_to_centre() {
  centred_ = arguments_.center == "on";
  if (arguments_.center != "auto" || arguments_.tune != "none" || slices_.size() < 2) return;
  const auto panels =
      tasks::panel_overlap(classify_slices(slices_), model_ == nullptr ? nullptr : &model_->model);
  centred_ = panels.differ();
  if (centred_)
    Console::get().say(
        concat("panels differ (", format_count(panels.shared), " of ", format_count(panels.most),
               " genes are shared): features are centred and scaled in each slice; --center=off "
               "leaves them as they are"));
}

pipeline::Model ClassifyLearner::start_model() const {
  pipeline::Model model = model_->model;
  if (arguments_.start != "random" || !model.se2) return model;
  const model::Se2Config config = model.se2->config();
  model::InitOptions options;
  options.seed = arguments_.task.geometry.seed;
  model.se2 = std::make_shared<model::Se2Encoder<float>>(config, model::initial_parameters(config, options));
  return model;
}

std::string ClassifyLearner::what() const {
  if (arguments_.tune == "none")
    return use_.find(',') == std::string::npos ? concat("logistic regression on ", use_)
                                               : concat("a mixture of logistic regressions on ", use_);
  const std::string layers = arguments_.tune == "all"
                                 ? std::string("all layers")
                                 : concat("the last ", arguments_.tune.substr(5), " layers");
  return concat("a head and ", layers, " of the SE(2) Transformer",
                arguments_.start == "random" ? ", from random weights" : "",
                arguments_.task.features == "pca" ? ", on principal components" : "");
}

const tasks::SliceFeatures& ClassifyLearner::features(const std::string& use, bool plain) {
  const std::string key = concat(use, plain ? " plain" : "");
  const auto known = features_.find(key);
  if (known != features_.end()) return known->second;
  TaskArguments task = arguments_.task;
  task.use = use;
  if (plain) task.features = "encoder";
  return features_.emplace(key, task_features(slices_, model_, task)).first->second;
}

const std::vector<train::PreparedSlice>& ClassifyLearner::prepared() {
  if (!prepared_.empty()) return prepared_;
  std::vector<Tensor<float>> rows = features("cells").rows;
  if (centred_) tasks::centre_by_slice(rows, centre_);
  pipeline::EmbedOptions options = task_embed_options(arguments_.task, 0);
  for (std::size_t s = 0; s < slices_.size(); ++s)
    prepared_.push_back(tasks::prepare_rows(slices_[s].slice, rows[s], options));
  return prepared_;
}

std::vector<Tensor<float>> ClassifyLearner::frozen_rows(const std::string& use) {
  std::vector<Tensor<float>> rows;
  for (const std::string& part : tasks::parts_of_use(use)) {
    const tasks::SliceFeatures& made = features(part);
    if (rows.empty())
      rows = made.rows;
    else
      for (std::size_t s = 0; s < rows.size(); ++s)
        rows[s] = tasks::columns_beside("--use", rows[s], made.rows[s]);
  }
  if (centred_)
    for (Tensor<float>& one : rows) one = tasks::standardised_by_slice(std::as_const(one).view());
  return rows;
}

tasks::ClassifierInput ClassifyLearner::input(const std::string& use) {
  tasks::ClassifierInput input;
  const bool frozen = arguments_.tune == "none";
  const std::vector<std::string> parts =
      frozen ? tasks::parts_of_use(use) : std::vector<std::string>{"cells"};
  input.kind = frozen ? tasks::feature_kind(parts.front()) : tasks::FeatureKind::stofm;
  input.cells = arguments_.task.features == "pca" ? tasks::CellInput::pca : tasks::CellInput::encoder;
  input.name = frozen ? concat("logistic regression on ", use) : what();
  input.settings["use"] = frozen ? use : "cells";
  input.settings["center"] = centred_;
  if (!centre_.empty()) input.settings["centre"] = centre_;
  for (const std::string& part : parts) {
    const tasks::SliceFeatures& made = features(part);
    if (made.components) tasks::store_components(*made.components, input);
    if (part == "genes")
      tasks::store_genes(classify_slices(slices_), model_ == nullptr ? nullptr : &model_->model, input);
  }
  return input;
}

ClassifyHead ClassifyLearner::learn(const std::vector<tasks::CellRoles>& roles, std::uint64_t number) {
  const ClassifyArguments& a = arguments_;
  const auto labels = training_labels(classes_, roles);
  ClassifyHead head;
  for (const auto& one : labels)
    head.labelled += std::count_if(one.begin(), one.end(), [](std::int32_t label) { return label >= 0; });
  if (a.tune == "none") {
    learn_frozen(labels, number, head);
  } else {
    (void)prepared();  // the input tells what features were centred to
    const std::vector<train::PreparedSlice>& slices = prepared();
    std::vector<tasks::LabelledSlice> labelled;
    for (std::size_t s = 0; s < slices.size(); ++s)
      if (std::any_of(labels[s].begin(), labels[s].end(), [](std::int32_t label) { return label >= 0; }))
        labelled.push_back({&slices[s], labels[s]});
    tasks::FineTuneOptions options;
    options.tune = a.tune == "all" ? tasks::TuneMode::all : tasks::TuneMode::last;
    if (a.tune != "all") options.layers = std::stoll(a.tune.substr(5));
    options.class_weights = class_weights(a);
    options.epochs = a.epochs;
    options.seed = RandomKey{a.task.geometry.seed, number}.child(number).stream ^ a.task.geometry.seed;
    options.input = input({});
    if (!a.work.empty()) options.checkpoints = std::filesystem::path(a.work) / concat("run-", number);
    options.resume = a.resume;
    options.after_epoch = [](const tasks::FineTuneEpoch& epoch) {
      Console::get().detail(concat("  epoch ", epoch.epoch, "  loss ", format_number(epoch.loss, 4),
                                   "  held-out macro F1 ", format_number(epoch.validation_macro_f1, 3)));
    };
    const pipeline::Model model = start_model();
    tasks::FineTuneResult result =
        tasks::fine_tune_classifier(model, labelled, names_, options, classify_progress());
    Console::get().end_progress();
    head.classifier = std::move(result.classifier);
    head.classifier.model_identity = tasks::model_identity(model_->model);
    for (const tasks::FineTuneEpoch& epoch : result.epochs)
      head.epochs.push_back({epoch.epoch, epoch.loss, epoch.validation_macro_f1});
    head.best_epoch = result.best_epoch;
    head.validation = result.validation_cells;
    head.notices = std::move(result.notices);
  }
  if (model_ != nullptr && head.classifier.input.needs_model()) head.classifier.model_name = model_->name;
  if (a.smooth > 0) head.classifier.smooth = a.smooth;
  return head;
}

/// One head for each set of features, weighed and smoothed by what held-out labels say.
void ClassifyLearner::learn_frozen(const std::vector<std::vector<std::int32_t>>& labels, std::uint64_t number,
                                   ClassifyHead& head) {
  const ClassifyArguments& a = arguments_;
  const auto classes = static_cast<std::int64_t>(names_.size());
  tasks::PooledClassifierParts parts{names_, {}, {}, {}};
  if (model_ != nullptr) {
    parts.model_identity = tasks::model_identity(model_->model);
    parts.model_name = model_->name;
  }
  head.uses = tasks::heads_of_use(use_);
  std::vector<tasks::HeadRows> features;
  for (const std::string& use : head.uses) {
    std::vector<Tensor<float>>& rows = asked_[use];
    if (rows.empty()) rows = frozen_rows(use);
    features.emplace_back(rows);
    parts.inputs.push_back(input(use));
  }
  head.frozen = tasks::fit_heads(features, classify_slices(slices_), labels, classes, classify_key(a, number),
                                 {.class_weights = class_weights(a), .smooth = a.smooth});
  head.classifier = tasks::pooled_classifier(head.frozen, parts);
  head.frozen.heads.clear();  // they stand there
  std::string said;
  for (std::size_t m = 0; m < head.uses.size() && head.uses.size() > 1; ++m)
    said += concat(said.empty() ? "weights of the heads: " : ", ", head.uses[m], " ",
                   format_number(head.frozen.weights[m], 2));
  if (a.smooth < 0)
    said +=
        concat(said.empty() ? "" : "; ", "probabilities smoothed over ", head.frozen.smooth, " neighbours");
  if (!said.empty())
    Console::get().say(concat(said, " (chosen on labels held out ",
                              head.frozen.by_slice ? "slice by slice" : "by place", ": macro F1 ",
                              format_number(head.frozen.held_out_f1, 3), ")"));
}

Tensor<double> ClassifyLearner::ask(const ClassifyHead& head, std::size_t slice) {
  const auto smoothed = [&](Tensor<double> probabilities) {
    return tasks::smoothed_by_head(head.classifier, slices_[slice].slice, std::move(probabilities));
  };
  if (head.classifier.kind == tasks::ClassifierKind::fine_tuned)
    return smoothed(
        tasks::predict_classes(head.classifier, model_->model, prepared()[slice], classify_progress()));
  const auto said = [&](const tasks::Classifier& one) {
    const std::vector<Tensor<float>>& rows = asked_.at(one.input.settings.at("use").get<std::string>());
    return tasks::predict_classes(one, rows[slice].view());
  };
  if (head.classifier.kind == tasks::ClassifierKind::logistic) return smoothed(said(head.classifier));
  std::vector<Tensor<double>> each;
  for (const tasks::Classifier& one : head.classifier.members) each.push_back(said(one));
  return smoothed(tasks::mixed_probabilities(each, head.classifier.weights));
}

std::vector<ClassifyFloor> ClassifyLearner::floors(const std::vector<tasks::CellRoles>& roles,
                                                   std::uint64_t number) {
  std::vector<ClassifyFloor> floors;
  const auto labels = training_labels(classes_, roles);
  std::int64_t genes = 0;
  for (const TaskSlice& one : slices_) genes = std::max(genes, one.slice.genes());
  for (const char* use : {"genes", "pca", "pca+nbr"}) {
    if (std::string(use) == "genes" && genes > most_floor_genes) continue;
    const tasks::SliceFeatures& made = features(use, true);
    const tasks::HeadRows rows(made.rows);
    const tasks::PooledHead head =
        tasks::fit_heads(std::span(&rows, 1), classify_slices(slices_), labels,
                         static_cast<std::int64_t>(names_.size()), classify_key(arguments_, number));
    const Tensor<float> judged = classify_rows(
        made.rows, [&](std::size_t s, std::size_t i) { return roles[s][i] == tasks::CellRole::test; });
    floors.push_back(
        {use, made.name,
         judged.dim(0) > 0
             ? tasks::most_probable(
                   tasks::predict_probabilities(head.heads.front(), std::as_const(judged).view()).view())
             : std::vector<std::int32_t>()});
  }
  return floors;
}

}  // namespace stofm::program

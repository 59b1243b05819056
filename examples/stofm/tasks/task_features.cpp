// SPDX-License-Identifier: MIT
/// \file
/// --use and --features: what each cell is given to a head or a graph as, taken from the file where it is
/// there already.

#include <algorithm>
#include <array>
#include <cmath>

#include "console.hpp"
#include "slice_run.hpp"
#include "tasks/task_run.hpp"
#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_tables.hpp"
#endif

namespace stofm::program {
namespace {

#if defined(STOFM_WITH_HDF5)
/// Options of `embed` that its result depends on and that tasks have, too. The seed is not among them: the
/// embedding of a file was made with its own.
std::vector<std::pair<std::string, std::string>> embedding_options(const TaskArguments& task) {
  std::vector<std::pair<std::string, std::string>> options;
  for (auto& option : task_options(task))
    if (option.first != "use" && option.first != "features" && option.first != "seed" &&
        option.first != "min-coverage")
      options.push_back(std::move(option));
  return options;
}

/// Why the embedding of a file is another than the task would make; "" if it is the same.
std::string difference(const io::H5adTables& tables, const LoadedModel& model, const TaskArguments& task) {
  const auto of = [&tables](const char* key) {
    const auto found = tables.provenance.find(key);
    return found == tables.provenance.end() ? std::string() : found->second;
  };
  if (of("model_sha256").empty()) return "it does not say how it was made";
  if (of("model_sha256") != model.sha256) return concat("it was made with other weights (", of("model"), ")");
  const auto made = nlohmann::json::parse(of("options"), nullptr, false);
  if (!made.is_object()) return "it does not say how it was made";
  for (const auto& [key, value] : embedding_options(task))
    if (const auto then = made.find(key); then == made.end() || !then->is_string() || *then != value)
      return concat("it was made with another --", key);
  if (made.value("cell-embeddings", std::string()) != "") return "it was made of given cell embeddings";
  return {};
}

/// obsm["key"] of a slice's file. \throws Error
Tensor<float> read_matrix(const io::Slice& slice, const std::string& key) {
  io::H5adTables tables = io::read_h5ad_tables(slice.path, {.obsm = {key}, .file_rows = slice.file_rows});
  io::require_unchanged(slice.path, slice.identity, tables.identity);
  return std::move(tables.obsm.front().values);
}

/// The embedding that the slice's file holds, if it is the one that would be computed.
bool take_embedding(const TaskSlice& slice, const LoadedModel& model, const TaskArguments& task,
                    const std::string& key, Tensor<float>& rows) {
  const std::string& path = slice.slice.path;
  const io::H5adTables there = io::read_h5ad_tables(path, {});
  if (std::find(there.obsm_keys.begin(), there.obsm_keys.end(), key) == there.obsm_keys.end()) return false;
  std::string why = difference(there, model, task);
  if (why.empty()) {
    Tensor<float> values = read_matrix(slice.slice, key);
    if (!std::all_of(values.data(), values.data() + values.numel(), [](float v) { return std::isfinite(v); }))
      why = "some of these cells have none in it";
    if (why.empty()) {
      rows = std::move(values);
      Console::get().say(
          concat(path, ": obsm[\"", key, "\"] of the file is used, made with the same weights"));
      return true;
    }
  }
  Console::get().say(concat(path, ": obsm[\"", key, "\"] of the file is not used: ", why));
  return false;
}
#else
Tensor<float> read_matrix(const io::Slice&, const std::string&) { return {}; }  // no .h5ad was read here
bool take_embedding(const TaskSlice&, const LoadedModel&, const TaskArguments&, const std::string&,
                    Tensor<float>&) {
  return false;
}
#endif

}  // namespace

bool task_needs_model(const TaskArguments& task) { return tasks::use_needs_model(task.use); }

tasks::SliceFeatureOptions task_feature_options(const TaskArguments& task) {
  tasks::SliceFeatureOptions options;
  options.kind = tasks::feature_kind(task.use);
  options.given_key = tasks::given_key(task.use);
  options.input = task.features == "pca" ? tasks::CellInput::pca : tasks::CellInput::encoder;
  options.embed = task_embed_options(task, task_memory(task));
  return options;
}

tasks::SliceFeatures task_features(std::span<const TaskSlice> slices, const LoadedModel* model,
                                   const TaskArguments& task) {
  return task_features(slices, model, task, task_feature_options(task));
}

tasks::SliceFeatures task_features(std::span<const TaskSlice> slices, const LoadedModel* model,
                                   const TaskArguments& task, const tasks::SliceFeatureOptions& asked) {
  tasks::SliceFeatureOptions options = asked;
  options.read_given = read_matrix;
  Console& console = Console::get();
  const pipeline::Progress progress([&console](const pipeline::ProgressEvent& event) {
    console.progress(stage_name(event.stage), event.done, event.total, event.unit);
  });
  const pipeline::Model* weights = model == nullptr ? nullptr : &model->model;
  std::vector<Tensor<float>> taken(slices.size());
  std::vector<const io::Slice*> left;
  const bool in_files = options.kind == tasks::FeatureKind::stofm &&
                        options.input == tasks::CellInput::encoder && model != nullptr && slices.size() > 0;
  for (std::size_t i = 0; i < slices.size(); ++i)
    if (!in_files || !take_embedding(slices[i], *model, task, "X_stofm", taken[i]))
      left.push_back(&slices[i].slice);
  tasks::SliceFeatures features;
  if (left.empty()) {
    features.name = "X_stofm";
    const model::Se2Config& se2 = model->model.se2->config();
    features.own_columns = se2.embedding_dim == 2 * se2.input_dim ? se2.input_dim : 0;
  } else {
    features = tasks::slice_features(std::span<const io::Slice* const>(left), weights, options, progress);
  }
  console.end_progress();
  if (left.size() < slices.size()) {
    std::size_t next = 0;
    for (Tensor<float>& rows : taken)
      if (rows.numel() == 0) rows = std::move(features.rows[next++]);
    features.rows = std::move(taken);
  }
  for (const Notice& notice : features.notices)
    console.warn(notice.text, {{"code", notice.code}, {"count", std::to_string(notice.count)}});
  return features;
}

}  // namespace stofm::program

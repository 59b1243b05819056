// SPDX-License-Identifier: MIT
#include "tasks/classify_features.hpp"

#include <array>
#include <utility>

#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/slice_scaling.hpp"

namespace stofm::program {
namespace {

std::vector<const io::Slice*> classify_slices(std::span<const TaskSlice> slices) {
  std::vector<const io::Slice*> list;
  for (const TaskSlice& one : slices) list.push_back(&one.slice);
  return list;
}

tasks::GeneNames stored_names(const tasks::ClassifierInput& input) {
  tasks::GeneNames names;
  names.shown = input.genes.names;
  names.ids = input.settings.value("gene_ids", std::vector<std::string>(names.shown.size()));
  names.symbols = input.settings.value("gene_symbols", std::vector<std::string>(names.shown.size()));
  names.tokens = input.settings.value("gene_tokens", std::vector<std::int32_t>(names.shown.size(), -1));
  return names;
}

void store_names(const tasks::GeneNames& genes, double target, tasks::ClassifierInput& input) {
  input.genes.names = genes.shown;
  input.settings["gene_ids"] = genes.ids;
  input.settings["gene_symbols"] = genes.symbols;
  input.settings["gene_tokens"] = genes.tokens;
  input.settings["target"] = target;
}

/// Log-normalised counts of the genes of the head; genes that the slice lacks count as their mean in
/// training.
Tensor<float> gene_rows(const tasks::Classifier& head, const TaskSlice& slice, const pipeline::Model* model,
                        std::int64_t first_column, Notices& notices) {
  const tasks::GeneNames names = stored_names(head.input);
  std::int64_t found = 0;
  const std::vector<std::int32_t> gene_of =
      tasks::match_genes(names, tasks::gene_names(slice.slice, model), found);
  const std::int64_t genes = names.size();
  if (found < 1 || 2 * found < genes)
    throw DataError({"STOFM-4755", slice.slice.path, "genes",
                     concat(found, " of the ", genes, " genes that the head learnt from"), "at least half",
                     "Train a head on slices with this panel."});
  tasks::SparseRows counts = tasks::gene_counts(slice.slice, gene_of, genes);
  tasks::log_normalise(counts, head.input.settings.value("target", 1.0));
  Tensor<float> rows = tasks::dense_rows(counts);
  if (found == genes) return rows;
  notices.push_back({"STOFM-W4790",
                     concat(slice.slice.path, ": ", genes - found, " of the ", genes,
                            " genes of the head are missing and count as their mean"),
                     genes - found});
  std::vector<char> there(static_cast<std::size_t>(genes), 0);
  for (const std::int32_t g : gene_of)
    if (g >= 0) there[static_cast<std::size_t>(g)] = 1;
  for (std::int64_t g = 0; g < genes; ++g)
    if (!there[static_cast<std::size_t>(g)])
      for (std::int64_t i = 0; i < rows.dim(0); ++i)
        rows.data()[i * genes + g] = static_cast<float>(
            head.logistic.standardisation.mean[static_cast<std::size_t>(first_column + g)]);
  return rows;
}

}  // namespace

void centre_by_slice(std::vector<Tensor<float>>& rows, std::vector<double>& centre) {
  const auto mean_of = [](const Tensor<float>& of) {
    std::vector<double> mean(static_cast<std::size_t>(of.dim(1)), 0.0);
    for (std::int64_t i = 0; i < of.dim(0); ++i)
      for (std::int64_t c = 0; c < of.dim(1); ++c)
        mean[static_cast<std::size_t>(c)] += static_cast<double>(of.data()[i * of.dim(1) + c]);
    for (double& v : mean) v /= static_cast<double>(of.dim(0));
    return mean;
  };
  std::vector<std::vector<double>> means;
  for (const Tensor<float>& one : rows) means.push_back(mean_of(one));
  if (centre.empty()) {
    centre.assign(means.front().size(), 0.0);
    for (const auto& mean : means)
      for (std::size_t c = 0; c < centre.size(); ++c)
        centre[c] += mean[c] / static_cast<double>(means.size());
  }
  for (std::size_t s = 0; s < rows.size(); ++s) {
    Tensor<float> moved(rows[s].shape());
    const std::int64_t width = rows[s].dim(1);
    for (std::int64_t i = 0; i < rows[s].dim(0); ++i)
      for (std::int64_t c = 0; c < width; ++c) {
        const auto k = static_cast<std::size_t>(c);
        moved.data()[i * width + c] =
            static_cast<float>(static_cast<double>(rows[s].data()[i * width + c]) - means[s][k] + centre[k]);
      }
    rows[s] = std::move(moved);
  }
}

void store_components(const tasks::GeneComponents& components, tasks::ClassifierInput& input) {
  store_names(components.genes, components.target, input);
  input.settings["matched_by"] = components.matched_by;
  input.genes.mean = Tensor<double>::from({static_cast<std::int64_t>(components.basis.mean.size())},
                                          std::span<const double>(components.basis.mean));
  input.genes.loadings = components.basis.loadings;
}

void store_genes(std::span<const TaskSlice> slices, const LoadedModel* model, tasks::ClassifierInput& input) {
  const std::vector<const io::Slice*> list = classify_slices(slices);
  const tasks::SharedGenes shared = tasks::share_genes(list, model == nullptr ? nullptr : &model->model);
  std::vector<tasks::SparseRows> counts;
  for (std::size_t s = 0; s < list.size(); ++s)
    counts.push_back(tasks::gene_counts(*list[s], shared.gene_of[s], shared.size()));
  store_names(shared.genes, tasks::median_total(counts), input);
}

Tensor<float> rows_for_head(const tasks::Classifier& head, const TaskSlice& slice, const LoadedModel* model,
                            const TaskArguments& task, Notices& notices) {
  const tasks::ClassifierInput& input = head.input;
  const pipeline::Model* weights = model == nullptr ? nullptr : &model->model;
  tasks::GeneComponents components;
  components.genes = stored_names(input);
  components.target = input.settings.value("target", 1.0);
  components.matched_by = input.settings.value("matched_by", std::string());
  if (input.genes.mean.numel() > 0)
    components.basis.mean.assign(input.genes.mean.data(), input.genes.mean.data() + input.genes.mean.numel());
  components.basis.loadings = input.genes.loadings;
  components.basis.variances.assign(
      input.genes.loadings.rank() == 2 ? static_cast<std::size_t>(input.genes.loadings.dim(0)) : 0, 0.0);
  Tensor<float> rows;
  for (const std::string& part : tasks::parts_of_use(input.settings.value("use", std::string("stofm")))) {
    Tensor<float> made;
    if (part == "genes") {
      made = gene_rows(head, slice, weights, rows.numel() > 0 ? rows.dim(1) : 0, notices);
    } else {
      tasks::SliceFeatureOptions options;
      options.kind = tasks::feature_kind(part);
      options.input = input.cells;
      options.embed = task_embed_options(task, task_memory(task));
      if (input.genes.loadings.numel() > 0) options.fitted = &components;
      tasks::SliceFeatures features = task_features(std::span(&slice, 1), model, task, options);
      made = std::move(features.rows.front());
    }
    rows = rows.numel() > 0 ? tasks::columns_beside("--use", rows, made) : std::move(made);
  }
  if (!input.settings.value("center", false)) return rows;
  if (head.kind == tasks::ClassifierKind::logistic)
    return tasks::standardised_by_slice(std::as_const(rows).view());
  std::vector<Tensor<float>> one{std::move(rows)};
  std::vector<double> centre = input.settings.value("centre", std::vector<double>());
  centre_by_slice(one, centre);
  return std::move(one.front());
}

}  // namespace stofm::program

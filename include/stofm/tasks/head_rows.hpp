// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a saved head keeps of its features, so that other slices can be given the same, these rows, and what
/// the head says of them.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/tasks/classifier.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/head_weights.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "stofm/tasks/slice_scaling.hpp"
#include "stofm/tasks/smoothed_probabilities.hpp"

namespace stofm::tasks {

namespace detail {
inline GeneNames stored_names(const ClassifierInput& input) {
  GeneNames names;
  names.shown = input.genes.names;
  names.ids = input.settings.value("gene_ids", std::vector<std::string>(names.shown.size()));
  names.symbols = input.settings.value("gene_symbols", std::vector<std::string>(names.shown.size()));
  names.tokens = input.settings.value("gene_tokens", std::vector<std::int32_t>(names.shown.size(), -1));
  return names;
}

inline void store_names(const GeneNames& genes, double target, ClassifierInput& input) {
  input.genes.names = genes.shown;
  input.settings["gene_ids"] = genes.ids;
  input.settings["gene_symbols"] = genes.symbols;
  input.settings["gene_tokens"] = genes.tokens;
  input.settings["target"] = target;
}

/// Log-normalised counts of the genes of the head; genes that the slice lacks count as their mean in
/// training.
inline Tensor<float> stored_gene_rows(const Classifier& head, const io::Slice& slice,
                                      const pipeline::Model* model, std::int64_t first_column,
                                      Notices& notices) {
  const GeneNames names = stored_names(head.input);
  std::int64_t found = 0;
  const std::vector<std::int32_t> gene_of = match_genes(names, gene_names(slice, model), found);
  const std::int64_t genes = names.size();
  if (found < 1 || 2 * found < genes)
    throw DataError({"STOFM-4755", slice.path, "genes",
                     concat(found, " of the ", genes, " genes that the head learnt from"), "at least half",
                     "Train a head on slices with this panel."});
  SparseRows counts = gene_counts(slice, gene_of, genes);
  log_normalise(counts, head.input.settings.value("target", 1.0));
  Tensor<float> rows = dense_rows(counts);
  if (found == genes) return rows;
  notices.push_back({"STOFM-W4790",
                     concat(slice.path, ": ", genes - found, " of the ", genes,
                            " genes of the head are missing and count as their mean"),
                     genes - found});
  const std::vector<char> there = genes_with_columns(gene_of, genes);
  for (std::int64_t g = 0; g < genes; ++g)
    if (!there[static_cast<std::size_t>(g)])
      for (std::int64_t i = 0; i < rows.dim(0); ++i)
        rows.data()[i * genes + g] = static_cast<float>(
            head.logistic.standardisation.mean[static_cast<std::size_t>(first_column + g)]);
  return rows;
}
}  // namespace detail

/// The mean of its own slice is taken from each row [cells, C], and `centre` added: the mean over slices of
/// these means, computed if it is empty.
inline void centre_by_slice(std::vector<Tensor<float>>& rows, std::vector<double>& centre) {
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

/// Keeps components in `input`.
inline void store_components(const GeneComponents& components, ClassifierInput& input) {
  detail::store_names(components.genes, components.target, input);
  input.settings["matched_by"] = components.matched_by;
  input.genes.mean = Tensor<double>::from({static_cast<std::int64_t>(components.basis.mean.size())},
                                          std::span<const double>(components.basis.mean));
  input.genes.loadings = components.basis.loadings;
}

/// Keeps the genes that all slices share. \param model may be null; for its gene table alone
inline void store_genes(std::span<const io::Slice* const> slices, const pipeline::Model* model,
                        ClassifierInput& input) {
  const SharedGenes shared = share_genes(slices, model);
  std::vector<SparseRows> counts;
  for (std::size_t s = 0; s < slices.size(); ++s)
    counts.push_back(gene_counts(*slices[s], shared.gene_of[s], shared.size()));
  detail::store_names(shared.genes, median_total(counts), input);
}

/// Why a head on these features (words of `use`) can't be given to other slices; "" if it can.
inline std::string unsaved_features(const std::string& use) {
  for (const char* fitted : {"linear-context", "fitted-context"})
    if (use.find(fitted) != std::string::npos)
      return concat("a head on ", fitted, ", which other slices can't be given");
  return {};
}

/// Makes the features of the slice at hand: slice_features, or what takes them from a file.
using FeatureMaker = std::function<SliceFeatures(const SliceFeatureOptions&)>;

/// Rows of one slice as the head was given them; of a fine-tuned head the cell rows that its SE(2)
/// Transformer is given. \param model may be null where the head needs none \param embed of the model's
/// features \throws DataError (STOFM-4755) for a slice with fewer than half of the genes; as `make`
inline Tensor<float> rows_for_head(const Classifier& head, const io::Slice& slice,
                                   const pipeline::Model* model, const pipeline::EmbedOptions& embed,
                                   const FeatureMaker& make, Notices& notices) {
  const ClassifierInput& input = head.input;
  GeneComponents components;
  components.genes = detail::stored_names(input);
  components.target = input.settings.value("target", 1.0);
  components.matched_by = input.settings.value("matched_by", std::string());
  if (input.genes.mean.numel() > 0)
    components.basis.mean.assign(input.genes.mean.data(), input.genes.mean.data() + input.genes.mean.numel());
  components.basis.loadings = input.genes.loadings;
  components.basis.variances.assign(
      input.genes.loadings.rank() == 2 ? static_cast<std::size_t>(input.genes.loadings.dim(0)) : 0, 0.0);
  Tensor<float> rows;
  for (const std::string& part : parts_of_use(input.settings.value("use", std::string("stofm")))) {
    Tensor<float> made;
    if (part == "genes") {
      made = detail::stored_gene_rows(head, slice, model, rows.numel() > 0 ? rows.dim(1) : 0, notices);
    } else {
      SliceFeatureOptions options;
      options.kind = feature_kind(part);
      options.given_key = given_key(part);
      options.input = input.cells;
      options.embed = embed;
      if (input.genes.loadings.numel() > 0) options.fitted = &components;
      made = std::move(make(options).rows.front());
    }
    rows = rows.numel() > 0 ? columns_beside("use", rows, made) : std::move(made);
  }
  if (!input.settings.value("center", false)) return rows;
  if (head.kind == ClassifierKind::logistic) return standardised_by_slice(std::as_const(rows).view());
  std::vector<Tensor<float>> one{std::move(rows)};
  std::vector<double> centre = input.settings.value("centre", std::vector<double>());
  centre_by_slice(one, centre);
  return std::move(one.front());
}

/// Probabilities [cells, classes] of a slice by a head on features that stay as they are, logistic or pooled,
/// before they are smoothed. \throws as rows_for_head and predict_classes
inline Tensor<double> frozen_probabilities(const Classifier& head, const io::Slice& slice,
                                           const pipeline::Model* model, const pipeline::EmbedOptions& embed,
                                           const FeatureMaker& make, Notices& notices) {
  if (head.kind != ClassifierKind::pooled) {
    const Tensor<float> rows = rows_for_head(head, slice, model, embed, make, notices);
    return predict_classes(head, std::as_const(rows).view());
  }
  std::vector<Tensor<double>> said;
  for (const Classifier& member : head.members)
    said.push_back(frozen_probabilities(member, slice, model, embed, make, notices));
  return mixed_probabilities(said, head.weights);
}

/// `probabilities` of a slice as the head smooths them in space; as they are where it does not.
inline Tensor<double> smoothed_by_head(const Classifier& head, const io::Slice& slice,
                                       Tensor<double> probabilities) {
  if (head.smooth == 0) return probabilities;
  return smoothed_probabilities(slice, std::as_const(probabilities).view(), head.smooth);
}

}  // namespace stofm::tasks

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A trained classifier of cells: regions, cell types, whatever its classes are. Three kinds behind one type
/// and one file (tasks/head_file.hpp):
///
///     fine_tuned   the SE(2) Transformer as it was tuned, and a head (tasks/classifier_head.hpp)
///     logistic     logistic regression on features that stay as they are (tasks/logistic_regression.hpp)
///     pooled       several logistic ones, whose probabilities are mixed (tasks/pooled_head.hpp)

#include <cmath>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/embed_pieces.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/tasks/classifier_head.hpp"
#include "stofm/tasks/logistic_regression.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "stofm/train/prepared_slice.hpp"

namespace stofm::tasks {

enum class ClassifierKind { fine_tuned, logistic, pooled };

/// Where rows are genes, or components of genes: what makes the same rows of another slice.
struct ClassifierGenes {
  std::vector<std::string> names;  ///< in the order of the columns; empty: rows do not come from genes
  Tensor<double> mean;             ///< [genes] subtracted first; empty: nothing is
  Tensor<double> scale;            ///< [genes] divided by after that; empty: nothing is
  Tensor<double> loadings;         ///< [components, genes]; empty: the genes themselves
};

/// What a classifier is given of each cell.
struct ClassifierInput {
  FeatureKind kind = FeatureKind::stofm;               ///< logistic: the rows; fine_tuned: always stofm
  CellInput cells = CellInput::encoder;                ///< what stands in for the cell encoder
  std::string name = "X_stofm";                        ///< for people
  ClassifierGenes genes;                               ///< of genes, pca, pca_neighbours, or CellInput::pca
  nlohmann::json settings = nlohmann::json::object();  ///< of embedding and normalising, free form, kept

  /// Whether rows can only be made with the model that the classifier was trained on.
  bool needs_model() const { return cells == CellInput::encoder && tasks::needs_model(kind); }
};

/// A trained classifier. Immutable once made; may be used by several threads at once.
struct Classifier {
  ClassifierKind kind = ClassifierKind::logistic;
  std::vector<std::string> classes;   ///< names; columns of the probabilities
  std::vector<std::int32_t> present;  ///< classes that had labels, ascending: the only ones it can predict
  ClassifierInput input;
  std::string model_identity;  ///< of the model it began from (`model_identity()`); empty: none was used
  std::string model_name;      ///< of that model, for people
  nlohmann::json provenance = nlohmann::json::object();  ///< options, slices, scores: free form, kept

  model::Se2Config se2_config;      ///< fine_tuned: of the SE(2) Transformer
  model::NamedTensors<float> se2;   ///< fine_tuned: all of its parameters, those that stayed too
  model::NamedTensors<float> head;  ///< fine_tuned: "hidden.weight", "output.bias", "cell_mean", "cell_scale"
  HeadOptions head_options;         ///< fine_tuned
  LogisticRegression logistic;      ///< logistic

  std::vector<Classifier> members;  ///< pooled: logistic ones with the same classes
  std::vector<double> weights;      ///< pooled: of the members, sum 1
  std::int64_t smooth = 0;          ///< nearest cells that the probabilities are smoothed over; 0: none
};

/// Words of the features that a head is given (tasks/feature_words.hpp).
inline std::string use_of_head(const Classifier& head) {
  return head.input.settings.value("use", std::string("stofm"));
}

/// Whether the head, or any of its members, can only be asked with the model that it was learnt with.
inline bool head_needs_model(const Classifier& head) {
  return head.kind == ClassifierKind::fine_tuned || use_needs_model(use_of_head(head));
}

/// What a model computes, as 64 hex digits: SHA-256 over configurations and weights of both encoders, by
/// name. Two bundles with the same weights have the same. *Cost* about 1 ms a MiB of weights.
inline std::string model_identity(const pipeline::Model& model);

/// Probabilities [cells, classes] of every cell of a slice; rows sum to 1, classes without labels get 0.
/// \param slice prepared with the features that the classifier was trained on (`classifier.input`)
/// \throws UsageError STOFM-4747 for a classifier of another model, 4748 for one that is not fine-tuned;
/// ShapeError STOFM-4749 for features of another width; DataError for a state that is not finite;
/// Interrupted. *Cost* that of the SE(2) part of embedding. *Deterministic* yes, any thread count.
STOFM_INLINE Tensor<double> predict_classes(const Classifier& classifier, const pipeline::Model& model,
                                            const train::PreparedSlice& slice,
                                            const pipeline::Progress& progress = {});

/// The same of a logistic classifier, from the rows of its features [cells, features].
/// \throws UsageError STOFM-4748 for a fine-tuned one; as predict_probabilities.
STOFM_INLINE Tensor<double> predict_classes(const Classifier& classifier, TensorView<const float> rows);

/// Row of a slice that a classifier of this model may be given. \throws UsageError STOFM-4747 if `model` is
/// another model than that of the classifier and the classifier's input hangs on it.
inline void require_model_of(const Classifier& classifier, const pipeline::Model& model);

namespace detail {

inline void hash_parameters(io::Sha256& hash, const char* part, const model::NamedTensors<float>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    const Tensor<float> dense = tensor.contiguous();
    hash.update(concat(part, name, " ", to_string(dense.shape()), "\n"));
    hash.update(dense.data(), static_cast<std::size_t>(dense.numel()) * sizeof(float));
  }
}

/// States [cells, E] of a slice from the pieces whose number is marked; other rows are 0.
/// \param wanted one entry a piece, or empty: all
inline Tensor<float> slice_states(const model::Se2Encoder<float>& encoder, const train::PreparedSlice& slice,
                                  const std::vector<std::uint8_t>& wanted = {},
                                  const pipeline::Progress& progress = {}) {
  const std::int64_t width = encoder.config().embedding_dim;
  Tensor<float> states = Tensor<float>::zeros({slice.cells(), width});
  std::size_t number = 0;
  std::int64_t done = 0;
  for (const train::PreparedFrame& frame : slice.frames) {
    std::vector<std::vector<std::int64_t>> pieces;
    for (const auto& piece : frame.pieces)
      if (const std::size_t at = number++; wanted.empty() || wanted[at] != 0) pieces.push_back(piece);
    if (pieces.empty()) continue;
    const Tensor<float> features = pipeline::detail::gather_rows(slice.features, frame.cells);
    Tensor<float> output = Tensor<float>::zeros({features.dim(0), width});
    (void)pipeline::embed_pieces(encoder,
                                 {.xy = frame.xy.view(),
                                  .virtual_xy = frame.virtual_xy.view(),
                                  .virtual_features = frame.virtual_features.view(),
                                  .features = features.view(),
                                  .output = output.view(),
                                  .pieces = pieces,
                                  .sub_slice = slice.sub_slice_options,
                                  .file = slice.name},
                                 progress, done, slice.pieces());
    done += static_cast<std::int64_t>(pieces.size());
    for (std::size_t i = 0; i < frame.cells.size(); ++i)
      std::copy_n(output.data() + static_cast<std::int64_t>(i) * width, width,
                  states.data() + frame.cells[i] * width);
  }
  return states;
}

/// (f - mean) / scale of some rows of `features`; all rows if `rows` is null.
inline Tensor<float> scaled_cells(const Tensor<float>& features, const Tensor<float>& mean,
                                  const Tensor<float>& scale, const std::vector<std::int64_t>& rows) {
  const std::int64_t width = features.dim(1);
  Tensor<float> result({static_cast<std::int64_t>(rows.size()), width});
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::int64_t c = 0; c < width; ++c)
      result.data()[static_cast<std::int64_t>(i) * width + c] =
          (features.data()[rows[i] * width + c] - mean.data()[c]) / scale.data()[c];
  return result;
}

/// Softmax over the present classes of the head's logits for some cells. [rows, classes]
inline Tensor<double> head_probabilities(const ClassifierHead<float>& head, const Tensor<float>& states,
                                         const Tensor<float>& cells, std::int64_t classes,
                                         const std::vector<std::int32_t>& present) {
  constexpr std::int64_t block = 4096;
  const std::int64_t n = states.dim(0);
  Tensor<double> result = Tensor<double>::zeros({n, classes});
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = (std::min)(n, begin + block);
    autograd::Tape<float> tape;
    const autograd::NoGrad<float> none(tape);
    const Tensor<float> logits =
        head.logits(tape, autograd::constant(states.slice(0, begin, end).contiguous()),
                    autograd::constant(cells.slice(0, begin, end).contiguous()))
            .value();
    const auto count = static_cast<std::size_t>(logits.dim(1));
    for (std::int64_t i = begin; i < end; ++i) {
      const float* row = logits.data() + (i - begin) * logits.dim(1);
      const auto highest = static_cast<double>(*std::max_element(row, row + count));
      double sum = 0;
      for (std::size_t c = 0; c < count; ++c) sum += std::exp(static_cast<double>(row[c]) - highest);
      for (std::size_t c = 0; c < count; ++c)
        result.data()[i * classes + present[c]] = std::exp(static_cast<double>(row[c]) - highest) / sum;
    }
  }
  return result;
}

inline std::vector<std::int64_t> all_rows(std::int64_t n) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

}  // namespace detail

inline std::string model_identity(const pipeline::Model& model) {
  io::Sha256 hash;
  hash.update("stofm model 1\n");
  if (model.cell_encoder) {
    const auto& c = model.cell_encoder->config();
    hash.update(concat("cell encoder ", c.hidden_act, " ", c.num_attention_heads, "\n"));
    detail::hash_parameters(hash, "cell_encoder/", model.cell_encoder->parameters());
  }
  if (model.se2) {
    const auto& c = model.se2->config();
    hash.update(concat("se2 ", c.activation_fn, " ", c.num_attention_heads, " ", c.pre_layernorm, "\n"));
    detail::hash_parameters(hash, "se2/", model.se2->parameters());
  }
  return hash.hex();
}

inline void require_model_of(const Classifier& classifier, const pipeline::Model& model) {
  if (!classifier.input.needs_model()) return;
  const std::string identity = model_identity(model);
  if (identity == classifier.model_identity) return;
  throw UsageError({"STOFM-4747", model.file, "model", concat("weights ", identity.substr(0, 16), "..."),
                    concat("those the head was trained with: ", classifier.model_identity.substr(0, 16),
                           "...", classifier.model_name.empty() ? "" : ", " + classifier.model_name),
                    "Give the bundle that the head was trained with, or train a head for this one."});
}

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::predict_classes(const Classifier& classifier, const pipeline::Model& model,
                                         const train::PreparedSlice& slice,
                                         const pipeline::Progress& progress) -> Tensor<double> {
  if (classifier.kind != ClassifierKind::fine_tuned)
    throw UsageError({"STOFM-4748", "", "[predict_classes]", "a logistic head and a prepared slice",
                      "a fine-tuned head", "Give the rows of the features that the head was fitted to."});
  require_model_of(classifier, model);
  if (slice.width() != classifier.se2_config.input_dim)
    throw ShapeError({"STOFM-4749", slice.name, "cell features", concat(slice.width(), " columns"),
                      concat(classifier.se2_config.input_dim, ", as the head was trained with"),
                      "Prepare the slice as those that the head was trained on."});
  const model::Se2Encoder<float> encoder(classifier.se2_config, classifier.se2);
  const Tensor<float> states = detail::slice_states(encoder, slice, {}, progress);
  const autograd::ParameterSet<float> set(classifier.head);
  const ClassifierHead<float> head(set, "", classifier.head_options);
  return detail::head_probabilities(
      head, states,
      detail::scaled_cells(slice.features, classifier.head.at("cell_mean"), classifier.head.at("cell_scale"),
                           detail::all_rows(slice.cells())),
      static_cast<std::int64_t>(classifier.classes.size()), classifier.present);
}

STOFM_INLINE auto tasks::predict_classes(const Classifier& classifier, TensorView<const float> rows)
    -> Tensor<double> {
  if (classifier.kind != ClassifierKind::logistic)
    throw UsageError({"STOFM-4748", "", "[predict_classes]", "a fine-tuned head and rows of features",
                      "a logistic head", "Give the model and the prepared slice."});
  return predict_probabilities(classifier.logistic, rows);
}

}  // namespace stofm
#endif

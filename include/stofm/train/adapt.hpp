// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Domain adaptation of the cell encoder: for a batch of cells
///   loss = w_genes * L_genes + w_cells * L_cells
///   L_genes: naming hidden genes (gene_masking.hpp), weighted mean of the cross-entropies over the batch
///   L_cells: contrastive loss of two views of each cell (contrastive.hpp)
/// By default the cell with hidden genes is the first view and a cell with genes left out the second, so a
/// step has two passes and not three, and the last layer is computed for hidden places and position 0 only.
/// *Source* SPEC section 2 (masked gene modelling + contrastive loss); weights 1 : 0.2 (1 : 1 learned
/// both losses more slowly on a Xenium slice), views and all rates are
/// ours.
///
///     autograd::ParameterSet<float> parameters(adapt_parameters(config, weights, seed));
///     AdaptStep<float> step(config, parameters);
///     step.accumulate(batch, key);   // losses; gradients are added to the parameters

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/train/adapt_batches.hpp"
#include "stofm/train/contrastive.hpp"
#include "stofm/train/gene_masking_head.hpp"

namespace stofm::train {

enum class CellViews {
  masked_and_dropped,  ///< the cell with hidden genes, and one with genes left out
  both_dropped,        ///< two with genes left out, apart from the one with hidden genes: a third pass
};

struct AdaptOptions {
  GeneMaskingOptions masking = {};
  GeneDropOptions views = {};
  CellViews view_kinds = CellViews::masked_and_dropped;
  double temperature = 0.05;
  double gene_weight = 1.0;  ///< 0: no gene loss
  double cell_weight = 0.2;  ///< 0: no contrastive loss
  bool dropout = true;       ///< as the configuration of the encoder says

  /// \throws UsageError STOFM-4570.
  void validate() const {
    masking.validate();
    views.validate();
    const bool good = gene_weight >= 0 && cell_weight >= 0 && gene_weight + cell_weight > 0 &&
                      std::isfinite(gene_weight + cell_weight) && temperature > 0 &&
                      std::isfinite(temperature);
    if (!good)
      throw UsageError({"STOFM-4570", "", "adapt",
                        concat("weights ", gene_weight, " and ", cell_weight, ", temperature ", temperature),
                        "weights that are not negative, one above 0; a temperature above 0",
                        "Check the options."});
  }
};

/// Losses of a batch.
struct AdaptLosses {
  double total = 0;             ///< what the gradients are of
  double genes = 0, cells = 0;  ///< L_genes, L_cells (0 if their weight is 0)
  double gene_entropy = 0;      ///< mean cross-entropy of hidden genes, each weighing the same
  double gene_accuracy = 0;     ///< share of hidden genes that came first
  double cell_accuracy = 0;     ///< share of cells whose own other view came first
  std::int64_t hidden_genes = 0, cell_count = 0, tokens = 0;
};

/// Encoder and head: `weights` where they have a tensor, initial values elsewhere. Tensors of neither are
/// left out. \throws FileError STOFM-1302 for another shape; as model::initial_parameters.
/// `config.projection_dim` must be set.
template <Real T = float>
model::NamedTensors<T> adapt_parameters(const model::CellEncoderConfig& config,
                                        const model::NamedTensors<T>& weights,
                                        const model::InitOptions& init = {}) {
  model::NamedTensors<T> result = model::initial_parameters<T>(config, init);
  result.merge(initial_gene_head<T>(config, init));
  std::vector<model::ParameterSpec> specs = model::parameter_list(config);
  for (model::ParameterSpec& spec : gene_head_parameters(config)) specs.push_back(std::move(spec));
  for (const model::ParameterSpec& spec : specs) {
    const auto found = weights.find(spec.name);
    if (found == weights.end()) continue;
    if (!(found->second.shape() == spec.shape))
      throw FileError({"STOFM-1302", "", spec.name, "shape " + to_string(found->second.shape()),
                       model::detail::shape_reason(spec),
                       "Weights and config.json must come from the same checkpoint."});
    result.insert_or_assign(spec.name, found->second);
  }
  return result;
}

/// The tensors that embedding needs, for a bundle: copies, the head left out.
template <Real T>
model::NamedTensors<T> encoder_parameters(const model::CellEncoderConfig& config,
                                          const autograd::ParameterSet<T>& parameters,
                                          const std::string& prefix = "") {
  model::NamedTensors<T> result;
  for (const model::ParameterSpec& spec : model::parameter_list(config))
    result.emplace(spec.name, parameters.at(prefix + spec.name).value().clone());
  return result;
}

/// One step of adaptation. Refers to the parameters, which must outlive it. Not for two threads at once.
template <Real T>
class AdaptStep {
 public:
  /// \param parameters as `adapt_parameters`, with `prefix` before each name.
  /// \throws as AdaptOptions::validate, CellEncoderTrainer, GeneHead.
  AdaptStep(const model::CellEncoderConfig& config, autograd::ParameterSet<T>& parameters,
            const AdaptOptions& options = {}, const std::string& prefix = "")
      : encoder_(config, parameters, prefix), head_(encoder_, parameters), options_(options) {
    options.validate();
  }
  AdaptStep(const AdaptStep&) = delete;
  AdaptStep& operator=(const AdaptStep&) = delete;

  const model::CellEncoderTrainer<T>& encoder() const { return encoder_; }
  const AdaptOptions& options() const { return options_; }
  /// Where gradients can be watched (Tape::on_gradient_ready).
  autograd::Tape<T>& tape() { return tape_; }

  /// Adds `scale` times the gradient of the batch's loss to the parameters. The losses are not scaled.
  /// \param key of this step: {seed, stream, step}; with data-parallel processes a child per process
  /// \throws DataError for cells that do not fit the panel or the encoder. *Deterministic*: the same bits for
  /// a key on any number of threads. *Cost* two forward and backward passes; the tape holds about 12 layers
  /// tokens hidden_size numbers.
  AdaptLosses accumulate(const CellBatch& batch, const RandomKey& key, double scale = 1.0) {
    return run(batch, key, options_.dropout, scale, true);
  }
  /// The losses alone, without dropout masks: for validation. The same key hides the same genes.
  AdaptLosses evaluate(const CellBatch& batch, const RandomKey& key) {
    const autograd::NoGrad<T> none(tape_);
    return run(batch, key, false, 1.0, false);
  }

 private:
  using Variable = autograd::Variable<T>;

  /// The pass over the cells with hidden genes: adds to the losses, returns their sum and, at position 0,
  /// embeddings.
  Variable gene_part(const CellBatch& batch, const RandomKey& key, bool dropout, AdaptLosses& losses,
                     Variable& embeddings) {
    const MaskedGenes masked =
        mask_genes(batch.tokens, batch.offsets, *batch.panel, key.child(1), options_.masking);
    const std::span<const std::int64_t> firsts(batch.offsets.data(), batch.offsets.size() - 1);
    std::vector<std::int64_t> places(static_cast<std::size_t>(masked.size()) + firsts.size()), first_rows,
        gene_rows;
    std::merge(masked.places.begin(), masked.places.end(), firsts.begin(), firsts.end(), places.begin());
    for (std::size_t i = 0, next = 0; i < places.size(); ++i) {
      const bool first = next < firsts.size() && places[i] == firsts[next];
      (first ? first_rows : gene_rows).push_back(static_cast<std::int64_t>(i));
      next += first;
    }
    const Variable states =
        encoder_.hidden_at(tape_, masked.tokens, batch.offsets, places, {key.child(2), dropout});
    if (options_.cell_weight > 0 && options_.view_kinds == CellViews::masked_and_dropped)
      embeddings = encoder_.project(tape_, autograd::take_rows<T, std::int64_t>(states, first_rows));
    losses.hidden_genes = masked.size();
    if (masked.size() == 0 || options_.gene_weight == 0) return {};
    const GeneLoss<T> loss = head_.loss(tape_, autograd::take_rows<T, std::int64_t>(states, gene_rows),
                                        batch.panel->tokens, masked.targets, masked.weights);
    const auto targets = static_cast<double>(masked.size());
    losses.genes = static_cast<double>(*loss.sum.value().data()) / loss.weight;
    losses.gene_entropy = loss.unweighted / targets;
    losses.gene_accuracy = static_cast<double>(loss.right) / targets;
    return autograd::scale(loss.sum, static_cast<T>(options_.gene_weight / loss.weight));
  }

  Variable dropped_view(const CellBatch& batch, const RandomKey& key, bool dropout) {
    const CellTokens view = drop_genes(batch.tokens, batch.offsets, key.child(0), options_.views);
    return encoder_.embed(tape_, view.tokens, view.offsets, {key.child(1), dropout});
  }

  AdaptLosses run(const CellBatch& batch, const RandomKey& key, bool dropout, double scale, bool backward) {
    if (!batch.panel || batch.size() < 1)
      throw UsageError({"STOFM-4575", "", "[AdaptStep]", concat(batch.size(), " cells"),
                        "a batch with its panel", "Take batches from CellBatches."});
    tape_.clear();
    AdaptLosses losses;
    losses.cell_count = batch.size();
    losses.tokens = batch.offsets.back();
    Variable first, total;
    const bool cells = options_.cell_weight > 0;
    if (options_.gene_weight > 0 || (cells && options_.view_kinds == CellViews::masked_and_dropped))
      total = gene_part(batch, key, dropout, losses, first);
    if (cells) {
      if (first.absent()) first = dropped_view(batch, key.child(3), dropout);
      const ContrastiveLoss<T> loss =
          info_nce(first, dropped_view(batch, key.child(4), dropout), options_.temperature);
      losses.cells = static_cast<double>(*loss.loss.value().data());
      losses.cell_accuracy = loss.accuracy;
      const Variable weighted = autograd::scale(loss.loss, static_cast<T>(options_.cell_weight));
      total = total.absent() ? weighted : autograd::add(total, weighted);
    }
    losses.total = options_.gene_weight * losses.genes + options_.cell_weight * losses.cells;
    if (backward && !total.absent() && total.needs_grad())
      tape_.backward(total, Tensor<T>::full(total.shape(), static_cast<T>(scale)));
    tape_.clear();
    return losses;
  }

  model::CellEncoderTrainer<T> encoder_;
  GeneHead<T> head_;
  AdaptOptions options_;
  autograd::Tape<T> tape_;
};

STOFM_INSTANCE(class AdaptStep<float>)

}  // namespace stofm::train

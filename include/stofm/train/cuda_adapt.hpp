// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Domain adaptation of the cell encoder on a CUDA device: what AdaptStep::accumulate, the norm and AdamW do,
/// for the loop of training_loop.hpp. The passes, the gene loss and all gradients are on the device; the
/// contrastive loss of a batch, a [cells, cells] matrix, on the host. Hidden genes, views and dropout are
/// those of the CPU, bit by bit, and so is what a checkpoint holds. Only for programs that link the kernel
/// library.

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/train/adapt.hpp"
#include "stofm/train/cuda_encoder_options.hpp"
#include "stofm/train/cuda_parameters.hpp"

namespace stofm::train {

struct CudaAdaptOptions {
  Cuda device = {};
  backend::Precision precision = backend::Precision::split_bf16;
};

class CudaAdapt {
 public:
  /// `parameters` (of adapt_parameters) and `optimizer` must outlive it; they are what checkpoints and
  /// validation read. `config.projection_dim` must be set. \throws DeviceError, ResourceError, UsageError for
  /// sizes without a kernel
  CudaAdapt(const model::CellEncoderConfig& config, autograd::ParameterSet<float>& parameters,
            nn::AdamW<float>& optimizer, const AdaptOptions& options, const CudaAdaptOptions& on)
      : options_(options),
        width_(config.projection_dim),
        state_(parameters, optimizer, ""),
        trainer_(on.device, pipeline::device_sizes(config), state_.host_state().list,
                 cuda_encoder_options(config, optimizer.options(), options.dropout, on.precision)) {
    options.validate();
  }

  /// As AdaptStep::accumulate: adds the gradient of the batch's loss on the device.
  AdaptLosses accumulate(const CellBatch& batch, const RandomKey& key);
  /// What the loop calls in place of its own norm and update.
  StepEngine engine() { return state_.engine(trainer_); }
  /// Sums the gradients over processes, after the one `accumulate` of a step: by `sum_on_device` if that is
  /// set, else by `sum` on the host.
  void sum_gradients(const std::function<void(std::span<float>)>& sum) {
    if (sum_on_device)
      sum_on_device.finish(trainer_.gradients());
    else
      sum_gradients_of(trainer_, sum);
  }
  DeviceGradientSums sum_on_device = {};  ///< starts in `accumulate`

 private:
  /// A view whose embeddings [cells, width] have been asked for.
  struct View {
    int pass = -1;
    Tensor<float> embeddings{};
  };
  View embed(int pass, std::span<const std::int32_t> rows) {
    View view{pass, Tensor<float>({static_cast<std::int64_t>(rows.size()), width_})};
    trainer_.project(pass, rows, view.embeddings.span());
    return view;
  }
  View dropped_view(int pass, const CellBatch& batch, const RandomKey& key);
  /// The pass over the cells with hidden genes. \return the view of it, if it is one
  View gene_part(const CellBatch& batch, const RandomKey& key, AdaptLosses& losses);
  void contrast(const View& first, const View& second, AdaptLosses& losses);

  AdaptOptions options_;
  std::int64_t width_;
  CudaParameters<backend::CudaCellEncoderTrainer, backend::CellEncoderParameterState> state_;
  backend::CudaCellEncoderTrainer trainer_;
};

inline CudaAdapt::View CudaAdapt::dropped_view(int pass, const CellBatch& batch, const RandomKey& key) {
  const CellTokens view = drop_genes(batch.tokens, batch.offsets, key.child(0), options_.views);
  const std::span<const std::int64_t> firsts(view.offsets.data(), view.offsets.size() - 1);
  trainer_.forward(pass, {view.tokens, view.offsets, firsts, key.child(1), options_.dropout});
  std::vector<std::int32_t> rows(firsts.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(i);
  return embed(pass, rows);
}

inline CudaAdapt::View CudaAdapt::gene_part(const CellBatch& batch, const RandomKey& key,
                                            AdaptLosses& losses) {
  const MaskedGenes masked =
      mask_genes(batch.tokens, batch.offsets, *batch.panel, key.child(1), options_.masking);
  const std::span<const std::int64_t> firsts(batch.offsets.data(), batch.offsets.size() - 1);
  std::vector<std::int64_t> places(static_cast<std::size_t>(masked.size()) + firsts.size());
  std::merge(masked.places.begin(), masked.places.end(), firsts.begin(), firsts.end(), places.begin());
  std::vector<std::int32_t> first_rows, gene_rows;
  for (std::size_t i = 0, next = 0; i < places.size(); ++i) {
    const bool first = next < firsts.size() && places[i] == firsts[next];
    (first ? first_rows : gene_rows).push_back(static_cast<std::int32_t>(i));
    next += first;
  }
  trainer_.forward(0, {masked.tokens, batch.offsets, places, key.child(2), options_.dropout});
  View view;
  if (options_.cell_weight > 0 && options_.view_kinds == CellViews::masked_and_dropped)
    view = embed(0, first_rows);
  losses.hidden_genes = masked.size();
  if (masked.size() == 0 || options_.gene_weight == 0) return view;
  double weight = 0;
  for (const float w : masked.weights) weight += static_cast<double>(w);
  const std::vector<std::int32_t> targets(masked.targets.begin(), masked.targets.end());
  const backend::GeneLossSums sums = trainer_.gene_loss(0, gene_rows, batch.panel->tokens, targets,
                                                        masked.weights, options_.gene_weight / weight);
  const auto count = static_cast<double>(masked.size());
  losses.genes = sums.weighted / weight;
  losses.gene_entropy = sums.unweighted / count;
  losses.gene_accuracy = static_cast<double>(sums.right) / count;
  return view;
}

inline void CudaAdapt::contrast(const View& first, const View& second, AdaptLosses& losses) {
  autograd::ParameterSet<float> views;
  auto& a = views.add("a", first.embeddings);
  auto& b = views.add("b", second.embeddings);
  autograd::Tape<float> tape;
  const auto loss = info_nce(tape.parameter(a), tape.parameter(b), options_.temperature);
  losses.cells = static_cast<double>(*loss.loss.value().data());
  losses.cell_accuracy = loss.accuracy;
  tape.backward(autograd::scale(loss.loss, static_cast<float>(options_.cell_weight)));
  trainer_.project_gradient(first.pass, std::as_const(a).grad().span());
  trainer_.project_gradient(second.pass, std::as_const(b).grad().span());
}

inline AdaptLosses CudaAdapt::accumulate(const CellBatch& batch, const RandomKey& key) {
  if (!batch.panel || batch.size() < 1)
    throw UsageError({"STOFM-4575", "", "[CudaAdapt]", concat(batch.size(), " cells"),
                      "a batch with its panel", "Take batches from CellBatches."});
  AdaptLosses losses;
  losses.cell_count = batch.size();
  losses.tokens = batch.offsets.back();
  const bool cells = options_.cell_weight > 0;
  View first;
  std::vector<int> passes;
  if (options_.gene_weight > 0 || (cells && options_.view_kinds == CellViews::masked_and_dropped)) {
    first = gene_part(batch, key, losses);
    passes.push_back(0);
  }
  if (cells) {
    if (first.pass < 0) {
      first = dropped_view(1, batch, key.child(3));
      passes.push_back(1);
    }
    const View second = dropped_view(2, batch, key.child(4));
    passes.push_back(2);
    contrast(first, second, losses);
  }
  for (const int pass : passes)
    trainer_.backward(pass,
                      pass == passes.back() ? sum_on_device.listener(trainer_) : backend::GradientsReady());
  losses.total = options_.gene_weight * losses.genes + options_.cell_weight * losses.cells;
  return losses;
}

}  // namespace stofm::train

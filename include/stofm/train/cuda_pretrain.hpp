// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pretraining on a CUDA device: what PretrainStep, the norm and AdamW do, for the loop of training_loop.hpp.
/// All pieces of a batch are one pass; where they do not fit together they go in halves, which changes sums
/// by rounding only. Masks of cells, moves and dropout are those of the CPU, bit by bit; so is what a
/// checkpoint holds, and a run may go on where another device began it (not to the bit). Only for programs
/// that link the kernel library.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/se2_trainer.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/pipeline/cuda_encoders.hpp"
#include "stofm/train/cuda_joint.hpp"
#include "stofm/train/cuda_parameters.hpp"
#include "stofm/train/judged_model.hpp"
#include "stofm/train/pretrain.hpp"

namespace stofm::train {

struct CudaPretrainOptions {
  Cuda device = {};
  backend::Precision precision = backend::Precision::split_bf16;
  bool neutral_input = false;  ///< keeps rows of the input layer at sum zero, on the device
};

class CudaPretrain {
 public:
  /// `parameters` (of pretraining_parameters) and `optimizer` must outlive it; they are what checkpoints and
  /// validation read. \throws DeviceError, ResourceError, UsageError for sizes without a kernel
  CudaPretrain(const model::Se2Config& config, autograd::ParameterSet<float>& parameters,
               nn::AdamW<float>& optimizer, const PretrainOptions& options, const CudaPretrainOptions& on)
      : options_(options),
        state_(parameters, optimizer, "se2/"),
        trainer_(on.device, pipeline::device_sizes(config), state_.host_state().list,
                 trainer_options(config, optimizer.options(), options, on)) {
    options.validate();
  }

  /// As PretrainStep::run: adds the gradients of this process's pieces on the device. \param next asked,
  /// while the kernels of `batch` run, for the batch of the next call, whose lists are then made at once; it
  /// must stay where it is until then. Null, or a null result: they are made when it comes. The bits are the
  /// same.
  StepReport run(const TrainingBatch& batch, const std::function<const TrainingBatch*()>& next = {});
  /// As judged_model, with the parameters as they are on the device.
  ModelSums judge(const LoadedPiece& piece, std::int64_t masked, const TouchedPairs& pairs);
  /// What the loop calls in place of its own norm and update.
  StepEngine engine();

  /// A cell encoder for the joint stage, which has its own part of the parameters; before `engine` is called.
  void add_encoder(std::shared_ptr<CudaJointEncoder> encoder) { encoder_ = std::move(encoder); }
  bool joint_stage = false;  ///< whether it is trained too; may change between steps
  backend::CudaSe2Trainer& trainer() { return trainer_; }

  std::function<void(std::vector<double>&)> sum_over_processes = {};  ///< as PretrainStep
  std::function<void(std::span<float>)> sum_gradients = {};  ///< sums over processes; empty: one process
  DeviceGradientSums sum_on_device = {};                     ///< in place of `sum_gradients`, if set

 private:
  static backend::CudaSe2TrainerOptions trainer_options(const model::Se2Config& config,
                                                        const nn::AdamWOptions& adamw,
                                                        const PretrainOptions& options,
                                                        const CudaPretrainOptions& on) {
    backend::CudaSe2TrainerOptions result{.precision = on.precision,
                                          .beta1 = adamw.beta1,
                                          .beta2 = adamw.beta2,
                                          .epsilon = adamw.epsilon,
                                          .weight_decay = adamw.weight_decay,
                                          .neutral_input = on.neutral_input};
    if (options.dropout)
      result.dropout = {config.dropout, config.attention_dropout, config.activation_dropout};
    return result;
  }
  /// What a device reads of a batch, with what it refers to.
  struct Lists {
    const TrainingBatch* batch = nullptr;
    std::vector<const LoadedPiece*> pieces;  // usable ones
    std::vector<pipeline::NumberedDistances> numbers;
    std::vector<backend::Se2Slice> slices;
    std::vector<backend::Se2TrainingSlice> labels;
  };
  Lists lists_of(const TrainingBatch& batch) const;
  /// Makes the lists of the next batch.
  void prepare(const TrainingBatch* batch);
  /// All at once, or in parts that fit. \param prepared whether the trainer has read it
  backend::Se2Losses accumulate(Lists& lists, bool prepared, double masked, double pairs,
                                const std::function<const TrainingBatch*()>& next);
  /// The joint stage: one piece after the other, since each has dropout masks of its own in the encoder.
  backend::Se2Losses accumulate_jointly(std::span<const LoadedPiece* const> pieces,
                                        std::span<backend::Se2Slice> slices,
                                        std::span<const backend::Se2TrainingSlice> labels, double masked,
                                        double pairs);
  bool joint() const { return joint_stage && encoder_ != nullptr; }

  PretrainOptions options_;
  CudaParameters<backend::CudaSe2Trainer, backend::Se2ParameterState> state_;
  backend::CudaSe2Trainer trainer_;
  std::shared_ptr<CudaJointEncoder> encoder_;
  std::optional<Lists> ahead_;  // of the batch of the next call
  std::size_t at_once_ = (std::numeric_limits<std::size_t>::max)();
};

inline StepEngine CudaPretrain::engine() {
  StepEngine own = state_.engine(trainer_);
  if (!encoder_) return own;
  const StepEngine other = encoder_->engine();
  return {.gradient_norm =
              [this, own, other] {
                const double norm = own.gradient_norm();
                return joint() ? std::hypot(norm, other.gradient_norm()) : norm;
              },
          .update =
              [this, own, other](double rate, double factor) {
                own.update(rate, factor);
                if (joint()) other.update(rate, factor);
              },
          .fetch =
              [own, other] {
                own.fetch();
                other.fetch();
              },
          .store =
              [own, other] {
                own.store();
                other.store();
              },
          .nan_gradient =
              [this, own, other] {
                const std::string found = own.nan_gradient();
                return found.empty() && joint() ? other.nan_gradient() : found;
              }};
}

inline ModelSums CudaPretrain::judge(const LoadedPiece& piece, std::int64_t masked,
                                     const TouchedPairs& pairs) {
  const TrainingSample& sample = piece.sample;
  const Tensor<float> features = joint() ? encoder_->features(piece, false) : sample.features;
  const auto numbers = pipeline::number_distances(sample.distances);
  const backend::Se2Slice slice =
      pipeline::device_slice(features.view(), sample.distances, numbers, sample.token_types);
  const backend::Se2TrainingSlice labels{
      .masked_nodes = {sample.mcm_nodes.data(), static_cast<std::size_t>(masked)},
      .masked_targets = sample.mcm_targets.data(),
      .pair_rows = pairs.rows,
      .pair_columns = pairs.columns,
      .pair_targets = pairs.targets};
  const backend::Se2Losses losses = trainer_.evaluate({&slice, 1}, {&labels, 1});
  return {static_cast<double>(masked) - losses.masked_cells, losses.pair_distances};
}

inline backend::Se2Losses CudaPretrain::accumulate_jointly(std::span<const LoadedPiece* const> pieces,
                                                           std::span<backend::Se2Slice> slices,
                                                           std::span<const backend::Se2TrainingSlice> labels,
                                                           double masked, double pairs) {
  backend::Se2Losses sums;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const Tensor<float> features = encoder_->features(*pieces[i], true);
    slices[i].features = features.data();
    slices[i].feature_stride = features.dim(1);
    const auto one = trainer_.accumulate(slices.subspan(i, 1), labels.subspan(i, 1), masked, pairs);
    sums.masked_cells += one.masked_cells;
    sums.pair_distances += one.pair_distances;
    std::vector<float> gradient(static_cast<std::size_t>(features.numel()));
    trainer_.feature_gradient(gradient);
    encoder_->backward(gradient);
  }
  return sums;
}

inline backend::Se2Losses CudaPretrain::accumulate(Lists& lists, bool prepared, double masked, double pairs,
                                                   const std::function<const TrainingBatch*()>& next) {
  const std::span<const backend::Se2Slice> slices = lists.slices;
  const std::span<const backend::Se2TrainingSlice> labels = lists.labels;
  backend::Se2Losses sums;
  for (std::size_t at = 0; at < slices.size();) {
    const std::size_t count = (std::min)(at_once_, slices.size() - at);
    const bool last = at + count == slices.size();
    bool queued = false;
    try {
      if (!std::exchange(prepared, false))
        trainer_.prepare(slices.subspan(at, count), labels.subspan(at, count));
      const auto part = trainer_.accumulate_prepared(
          masked, pairs, last ? sum_on_device.listener(trainer_) : backend::GradientsReady(), [&] {
            queued = true;
            if (last && next) prepare(next());
          });
      sums.masked_cells += part.masked_cells;
      sums.pair_distances += part.pair_distances;
      at += count;
    } catch (const ResourceError& e) {  // before anything of this part was computed
      if (queued || e.code() != "STOFM-6063" || count == 1) throw;
      at_once_ = (count + 1) / 2;
    }
  }
  return sums;
}

inline CudaPretrain::Lists CudaPretrain::lists_of(const TrainingBatch& batch) const {
  Lists lists;
  lists.batch = &batch;
  for (const LoadedPiece& piece : batch.pieces)
    if (piece.sample.usable()) lists.pieces.push_back(&piece);
  lists.numbers.resize(lists.pieces.size());
  parallel_for(static_cast<std::int64_t>(lists.pieces.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      lists.numbers[i] = pipeline::number_distances(lists.pieces[i]->sample.distances);
  });
  for (std::size_t i = 0; i < lists.pieces.size(); ++i) {
    const TrainingSample& sample = lists.pieces[i]->sample;
    lists.slices.push_back(pipeline::device_slice(sample.features.view(), sample.distances, lists.numbers[i],
                                                  sample.token_types));
    lists.labels.push_back({sample.mcm_nodes, sample.mcm_targets.data(), sample.pair_rows,
                            sample.pair_columns, sample.pair_targets,
                            detail::dropout_key(options_.seed, lists.pieces[i]->ref)});
  }
  return lists;
}

inline void CudaPretrain::prepare(const TrainingBatch* batch) {
  if (batch == nullptr || joint()) return;
  ahead_ = lists_of(*batch);
  if (ahead_->slices.size() <= at_once_) trainer_.prepare(ahead_->slices, ahead_->labels);
}

inline StepReport CudaPretrain::run(const TrainingBatch& batch,
                                    const std::function<const TrainingBatch*()>& next) {
  std::vector<double> counts = detail::batch_counts(batch);
  if (sum_over_processes) sum_over_processes(counts);
  const bool prepared =
      ahead_.has_value() && ahead_->batch == &batch && !joint() && ahead_->slices.size() <= at_once_;
  Lists lists = ahead_.has_value() && ahead_->batch == &batch ? std::move(*ahead_) : lists_of(batch);
  ahead_.reset();
  const auto scale = [](double weight, double total) { return total > 0 ? weight / total : 0.0; };
  const double cell_scale = scale(options_.mcm_weight, counts[0]),
               pair_scale = scale(options_.pdr_weight, counts[1]);
  const backend::Se2Losses losses =
      joint() ? accumulate_jointly(lists.pieces, lists.slices, lists.labels, cell_scale, pair_scale)
              : accumulate(lists, prepared, cell_scale, pair_scale, next);
  const auto sum_those_of = [this](auto& trainer) {
    if (sum_on_device)
      sum_on_device.finish(trainer.gradients());
    else if (sum_gradients)
      sum_gradients_of(trainer, sum_gradients);
  };
  sum_those_of(trainer_);
  if (joint()) sum_those_of(encoder_->trainer());
  std::vector<double> sums{losses.masked_cells, losses.pair_distances};
  if (sum_over_processes) sum_over_processes(sums);
  return detail::step_report(sums, counts, options_);
}

}  // namespace stofm::train

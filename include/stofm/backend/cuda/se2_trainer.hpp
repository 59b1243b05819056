// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Training steps of the SE(2) Transformer on a CUDA device: forward with dropout, both losses of
/// pretraining, all gradients, global norm and AdamW there; parameters and moments come to the host for
/// checkpoints only. The same functions as model::Se2Trainer, model::PretrainingHeads and nn::AdamW, the same
/// masks, bit by bit; sums run in another order. Declared here, defined by the kernel library. *Source* SPEC
/// section 6.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "stofm/backend/cuda/gradients.hpp"
#include "stofm/backend/cuda/se2_encoder.hpp"
#include "stofm/core/random_key.hpp"

namespace stofm::backend {

/// Labels of one sub-slice in host memory; only read during the call that it is given to.
struct Se2TrainingSlice {
  std::span<const std::int64_t> masked_nodes = {};  ///< [m] nodes whose features are predicted, each once
  const float* masked_targets = nullptr;            ///< [m, input_dim]
  std::span<const std::int64_t> pair_rows = {}, pair_columns = {};  ///< [p] labelled pairs
  std::span<const float> pair_targets = {};                         ///< [p] their distances
  RandomKey dropout_key = {};                                       ///< as Se2ForwardTraining::key
};

/// Probabilities, as in the configuration; 0: none.
struct Se2Dropout {
  double hidden = 0, attention = 0, activation = 0;
};

struct CudaSe2TrainerOptions {
  Precision precision = Precision::split_bf16;
  Se2Dropout dropout = {};
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;  ///< as nn::AdamWOptions
  /// Whether rows of the input layer are kept at sum zero (train/masked_input.hpp): gradients are projected
  /// before the norm, weights after the update.
  bool neutral_input = false;
  bool graphs = true;  ///< as CudaSe2Options::graphs, for forward and backward
};

/// Names as model::parameter_list and pretraining_head_list, no prefix.
using Se2ParameterState = CudaParameterState;

/// Sums over what is labelled in a batch, before any division.
struct Se2Losses {
  double masked_cells = 0, pair_distances = 0;
};

/// Owns parameters, gradients, moments, activations. Not for two threads at once. Movable.
class CudaSe2Trainer {
 public:
  /// \throws UsageError STOFM-6060 for sizes without a kernel, STOFM-6061 for parameters that are not exactly
  /// those of the model and its heads; DeviceError, ResourceError (60xx).
  CudaSe2Trainer(Cuda device, const CudaSe2Sizes& sizes, std::span<const Se2ParameterState> parameters,
                 const CudaSe2TrainerOptions& options = {});
  ~CudaSe2Trainer();
  CudaSe2Trainer(CudaSe2Trainer&&) noexcept;
  CudaSe2Trainer& operator=(CudaSe2Trainer&&) noexcept;

  void zero_gradients();
  /// Forward and backward of all slices together: adds the gradients of masked_scale * (sum of 1 - cos) +
  /// pair_scale * (sum of squares). \throws UsageError STOFM-6062, ResourceError with the number of slices
  /// that would fit. *Cost* as model::Se2Trainer; waits for the device once, for the losses. *Memory* about
  /// 10 E + 3 F floats per node and layer. *Deterministic* yes: two runs give the same bits.
  /// \param ready called during the last call of a step, so that sums over processes begin early
  Se2Losses accumulate(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels,
                       double masked_scale, double pair_scale, const GradientsReady& ready = {});
  /// Reads a batch for `accumulate_prepared` and sorts its pairs, in host memory alone, on all threads: while
  /// the kernels of the batch before run, if it is called from that one's `meanwhile`. The arguments have
  /// been read when it returns. Other calls leave it there. \throws UsageError STOFM-6062
  void prepare(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels);
  /// `accumulate` of the batch that was prepared. \param meanwhile called once its kernels are queued, before
  /// their losses are waited for. \throws UsageError STOFM-6064 without a batch; else as `accumulate`
  Se2Losses accumulate_prepared(double masked_scale, double pair_scale, const GradientsReady& ready = {},
                                const std::function<void()>& meanwhile = {});
  /// Sums of both losses of what is labelled: no dropout, no gradients. Errors as `accumulate`; *cost* of its
  /// forward pass.
  Se2Losses evaluate(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels);
  /// Gradient of the features that the last `accumulate` took, [nodes of all its slices, input_dim], packed;
  /// before `update` and any other batch. Waits for the device. \throws UsageError STOFM-6061
  void feature_gradient(std::span<float> gradient);
  /// Global norm of the gradients, after the projection of `neutral_input`; waits for the device.
  double gradient_norm();
  /// One AdamW step, gradients multiplied by the factor first; then the gradients are zero.
  void update(double learning_rate, double gradient_factor);
  /// Values, moments and steps to the host, by name; spans that are empty are left out. \throws UsageError
  /// STOFM-6061
  void download(std::span<Se2ParameterState> parameters) const;
  void upload(std::span<const Se2ParameterState> parameters);
  /// One gradient, for tests, sums over processes and messages. \throws UsageError STOFM-6061
  void download_gradient(const std::string& name, std::span<float> gradient) const;
  /// All gradients as one list of `gradient_count()` numbers, in the order of the device, and back: what
  /// processes sum.
  std::int64_t gradient_count() const;
  void download_gradients(std::span<float> gradients) const;
  void upload_gradients(std::span<const float> gradients);
  CudaGradients gradients();

  /// For benchmarks: `load` copies a batch to the device, then each `compute` queues forward, backward and
  /// update once more on `stream()`.
  void load(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels);
  void compute(double masked_scale, double pair_scale, double learning_rate);
  CudaStream stream() const;
  CudaGraphUse graph_use() const;
  std::int64_t device_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stofm::backend

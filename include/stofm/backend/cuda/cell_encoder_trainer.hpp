// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Training passes of the cell encoder on a CUDA device: what model::CellEncoderTrainer, train::GeneHead and
/// the projection compute, with the same dropout masks, bit by bit, their gradients, the global norm and
/// AdamW. A step of domain adaptation (train/adapt.hpp):
///     trainer.forward(0, masked view);   trainer.gene_loss(0, ...);   trainer.project(0, rows, first);
///     trainer.forward(1, other view);    trainer.project(1, rows, second);
///     the contrastive loss of first and second, [cells, cells], on the host
///     trainer.project_gradient(0, ...);  trainer.project_gradient(1, ...);
///     trainer.backward(0);               trainer.backward(1);
///     trainer.update(rate, clip(trainer.gradient_norm()));
/// Declared here, defined by the kernel library. *Source* SPEC section 2; Hugging Face `BertModel`.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "stofm/backend/cuda/cell_encoder.hpp"
#include "stofm/backend/cuda/gradients.hpp"
#include "stofm/core/random_key.hpp"

namespace stofm::backend {

struct CudaCellEncoderTrainerOptions {
  Precision precision = Precision::split_bf16;
  double hidden_dropout = 0, attention_dropout = 0;  ///< probabilities, as in the configuration
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.01;  ///< as nn::AdamWOptions
};

/// Names as model::parameter_list(CellEncoderConfig) and train::gene_head_parameters.
using CellEncoderParameterState = CudaParameterState;

/// What one forward pass reads, in host memory during the call.
struct CellEncoderPass {
  std::span<const std::int32_t> tokens;   ///< of all cells, one cell after the other
  std::span<const std::int64_t> offsets;  ///< [cells + 1]
  std::span<const std::int64_t> places;   ///< tokens whose last hidden state is wanted, ascending
  RandomKey key = {};                     ///< as model::TrainingPass
  bool dropout = false;
};

/// Sums over the hidden genes of a pass, before any division.
struct GeneLossSums {
  double weighted = 0, unweighted = 0;  ///< cross-entropies
  std::int64_t right = 0;               ///< whose own logit is the largest
};

/// Owns parameters, gradients, moments and the activations of up to three passes. Not for two threads at
/// once; works on the calling thread's current stream.
class CudaCellEncoderTrainer {
 public:
  static constexpr int pass_count = 3;

  /// \param parameters every one of the encoder; those of the gene head all or none
  /// \throws UsageError STOFM-6040, STOFM-6041 as CudaCellEncoder; DeviceError, ResourceError (60xx).
  CudaCellEncoderTrainer(Cuda device, const CudaCellEncoderSizes& sizes,
                         std::span<const CellEncoderParameterState> parameters,
                         const CudaCellEncoderTrainerOptions& options = {});
  ~CudaCellEncoderTrainer();
  CudaCellEncoderTrainer(CudaCellEncoderTrainer&&) noexcept;
  CudaCellEncoderTrainer& operator=(CudaCellEncoderTrainer&&) noexcept;

  void zero_gradients();
  /// Hidden states at the places of the pass, kept on the device with what backward needs; their gradient is
  /// zero. \throws UsageError STOFM-6043 as CudaCellEncoder, STOFM-6044 for places. *Memory* about 36 W + 10
  /// F bytes a token and layer. *Cost* as model::CellEncoderTrainer::hidden_at.
  void forward(int pass, const CellEncoderPass& input);
  /// [places, hidden_size]; waits for the device.
  void states(int pass, std::span<float> result) const;
  void add_state_gradient(int pass, std::span<const float> gradient);

  /// Cross-entropies of naming hidden genes, and `factor` times the gradient of their weighted sum, added to
  /// the parameters of the head and to the states. \param rows which of the places; \param panel tokens of
  /// the candidates, each once; \param targets [rows] indices into the panel; \param weights [rows]. Waits
  /// for the device.
  GeneLossSums gene_loss(int pass, std::span<const std::int32_t> rows, std::span<const std::int32_t> panel,
                         std::span<const std::int32_t> targets, std::span<const float> weights,
                         double factor);
  /// L2-normalised projections of some places, [rows, projection_dim]; waits for the device.
  void project(int pass, std::span<const std::int32_t> rows, std::span<float> embeddings);
  /// Adds the gradient of what `project` gave for this pass to the projection and the states.
  void project_gradient(int pass, std::span<const float> gradient);
  /// Adds the gradients of the encoder's parameters from that of the states. Once per forward.
  /// \param ready called during the last call of a step, so that sums over processes begin early
  void backward(int pass, const GradientsReady& ready = {});

  /// Global norm of the gradients; waits for the device.
  double gradient_norm();
  /// One AdamW step, gradients multiplied by the factor first; then the gradients are zero.
  void update(double learning_rate, double gradient_factor);
  /// Values, moments and steps to the host, by name; empty spans are left out. \throws UsageError STOFM-6041
  void download(std::span<CellEncoderParameterState> parameters) const;
  void upload(std::span<const CellEncoderParameterState> parameters);
  /// \throws UsageError STOFM-6041
  void download_gradient(const std::string& name, std::span<float> gradient) const;
  /// All gradients as one list of `gradient_count()` numbers, and back: what processes sum.
  std::int64_t gradient_count() const;
  void download_gradients(std::span<float> gradients) const;
  void upload_gradients(std::span<const float> gradients);
  CudaGradients gradients();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stofm::backend

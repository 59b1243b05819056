// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What backend::CudaCellEncoderTrainer is made of.

#include <optional>

#include "stofm/kernels/cell_encoder/training_heads.cuh"
#include "stofm/kernels/cell_encoder/weights.cuh"

namespace stofm::kernels::cell_encoder {

class Trainer {
 public:
  static constexpr int pass_count = backend::CudaCellEncoderTrainer::pass_count;

  Trainer(Cuda device, const CudaCellEncoderSizes& sizes,
          std::span<const CudaParameterState> parameters,
          const backend::CudaCellEncoderTrainerOptions& options)
      : options_(options),
        context_{device,
                 checked(device, sizes),
                 options.precision,
                 DropoutRate::of(options.hidden_dropout),
                 DropoutRate::of(options.attention_dropout),
                 TrainedParameters(device, sizes, parameters),
                 Gemm(device),
                 {},
                 true},
        heads_(context_) {}
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  TrainedParameters& parameters() {
    use_device(context_.device);
    return context_.parameters;
  }
  /// A forward pass made no gradient yet: `backward` may follow once.
  TrainingPassRunner& pass(int number, bool is_new = false) {
    use_device(context_.device);
    if (number < 0 || number >= pass_count || (!is_new && !passes_[static_cast<std::size_t>(number)]))
      throw UsageError({"STOFM-6044", "", "[CudaCellEncoderTrainer]", concat("pass ", number),
                        concat("0 to ", pass_count - 1, ", after its forward"), "Call forward first."});
    auto& slot = passes_[static_cast<std::size_t>(number)];
    if (!slot) slot.emplace(context_);
    return *slot;
  }

  void forward(int number, const backend::CellEncoderPass& input) {
    projected_[static_cast<std::size_t>(number < 0 || number >= pass_count ? 0 : number)].rows.clear();
    pass(number, true).forward(input);
  }
  void states(int number, std::span<float> result) {
    TrainingPassRunner& p = checked_states(number, result.size());
    STOFM_CUDA_CHECK(cudaMemcpyAsync(result.data(), p.states(), result.size_bytes(), cudaMemcpyDeviceToHost,
                                     native(context_.stream())));
    STOFM_CUDA_CHECK(cudaStreamSynchronize(native(context_.stream())));
  }
  void add_state_gradient(int number, std::span<const float> gradient) {
    TrainingPassRunner& p = checked_states(number, gradient.size());
    DeviceArray<float> on_device(context_.device, static_cast<std::int64_t>(gradient.size()));
    STOFM_CUDA_CHECK(cudaMemcpyAsync(on_device.data(), gradient.data(), gradient.size_bytes(),
                                     cudaMemcpyHostToDevice, native(context_.stream())));
    std::vector<std::int64_t> all(static_cast<std::size_t>(p.rows()));
    std::iota(all.begin(), all.end(), std::int64_t{0});
    DeviceArray<std::int64_t> places(context_.device, p.rows());
    STOFM_CUDA_CHECK(cudaMemcpyAsync(places.data(), all.data(), all.size() * sizeof(std::int64_t),
                                     cudaMemcpyHostToDevice, native(context_.stream())));
    launch_add_rows_at(
        {p.state_gradient(), on_device.data(), places.data(), p.rows(), context_.sizes.hidden_size},
        context_.stream());
  }
  backend::GeneLossSums gene_loss(int number, std::span<const std::int32_t> rows,
                                  std::span<const std::int32_t> panel, std::span<const std::int32_t> targets,
                                  std::span<const float> weights, double factor) {
    return heads_.gene_loss(pass(number), rows, panel, targets, weights, factor);
  }
  void project(int number, std::span<const std::int32_t> rows, std::span<float> result) {
    TrainingPassRunner& p = pass(number);
    heads_.project(p, projected_[static_cast<std::size_t>(number)], rows, result);
  }
  void project_gradient(int number, std::span<const float> gradient) {
    TrainingPassRunner& p = pass(number);
    heads_.project_gradient(p, projected_[static_cast<std::size_t>(number)], gradient);
  }
  void backward(int number, const backend::GradientsReady& ready = {}) { pass(number).backward(ready); }

  void update(double learning_rate, double gradient_factor) {
    parameters().update(options_, learning_rate, gradient_factor);
    context_.copies_are_old = true;
  }
  void upload(std::span<const CudaParameterState> states) {
    parameters().upload(states);
    context_.copies_are_old = true;
  }

 private:
  static const CudaCellEncoderSizes& checked(Cuda device, const CudaCellEncoderSizes& sizes) {
    check_sizes(sizes);
    use_device(device);
    return sizes;
  }
  TrainingPassRunner& checked_states(int number, std::size_t count) {
    TrainingPassRunner& p = pass(number);
    if (static_cast<std::int64_t>(count) != p.rows() * context_.sizes.hidden_size)
      throw UsageError({"STOFM-6042", "", "[CudaCellEncoderTrainer] states", concat(count, " numbers"),
                        concat(p.rows(), " x ", context_.sizes.hidden_size), "Check the span."});
    return p;
  }

  backend::CudaCellEncoderTrainerOptions options_;
  TrainingContext context_;
  TrainingHeads heads_;
  std::array<std::optional<TrainingPassRunner>, pass_count> passes_;
  std::array<TrainingHeads::Projected, pass_count> projected_;
};

}  // namespace stofm::kernels::cell_encoder

// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/se2_trainer.hpp"
#include "stofm/kernels/model/se2_trainer_runner.cuh"

namespace stofm::backend {

struct CudaSe2Trainer::State {
  kernels::se2::Se2TrainerRunner runner;
};

CudaSe2Trainer::CudaSe2Trainer(Cuda device, const CudaSe2Sizes& sizes,
                               std::span<const Se2ParameterState> parameters,
                               const CudaSe2TrainerOptions& options)
    : state_(new State{{device, sizes, parameters, options}}) {}
CudaSe2Trainer::~CudaSe2Trainer() = default;
CudaSe2Trainer::CudaSe2Trainer(CudaSe2Trainer&&) noexcept = default;
CudaSe2Trainer& CudaSe2Trainer::operator=(CudaSe2Trainer&&) noexcept = default;

void CudaSe2Trainer::zero_gradients() { state_->runner.zero_gradients(); }
Se2Losses CudaSe2Trainer::accumulate(std::span<const Se2Slice> slices,
                                     std::span<const Se2TrainingSlice> labels, double masked_scale,
                                     double pair_scale, const GradientsReady& ready) {
  return state_->runner.accumulate(slices, labels, masked_scale, pair_scale, ready);
}
void CudaSe2Trainer::prepare(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels) {
  state_->runner.prepare(slices, labels);
}
Se2Losses CudaSe2Trainer::accumulate_prepared(double masked_scale, double pair_scale,
                                              const GradientsReady& ready,
                                              const std::function<void()>& meanwhile) {
  return state_->runner.accumulate_prepared(masked_scale, pair_scale, ready, meanwhile);
}
Se2Losses CudaSe2Trainer::evaluate(std::span<const Se2Slice> slices,
                                   std::span<const Se2TrainingSlice> labels) {
  return state_->runner.evaluate(slices, labels);
}
void CudaSe2Trainer::feature_gradient(std::span<float> gradient) {
  state_->runner.feature_gradient(gradient);
}
double CudaSe2Trainer::gradient_norm() { return state_->runner.gradient_norm(); }
void CudaSe2Trainer::update(double learning_rate, double gradient_factor) {
  state_->runner.update(learning_rate, gradient_factor);
}
void CudaSe2Trainer::download(std::span<Se2ParameterState> parameters) const {
  state_->runner.download(parameters);
}
void CudaSe2Trainer::upload(std::span<const Se2ParameterState> parameters) {
  state_->runner.upload(parameters);
}
void CudaSe2Trainer::download_gradient(const std::string& name, std::span<float> gradient) const {
  state_->runner.download_gradient(name, gradient);
}
std::int64_t CudaSe2Trainer::gradient_count() const { return state_->runner.gradient_count(); }
void CudaSe2Trainer::download_gradients(std::span<float> gradients) const {
  state_->runner.download_gradients(gradients);
}
void CudaSe2Trainer::upload_gradients(std::span<const float> gradients) {
  state_->runner.upload_gradients(gradients);
}
CudaGradients CudaSe2Trainer::gradients() { return state_->runner.gradients(); }
void CudaSe2Trainer::load(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels) {
  state_->runner.load(slices, labels);
}
void CudaSe2Trainer::compute(double masked_scale, double pair_scale, double learning_rate) {
  state_->runner.compute(masked_scale, pair_scale, learning_rate);
}
CudaStream CudaSe2Trainer::stream() const { return state_->runner.stream(); }
CudaGraphUse CudaSe2Trainer::graph_use() const { return state_->runner.graph_use(); }
std::int64_t CudaSe2Trainer::device_bytes() const { return state_->runner.device_bytes(); }

}  // namespace stofm::backend

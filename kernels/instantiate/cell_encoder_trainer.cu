// SPDX-License-Identifier: MIT
#include "stofm/kernels/cell_encoder/trainer.cuh"

namespace stofm::backend {

struct CudaCellEncoderTrainer::State {
  kernels::cell_encoder::Trainer trainer;
};
CudaCellEncoderTrainer::CudaCellEncoderTrainer(Cuda device, const CudaCellEncoderSizes& sizes,
                                               std::span<const CellEncoderParameterState> parameters,
                                               const CudaCellEncoderTrainerOptions& options)
    : state_(new State{{device, sizes, parameters, options}}) {}
CudaCellEncoderTrainer::~CudaCellEncoderTrainer() = default;
CudaCellEncoderTrainer::CudaCellEncoderTrainer(CudaCellEncoderTrainer&&) noexcept = default;
CudaCellEncoderTrainer& CudaCellEncoderTrainer::operator=(CudaCellEncoderTrainer&&) noexcept = default;

void CudaCellEncoderTrainer::zero_gradients() { state_->trainer.parameters().zero_gradients(); }
void CudaCellEncoderTrainer::forward(int pass, const CellEncoderPass& input) {
  state_->trainer.forward(pass, input);
}
void CudaCellEncoderTrainer::states(int pass, std::span<float> result) const {
  state_->trainer.states(pass, result);
}
void CudaCellEncoderTrainer::add_state_gradient(int pass, std::span<const float> gradient) {
  state_->trainer.add_state_gradient(pass, gradient);
}
GeneLossSums CudaCellEncoderTrainer::gene_loss(int pass, std::span<const std::int32_t> rows,
                                               std::span<const std::int32_t> panel,
                                               std::span<const std::int32_t> targets,
                                               std::span<const float> weights, double factor) {
  return state_->trainer.gene_loss(pass, rows, panel, targets, weights, factor);
}
void CudaCellEncoderTrainer::project(int pass, std::span<const std::int32_t> rows,
                                     std::span<float> embeddings) {
  state_->trainer.project(pass, rows, embeddings);
}
void CudaCellEncoderTrainer::project_gradient(int pass, std::span<const float> gradient) {
  state_->trainer.project_gradient(pass, gradient);
}
void CudaCellEncoderTrainer::backward(int pass, const GradientsReady& ready) {
  state_->trainer.backward(pass, ready);
}
double CudaCellEncoderTrainer::gradient_norm() { return state_->trainer.parameters().gradient_norm(); }
void CudaCellEncoderTrainer::update(double learning_rate, double gradient_factor) {
  state_->trainer.update(learning_rate, gradient_factor);
}
void CudaCellEncoderTrainer::download(std::span<CellEncoderParameterState> parameters) const {
  state_->trainer.parameters().download(parameters);
}
void CudaCellEncoderTrainer::upload(std::span<const CellEncoderParameterState> parameters) {
  state_->trainer.upload(parameters);
}
void CudaCellEncoderTrainer::download_gradient(const std::string& name, std::span<float> gradient) const {
  state_->trainer.parameters().download_gradient(name, gradient);
}
std::int64_t CudaCellEncoderTrainer::gradient_count() const { return state_->trainer.parameters().total(); }
void CudaCellEncoderTrainer::download_gradients(std::span<float> gradients) const {
  state_->trainer.parameters().download_gradients(gradients);
}
void CudaCellEncoderTrainer::upload_gradients(std::span<const float> gradients) {
  state_->trainer.parameters().upload_gradients(gradients);
}
CudaGradients CudaCellEncoderTrainer::gradients() { return state_->trainer.parameters().all_gradients(); }

}  // namespace stofm::backend

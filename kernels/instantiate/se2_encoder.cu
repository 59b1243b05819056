// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/se2_encoder.hpp"
#include "stofm/kernels/model/se2_encoder_runner.cuh"

namespace stofm::backend {

struct CudaSe2Encoder::State {
  kernels::se2::Se2EncoderRunner runner;
};

CudaSe2Encoder::CudaSe2Encoder(Cuda device, const CudaSe2Sizes& sizes,
                               std::span<const NamedHostTensor> weights, const CudaSe2Options& options)
    : state_(new State{{device, sizes, weights, options}}) {}
CudaSe2Encoder::~CudaSe2Encoder() = default;
CudaSe2Encoder::CudaSe2Encoder(CudaSe2Encoder&&) noexcept = default;
CudaSe2Encoder& CudaSe2Encoder::operator=(CudaSe2Encoder&&) noexcept = default;

const CudaSe2Sizes& CudaSe2Encoder::sizes() const { return state_->runner.sizes(); }
std::int64_t CudaSe2Encoder::nodes_per_batch() const { return state_->runner.nodes_per_batch(); }
std::int64_t CudaSe2Encoder::device_bytes() const { return state_->runner.device_bytes(); }
std::int64_t CudaSe2Encoder::under_way() const { return state_->runner.under_way(); }
CudaStream CudaSe2Encoder::stream() const { return state_->runner.stream(); }
CudaGraphUse CudaSe2Encoder::graph_use() const { return state_->runner.graph_use(); }
void CudaSe2Encoder::submit(std::span<const Se2Slice> slices) { state_->runner.submit(slices); }
void CudaSe2Encoder::submit(const Se2DeviceSlices& slices) { state_->runner.submit(slices); }
void CudaSe2Encoder::collect(std::span<float> hidden) { state_->runner.collect(hidden); }
void CudaSe2Encoder::forward(std::span<const Se2Slice> slices, std::span<float> hidden) {
  state_->runner.forward(slices, hidden);
}
Se2Details CudaSe2Encoder::forward_details(const Se2Slice& slice, bool pair_rep) {
  return state_->runner.forward_details(slice, pair_rep);
}
void CudaSe2Encoder::load(std::span<const Se2Slice> slices) { state_->runner.load(slices); }
void CudaSe2Encoder::compute() { state_->runner.compute(); }

}  // namespace stofm::backend

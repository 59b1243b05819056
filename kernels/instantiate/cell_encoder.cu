// SPDX-License-Identifier: MIT
#include "stofm/kernels/cell_encoder/embedder.cuh"

namespace stofm::backend {

struct CudaCellEncoder::State {
  kernels::cell_encoder::Embedder embedder;
};
CudaCellEncoder::CudaCellEncoder(Cuda device, const CudaCellEncoderSizes& sizes,
                                 std::span<const NamedHostTensor> weights,
                                 const CudaCellEncoderOptions& options)
    : state_(new State{{device, sizes, weights, options}}) {}
CudaCellEncoder::~CudaCellEncoder() = default;
CudaCellEncoder::CudaCellEncoder(CudaCellEncoder&&) noexcept = default;
CudaCellEncoder& CudaCellEncoder::operator=(CudaCellEncoder&&) noexcept = default;
const CudaCellEncoderSizes& CudaCellEncoder::sizes() const { return state_->embedder.sizes(); }
std::int64_t CudaCellEncoder::tokens_per_batch() const { return state_->embedder.tokens_per_batch(); }
void CudaCellEncoder::embed(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                            std::span<float> result) const {
  state_->embedder.embed(tokens, offsets, result);
}

}  // namespace stofm::backend

// SPDX-License-Identifier: MIT
#include "stofm/kernels/nccl/nccl_sums.cuh"

namespace stofm::backend {

struct NcclSums::State {
  kernels::NcclSumsRunner runner;
};

NcclId NcclSums::make_id() { return kernels::NcclSumsRunner::make_id(); }
std::string NcclSums::device_id(Cuda device) { return kernels::device_uuid(device); }
std::string NcclSums::version() { return kernels::NcclSumsRunner::version(); }

NcclSums::NcclSums(Cuda device, int rank, int ranks, const NcclId& id, NcclSumsOptions options)
    : state_(new State{{device, rank, ranks, id, std::move(options)}}) {}
NcclSums::~NcclSums() = default;
NcclSums::NcclSums(NcclSums&&) noexcept = default;
NcclSums& NcclSums::operator=(NcclSums&&) noexcept = default;

void NcclSums::start(CudaStream work, float* values, std::int64_t count) {
  state_->runner.start(work, values, count);
}
void NcclSums::finish(CudaStream work) { state_->runner.finish(work); }

}  // namespace stofm::backend

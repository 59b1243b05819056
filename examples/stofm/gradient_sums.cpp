// SPDX-License-Identifier: MIT
#include "gradient_sums.hpp"

#include <cstdlib>

#include "console.hpp"
#if defined(STOFM_WITH_NCCL)
#include "stofm/distributed/cuda_gradient_sums.hpp"
#endif

namespace stofm::program {

#if defined(STOFM_WITH_NCCL)
namespace {

/// What the environment of rank 0 asks for: "host", "nccl" or nothing.
std::string asked_way(distributed::Communicator& ranks) {
  const char* const value = std::getenv("STOFM_GRADIENT_SUMS");
  const std::string word = ranks.all_gather(value != nullptr ? value : "").front();
  if (!word.empty() && word != "host" && word != "nccl")
    throw DeviceError({"STOFM-6011", "", "STOFM_GRADIENT_SUMS", stofm::quoted(word), "host or nccl",
                       "Unset it to take NCCL where it can be."});
  return word;
}

}  // namespace

train::DeviceGradientSums device_sums(distributed::Communicator& ranks, Cuda device,
                                      distributed::Combine combine) {
  if (ranks.size() == 1) return {};
  const std::string asked = asked_way(ranks);
  const std::string reason =
      asked == "host" ? "STOFM_GRADIENT_SUMS=host" : distributed::why_not_nccl(ranks, device);
  if (!reason.empty()) {
    if (asked == "nccl")
      throw DeviceError({"STOFM-6011", "", "STOFM_GRADIENT_SUMS", reason, "a device for each process",
                         "Start as many processes as there are devices."});
    Console::get().say(concat("gradients: summed through the host (", reason, ")"), {{"gradients", "host"}});
    return {};
  }
  const auto sums = std::make_shared<distributed::CudaGradientSums>(
      ranks, device, distributed::GradientReducerOptions{.combine = combine});
  Console::get().say(concat("gradients: summed on the devices (NCCL ", backend::NcclSums::version(), ")"),
                     {{"gradients", "nccl"}});
  return {.ready = [sums](const backend::CudaGradients& gradients,
                          std::int64_t from) { sums->ready(gradients, from); },
          .finish = [sums](const backend::CudaGradients& gradients) { sums->finish(gradients); }};
}

#else

train::DeviceGradientSums device_sums(distributed::Communicator&, Cuda, distributed::Combine) { return {}; }

#endif

}  // namespace stofm::program

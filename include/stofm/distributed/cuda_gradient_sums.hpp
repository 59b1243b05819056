// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sums gradients that lie on the devices of several ranks, with NCCL, while backward still runs: the twin of
/// gradient_reducer.hpp for the trainers of backend/cuda. Only for programs that link the kernel library,
/// built with NCCL.
///     CudaGradientSums sums(ranks, device);                        // if why_not_nccl(ranks, device) is ""
///     trainer.accumulate(..., [&](std::int64_t from) { sums.ready(trainer.gradients(), from); });
///     sums.finish(trainer.gradients());                            // those of all ranks now
/// Buckets go in the order in which backward finishes them and depend on the model alone, so ranks whose
/// batches differ, or that have nothing to compute, still match.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "stofm/backend/cuda/gradients.hpp"
#include "stofm/backend/cuda/nccl_sums.hpp"
#include "stofm/distributed/communicator.hpp"
#include "stofm/distributed/gradient_reducer.hpp"

namespace stofm::distributed {

/// A stretch of the gradients that is summed at once.
struct GradientBucket {
  std::int64_t first = 0, count = 0;
};
/// From the last border to the first, each closed when it has reached `bucket_bytes` of float32.
inline std::vector<GradientBucket> gradient_buckets(std::span<const std::int64_t> borders,
                                                    std::int64_t bucket_bytes) {
  std::vector<GradientBucket> buckets;
  if (borders.empty()) return buckets;
  std::int64_t end = borders.back();
  for (std::size_t i = borders.size() - 1; i-- > 0;) {
    const std::int64_t count = end - borders[i];
    if (count == 0 || (4 * count < bucket_bytes && i > 0)) continue;
    buckets.push_back({borders[i], count});
    end = borders[i];
  }
  return buckets;
}

/// Why these ranks can't sum with NCCL, the same words on all of them; "" if they can. All ranks must call
/// it. \throws DeviceError
inline std::string why_not_nccl(Communicator& ranks, Cuda device) {
  const std::vector<std::string> devices = ranks.all_gather(backend::NcclSums::device_id(device));
  for (std::size_t i = 0; i < devices.size(); ++i)
    for (std::size_t j = i + 1; j < devices.size(); ++j)
      if (devices[i] == devices[j])
        return concat("ranks ", i, " and ", j, " share a device, which NCCL does not do");
  return {};
}

class CudaGradientSums {
 public:
  /// Meets the other ranks; `ranks` must outlive it. \throws DeviceError STOFM-4601, STOFM-6010, 60xx
  CudaGradientSums(Communicator& ranks, Cuda device, const GradientReducerOptions& options = {})
      : options_(options),
        sums_(device, ranks.rank(), ranks.size(), common_id(ranks),
              {options.combine == Combine::average, [&ranks] { ranks.progress(); }}) {}

  /// What trainers call while they queue the last backward pass of a step: sends the buckets that are
  /// complete. \throws DeviceError
  void ready(const backend::CudaGradients& gradients, std::int64_t from) {
    if (next_ == 0) begin(gradients);
    for (; next_ < buckets_.size() && buckets_[next_].first >= from; ++next_)
      sums_.start(gradients.stream, gradients.values + buckets_[next_].first, buckets_[next_].count);
  }
  /// Sends the others and waits. All ranks must call it, also one that had nothing to compute (its gradients
  /// are zero). \throws DeviceError, here and in all others
  void finish(const backend::CudaGradients& gradients) {
    sent_early_ = static_cast<std::int64_t>(next_);
    ready(gradients, 0);
    next_ = 0;
    sums_.finish(gradients.stream);
  }

  /// How many buckets were on their way before `finish` was called.
  std::int64_t sent_early() const { return sent_early_; }
  const std::vector<GradientBucket>& buckets() const { return buckets_; }

 private:
  static backend::NcclId common_id(Communicator& ranks) {
    backend::NcclId id{};
    if (ranks.is_first()) id = backend::NcclSums::make_id();
    ranks.broadcast_values(std::span<char>(id), 0);
    return id;
  }
  void begin(const backend::CudaGradients& gradients) {
    if (borders_ == gradients.borders) return;
    borders_ = gradients.borders;
    buckets_ = gradient_buckets(borders_, options_.bucket_bytes);
  }

  GradientReducerOptions options_;
  backend::NcclSums sums_;
  std::vector<std::int64_t> borders_;
  std::vector<GradientBucket> buckets_;
  std::size_t next_ = 0;
  std::int64_t sent_early_ = 0;
};

}  // namespace stofm::distributed

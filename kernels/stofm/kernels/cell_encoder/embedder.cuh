// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What backend::CudaCellEncoder is made of: weights on the device and two slots, each with a stream, buffers
/// and pinned host memory. Batches take the slots in turn, so the copies and the host's work for one run
/// beside the kernels of the other; the host waits for a slot only before it uses it again.

#include <memory>

#include "stofm/kernels/cell_encoder/forward.cuh"

namespace stofm::kernels::cell_encoder {

/// Pinned host memory of so many elements.
template <class T>
class PinnedArray {
 public:
  explicit PinnedArray(std::int64_t count) {
    STOFM_CUDA_CHECK(
        cudaMallocHost(&data_, static_cast<std::size_t>(checked_mul(count, sizeof(T), "pinned bytes"))));
  }
  PinnedArray(const PinnedArray&) = delete;
  PinnedArray& operator=(const PinnedArray&) = delete;
  ~PinnedArray() { STOFM_CUDA_RELEASE(cudaFreeHost(data_)); }
  T* data() { return static_cast<T*>(data_); }

 private:
  void* data_ = nullptr;
};

class Embedder {
 public:
  static constexpr int slot_count = 2;

  Embedder(Cuda device, const CudaCellEncoderSizes& sizes, std::span<const NamedHostTensor> tensors,
           const backend::CudaCellEncoderOptions& options)
      : device_(device), sizes_(sizes), precision_(options.precision) {
    check_sizes(sizes_);
    use_device(device_);
    weights_ = load_weights(device_, sizes_, tensors, precision_);
    std::int64_t memory = options.memory_bytes;
    if (memory <= 0) {
      std::size_t unused = 0, total = 0;
      STOFM_CUDA_CHECK(cudaMemGetInfo(&unused, &total));
      memory = static_cast<std::int64_t>(unused / 2);
    }
    limits_ = batch_limits(sizes_, precision_, options.tokens_per_batch, memory, slot_count);
    for (auto& slot : slots_) slot = std::make_unique<Slot>(device_, sizes_, precision_, limits_);
    // Buffers were made on this thread's stream; the slots' own streams may use them from here on.
    STOFM_CUDA_CHECK(cudaStreamSynchronize(native(thread_stream(device_))));
  }

  const CudaCellEncoderSizes& sizes() const { return sizes_; }
  std::int64_t tokens_per_batch() const { return limits_.tokens; }

  void embed(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
             std::span<float> result) {
    check_input(sizes_, tokens, offsets, result.size());
    use_device(device_);
    for (auto& slot : slots_)
      if (!slot->pending.empty()) {  // a call failed: what it queued may still read the pinned memory
        STOFM_CUDA_CHECK(cudaStreamSynchronize(native(slot->stream)));
        slot->pending.clear();
      }
    const std::vector<std::int64_t> order = longest_first(offsets);
    std::size_t turn = 0;
    for (const Batch& batch : cut_batches(order, offsets, limits_)) {
      Slot& slot = *slots_[turn++ % slot_count];
      finish(slot, result);
      slot.pending.assign(order.begin() + static_cast<std::ptrdiff_t>(batch.first),
                          order.begin() + static_cast<std::ptrdiff_t>(batch.last));
      start(slot, batch, tokens, offsets);
    }
    for (int i = 0; i < slot_count; ++i) finish(*slots_[turn++ % slot_count], result);
  }

 private:
  struct Slot {
    CudaStream stream;
    Gemm gemm;
    Activations buffers;
    PinnedArray<std::int32_t> tokens, places;
    PinnedArray<std::int64_t> offsets;
    PinnedArray<AttentionTile> tiles;
    PinnedArray<float> result;
    std::vector<std::int64_t> pending;  // cells whose results are on their way

    Slot(Cuda device, const CudaCellEncoderSizes& sizes, Precision precision, const BatchLimits& limits)
        : stream(make_stream(device)),
          gemm(device),
          buffers(device, sizes, precision, limits),
          tokens(limits.tokens),
          places(limits.tokens),
          offsets(limits.cells + 1),
          tiles(buffers.tiles.size()),
          result(limits.cells * sizes.projection_dim) {}
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
      STOFM_CUDA_RELEASE(cudaStreamSynchronize(native(stream)));
      STOFM_CUDA_RELEASE(cudaStreamDestroy(native(stream)));
    }
  };

  template <class T>
  static void send(DeviceArray<T>& to, PinnedArray<T>& from, std::int64_t count, CudaStream stream) {
    STOFM_CUDA_CHECK(cudaMemcpyAsync(to.data(), from.data(), static_cast<std::size_t>(count) * sizeof(T),
                                     cudaMemcpyHostToDevice, native(stream)));
  }

  void start(Slot& slot, const Batch& batch, std::span<const std::int32_t> tokens,
             std::span<const std::int64_t> offsets) {
    const auto cells = static_cast<std::int64_t>(slot.pending.size());
    std::int64_t next = 0;
    slot.offsets.data()[0] = 0;
    for (std::int64_t i = 0; i < cells; ++i) {
      const auto cell = static_cast<std::size_t>(slot.pending[static_cast<std::size_t>(i)]);
      const std::int64_t begin = offsets[cell], length = offsets[cell + 1] - begin;
      std::copy_n(tokens.begin() + begin, length, slot.tokens.data() + next);
      std::iota(slot.places.data() + next, slot.places.data() + next + length, 0);
      next += length;
      slot.offsets.data()[i + 1] = next;
    }
    const std::span<const std::int64_t> packed(slot.offsets.data(), static_cast<std::size_t>(cells) + 1);
    const AttentionPlan plan =
        plan_attention(packed, packed, sizes_.heads, sequence_attention::TilePolicy::rows);
    const auto tiles = static_cast<std::int64_t>(plan.of_queries.size());
    std::copy(plan.of_queries.begin(), plan.of_queries.end(), slot.tiles.data());
    send(slot.buffers.tokens, slot.tokens, batch.tokens, slot.stream);
    send(slot.buffers.places, slot.places, batch.tokens, slot.stream);
    send(slot.buffers.offsets, slot.offsets, cells + 1, slot.stream);
    send(slot.buffers.tiles, slot.tiles, tiles, slot.stream);
    ForwardPass(sizes_, precision_, weights_, slot.buffers, slot.gemm, slot.stream)
        .run(batch.tokens, cells, tiles);
    STOFM_CUDA_CHECK(cudaMemcpyAsync(slot.result.data(), slot.buffers.result.data(),
                                     static_cast<std::size_t>(cells * sizes_.projection_dim) * sizeof(float),
                                     cudaMemcpyDeviceToHost, native(slot.stream)));
  }

  void finish(Slot& slot, std::span<float> result) {
    if (slot.pending.empty()) return;
    STOFM_CUDA_CHECK(cudaStreamSynchronize(native(slot.stream)));
    for (std::size_t i = 0; i < slot.pending.size(); ++i)
      std::copy_n(slot.result.data() + static_cast<std::int64_t>(i) * sizes_.projection_dim,
                  sizes_.projection_dim, result.data() + slot.pending[i] * sizes_.projection_dim);
    slot.pending.clear();
  }

  Cuda device_;
  CudaCellEncoderSizes sizes_;
  Precision precision_;
  BatchLimits limits_;
  DeviceWeights weights_;
  std::unique_ptr<Slot> slots_[slot_count];
};

}  // namespace stofm::kernels::cell_encoder

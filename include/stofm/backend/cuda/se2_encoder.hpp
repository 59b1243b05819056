// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The SE(2) Transformer on a CUDA device: sub-slices in host memory -> hidden states in host memory, several
/// sub-slices per launch, packed by offsets, no padding. The same function as model::Se2Encoder::forward
/// (formulas there), with weights, activations and every intermediate on the device. Declared here, defined
/// by the kernel library. *Source* SPEC section 5, identities 1 to 3.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "stofm/backend/cuda/bias_table.hpp"
#include "stofm/backend/cuda/cell_encoder.hpp"
#include "stofm/backend/cuda/graphs.hpp"
#include "stofm/backend/cuda/precision.hpp"
#include "stofm/backend/cuda/stream.hpp"
#include "stofm/backend/cuda/sub_slices.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// Sizes of the model, checked by the caller (model::Se2Config::validate).
struct CudaSe2Sizes {
  std::int64_t input_dim = 0;      ///< C: a multiple of 4
  std::int64_t embedding_dim = 0;  ///< E: a multiple of 4, at most 1024
  std::int64_t ffn_dim = 0;        ///< F: a multiple of 4
  std::int64_t heads = 0;          ///< H: 1 to 64, heads of width E / H of 1 to 64
  std::int64_t layers = 0;         ///< L: 1 to 32
  std::int64_t gaussians = 0;      ///< K: 1 to 128
  Activation activation = Activation::gelu;
  bool pre_layernorm = false;
  double layer_norm_eps = 1e-5;

  std::int64_t head_dim() const { return heads > 0 ? embedding_dim / heads : 0; }
  /// \throws UsageError STOFM-6060 for sizes without a kernel, naming them.
  void validate() const;
};

/// One sub-slice in host memory; only read during the call that it is given to. N nodes, none of them
/// padding.
struct Se2Slice {
  const float* features = nullptr;                 ///< [N, input_dim]
  std::int64_t feature_stride = 0;                 ///< elements between rows
  std::span<const std::int32_t> types = {};        ///< [N] 0 cell, 1 CLS, 2 virtual cell
  std::span<const std::int64_t> row_offsets = {};  ///< [N + 1] from 0: listed pairs of each row
  std::span<const std::int32_t> columns = {};      ///< [entries] ascending within a row
  /// Finite, >= 0: [entries], that of each listed pair; or, with `distance_of` (training needs it), those
  /// that occur, each once, in any order.
  std::span<const float> distances = {};
  std::span<const std::int32_t> distance_of = {};  ///< [entries] number of the distance of each listed pair
  /// Training: the entries by distance, as a stable sort of distance_of leaves them: [distances + 1] into
  /// [entries]. Both empty: sorted when the slice is read.
  std::span<const std::int32_t> distance_offsets = {}, entries_by_distance = {};

  std::int64_t nodes() const { return static_cast<std::int64_t>(types.size()); }
};

/// Sub-slices that lie on the device, with features of their nodes that the host writes where they are copied
/// from.
struct Se2DeviceSlices {
  const DeviceSubSlices* sub_slices = nullptr;
  float largest_distance = 0.0F;  ///< no listed distance is larger
  /// Writes the features of one slice, [N, input_dim], dense. Called once for each during the call they are
  /// given to, from several threads at once.
  std::function<void(std::size_t slice, float* features)> write_features = {};
};

struct CudaSe2Options {
  /// The table of the distance bias for these weights, read while the encoder is made; null, or a distance
  /// that it does not cover: the network itself, at every listed pair.
  const BiasTableArrays* bias_table = nullptr;
  Precision precision = Precision::split_bf16;
  /// Nodes of a batch that memory is taken for at once. 0: as many as `memory_bytes` allow, at most 131,072.
  std::int64_t nodes_per_batch = 0;
  /// Device memory for activations; weights come on top. 0: half of what is free when the encoder is made.
  std::int64_t memory_bytes = 0;
  /// Whether a batch of the same shape in the same buffers as one before is launched as one CUDA graph.
  bool graphs = true;
};

/// What one sub-slice can tell besides its hidden states, for verification.
struct Se2Details {
  std::vector<float> last_hidden;    ///< [N, E]
  std::vector<float> hidden_states;  ///< [L + 1, N, E] the input of every layer, and the output
  std::vector<float> pair_rep;       ///< [N, N, H] P_L; empty unless asked for
  std::vector<float> bias_values;    ///< [H, entries] Phi(d) - background
  std::vector<float> background;     ///< [H]
};

/// Owns weights, workspace, streams and two sets of buffers, so that the copies of one batch run beside the
/// kernels of the other. Not for two threads at once. Movable.
class CudaSe2Encoder {
 public:
  /// Copies the weights to the device. Names as model::parameter_list(Se2Config). \throws UsageError
  /// STOFM-6060 for sizes without a kernel, STOFM-6061 for a missing parameter or a wrong count of values;
  /// DeviceError and ResourceError (60xx) for what the device refuses, with what would fit.
  CudaSe2Encoder(Cuda device, const CudaSe2Sizes& sizes, std::span<const NamedHostTensor> weights,
                 const CudaSe2Options& options = {});
  ~CudaSe2Encoder();
  CudaSe2Encoder(CudaSe2Encoder&&) noexcept;
  CudaSe2Encoder& operator=(CudaSe2Encoder&&) noexcept;

  const CudaSe2Sizes& sizes() const;
  /// Nodes that a batch may have, after the options and the memory were looked at. A batch of one sub-slice
  /// may have more: its buffers grow.
  std::int64_t nodes_per_batch() const;
  /// Device bytes of weights, workspace and buffers.
  std::int64_t device_bytes() const;

  /// Queues a batch: copy to the device, kernels, copy back. The slices have been read when it returns; it
  /// waits for the device only where a larger batch than any before needs memory. \throws UsageError
  /// STOFM-6062 if sizes within a slice disagree, STOFM-6064 where two batches are under way; ResourceError
  /// STOFM-6063 with the number of sub-slices that would fit. *Cost* see model::Se2Encoder; without a table 2
  /// K^2 FLOP per listed pair; 8 C + 4 E bytes a node and 16 a listed pair copied.
  void submit(std::span<const Se2Slice> slices);
  /// The same for sub-slices built on the device, on the thread's current stream: what is queued there
  /// afterwards, giving their memory back too, waits until they have been read. 4 C + 4 E bytes a node are
  /// copied, nothing a listed pair.
  void submit(const Se2DeviceSlices& slices);
  /// Waits for the oldest batch. \param hidden [sum N, E]: rows of all its slices, one after the other
  void collect(std::span<float> hidden);
  /// Batches that `collect` has not been called for: 0 to 2.
  std::int64_t under_way() const;
  /// Both. *Deterministic* yes; the rows of a slice do not depend on the slices beside it up to the rounding
  /// of the GEMM library's choice per shape.
  void forward(std::span<const Se2Slice> slices, std::span<float> hidden);
  /// One slice with everything inside. \param pair_rep whether P_L is wanted: 4 N^2 H bytes
  Se2Details forward_details(const Se2Slice& slice, bool pair_rep);

  /// For benchmarks: copies a batch to the device and keeps it; then each `compute` queues its kernels once
  /// more on `stream()`, and nothing is copied.
  void load(std::span<const Se2Slice> slices);
  void compute();
  CudaStream stream() const;
  /// What became of `CudaSe2Options::graphs`.
  CudaGraphUse graph_use() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

inline void CudaSe2Sizes::validate() const {
  const auto refuse = [](const char* what, std::int64_t found, const char* expected) {
    throw UsageError({"STOFM-6060", "", concat("[CudaSe2Encoder] ", what), std::to_string(found), expected,
                      "Compute this model on the CPU (Cpu{})."});
  };
  const auto quads = [](std::int64_t n, std::int64_t most) { return n >= 4 && n % 4 == 0 && n <= most; };
  if (!quads(input_dim, std::int64_t{1} << 20)) refuse("input_dim", input_dim, "a multiple of 4");
  if (!quads(embedding_dim, 1024)) refuse("embedding_dim", embedding_dim, "a multiple of 4, at most 1024");
  if (!quads(ffn_dim, std::int64_t{1} << 20)) refuse("ffn_embedding_dim", ffn_dim, "a multiple of 4");
  if (heads < 1 || heads > 64 || embedding_dim % heads != 0)
    refuse("num_attention_heads", heads, "1 to 64, a divisor of embedding_dim");
  if (head_dim() > 64) refuse("width of a head", head_dim(), "at most 64");
  if (layers < 1 || layers > 32) refuse("num_hidden_layers", layers, "1 to 32");
  if (gaussians < 1 || gaussians > 128) refuse("gaussian_hidden_dim", gaussians, "1 to 128");
}

}  // namespace stofm::backend

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The cell encoder on a CUDA device: packed tokens in host memory -> L2-normalised embeddings in host
/// memory. The same function as model::CellEncoder::embed (model/cell_encoder.hpp), with the weights, the
/// activations and every intermediate on the device. Declared here, defined by the kernel library.
/// *Source* SPEC section 2; packing and a last layer for position 0 only: model/cell_encoder.hpp.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "stofm/backend/cuda/precision.hpp"
#include "stofm/core/device.hpp"
#include "stofm/core/op_options.hpp"

namespace stofm::backend {

/// Sizes of the encoder, checked by the caller (model::CellEncoderConfig::validate).
struct CudaCellEncoderSizes {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;        ///< W: a multiple of 4, at most 1024
  std::int64_t intermediate_size = 0;  ///< F: a multiple of 4
  std::int64_t heads = 0;              ///< of width W / heads: a multiple of 4, at most 64
  std::int64_t layers = 0;
  std::int64_t positions = 0;    ///< longest sequence
  std::int64_t token_types = 1;  ///< rows of the table; row 0 is used
  std::int64_t projection_dim = 0;
  Activation activation = Activation::gelu;
  double layer_norm_eps = 1e-12;
};

/// One parameter in host memory, row-major; only read during the call that it is given to.
struct NamedHostTensor {
  std::string name;  ///< as model::parameter_list(CellEncoderConfig) names it
  std::span<const float> values;
};

struct CudaCellEncoderOptions {
  Precision precision = Precision::split_bf16;
  /// Tokens computed at once (at least one sequence). 0: as many as `memory_bytes` allow, at most 65,536.
  std::int64_t tokens_per_batch = 0;
  /// Device memory for activations, both batches in flight together; weights come on top.
  /// 0: half of what is free when the encoder is made.
  std::int64_t memory_bytes = 0;
};

/// Owns weights, workspace, streams. Not for two threads at once. Movable.
class CudaCellEncoder {
 public:
  /// Copies the weights to the device. \throws UsageError STOFM-6040 for sizes without a kernel, STOFM-6041
  /// for a missing parameter or a wrong count of values; ResourceError STOFM-6003, with what would fit, and
  /// DeviceError (60xx) for what the device refuses.
  CudaCellEncoder(Cuda device, const CudaCellEncoderSizes& sizes, std::span<const NamedHostTensor> weights,
                  const CudaCellEncoderOptions& options = {});
  ~CudaCellEncoder();
  CudaCellEncoder(CudaCellEncoder&&) noexcept;
  CudaCellEncoder& operator=(CudaCellEncoder&&) noexcept;

  const CudaCellEncoderSizes& sizes() const;
  /// Tokens of a batch, after the options and the memory were looked at.
  std::int64_t tokens_per_batch() const;

  /// result: [cells, projection_dim], row-major, rows of Euclidean length 1 in the order of the cells.
  /// \param tokens of all cells, one cell after the other; \param offsets [cells + 1] where each begins
  /// \throws UsageError STOFM-6042 if the sizes of the spans disagree, STOFM-6043 for an empty or too long
  /// sequence or a token outside the vocabulary (callers check first and say which cell in their words);
  /// DeviceError. After an error the encoder may be used again. *Cost* per token and layer 2 (4 W^2 + 2 W F)
  /// + 4 W L; the copies of a batch run beside the kernels of the other one; one host synchronisation per
  /// batch. *Deterministic* yes; which sequences share a batch depends on their lengths only, and a cell's
  /// embedding does not depend on its batch in Precision::float32 up to the rounding of the GEMM library's
  /// choice per shape.
  void embed(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
             std::span<float> result) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stofm::backend

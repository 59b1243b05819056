// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The encoders of a model on a CUDA device, for the seam of pipeline/device_encoders.hpp. Only for programs
/// that link the kernel library: without it, using this header fails at link, by name.

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/cell_encoder.hpp"
#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/backend/cuda/se2_encoder.hpp"
#include "stofm/model/distance_bias/distance_bias.hpp"
#include "stofm/model/distance_bias/distance_bias_training.hpp"
#include "stofm/model/node_rows.hpp"
#include "stofm/pipeline/cuda_geometry.hpp"
#include "stofm/pipeline/cuda_numbered_distances.hpp"
#include "stofm/pipeline/device_encoders.hpp"
#include "stofm/pipeline/model.hpp"

namespace stofm::pipeline {

struct CudaEncoderOptions {
  /// Of both encoders. split_bf16 has the accuracy of float32 on tensor cores; float32 is for comparisons.
  backend::Precision precision = backend::Precision::split_bf16;
  std::int64_t pieces_per_batch = 0;  ///< 0: as many as fit, at most 64
};

/// One piece as the device takes it. All arguments must outlive the result.
inline backend::Se2Slice device_slice(TensorView<const float> features, const PairDistances& distances,
                                      const NumberedDistances& numbers, std::span<const std::int32_t> types) {
  return {.features = features.data,
          .feature_stride = features.dim(0) > 0 ? features.stride(0) : features.dim(1),
          .types = types,
          .row_offsets = distances.row_offsets,
          .columns = distances.columns,
          .distances = numbers.distances,
          .distance_of = numbers.distance_of,
          .distance_offsets = numbers.offsets,
          .entries_by_distance = numbers.entries};
}

/// The same for inference, which needs no numbers.
inline backend::Se2Slice device_slice(TensorView<const float> features, const PairDistances& distances,
                                      std::span<const std::int32_t> types) {
  return {.features = features.data,
          .feature_stride = features.dim(0) > 0 ? features.stride(0) : features.dim(1),
          .types = types,
          .row_offsets = distances.row_offsets,
          .columns = distances.columns,
          .distances = distances.values};
}

/// The table of a model's distance bias as a device takes it; points into the model. Heads 0: there is none.
inline backend::BiasTableArrays device_bias_table(const model::DistanceBias<float>& bias) {
  const model::BiasTable* const table = bias.table();
  if (table == nullptr) return {};
  return {.heads = table->heads(),
          .w = bias.weight(),
          .b = bias.offset(),
          .knots = table->knots(),
          .inverse_widths = table->inverse_widths(),
          .bucket_first = table->bucket_first(),
          .inverse_bucket = table->inverse_bucket(),
          .coefficients = table->coefficients(),
          .padded = table->padded_heads(),
          .background = bias.background(),
          .largest_distance = model::DistanceBias<float>::largest_tabulated};
}

inline backend::CudaSe2Sizes device_sizes(const model::Se2Config& config) {
  return {.input_dim = config.input_dim,
          .embedding_dim = config.embedding_dim,
          .ffn_dim = config.ffn_embedding_dim,
          .heads = config.num_attention_heads,
          .layers = config.num_hidden_layers,
          .gaussians = config.gaussian_hidden_dim,
          .activation = model::detail::activation_of(config.activation_fn),
          .pre_layernorm = config.pre_layernorm,
          .layer_norm_eps = config.layer_norm_eps};
}
inline backend::CudaCellEncoderSizes device_sizes(const model::CellEncoderConfig& config) {
  return {.vocab_size = config.vocab_size,
          .hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .heads = config.num_attention_heads,
          .layers = config.num_hidden_layers,
          .positions = config.max_position_embeddings,
          .token_types = config.type_vocab_size,
          .projection_dim = config.projection_dim,
          .activation = model::detail::activation_of(config.hidden_act),
          .layer_norm_eps = config.layer_norm_eps};
}

namespace detail {

/// Parameters as the device reads them, with what they point to.
struct HostTensors {
  explicit HostTensors(const model::NamedTensors<float>& tensors) {
    for (const auto& [name, tensor] : tensors) {
      kept.push_back(tensor.contiguous());
      list.push_back({name, std::as_const(kept.back()).span()});
    }
  }
  std::deque<Tensor<float>> kept;
  std::vector<backend::NamedHostTensor> list;
};

/// At least the distance of any two nodes of the pieces: the diagonal of the box around them all, or
/// that of what is not listed.
inline float longest_distance(const PieceCells& cells) {
  double low[2] = {HUGE_VAL, HUGE_VAL}, high[2] = {-HUGE_VAL, -HUGE_VAL};
  const auto take = [&](const double* xy) {
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = (std::min)(low[axis], xy[axis]);
      high[axis] = (std::max)(high[axis], xy[axis]);
    }
  };
  for (const auto& piece : cells.pieces)
    for (const std::int64_t cell : piece) take(cells.xy.row(cell));
  for (std::int64_t i = 0; i < cells.virtual_xy.dim(0); ++i) take(cells.virtual_xy.row(i));
  const double diagonal = std::hypot(high[0] - low[0], high[1] - low[1]);
  constexpr double least = far_distance;
  return static_cast<float>(diagonal >= least ? diagonal * 1.000001 : least);
}

/// Batches of pieces on the device.
class CudaPieces {
 public:
  CudaPieces(const model::Se2Encoder<float>& model, Cuda device, const CudaEncoderOptions& options)
      : config_(model.config()),
        geometry_(device),
        table_(device_bias_table(model.distance_bias())),
        encoder_(device, device_sizes(model.config()), HostTensors(model.parameters()).list,
                 {.bias_table = table_.heads > 0 ? &table_ : nullptr, .precision = options.precision}) {
    table_ = {};  // on the device by now; the model may go
  }

  std::int64_t nodes_per_batch() const { return encoder_.nodes_per_batch(); }

  void submit(std::span<const PieceInput> pieces) {
    std::vector<backend::Se2Slice> slices;
    std::vector<std::int64_t> nodes;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      model::check_distances(pieces[i].distances);
      slices.push_back(device_slice(pieces[i].features.view(), pieces[i].distances, pieces[i].types));
      nodes.push_back(slices.back().nodes());
    }
    encoder_.submit(slices);
    under_way_.push_back(std::move(nodes));
  }

  /// The same for pieces that the device builds.
  std::vector<PieceSize> submit_cells(const PieceCells& cells) {
    std::vector<PieceSize> sizes;
    std::vector<std::int64_t> nodes;
    const auto queue = [&](const backend::DeviceSubSlices& subs) {
      encoder_.submit(backend::Se2DeviceSlices{&subs, longest_distance(cells), cells.write_features});
      for (std::size_t i = 0; i < cells.pieces.size(); ++i) {
        nodes.push_back(subs.node_offsets[i + 1] - subs.node_offsets[i]);
        sizes.push_back(
            {nodes.back(), subs.entry_offsets[i + 1] - subs.entry_offsets[i], subs.coincident_pairs[i]});
      }
    };
    geometry_.with_sub_slices(cells.pieces, cells.xy, cells.virtual_xy, cells.sub_slice, queue);
    under_way_.push_back(std::move(nodes));
    return sizes;
  }

  std::vector<Tensor<float>> collect() {
    const std::vector<std::int64_t> nodes = std::move(under_way_.front());
    under_way_.pop_front();
    std::int64_t total = 0;
    for (const std::int64_t n : nodes) total += n;
    Tensor<float> all({total, config_.embedding_dim});
    encoder_.collect(all.span());
    std::vector<Tensor<float>> states;
    std::int64_t row = 0;
    for (const std::int64_t n : nodes) {
      states.push_back(all.slice(0, row, row + n));
      row += n;
    }
    return states;
  }

  /// As model::Se2Encoder::forward, padding included.
  model::Se2Output<float> forward(TensorView<const float> features, const PairDistances& distances,
                                  std::span<const std::int32_t> types,
                                  const model::Se2ForwardOptions& options);

 private:
  backend::Se2Details details(const Tensor<float>& features, const PairDistances& distances,
                              std::span<const std::int32_t> types, bool pair_rep) {
    model::check_distances(distances);
    return encoder_.forward_details(device_slice(features.view(), distances, types), pair_rep);
  }

  model::Se2Config config_;
  CudaGeometry geometry_;
  backend::BiasTableArrays table_;
  backend::CudaSe2Encoder encoder_;
  std::deque<std::vector<std::int64_t>> under_way_;
};

/// Phi(D) of every pair, [H, N, N], from the values of the listed ones.
inline Tensor<float> dense_device_bias(const backend::Se2Details& details, const PairDistances& distances,
                                       std::int64_t heads) {
  const std::int64_t n = distances.nodes, entries = distances.entries();
  Tensor<float> result({heads, n, n});
  for (std::int64_t h = 0; h < heads; ++h) {
    float* plane = result.data() + h * n * n;
    const float far = details.background[static_cast<std::size_t>(h)];
    std::fill_n(plane, n * n, far);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t e = distances.row_offsets[static_cast<std::size_t>(i)];
           e < distances.row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
        plane[i * n + distances.columns[static_cast<std::size_t>(e)]] =
            details.bias_values[static_cast<std::size_t>(h * entries + e)] + far;
  }
  return result;
}

inline model::Se2Output<float> CudaPieces::forward(TensorView<const float> features,
                                                   const PairDistances& distances,
                                                   std::span<const std::int32_t> types,
                                                   const model::Se2ForwardOptions& options) {
  const auto nodes = static_cast<std::int64_t>(types.size());
  const std::int64_t e = config_.embedding_dim, h = config_.num_attention_heads;
  std::vector<std::int64_t> kept;
  std::vector<std::int32_t> kept_types;
  for (std::int64_t i = 0; i < nodes; ++i) {
    const std::int32_t type = types[static_cast<std::size_t>(i)];
    if (type == static_cast<std::int32_t>(model::NodeType::padding)) continue;
    kept.push_back(i);
    kept_types.push_back(type);
  }
  const auto real = static_cast<std::int64_t>(kept.size());
  Tensor<float> rows({real, config_.input_dim});
  for (std::int64_t i = 0; i < real; ++i)
    std::copy_n(features.row(kept[static_cast<std::size_t>(i)]), config_.input_dim,
                rows.data() + i * config_.input_dim);
  const backend::Se2Details inner =
      details(rows, model::detail::restrict_to(distances, kept), kept_types, options.pair_rep);
  const auto spread = [&](const float* from) {
    Tensor<float> dense({real, e});
    std::copy_n(from, real * e, dense.data());
    return model::detail::spread_rows(dense, kept, nodes);
  };
  model::Se2Output<float> output;
  output.last_hidden_state = spread(inner.last_hidden.data());
  for (std::int64_t l = 0; options.hidden_states && l <= config_.num_hidden_layers; ++l)
    output.hidden_states.push_back(spread(inner.hidden_states.data() + l * real * e));
  if (options.pair_rep) {
    output.pair_rep = Tensor<float>::zeros({nodes, nodes, h});
    for (std::int64_t i = 0; i < real; ++i)
      for (std::int64_t j = 0; j < real; ++j)
        std::copy_n(inner.pair_rep.data() + (i * real + j) * h, h,
                    output.pair_rep.data() +
                        (kept[static_cast<std::size_t>(i)] * nodes + kept[static_cast<std::size_t>(j)]) * h);
  }
  if (options.gaussian_bias) {  // of padded nodes too: distances know no types
    const std::vector<std::int32_t> cells(types.size(), 0);
    Tensor<float> all({nodes, config_.input_dim});
    std::fill_n(all.data(), all.numel(), 0.0F);
    output.gaussian_bias = dense_device_bias(details(all, distances, cells, false), distances, h);
  }
  return output;
}

}  // namespace detail

/// Hidden states of all tokens of `encoder` on a device, for verifying. A forward pass of training computes
/// them, without dropout: embedding computes the last layer for position 0 only. The weights go to the device
/// in every call.
inline DeviceEncoders::TokenFunction cuda_token_states(
    std::shared_ptr<const model::CellEncoder<float>> encoder, Cuda device, backend::Precision precision) {
  return [encoder, device, precision](std::span<const std::int32_t> tokens,
                                      std::span<const std::int64_t> offsets) {
    std::deque<Tensor<float>> values;
    std::vector<backend::CellEncoderParameterState> parameters;
    for (const auto& [name, tensor] : encoder->parameters()) {
      values.push_back(tensor.clone());
      parameters.push_back({.name = name, .value = values.back().span()});
    }
    backend::CudaCellEncoderTrainer trainer(device, device_sizes(encoder->config()), parameters,
                                            {.precision = precision});
    std::vector<std::int64_t> places(tokens.size());
    std::iota(places.begin(), places.end(), std::int64_t{0});
    trainer.forward(0, {.tokens = tokens, .offsets = offsets, .places = places});
    Tensor<float> states({static_cast<std::int64_t>(tokens.size()), encoder->config().hidden_size});
    trainer.states(0, states.span());
    return states;
  };
}

/// The encoders of `model` on a device; what a model lacks stays empty. \throws DeviceError without such a
/// device, UsageError for sizes without a kernel, ResourceError if the weights do not fit.
inline std::shared_ptr<const DeviceEncoders> cuda_encoders(const Model& model, Cuda device,
                                                           const CudaEncoderOptions& options = {}) {
  auto result = std::make_shared<DeviceEncoders>();
  result->device = device_name(device);
  result->points = cuda_point_functions(device);
  if (model.cell_encoder) {
    const auto cells = std::make_shared<backend::CudaCellEncoder>(
        device, device_sizes(model.cell_encoder->config()),
        detail::HostTensors(model.cell_encoder->parameters()).list,
        backend::CudaCellEncoderOptions{.precision = options.precision});
    result->embed_cells = [cells](std::span<const std::int32_t> tokens,
                                  std::span<const std::int64_t> offsets) {
      Tensor<float> rows({static_cast<std::int64_t>(offsets.size()) - 1, cells->sizes().projection_dim});
      cells->embed(tokens, offsets, rows.span());
      return rows;
    };
    result->token_states = cuda_token_states(model.cell_encoder, device, options.precision);
  }
  if (model.se2) {
    const auto pieces = std::make_shared<detail::CudaPieces>(*model.se2, device, options);
    const bool asked = options.pieces_per_batch > 0;
    result->pieces.most_pieces = asked ? options.pieces_per_batch : 64;
    result->pieces.most_nodes =
        asked ? (std::numeric_limits<std::int64_t>::max)() : pieces->nodes_per_batch();
    result->pieces.submit = [pieces](std::span<const PieceInput> inputs) { pieces->submit(inputs); };
    result->pieces.submit_cells = [pieces](const PieceCells& cells) { return pieces->submit_cells(cells); };
    result->pieces.most_neighbours = CudaGeometry::most_listed_neighbours;
    result->pieces.collect = [pieces] { return pieces->collect(); };
    result->piece_forward = [pieces](TensorView<const float> features, const PairDistances& distances,
                                     std::span<const std::int32_t> types,
                                     const model::Se2ForwardOptions& what) {
      return pieces->forward(features, distances, types, what);
    };
  }
  return result;
}

}  // namespace stofm::pipeline

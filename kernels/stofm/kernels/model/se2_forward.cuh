// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The forward pass of the SE(2) Transformer as a list of launches on one stream, for inference and for
/// training: per layer  x -> qkv (one product, packed for attention) -> pair attention -> output product ->
/// junction -> fc1 with its activation -> fc2 -> junction,  with every bias, dropout, residual and norm
/// inside a product or the pass that follows it. Where widths or float32 operands keep a product from ending
/// that way (row_product/policy.hpp), a pass follows it instead. Nothing here allocates or waits. Host code;
/// formulas: model/se2_encoder.hpp, places of dropout: model/se2_training.hpp.

#include <vector>

#include "stofm/backend/cuda/gaussian_bias.hpp"
#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/gaussian_bias/bias_table.cuh"
#include "stofm/kernels/gemm/gemm.cuh"
#include "stofm/kernels/model/products.cuh"
#include "stofm/kernels/model/se2_batch.cuh"
#include "stofm/kernels/model/se2_layout.hpp"

namespace stofm::kernels::se2 {

/// Numbers of the dropout masks: of the input, and of a layer's parts.
struct DropoutSites {
  static constexpr std::int64_t input = 0;
  static constexpr std::int64_t attention(std::int64_t layer) { return 1 + 4 * layer; }
  static constexpr std::int64_t output(std::int64_t layer) { return 2 + 4 * layer; }
  static constexpr std::int64_t activation(std::int64_t layer) { return 3 + 4 * layer; }
  static constexpr std::int64_t ffn(std::int64_t layer) { return 4 + 4 * layer; }
  static constexpr std::int64_t count(std::int64_t layers) { return 1 + 4 * layers; }
};

/// Rates of a training pass; all 0 in inference.
struct DropoutRates {
  DropoutRate hidden{}, attention{}, activation{};
};

/// Device memory of one layer. In inference layers share all of it but q and k.
struct LayerBuffers {
  void *q = nullptr, *k = nullptr, *v = nullptr;  // packed operands of pair attention
  float* y = nullptr;  // [N, E] result of attention: for backward; y_operand itself where that is float32
  float* log_sums = nullptr;  // [H, N], or null
  float* hidden = nullptr;    // [N, F] fc1
  void* x_operand = nullptr;  // [N, E] input of q, k, v
  void* y_operand = nullptr;  // [N, E]
  void* m_operand = nullptr;  // [N, E] input of fc1
  void* a_operand = nullptr;  // [N, F] input of fc2
  float *z_attention = nullptr,
        *z_ffn = nullptr;  // [N, E] before (post-LN) or as (pre-LN) the residual stream
};

struct ForwardBuffers {
  void* features = nullptr;                // operand [N, C]
  float* x = nullptr;                      // [N, E] residual stream; the result
  float* z_input = nullptr;                // [N, E] pre-LN: the stream after the input layer
  float* part = nullptr;                   // [N, E] a product before its bias
  float* qkv = nullptr;                    // [N, 3 E], unless products end in heads
  const DeviceBiasTable* table = nullptr;  // null: the network itself, by the three that follow it
  backend::BiasPlace* places = nullptr;    // [entries], with a table
  float *phi = nullptr, *bias = nullptr, *background = nullptr;  // [D + 1, H], [H, entries], [H]
  float* pair_values = nullptr;                                  // [pairs, H] or null
  float* hidden_states = nullptr;                                // [L + 1, N, E] or null
  bool keep = false;  // hidden keeps fc1 with its bias, for backward
  std::vector<LayerBuffers> layers;
};

/// What runs: weights on the device and the library of products.
class Se2Network {
 public:
  Se2Network(Cuda device, const CudaSe2Sizes& sizes, Precision precision, bool heads)
      : sizes_(sizes), precision_(precision), layout_(sizes, precision, heads), gemm_(device) {
    for (const LinearPlace& linear : layout_.linears()) {
      packed_linears_.push_back({linear.weight, linear.operand, linear.stacked, linear.out, linear.in});
      largest_weight_ = (std::max)(largest_weight_, linear.out * linear.in);
    }
    device_linears_ = DeviceArray<PackedLinear>(device, static_cast<std::int64_t>(packed_linears_.size()));
    STOFM_CUDA_CHECK(cudaMemcpyAsync(device_linears_.data(), packed_linears_.data(),
                                     packed_linears_.size() * sizeof(PackedLinear), cudaMemcpyHostToDevice,
                                     native(thread_stream(device))));
  }

  const CudaSe2Sizes& sizes() const { return sizes_; }
  const Se2Layout& layout() const { return layout_; }
  Precision precision() const { return precision_; }
  backend::PairAttentionSizes attention_sizes() const {
    return {.heads = sizes_.heads,
            .head_dim = sizes_.head_dim(),
            .precision = precision_,
            .scale = 1.0 / std::sqrt(static_cast<double>(sizes_.head_dim()))};
  }
  backend::GaussianWeights gaussian(const float* values) const {
    const Se2Layout& at = layout_;
    return {sizes_.gaussians,  sizes_.heads,     values + at.gaussian_w, values + at.gaussian_b,
            values + at.means, values + at.stds, values + at.w1,         values + at.b1,
            values + at.w2,    values + at.b2};
  }

  /// Rewrites the weights of products in their form. \param operands layout().operand_bytes() bytes
  void pack_weights(CudaStream stream, const float* values, std::byte* operands) const {
    launch_pack_weights(stream, precision_, device_linears_.size(), largest_weight_,
                        {device_linears_.data(), values, operands});
  }

  Operand activation(const void* data, std::int64_t rows, std::int64_t columns) const {
    return dense_operand(data, rows, columns, left_form(precision_));
  }
  Operand gradient(const void* data, std::int64_t rows, std::int64_t columns) const {
    return dense_operand(data, rows, columns, right_form(precision_));
  }
  /// As the gradient of the input reads it.
  Operand stacked_weight(const std::byte* operands, const LinearPlace& linear) const {
    if (linear.stacked < 0) return weight(operands, linear);
    return dense_operand(operands + linear.stacked, linear.out, linear.in, OperandForm::split_stack);
  }
  Operand weight(const std::byte* operands, const LinearPlace& linear) const {
    return dense_operand(operands + linear.operand, linear.out, linear.in, layout_.operand_form());
  }
  /// Whether q, k, v go from their product to attention, packed.
  bool heads_end_product() const {
    return sizes_.head_dim() % 4 == 0 && ends_product(layout_.layers.front().qkv);
  }
  /// Whether the layer's activation is at the end of its product.
  bool ends_product(const LinearPlace& linear) const {
    return row_product_takes(left_form(precision_), linear.in, linear.out, false);
  }
  /// Whether the gradient of the layer's input may end in a pass of ours.
  bool ends_gradient(const LinearPlace& linear) const {
    return row_product_takes(right_form(precision_), linear.out, linear.in, true);
  }

  /// p.operand = dropout(act(x W^T + b)); p.h keeps x W^T + b, or is scratch
  void activated_product(CudaStream stream, const std::byte* operands, const LinearPlace& linear,
                         Activation activation, const void* x, const ActivateParams& p) {
    if (ends_product(linear))
      return launch_product_activated(stream, activation, this->activation(x, p.rows, linear.in),
                                      weight(operands, linear), p);
    forward_product(stream, operands, linear, x, p.rows, p.h);
    launch_activate(stream, precision_, activation, p);
  }
  /// p.operand = dropout(grad W) act'(p.h), and grad_bias += its sums over rows. \param scratch [p.rows,
  /// linear.in]
  void slopes_product(CudaStream stream, const std::byte* operands, const LinearPlace& linear,
                      Activation activation, const void* grad, float* scratch, GradientRowsParams p,
                      PartialSums& sums, float* grad_bias) {
    if (ends_gradient(linear))
      return launch_product_to_slopes(stream, activation, gradient(grad, p.rows, linear.out),
                                      stacked_weight(operands, linear), p, sums, grad_bias);
    input_gradient(stream, operands, linear, grad, p.rows, scratch, false);
    p.grad = scratch;
    launch_gradient_rows(stream, precision_, activation, p, sums, grad_bias);
  }
  /// Floats of PartialSums that slopes_product takes.
  std::int64_t slopes_sums(const LinearPlace& linear, std::int64_t rows) const {
    return linear.in *
           (ends_gradient(linear) ? RowProductPolicy::row_tiles(rows) : RowPolicy::sum_blocks(rows));
  }

  /// Whether the gradient of attention's result, that of the input of `linear`, goes to attention packed.
  bool gradient_ends_in_heads(const LinearPlace& linear) const {
    return StoreGradientHeads<1>::takes(sizes_.head_dim()) && ends_gradient(linear);
  }
  /// \param workspace of backend::pair_attention_backward
  void gradient_heads_product(CudaStream stream, const std::byte* operands, const LinearPlace& linear,
                              const void* grad, std::int64_t rows, const float* y, void* workspace) const {
    const backend::PairAttentionSizes attention = attention_sizes();
    auto* const products = reinterpret_cast<float*>(static_cast<std::byte*>(workspace) +
                                                    backend::pair_operand_bytes(attention, rows));
    launch_product_to_gradient_heads(stream, gradient(grad, rows, linear.out),
                                     stacked_weight(operands, linear), attention, y, workspace, products);
  }

  /// out [rows, linear.out] = x W^T (+ b)
  void forward_product(CudaStream stream, const std::byte* operands, const LinearPlace& linear, const void* x,
                       std::int64_t rows, float* out, const float* bias = nullptr) {
    LinearProduct product{.form = GemmForm::nt,
                          .a = activation(x, rows, linear.in),
                          .b = weight(operands, linear),
                          .d = out,
                          .stride_d = linear.out};
    if (bias != nullptr) {
      product.epilogue = GemmEpilogue::bias;
      product.bias = bias;
    }
    linear_product(gemm_, stream, product);
  }
  /// into [rows, linear.in] (+)= grad W
  void input_gradient(CudaStream stream, const std::byte* operands, const LinearPlace& linear,
                      const void* grad, std::int64_t rows, float* into, bool accumulate) {
    linear_product(gemm_, stream,
                   {.form = GemmForm::nn,
                    .a = gradient(grad, rows, linear.out),
                    .b = stacked_weight(operands, linear),
                    .d = into,
                    .stride_d = linear.in,
                    .accumulate = accumulate});
  }
  /// into [linear.out, linear.in] += grad^T x
  void weight_gradient(CudaStream stream, const LinearPlace& linear, const void* grad, const void* x,
                       std::int64_t rows, float* into) {
    linear_product(gemm_, stream,
                   {.form = GemmForm::tn,
                    .a = gradient(grad, rows, linear.out),
                    .b = activation(x, rows, linear.in),
                    .d = into,
                    .stride_d = linear.in,
                    .accumulate = true});
  }

  static PackedDropout dropout(const Se2BatchView& batch, std::int64_t site, const DropoutRate& rate) {
    if (!rate.drops()) return {};
    return {batch.site_keys(site), batch.row_slice, batch.pairs.node_offsets, rate.threshold,
            static_cast<float>(rate.factor)};
  }
  backend::PairAttentionLayer attention_layer(const Se2BatchView& batch, const ForwardBuffers& b,
                                              std::int64_t l, const DropoutRates& rates) const {
    backend::PairAttentionLayer layer;
    layer.batch = batch.pairs;
    layer.layers = l + 1;
    for (std::size_t j = 0; j <= static_cast<std::size_t>(l); ++j) {
      layer.q[j] = b.layers[j].q;
      layer.k[j] = b.layers[j].k;
    }
    layer.v = b.layers[static_cast<std::size_t>(l)].v;
    layer.bias = batch.entries > 0 ? b.bias : nullptr;
    if (b.table != nullptr && batch.entries > 0) layer.table = b.table->view(b.places);
    if (rates.attention.drops())
      layer.dropout = {batch.site_keys(DropoutSites::attention(l)), rates.attention.threshold,
                       static_cast<float>(rates.attention.factor)};
    return layer;
  }

  /// Queues the whole pass. \param values, operands the weights
  void forward(CudaStream stream, const float* values, const std::byte* operands, const Se2BatchView& batch,
               const ForwardBuffers& b, const DropoutRates& rates = {});

 private:
  /// The junction after the part `part`, before the product that reads `operand`.
  void junction(CudaStream stream, const float* values, const Se2BatchView& batch, const ForwardBuffers& b,
                std::int64_t bias, const PackedDropout& dropped, const float* residual, float* z,
                const NormPlace* norm, void* operand, bool is_input = false) const;

  CudaSe2Sizes sizes_;
  Precision precision_;
  Se2Layout layout_;
  Gemm gemm_;
  std::vector<PackedLinear> packed_linears_;  // read by a copy until the constructor's stream is done
  DeviceArray<PackedLinear> device_linears_;
  std::int64_t largest_weight_ = 0;
};

inline void Se2Network::junction(CudaStream stream, const float* values, const Se2BatchView& batch,
                                 const ForwardBuffers& b, std::int64_t bias, const PackedDropout& dropped,
                                 const float* residual, float* z, const NormPlace* norm, void* operand,
                                 bool is_input) const {
  ResidualNormParams<float, PackedDropout> p;
  p.x = b.part;
  p.bias = values + bias;
  if (is_input) {
    p.type_table = values + layout_.types;
    p.types = batch.types;
  }
  p.residual = residual;
  p.dropout = dropped;
  p.out.sum = z;
  if (norm != nullptr) {
    p.out.gamma = values + norm->gamma;
    p.out.beta = values + norm->beta;
  }
  p.out.eps = static_cast<float>(sizes_.layer_norm_eps);
  p.out.y = sizes_.pre_layernorm ? nullptr : b.x;
  p.out.operand = operand;
  p.out.rows = batch.nodes;
  p.out.columns = sizes_.embedding_dim;
  launch_residual_norm(left_form(precision_), p, stream);
}

inline void Se2Network::forward(CudaStream stream, const float* values, const std::byte* operands,
                                const Se2BatchView& batch, const ForwardBuffers& b,
                                const DropoutRates& rates) {
  const std::int64_t n = batch.nodes, e = sizes_.embedding_dim, layers = sizes_.layers;
  const bool pre = sizes_.pre_layernorm;
  if (n == 0) return;

  // ---- the bias of every pair that is listed, and of the others
  if (b.table != nullptr) {
    b.table->launch(stream, batch.distances, batch.entries, b.places, b.bias);
  } else {
    backend::gaussian_bias_forward(stream, gaussian(values), batch.distances, batch.distance_entries.count,
                                   b.phi);
    backend::distance_bias_values(stream, batch.distance_entries, sizes_.heads, b.phi, b.bias, b.background);
  }

  // ---- input
  const auto keep_state = [&](std::int64_t number, const float* state) {
    if (b.hidden_states == nullptr) return;
    STOFM_CUDA_CHECK(cudaMemcpyAsync(b.hidden_states + number * n * e, state,
                                     static_cast<std::size_t>(n * e) * sizeof(float),
                                     cudaMemcpyDeviceToDevice, native(stream)));
  };
  launch_convert_rows(stream, left_form(precision_),
                      {batch.features, sizes_.input_dim, nullptr, b.features, n, sizes_.input_dim});
  forward_product(stream, operands, layout_.input, b.features, n, b.part);
  junction(stream, values, batch, b, layout_.input.bias, dropout(batch, DropoutSites::input, rates.hidden),
           nullptr, pre ? b.z_input : nullptr, pre ? &layout_.layers.front().attention_norm : nullptr,
           b.layers.front().x_operand, true);
  const float* residual = pre ? b.z_input : b.x;
  keep_state(0, residual);

  for (std::int64_t l = 0; l < layers; ++l) {
    const auto at = static_cast<std::size_t>(l);
    const LayerPlace& place = layout_.layers[at];
    const LayerBuffers& layer = b.layers[at];
    const bool last = l + 1 == layers;

    // ---- attention
    if (heads_end_product()) {
      launch_product_to_heads(stream, activation(layer.x_operand, n, e), weight(operands, place.qkv),
                              values + place.qkv.bias, attention_sizes(), layer.q, layer.k, layer.v);
    } else {
      forward_product(stream, operands, place.qkv, layer.x_operand, n, b.qkv, values + place.qkv.bias);
      const backend::PairPack packs[] = {{backend::PairOperand::query, b.qkv, 3 * e, layer.q},
                                         {backend::PairOperand::key, b.qkv + e, 3 * e, layer.k},
                                         {backend::PairOperand::value, b.qkv + 2 * e, 3 * e, layer.v}};
      backend::pair_attention_pack(stream, attention_sizes(), n, packs);
    }
    backend::PairAttentionForward attention;
    attention.layer = attention_layer(batch, b, l, rates);
    attention.y = layer.y;
    attention.y_stride = e;
    attention.y_operand = layer.y_operand;
    attention.log_sums = layer.log_sums;
    if (last && b.pair_values != nullptr && batch.pairs.pairs > 0) {
      attention.pair_values = b.pair_values;
      attention.background = b.table != nullptr ? b.table->background() : b.background;
    }
    backend::pair_attention_forward(stream, attention_sizes(), attention);
    forward_product(stream, operands, place.out, layer.y_operand, n, b.part);
    junction(stream, values, batch, b, place.out.bias, dropout(batch, DropoutSites::output(l), rates.hidden),
             residual, layer.z_attention, pre ? &place.ffn_norm : &place.attention_norm, layer.m_operand);
    if (pre) residual = layer.z_attention;

    // ---- feed-forward
    activated_product(
        stream, operands, place.fc1, sizes_.activation, layer.m_operand,
        {layer.hidden, values + place.fc1.bias, b.keep,
         dropout(batch, DropoutSites::activation(l), rates.activation), layer.a_operand, n, sizes_.ffn_dim});
    forward_product(stream, operands, place.fc2, layer.a_operand, n, b.part);
    const NormPlace* norm = !pre ? &place.ffn_norm : last ? nullptr : &layout_.layers[at + 1].attention_norm;
    junction(stream, values, batch, b, place.fc2.bias, dropout(batch, DropoutSites::ffn(l), rates.hidden),
             residual, layer.z_ffn, norm, last ? nullptr : b.layers[at + 1].x_operand);
    if (pre) residual = layer.z_ffn;
    keep_state(l + 1, residual);
  }
}

}  // namespace stofm::kernels::se2

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Losses of pretraining and the backward pass of the SE(2) Transformer as a list of launches on one stream.
/// From last to first: heads -> per layer (junction, fc2, activation, fc1, junction, output product, pair
/// attention, qkv) -> input -> distance bias. Gradients are added to one flat buffer of the parameters'
/// layout. The gradients of queries and keys of all layers stay until the pair attention of the first layer
/// that saw them is done. Nothing here allocates or waits. *Deterministic*. Formulas: the files of the
/// kernels, ops/pair_attention.hpp.

#include <algorithm>

#include "stofm/backend/cuda/gradients.hpp"
#include "stofm/kernels/model/se2_forward.cuh"
#include "stofm/kernels/model/se2_runtime.cuh"

namespace stofm::kernels::se2 {

/// Sizes of a batch.
struct TrainingCounts {
  std::int64_t nodes = 0, entries = 0;
  std::int64_t distances = 0;  ///< distinct ones, the far one included
  std::int64_t masked = 0, pairs = 0;
};

/// Device memory of a step.
struct TrainingBuffers {
  TrainingCounts counts;
  ForwardBuffers forward;
  // Heads
  void* head_rows = nullptr;     // operand [m, E]
  float* head_hidden = nullptr;  // [m, E]
  void* head_active = nullptr;   // operand [m, E]
  float* head_output = nullptr;  // [m, C] predictions, then their gradients
  void* head_grad = nullptr;     // operand [m, C]
  void* head_slopes = nullptr;   // operand [m, E]
  float* head_part = nullptr;    // [m, E]
  double* row_loss = nullptr;    // [m]
  double* pair_loss = nullptr;   // [blocks]
  double* pair_b0 = nullptr;     // [blocks, H]
  // Backward
  float *grad = nullptr, *grad_part = nullptr;  // [N, E] of the residual stream; of a part
  void* grad_operand = nullptr;                 // operand [N, 3 E]
  void* grad_wide_operand = nullptr;            // operand [N, F]
  float* grad_wide = nullptr;                   // [N, F], unless the product of fc2 ends in slopes
  std::vector<float*> grad_qkv;                 // per layer [N, 3 E]
  float *grad_bias = nullptr, *grad_background = nullptr, *grad_phi = nullptr;
  void *attention_work = nullptr, *distance_work = nullptr, *gaussian_work = nullptr;
  float* partial = nullptr;  // room of sums over rows
  std::int64_t partial_floats = 0;
};

inline TrainingBuffers carve_training(const Se2Network& network, Arena& arena, const TrainingCounts& n) {
  const CudaSe2Sizes& s = network.sizes();
  const Se2Layout& at = network.layout();
  const std::int64_t e = s.embedding_dim, f = s.ffn_dim, c = s.input_dim, h = s.heads;
  const OperandForm form = left_form(network.precision());
  const auto operand = [&](std::int64_t rows, std::int64_t columns) {
    return arena.bytes(kernels::operand_bytes(form, rows, columns));
  };
  const auto floats = [&](std::int64_t count) { return arena.take<float>(count); };
  const backend::PairAttentionSizes attention = network.attention_sizes();
  const std::int64_t packed = backend::pair_operand_bytes(attention, n.nodes);
  TrainingBuffers b;
  b.counts = n;
  b.forward.features = operand(n.nodes, c);
  b.forward.x = floats(n.nodes * e);
  b.forward.z_input = s.pre_layernorm ? floats(n.nodes * e) : nullptr;
  b.forward.part = floats(n.nodes * e);
  b.forward.qkv = network.heads_end_product() ? nullptr : floats(n.nodes * 3 * e);
  b.forward.phi = floats(n.distances * h);
  b.forward.bias = floats(n.entries * h);
  b.forward.background = floats(h);
  b.forward.pair_values = n.pairs > 0 ? floats(n.pairs * h) : nullptr;
  b.forward.keep = true;
  for (std::int64_t l = 0; l < s.layers; ++l) {
    LayerBuffers layer;
    layer.q = arena.bytes(packed);
    layer.k = arena.bytes(packed);
    layer.v = arena.bytes(packed);
    layer.y = floats(n.nodes * e);
    layer.log_sums = floats(n.nodes * h);
    layer.hidden = floats(n.nodes * f);
    layer.x_operand = operand(n.nodes, e);
    layer.y_operand = layer.y;  // where that is the form of operands
    if (form != OperandForm::float32) layer.y_operand = operand(n.nodes, e);
    layer.m_operand = operand(n.nodes, e);
    layer.a_operand = operand(n.nodes, f);
    layer.z_attention = floats(n.nodes * e);
    layer.z_ffn = floats(n.nodes * e);
    b.forward.layers.push_back(layer);
    b.grad_qkv.push_back(floats(n.nodes * 3 * e));
  }
  b.head_rows = operand(n.masked, e);
  b.head_hidden = floats(n.masked * e);
  b.head_active = operand(n.masked, e);
  b.head_output = floats(n.masked * c);
  b.head_grad = operand(n.masked, c);
  b.head_slopes = operand(n.masked, e);
  b.head_part = floats(n.masked * e);
  b.row_loss = arena.take<double>(n.masked);
  b.pair_loss = arena.take<double>(PairHeadPolicy::most_blocks);
  b.pair_b0 = arena.take<double>(PairHeadPolicy::most_blocks * h);
  b.grad = floats(n.nodes * e);
  b.grad_part = floats(n.nodes * e);
  b.grad_operand = operand(n.nodes, 3 * e);
  b.grad_wide_operand = operand(n.nodes, f);
  if (!network.ends_gradient(at.layers.front().fc2)) b.grad_wide = floats(n.nodes * f);
  b.grad_bias = floats(n.entries * h);
  b.grad_background = floats(h);
  b.grad_phi = floats(n.distances * h);
  b.attention_work = arena.bytes(backend::pair_attention_backward_bytes(attention, n.nodes));
  b.distance_work = arena.bytes(backend::distance_bias_gradient_bytes(h, n.distances));
  b.gaussian_work = arena.bytes(backend::gaussian_bias_backward_bytes(s.gaussians, h, n.distances));
  // All sums of a step wait together: two norms, fc1 and qkv of each layer; input and types; the heads.
  b.partial_floats = RowPolicy::sum_blocks(n.nodes) * (s.layers * 9 + 7) * e +
                     s.layers * network.slopes_sums(at.layers.front().fc2, n.nodes) +
                     RowPolicy::sum_blocks(n.masked) * c + network.slopes_sums(at.mask_output, n.masked) +
                     PairHeadPolicy::most_blocks * PairHeadPolicy::sums(h);
  b.partial = floats(b.partial_floats);
  return b;
}

/// One backward pass.
struct Se2Backward {
  Se2Network& network;
  CudaStream stream;
  const float* values;
  const std::byte* operands;
  float* gradients;
  const DropoutRates& rates;
  const Se2BatchView& batch;
  const TrainingBuffers& b;
  PartialSums sums{stream, b.partial, b.partial_floats};

  /// losses [2]: sums of both losses.
  void run(float masked_scale, float pair_scale, double* losses, const backend::GradientsReady& ready = {}) {
    const auto finish = [&](std::int64_t border) {
      if (!ready) return;
      sums.flush();
      ready(border);
    };
    heads(masked_scale, pair_scale, losses);
    if (batch.nodes == 0) return sums.flush();
    finish(layout().mask_hidden.weight);
    const bool pre = sizes().pre_layernorm;
    if (pre)  // what comes after the last layer has no norm: the part of fc2 takes the gradient of the stream
      junction(b.grad, nullptr, nullptr, nullptr, DropoutSites::ffn(sizes().layers - 1), nullptr,
               last_layer().fc2.bias);
    for (std::int64_t l = sizes().layers - 1; l >= 0; --l) {
      pre ? pre_norm_layer(l) : post_norm_layer(l);
      finish(layout().layers[static_cast<std::size_t>(l)].qkv.weight);
    }
    if (!pre)
      junction(b.grad, nullptr, nullptr, nullptr, DropoutSites::input, b.grad, layout().input.bias, true);
    network.weight_gradient(stream, layout().input, b.grad_operand, b.forward.features, batch.nodes,
                            gradients + layout().input.weight);
    launch_type_gradient(stream, {b.grad, batch.types, nullptr, batch.nodes, sizes().embedding_dim}, sums,
                         gradients + layout().types);
    distance_bias();
    finish(0);
    sums.flush();
  }
  /// losses [2] alone: no gradients.
  void evaluate(double* losses) {
    if (b.counts.masked > 0) cell_loss(0.0F);
    if (b.counts.pairs > 0) pair_loss(0.0F, nullptr);
    add_losses(losses, false);
  }

 private:
  const CudaSe2Sizes& sizes() const { return network.sizes(); }
  const Se2Layout& layout() const { return network.layout(); }
  const LayerPlace& last_layer() const { return layout().layers.back(); }

  /// Gradient of a junction: grad_operand is that of its part. \param bias offset of the part's bias
  void junction(const float* grad_y, const float* grad_stream, const float* z, const NormPlace* norm,
                std::int64_t site, float* grad_z, std::int64_t bias, bool drop_grad_z = false) {
    JunctionBackwardParams p;
    p.grad_y = grad_y;
    p.grad_stream = grad_stream;
    p.z = z;
    p.gamma = norm != nullptr ? values + norm->gamma : nullptr;
    p.eps = static_cast<float>(sizes().layer_norm_eps);
    p.dropout = Se2Network::dropout(batch, site, rates.hidden);
    p.grad_z = grad_z;
    p.drop_grad_z = drop_grad_z;
    p.operand = b.grad_operand;
    p.rows = batch.nodes;
    p.columns = sizes().embedding_dim;
    launch_junction_backward(stream, network.precision(), p, sums,
                             norm != nullptr ? gradients + norm->gamma : nullptr,
                             norm != nullptr ? gradients + norm->beta : nullptr, gradients + bias);
  }

  /// From grad_operand (of the part of fc2) to the gradient of the input of fc1.
  void feed_forward(std::int64_t l, float* into, bool accumulate) {
    const LayerPlace& place = layout().layers[static_cast<std::size_t>(l)];
    const LayerBuffers& layer = b.forward.layers[static_cast<std::size_t>(l)];
    const std::int64_t n = batch.nodes;
    network.weight_gradient(stream, place.fc2, b.grad_operand, layer.a_operand, n,
                            gradients + place.fc2.weight);
    network.slopes_product(
        stream, operands, place.fc2, sizes().activation, b.grad_operand, b.grad_wide,
        {nullptr, layer.hidden, Se2Network::dropout(batch, DropoutSites::activation(l), rates.activation),
         b.grad_wide_operand, nullptr, n, sizes().ffn_dim},
        sums, gradients + place.fc1.bias);
    network.weight_gradient(stream, place.fc1, b.grad_wide_operand, layer.m_operand, n,
                            gradients + place.fc1.weight);
    network.input_gradient(stream, operands, place.fc1, b.grad_wide_operand, n, into, accumulate);
  }

  /// From grad_operand (of the part of the output product) to the gradient of the input of q, k, v.
  void attention(std::int64_t l, float* into, bool accumulate) {
    const auto at = static_cast<std::size_t>(l);
    const LayerPlace& place = layout().layers[at];
    const LayerBuffers& layer = b.forward.layers[at];
    const std::int64_t n = batch.nodes, e = sizes().embedding_dim;
    const bool last = l + 1 == sizes().layers;
    network.weight_gradient(stream, place.out, b.grad_operand, layer.y_operand, n,
                            gradients + place.out.weight);
    backend::PairAttentionBackward args;
    args.prepared = network.gradient_ends_in_heads(place.out);
    if (args.prepared)
      network.gradient_heads_product(stream, operands, place.out, b.grad_operand, n, layer.y,
                                     b.attention_work);
    else
      network.input_gradient(stream, operands, place.out, b.grad_operand, n, b.forward.part, false);
    args.layer = network.attention_layer(batch, b.forward, l, rates);
    args.y = layer.y;
    args.y_stride = e;
    args.log_sums = layer.log_sums;
    args.grad_y = b.forward.part;
    args.grad_y_stride = e;
    args.grad_pairs = last && b.counts.pairs > 0 ? b.forward.pair_values : nullptr;
    for (std::size_t j = 0; j <= at; ++j) {
      args.grad_q[j] = b.grad_qkv[j];
      args.grad_k[j] = b.grad_qkv[j] + e;
    }
    args.grad_v = b.grad_qkv[at] + 2 * e;
    args.grad_stride = 3 * e;
    args.grad_bias = batch.entries > 0 ? b.grad_bias : nullptr;
    args.accumulate = !last;
    args.workspace = b.attention_work;
    backend::pair_attention_backward(stream, network.attention_sizes(), args);
    launch_gradient_rows(stream, network.precision(), Activation::identity,
                         {b.grad_qkv[at], nullptr, {}, b.grad_operand, nullptr, n, 3 * e}, sums,
                         gradients + place.qkv.bias);
    network.weight_gradient(stream, place.qkv, b.grad_operand, layer.x_operand, n,
                            gradients + place.qkv.weight);
    network.input_gradient(stream, operands, place.qkv, b.grad_operand, n, into, accumulate);
  }

  /// `grad` is the gradient of the layer's result, then of its input.
  void post_norm_layer(std::int64_t l) {
    const LayerPlace& place = layout().layers[static_cast<std::size_t>(l)];
    const LayerBuffers& layer = b.forward.layers[static_cast<std::size_t>(l)];
    junction(b.grad, nullptr, layer.z_ffn, &place.ffn_norm, DropoutSites::ffn(l), b.grad_part,
             place.fc2.bias);
    feed_forward(l, b.grad_part, true);
    junction(b.grad_part, nullptr, layer.z_attention, &place.attention_norm, DropoutSites::output(l), b.grad,
             place.out.bias);
    attention(l, b.grad, true);
  }
  /// `grad` is the gradient of the stream, and grad_operand that of the part of fc2.
  void pre_norm_layer(std::int64_t l) {
    const auto at = static_cast<std::size_t>(l);
    const LayerPlace& place = layout().layers[at];
    const LayerBuffers& layer = b.forward.layers[at];
    feed_forward(l, b.grad_part, false);
    junction(b.grad_part, b.grad, layer.z_attention, &place.ffn_norm, DropoutSites::output(l), b.grad,
             place.out.bias);
    attention(l, b.grad_part, false);
    const bool first = l == 0;
    junction(b.grad_part, b.grad, first ? b.forward.z_input : b.forward.layers[at - 1].z_ffn,
             &place.attention_norm, first ? DropoutSites::input : DropoutSites::ffn(l - 1), b.grad,
             first ? layout().input.bias : layout().layers[at - 1].fc2.bias, first);
  }

  /// Leaves scaled gradients of the predictions in `head_output`.
  void cell_loss(float scale) {
    const LinearPlace &hidden = layout().mask_hidden, &output = layout().mask_output;
    const std::int64_t m = b.counts.masked, e = sizes().embedding_dim, c = sizes().input_dim;
    const float* state =
        sizes().pre_layernorm ? b.forward.layers.back().z_ffn : static_cast<const float*>(b.forward.x);
    launch_convert_rows(stream, left_form(network.precision()),
                        {state, e, batch.masked_nodes, b.head_rows, m, e});
    network.activated_product(stream, operands, hidden, Activation::relu, b.head_rows,
                              {b.head_hidden, values + hidden.bias, true, {}, b.head_active, m, e});
    network.forward_product(stream, operands, output, b.head_active, m, b.head_output, values + output.bias);
    launch_cosine(stream, {b.head_output, batch.masked_targets, b.row_loss, scale, m, c});
  }
  /// Leaves scaled gradients of the logits in `pair_values`. \param into gradients of the pair head, or null
  void pair_loss(float scale, float* into) {
    const std::int64_t p = b.counts.pairs, h = sizes().heads;
    const float* const head = values + layout().pair_head;
    launch_pair_head(
        stream,
        {b.forward.pair_values, batch.pair_targets, head, head + h * h, head + h * h + h,
         head + h * h + 2 * h, scale, b.forward.pair_values, nullptr, b.pair_loss, b.pair_b0, p, h},
        sums, into);
  }
  /// \param background whether its gradient is wanted too
  void add_losses(double* losses, bool background) const {
    launch_head_sums(stream, {b.row_loss, b.pair_loss, losses, b.counts.masked,
                              PairHeadPolicy::blocks(b.counts.pairs), b.pair_b0, values + layout().pair_head,
                              background ? b.grad_background : nullptr, sizes().heads});
  }

  void heads(float masked_scale, float pair_scale, double* losses) {
    const std::int64_t m = b.counts.masked, p = b.counts.pairs, e = sizes().embedding_dim,
                       c = sizes().input_dim;
    STOFM_CUDA_CHECK(cudaMemsetAsync(b.grad, 0, static_cast<std::size_t>(batch.nodes * e) * sizeof(float),
                                     native(stream)));
    if (m > 0) {
      const LinearPlace &hidden = layout().mask_hidden, &output = layout().mask_output;
      cell_loss(masked_scale);
      launch_gradient_rows(stream, network.precision(), Activation::identity,
                           {b.head_output, nullptr, {}, b.head_grad, nullptr, m, c}, sums,
                           gradients + output.bias);
      network.weight_gradient(stream, output, b.head_grad, b.head_active, m, gradients + output.weight);
      network.slopes_product(stream, operands, output, Activation::relu, b.head_grad, b.head_part,
                             {nullptr, b.head_hidden, {}, b.head_slopes, nullptr, m, e}, sums,
                             gradients + hidden.bias);
      network.weight_gradient(stream, hidden, b.head_slopes, b.head_rows, m, gradients + hidden.weight);
      network.input_gradient(stream, operands, hidden, b.head_slopes, m, b.head_part, false);
      launch_scatter_rows(stream, {b.grad, batch.masked_nodes, b.head_part, m, e});
    }
    if (p > 0) pair_loss(pair_scale, gradients + layout().pair_head);
    add_losses(losses, p > 0);
  }

  void distance_bias() const {
    const std::int64_t h = sizes().heads;
    backend::distance_bias_gradient(stream, batch.distance_entries, h, b.grad_bias,
                                    b.counts.pairs > 0 ? b.grad_background : nullptr, b.grad_phi,
                                    b.distance_work);
    const Se2Layout& at = layout();
    backend::gaussian_bias_backward(
        stream, network.gaussian(values), batch.distances, batch.distance_entries.count, b.grad_phi,
        {gradients + at.gaussian_w, gradients + at.gaussian_b, gradients + at.means, gradients + at.stds,
         gradients + at.w1, gradients + at.b1, gradients + at.w2, gradients + at.b2},
        b.gaussian_work);
  }
};

}  // namespace stofm::kernels::se2

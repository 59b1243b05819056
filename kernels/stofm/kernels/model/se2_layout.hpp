// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where every parameter of the SE(2) Transformer (and of the heads of pretraining) lies in one flat float32
/// buffer; gradients and moments have the same layout. Host C++. Queries, keys and values of a layer lie one
/// after the other, so that one product makes all three; so do the four parameters of the pair head.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "stofm/backend/cuda/se2_encoder.hpp"
#include "stofm/core/error.hpp"
#include "stofm/kernels/gemm/problem.hpp"
#include "stofm/kernels/optimizer/policy.hpp"

namespace stofm::kernels::se2 {

using backend::CudaSe2Sizes;

/// A linear layer in the buffers.
struct LinearPlace {
  std::int64_t weight = 0, bias = 0;  ///< offsets, [out, in] and [out]
  std::int64_t out = 0, in = 0;
  std::int64_t operand = 0;   ///< byte offset in the buffer of operand forms
  std::int64_t stacked = -1;  ///< of the form that gradients of inputs read; -1: the same as `operand`
};
struct NormPlace {
  std::int64_t gamma = 0, beta = 0;
};
struct LayerPlace {
  LinearPlace qkv, out, fc1, fc2;
  NormPlace attention_norm, ffn_norm;
};

class Se2Layout {
 public:
  /// \param heads those of pretraining, and the operands of its gradients
  Se2Layout(const CudaSe2Sizes& s, Precision precision, bool heads)
      : form_(right_form(precision)), stacks_(heads && is_split(form_)) {
    const std::int64_t e = s.embedding_dim, h = s.heads, k = s.gaussians;
    input = linear({"embedding_layer"}, e, s.input_dim);
    types = add("token_type_embeddings.weight", 4 * e);
    gaussian_w = add("gaussian.linear.weight", 1);
    gaussian_b = add("gaussian.linear.bias", 1);
    means = add("gaussian.means.weight", k);
    stds = add("gaussian.stds.weight", k);
    w1 = add("gaussian.proj.0.weight", k * k);
    b1 = add("gaussian.proj.0.bias", k);
    w2 = add("gaussian.proj.2.weight", h * k);
    b2 = add("gaussian.proj.2.bias", h);
    for (std::int64_t l = 0; l < s.layers; ++l) {
      const std::string name = concat("encoder.layers.", l, ".");
      LayerPlace layer;
      layer.qkv =
          linear({name + "self_attn.q_proj", name + "self_attn.k_proj", name + "self_attn.v_proj"}, e, e);
      layer.out = linear({name + "self_attn.out_proj"}, e, e);
      layer.fc1 = linear({name + "fc1"}, s.ffn_dim, e);
      layer.fc2 = linear({name + "fc2"}, e, s.ffn_dim);
      layer.attention_norm = norm(name + "self_attn_layer_norm", e);
      layer.ffn_norm = norm(name + "final_layer_norm", e);
      layers.push_back(layer);
    }
    if (!heads) return;
    mask_hidden = linear({"lm_head.0"}, e, e);
    mask_output = linear({"lm_head.2"}, s.input_dim, e);
    align();
    pair_head = total_;
    place("pair_head.0.weight", h * h);
    place("pair_head.0.bias", h);
    place("pair_head.2.weight", h);
    place("pair_head.2.bias", 1);
  }

  LinearPlace input, mask_hidden, mask_output;
  std::int64_t types = 0, gaussian_w = 0, gaussian_b = 0, means = 0, stds = 0, w1 = 0, b1 = 0, w2 = 0, b2 = 0;
  std::int64_t pair_head = 0;  ///< W0, b0, w2, b2 one after the other
  std::vector<LayerPlace> layers;

  /// Floats of the buffer; gaps are zeros and stay zeros.
  std::int64_t total() const { return (total_ + unit - 1) / unit * unit; }
  /// Bytes of all weights in the form of products.
  std::int64_t operand_bytes() const { return operand_bytes_; }
  OperandForm operand_form() const { return form_; }
  const std::vector<ParameterPlace>& parameters() const { return parameters_; }
  /// Between which backward finishes gradients, from the last stretch to the first (backend::CudaGradients):
  /// what comes before the layers, each layer, the heads.
  std::vector<std::int64_t> gradient_borders() const {
    std::vector<std::int64_t> borders{0};
    for (const LayerPlace& layer : layers) borders.push_back(layer.qkv.weight);
    if (mask_hidden.out > 0) borders.push_back(mask_hidden.weight);
    borders.push_back(total());
    return borders;
  }
  const std::vector<LinearPlace>& linears() const { return linears_; }

 private:
  static constexpr std::int64_t unit = 64;  // floats: 256 bytes
  void align() { total_ = (total_ + unit - 1) / unit * unit; }
  std::int64_t place(const std::string& name, std::int64_t count) {
    parameters_.push_back({name, total_, count});
    total_ += count;
    return parameters_.back().offset;
  }
  std::int64_t add(const std::string& name, std::int64_t count) {
    align();
    return place(name, count);
  }
  /// Layers of one input side by side.
  LinearPlace linear(const std::vector<std::string>& names, std::int64_t out, std::int64_t in) {
    LinearPlace result{.out = out * static_cast<std::int64_t>(names.size()), .in = in};
    align();
    result.weight = total_;
    for (const std::string& name : names) place(name + ".weight", out * in);
    align();
    result.bias = total_;
    for (const std::string& name : names) place(name + ".bias", out);
    const std::int64_t bytes = (kernels::operand_bytes(form_, result.out, in) + 255) / 256 * 256;
    result.operand = operand_bytes_;
    operand_bytes_ += bytes;
    if (stacks_) {
      result.stacked = operand_bytes_;
      operand_bytes_ += bytes;
    }
    linears_.push_back(result);
    return result;
  }
  NormPlace norm(const std::string& name, std::int64_t width) {
    const std::int64_t gamma = add(name + ".weight", width);
    return {gamma, add(name + ".bias", width)};
  }

  OperandForm form_;
  bool stacks_;
  std::int64_t total_ = 0, operand_bytes_ = 0;
  std::vector<ParameterPlace> parameters_;
  std::vector<LinearPlace> linears_;
};

}  // namespace stofm::kernels::se2

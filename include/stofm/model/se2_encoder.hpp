// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The SE(2) Transformer, inference: nodes of one sub-slice in, their hidden states out.
///   x_0 = F W_in^T + b_in + type embedding
///   layer l: S_l = (Q/sqrt(d)) K^T + P_(l-1), P_0 = Phi(D), P_l = S_l; x += softmax(S_l) V W_o^T; x +=
///   FFN(x)
/// with LayerNorm after (post-LN) or before (pre-LN) each part. P_l = P_0 + sum_{j<=l} Q_j K_j^T, so no N x N
/// buffer is kept: attention sees constant + listed entries + concatenated queries and keys. *Source* SPEC
/// section 5, identities 1 and 3.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/model/config.hpp"
#include "stofm/model/distance_bias/distance_bias.hpp"
#include "stofm/model/node_rows.hpp"
#include "stofm/model/parameter_lists.hpp"
#include "stofm/model/transformer_parts.hpp"
#include "stofm/ops/layer_norm.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/pair_attention.hpp"
#include "stofm/ops/pair_distances.hpp"

namespace stofm::model {

/// What a forward pass returns besides the last hidden state.
struct Se2ForwardOptions {
  bool hidden_states = false;  ///< the input of every layer, and the output
  bool pair_rep = false;       ///< P_L, [N, N, H]: O(N^2) memory
  bool gaussian_bias = false;  ///< Phi(D), [H, N, N]: O(N^2) memory
};

/// Rows of padded nodes are zero in every result; so are the columns of padded keys in `pair_rep`.
template <Real T>
struct Se2Output {
  Tensor<T> last_hidden_state;           ///< [N, E]
  std::vector<Tensor<T>> hidden_states;  ///< L + 1 of [N, E]; empty unless asked for
  Tensor<T> pair_rep;                    ///< [N, N, H]; [0] unless asked for
  Tensor<T> gaussian_bias;               ///< [H, N, N]; [0] unless asked for
};

/// How the model is built.
struct Se2EncoderOptions {
  ParameterOptions parameters = {};
  DistanceBiasOptions distance_bias = {};
  MatmulGrade grade = MatmulGrade::float32;  ///< of the products inside linear layers and attention
};

/// A const Se2Encoder may be used by several threads at once.
template <Real T>
class Se2Encoder {
 public:
  /// \throws as Se2Config::validate() and check_parameters(). *Cost* a copy of the q, k, v weights, and the
  /// bias table.
  Se2Encoder(const Se2Config& config, const NamedTensors<T>& weights, const Se2EncoderOptions& options = {});

  const Se2Config& config() const { return config_; }
  const NamedTensors<T>& parameters() const { return parameters_; }
  const ParameterReport& report() const { return report_; }
  const DistanceBias<T>& distance_bias() const { return distance_bias_; }

  /// One sub-slice.
  /// \param token_embeddings [N, input_dim], rows may be strided
  /// \param distances of the N nodes; listed entries may be in any pattern
  /// \param token_types [N], values of NodeType; padding may stand anywhere and takes no part
  /// \throws ShapeError if the sizes do not fit; DataError for a bad type or distance.
  /// *Deterministic* the same bits on any number of threads.
  Se2Output<T> forward(TensorView<const T> token_embeddings, const PairDistances& distances,
                       std::span<const std::int32_t> token_types,
                       const Se2ForwardOptions& options = {}) const;

 private:
  using Norm = detail::NormParameters<T>;
  struct Layer {
    ops::PackedLinear<T> qkv;  // E -> 3E, the query rows already scaled by 1/sqrt(head_dim)
    ops::PackedLinear<T> out, fc1, fc2;
    Norm attention_norm, ffn_norm;
  };
  Layer make_layer(std::int64_t l) const;
  void check_input(TensorView<const T> token_embeddings, const PairDistances& distances,
                   std::span<const std::int32_t> token_types) const;
  /// No padding from here on.
  Se2Output<T> forward_nodes(TensorView<const T> token_embeddings, const PairDistances& distances,
                             std::span<const std::int32_t> token_types,
                             const Se2ForwardOptions& options) const;

  Se2Config config_;
  NamedTensors<T> parameters_;
  ParameterReport report_;
  ops::Activation activation_;
  MatmulGrade grade_;
  DistanceBias<T> distance_bias_;
  ops::PackedLinear<T> input_;
  Tensor<T> type_embedding_;
  std::vector<Layer> layers_;
};

template <Real T>
Se2Encoder<T>::Se2Encoder(const Se2Config& config, const NamedTensors<T>& weights,
                          const Se2EncoderOptions& options)
    : config_(config),
      report_(
          check_parameters<T>(parameter_list(config), weights, is_unused_se2_parameter, options.parameters)),
      activation_(detail::activation_of(config.activation_fn)),
      grade_(options.grade),
      distance_bias_(weights, options.distance_bias) {
  parameters_ = detail::select_parameters(parameter_list(config), weights);
  input_ = detail::linear_of(parameters_, "embedding_layer", grade_);
  type_embedding_ = parameters_.at("token_type_embeddings.weight").contiguous();
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) layers_.push_back(make_layer(l));
}

template <Real T>
typename Se2Encoder<T>::Layer Se2Encoder<T>::make_layer(std::int64_t l) const {
  const std::string name = concat("encoder.layers.", l, ".");
  Layer layer;
  layer.qkv = detail::stacked_qkv(parameters_, name + "self_attn.", {"q_proj", "k_proj", "v_proj"},
                                  1.0 / std::sqrt(static_cast<double>(config_.head_dim())), grade_);
  layer.out = detail::linear_of(parameters_, name + "self_attn.out_proj", grade_);
  layer.fc1 = detail::linear_of(parameters_, name + "fc1", grade_);
  layer.fc2 = detail::linear_of(parameters_, name + "fc2", grade_);
  layer.attention_norm = detail::norm_of(parameters_, name + "self_attn_layer_norm");
  layer.ffn_norm = detail::norm_of(parameters_, name + "final_layer_norm");
  return layer;
}

template <Real T>
void Se2Encoder<T>::check_input(TensorView<const T> token_embeddings, const PairDistances& distances,
                                std::span<const std::int32_t> token_types) const {
  const auto nodes = static_cast<std::int64_t>(token_types.size());
  if (token_embeddings.rank() != 2 || token_embeddings.dim(0) != nodes ||
      token_embeddings.dim(1) != config_.input_dim || (nodes > 0 && token_embeddings.stride(1) != 1))
    throw ShapeError(
        {"STOFM-1325", "", "[Se2Encoder::forward] token_embeddings", to_string(token_embeddings.shape),
         concat("[", nodes, ", ", config_.input_dim, "] with dense rows (one per token type, input_dim)"),
         "Give one embedding per node."});
  detail::check_nodes("[Se2Encoder::forward]", distances, token_types);
}

template <Real T>
Se2Output<T> Se2Encoder<T>::forward(TensorView<const T> token_embeddings, const PairDistances& distances,
                                    std::span<const std::int32_t> token_types,
                                    const Se2ForwardOptions& options) const {
  check_input(token_embeddings, distances, token_types);
  const auto nodes = static_cast<std::int64_t>(token_types.size());
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < nodes; ++i)
    if (token_types[static_cast<std::size_t>(i)] != static_cast<std::int32_t>(NodeType::padding))
      kept.push_back(i);
  if (static_cast<std::int64_t>(kept.size()) == nodes && nodes > 0) {
    auto output = forward_nodes(token_embeddings, distances, token_types, options);
    if (options.gaussian_bias) output.gaussian_bias = detail::dense_bias(distance_bias_, distances);
    return output;
  }

  // Leave padded nodes out, compute, and put zero rows in their places.
  const auto real = static_cast<std::int64_t>(kept.size());
  Tensor<T> embeddings({real, config_.input_dim});
  std::vector<std::int32_t> types;
  for (std::int64_t i = 0; i < real; ++i) {
    const std::int64_t from = kept[static_cast<std::size_t>(i)];
    std::copy_n(token_embeddings.row(from), config_.input_dim, embeddings.data() + i * config_.input_dim);
    types.push_back(token_types[static_cast<std::size_t>(from)]);
  }
  Se2Output<T> inner;
  if (real > 0) {
    inner =
        forward_nodes(std::as_const(embeddings).view(), detail::restrict_to(distances, kept), types, options);
  } else {
    inner.last_hidden_state = Tensor<T>({0, config_.embedding_dim});
    if (options.hidden_states)
      inner.hidden_states.assign(static_cast<std::size_t>(config_.num_hidden_layers) + 1,
                                 inner.last_hidden_state);
  }
  Se2Output<T> output;
  output.last_hidden_state = detail::spread_rows(inner.last_hidden_state, kept, nodes);
  for (const Tensor<T>& state : inner.hidden_states)
    output.hidden_states.push_back(detail::spread_rows(state, kept, nodes));
  if (options.pair_rep) {
    const std::int64_t heads = config_.num_attention_heads;
    output.pair_rep = Tensor<T>::zeros({nodes, nodes, heads});
    for (std::int64_t i = 0; i < real; ++i)
      for (std::int64_t j = 0; j < real; ++j)
        std::copy_n(
            inner.pair_rep.data() + (i * real + j) * heads, heads,
            output.pair_rep.data() +
                (kept[static_cast<std::size_t>(i)] * nodes + kept[static_cast<std::size_t>(j)]) * heads);
  }
  if (options.gaussian_bias) output.gaussian_bias = detail::dense_bias(distance_bias_, distances);
  return output;
}

template <Real T>
Se2Output<T> Se2Encoder<T>::forward_nodes(TensorView<const T> token_embeddings,
                                          const PairDistances& distances,
                                          std::span<const std::int32_t> token_types,
                                          const Se2ForwardOptions& options) const {
  const std::int64_t n = distances.nodes, e = config_.embedding_dim;
  const bool pre = config_.pre_layernorm;
  Se2Output<T> output;

  Tensor<T> x({n, e}), y({n, e}), part({n, e}), qkv({n, 3 * e}), wide({n, config_.ffn_embedding_dim});
  input_.apply_into(x.view(), token_embeddings, {.grade = grade_});
  for (std::int64_t i = 0; i < n; ++i) {
    const T* type = type_embedding_.data() + token_types[static_cast<std::size_t>(i)] * e;
    T* row = x.data() + i * e;
    for (std::int64_t c = 0; c < e; ++c) row[c] += type[c];
  }

  ops::PairAttention<T> attention(config_.num_attention_heads, config_.head_dim(),
                                  distance_bias_.pair_bias(distances), {.grade = grade_});
  const auto normalise = [&](Tensor<T>& out, const Tensor<T>& in, const Norm& by) {
    ops::layer_norm_into<T>(out.view(), in.view(), by.weight.view(), by.bias.view(), config_.layer_norm_eps);
  };
  // x becomes x + part (pre-LN) or LN(x + part).
  const auto add = [&](const Norm& by) {
    if (pre) {
      T* sum = x.data();
      const T* term = part.data();
      for (std::int64_t i = 0; i < n * e; ++i) sum[i] += term[i];
    } else {
      ops::add_layer_norm_into<T>(y.view(), std::as_const(part).view(), std::as_const(x).view(),
                                  by.weight.view(), by.bias.view(), config_.layer_norm_eps);
      std::swap(x, y);
    }
  };
  for (const Layer& layer : layers_) {
    if (options.hidden_states) output.hidden_states.push_back(x.clone());
    if (pre) normalise(y, x, layer.attention_norm);
    layer.qkv.apply_into(qkv.view(), std::as_const(pre ? y : x).view(), {.grade = grade_});
    const Tensor<T> q = qkv.slice(1, 0, e), k = qkv.slice(1, e, 2 * e), v = qkv.slice(1, 2 * e, 3 * e);
    attention.append(q.view(), k.view());
    attention.attend_into(part.view(), v.view());
    // `y` is free again: the output projection can not write over its own input.
    layer.out.apply_into(y.view(), std::as_const(part).view(), {.grade = grade_});
    std::swap(part, y);
    add(layer.attention_norm);

    if (pre) normalise(y, x, layer.ffn_norm);
    layer.fc1.apply_into(wide.view(), std::as_const(pre ? y : x).view(),
                         {.activation = activation_, .grade = grade_});
    layer.fc2.apply_into(part.view(), std::as_const(wide).view(), {.grade = grade_});
    add(layer.ffn_norm);
  }
  if (options.hidden_states) output.hidden_states.push_back(x.clone());
  if (options.pair_rep) {
    output.pair_rep = Tensor<T>({n, n, config_.num_attention_heads});
    constexpr std::int64_t block = 64;
    for (std::int64_t begin = 0; begin < n; begin += block) {
      const std::int64_t end = (std::min)(n, begin + block);
      std::vector<std::int64_t> rows;
      for (std::int64_t i = begin; i < end; ++i) rows.push_back(i);
      const Tensor<T> logits = attention.pair_rows(rows);
      std::copy_n(logits.data(), logits.numel(),
                  output.pair_rep.data() + begin * n * config_.num_attention_heads);
    }
  }
  output.last_hidden_state = std::move(x);
  return output;
}

STOFM_INSTANCE(class Se2Encoder<float>)

}  // namespace stofm::model

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The SE(2) Transformer on a tape: the forward pass of model/se2_encoder.hpp, differentiable by every
/// parameter and by the node features, with the dropout of the published training:
///   x_0 = dropout(F W_in^T + b_in + type embedding)
///   x += dropout(attention_l(x) W_o^T + b_o);  x += dropout(fc2(dropout'(act(fc1 x)))), LayerNorm before or
///   after each
/// and dropout'' on the attention weights. Pair states are never stored: see
/// autograd/rules/pair_attention.hpp. *Source* SPEC section 5; places of dropout: the authors' released
/// model.

#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/pair_attention.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/model/distance_bias/distance_bias_training.hpp"
#include "stofm/model/node_rows.hpp"
#include "stofm/model/parameter_lists.hpp"
#include "stofm/model/transformer_parts.hpp"
#include "stofm/nn/dropout.hpp"
#include "stofm/nn/modules.hpp"

namespace stofm::model {

struct Se2ForwardTraining {
  bool dropout = false;  ///< false: as inference, whatever the configuration says
  RandomKey key = {};    ///< names every mask; another one for each sample and step
};

template <Real T>
struct Se2TrainingOutput {
  autograd::Variable<T> last_hidden;  ///< [N, E]; rows of padded nodes are zero
  /// Pair states after the last layer, between the nodes that are not padding.
  std::shared_ptr<const autograd::PairAttentionGraph<T>> pairs;
  std::vector<std::int64_t> position;  ///< [N] number of each node in `pairs`, -1 for padding
};

/// Holds no values: the parameters are those of the set, by the names of the released checkpoints behind
/// `prefix`.
template <Real T>
class Se2Trainer {
 public:
  /// `parameters` must outlive it. \throws as Se2Config::validate() and check_parameters().
  Se2Trainer(const Se2Config& config, autograd::ParameterSet<T>& parameters, std::string prefix = "",
             const GaussianBiasOptions& bias = {})
      : config_(config),
        parameters_(parameters),
        prefix_(std::move(prefix)),
        bias_(bias),
        activation_(detail::activation_of(config.activation_fn)) {
    check_parameters<T>(parameter_list(config), parameters.values(prefix_),
                        [](const std::string&) { return true; }, {.prefix = prefix_});
  }

  const Se2Config& config() const { return config_; }
  const std::string& prefix() const { return prefix_; }
  autograd::ParameterSet<T>& parameters() const { return parameters_; }

  /// One sub-slice. *Shapes* features: [N, input_dim] (may need a gradient), distances over N nodes,
  /// token_types: [N] of NodeType; padding may stand anywhere and takes no part. \throws ShapeError,
  /// DataError for a bad type or distance. *Saved* about 12 N E numbers a layer, 2 H numbers per listed pair,
  /// and what attention keeps. *Deterministic* the same bits on any number of threads, also of gradients.
  Se2TrainingOutput<T> forward(autograd::Tape<T>& tape, const autograd::Variable<T>& features,
                               const PairDistances& distances, std::span<const std::int32_t> token_types,
                               const Se2ForwardTraining& options = {}) const;

 private:
  using Variable = autograd::Variable<T>;
  void check_input(const Variable& features, const PairDistances& distances,
                   std::span<const std::int32_t> token_types) const;
  /// No padding from here on.
  Se2TrainingOutput<T> forward_nodes(autograd::Tape<T>& tape, const Variable& features,
                                     const PairDistances& distances,
                                     std::span<const std::int32_t> token_types,
                                     const Se2ForwardTraining& options) const;

  Variable at(autograd::Tape<T>& tape, const std::string& name) const {
    return tape.parameter(parameters_.at(prefix_ + name));
  }
  Variable linear(autograd::Tape<T>& tape, const Variable& x, const std::string& name) const {
    return nn::Linear<T>(parameters_, prefix_ + name)(tape, x);
  }

  Se2Config config_;
  autograd::ParameterSet<T>& parameters_;
  std::string prefix_;
  GaussianBiasOptions bias_;
  ops::Activation activation_;
};

namespace detail {

/// Rows of x at `kept` of a zero [nodes, C].
template <Real T>
autograd::Variable<T> spread_rows(const autograd::Variable<T>& x, const std::vector<std::int64_t>& kept,
                                  std::int64_t nodes) {
  return autograd::record<T>("spread_rows", spread_rows<T>(x.value(), kept, nodes), {x},
                             [kept](const Tensor<T>& grad_y, autograd::Gradients<T>& into) {
                               into.add_owned(0, ops::gather_rows<T, std::int64_t>(grad_y, kept));
                             });
}

}  // namespace detail

template <Real T>
void Se2Trainer<T>::check_input(const Variable& features, const PairDistances& distances,
                                std::span<const std::int32_t> token_types) const {
  const auto nodes = static_cast<std::int64_t>(token_types.size());
  if (!(features.shape() == Shape{nodes, config_.input_dim}))
    throw ShapeError({"STOFM-1325", "", "[Se2Trainer::forward] features", to_string(features.shape()),
                      concat("[", nodes, ", ", config_.input_dim, "] (one per token type, input_dim)"),
                      "Give one embedding per node."});
  detail::check_nodes("[Se2Trainer::forward]", distances, token_types);
}

template <Real T>
Se2TrainingOutput<T> Se2Trainer<T>::forward(autograd::Tape<T>& tape, const Variable& features,
                                            const PairDistances& distances,
                                            std::span<const std::int32_t> token_types,
                                            const Se2ForwardTraining& options) const {
  check_input(features, distances, token_types);
  const auto nodes = static_cast<std::int64_t>(token_types.size());
  std::vector<std::int64_t> kept, position(token_types.size(), -1);
  std::vector<std::int32_t> types;
  for (std::size_t i = 0; i < token_types.size(); ++i) {
    if (token_types[i] == static_cast<std::int32_t>(NodeType::padding)) continue;
    position[i] = static_cast<std::int64_t>(kept.size());
    kept.push_back(static_cast<std::int64_t>(i));
    types.push_back(token_types[i]);
  }
  Se2TrainingOutput<T> output;
  if (static_cast<std::int64_t>(kept.size()) == nodes) {
    output = forward_nodes(tape, features, distances, token_types, options);
  } else {
    output = forward_nodes(tape, autograd::take_rows(features, kept), detail::restrict_to(distances, kept),
                           types, options);
    output.last_hidden = detail::spread_rows<T>(output.last_hidden, kept, nodes);
  }
  output.position = std::move(position);
  return output;
}

template <Real T>
Se2TrainingOutput<T> Se2Trainer<T>::forward_nodes(autograd::Tape<T>& tape, const Variable& features,
                                                  const PairDistances& distances,
                                                  std::span<const std::int32_t> token_types,
                                                  const Se2ForwardTraining& options) const {
  const bool pre = config_.pre_layernorm;
  // Every site of dropout has a number of its own, layer by layer.
  std::uint64_t site = 0;
  const auto drop = [&](const Variable& x, double probability) {
    const RandomKey key = options.key.child(site++);
    return options.dropout ? nn::dropout(x, probability, key) : x;
  };
  const auto norm = [&](const Variable& x, const Variable& residual, const std::string& name) {
    return nn::LayerNorm<T>(parameters_, prefix_ + name, config_.layer_norm_eps)(tape, x, residual);
  };

  const auto bias = train_distance_bias<T>(tape, parameters_, distances, prefix_, bias_);
  const auto pairs = std::make_shared<autograd::PairAttentionGraph<T>>(
      config_.num_attention_heads, config_.head_dim(), distances, bias.values, bias.background);

  Variable x = autograd::add(linear(tape, features, "embedding_layer"),
                             autograd::gather_rows(at(tape, "token_type_embeddings.weight"), token_types));
  x = drop(x, config_.dropout);
  for (std::int64_t l = 0; l < config_.num_hidden_layers; ++l) {
    const std::string layer = concat("encoder.layers.", l, ".");
    Variable h = pre ? norm(x, {}, layer + "self_attn_layer_norm") : x;
    const Variable q = linear(tape, h, layer + "self_attn.q_proj"),
                   k = linear(tape, h, layer + "self_attn.k_proj"),
                   v = linear(tape, h, layer + "self_attn.v_proj");
    h = pairs->attend(q, k, v,
                      {.scale = 1.0 / std::sqrt(static_cast<double>(config_.head_dim())),
                       .dropout = options.dropout ? config_.attention_dropout : 0.0,
                       .key = options.key.child(site++)});
    h = drop(linear(tape, h, layer + "self_attn.out_proj"), config_.dropout);
    x = pre ? autograd::add(x, h) : norm(h, x, layer + "self_attn_layer_norm");

    h = pre ? norm(x, {}, layer + "final_layer_norm") : x;
    h = drop(autograd::activation(linear(tape, h, layer + "fc1"), activation_), config_.activation_dropout);
    h = drop(linear(tape, h, layer + "fc2"), config_.dropout);
    x = pre ? autograd::add(x, h) : norm(h, x, layer + "final_layer_norm");
  }
  return {x, pairs, {}};
}

STOFM_INSTANCE(class Se2Trainer<float>)

}  // namespace stofm::model

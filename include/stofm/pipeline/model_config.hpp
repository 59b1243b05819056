// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// config.json -> plain configurations. Every key of the file must be known: it sets a size, it is checked to
/// have the one value that is computed, or it is listed as having no effect on the result. A misspelt key is
/// refused with the nearest known one. Key sets: the authors' `SToFMConfig` (with what Hugging Face's
/// PretrainedConfig writes) and Hugging Face's `BertConfig`. *Source* RELIABILITY rows J03 to J09; SPEC
/// sections 2 and 5.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "stofm/core/error.hpp"
#include "stofm/model/config.hpp"
#include "stofm/pipeline/config_reader.hpp"

namespace stofm::pipeline {

/// The SE(2) Transformer's configuration. \param source where the JSON came from, for messages.
/// \throws UsageError STOFM-2101 (not an object), 2102 (missing keys), 2103 (unknown key, with a suggestion),
/// 2104 (type
///   or value), or what Se2Config::validate() throws, with the JSON pointer and `source`.
inline model::Se2Config parse_se2_config(const nlohmann::json& json, const std::string& source);

/// The cell encoder's configuration. \throws as parse_se2_config
inline model::CellEncoderConfig parse_cell_encoder_config(const nlohmann::json& json,
                                                          const std::string& source);

inline model::Se2Config parse_se2_config(const nlohmann::json& json, const std::string& source) {
  detail::ConfigReader reader(
      json, source, "SE(2) Transformer",
      {"input_dim", "embedding_dim", "ffn_embedding_dim", "num_attention_heads", "num_hidden_layers",
       "gaussian_hidden_dim", "activation_fn", "pre_layernorm"},
      {"apply_init", "freeze_embeddings", "num_trans_layers_to_freeze", "qn_block_size", "traceable"});
  reader.also_known({"dropout", "attention_dropout", "activation_dropout", "layerdrop", "bias", "cls_type_id",
                     "hyper_type_id", "norm_type_id", "pad_type_id", "embed_scale",
                     "encoder_normalize_before", "hidden_size", "kdim", "vdim", "q_noise", "self_attention",
                     "no_attn_bias"});
  reader.check_keys();

  model::Se2Config config;
  config.input_dim = reader.size("input_dim");
  config.embedding_dim = reader.size("embedding_dim");
  config.ffn_embedding_dim = reader.size("ffn_embedding_dim");
  config.num_attention_heads = reader.size("num_attention_heads");
  config.num_hidden_layers = reader.size("num_hidden_layers");
  config.gaussian_hidden_dim = reader.size("gaussian_hidden_dim");
  config.activation_fn = reader.text("activation_fn");
  config.pre_layernorm = reader.flag("pre_layernorm");
  config.dropout = reader.probability("dropout", config.dropout);
  config.attention_dropout = reader.probability("attention_dropout", config.attention_dropout);
  config.activation_dropout = reader.probability("activation_dropout", config.activation_dropout);
  reader.number("q_noise", 0.0);
  reader.probability("layerdrop", 0.0);
  // Switches of the authors' code with one value in every published model.
  reader.require_only("bias", true);
  reader.require_only("self_attention", true);
  reader.require_only("encoder_normalize_before", false);
  reader.require_only("no_attn_bias", false);
  reader.require_only("norm_type_id", static_cast<int>(model::NodeType::cell));
  reader.require_only("cls_type_id", static_cast<int>(model::NodeType::cls));
  reader.require_only("hyper_type_id", static_cast<int>(model::NodeType::virtual_cell));
  reader.require_only("pad_type_id", static_cast<int>(model::NodeType::padding));
  reader.require_null_or("embed_scale", 1.0);
  reader.require_null_or("kdim", config.embedding_dim);
  reader.require_null_or("vdim", config.embedding_dim);
  reader.require_null_or("hidden_size", config.embedding_dim);
  return reader.validated(config);
}

inline model::CellEncoderConfig parse_cell_encoder_config(const nlohmann::json& json,
                                                          const std::string& source) {
  detail::ConfigReader reader(
      json, source, "cell encoder",
      {"vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers",
       "max_position_embeddings", "type_vocab_size", "hidden_act"},
      {});
  reader.also_known({"layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob",
                     "position_embedding_type", "is_decoder", "add_cross_attention", "center_per_slice"});
  reader.check_keys();

  model::CellEncoderConfig config;
  config.vocab_size = reader.size("vocab_size");
  config.hidden_size = reader.size("hidden_size");
  config.intermediate_size = reader.size("intermediate_size");
  config.num_attention_heads = reader.size("num_attention_heads");
  config.num_hidden_layers = reader.size("num_hidden_layers");
  config.max_position_embeddings = reader.size("max_position_embeddings");
  config.type_vocab_size = reader.size("type_vocab_size");
  config.hidden_act = reader.text("hidden_act");
  config.layer_norm_eps = reader.number("layer_norm_eps", config.layer_norm_eps);
  config.hidden_dropout_prob = reader.probability("hidden_dropout_prob", 0.0);
  config.attention_probs_dropout_prob = reader.probability("attention_probs_dropout_prob", 0.0);
  if (json.contains("center_per_slice")) config.center_per_slice = reader.flag("center_per_slice");
  reader.require_null_or("position_embedding_type", "absolute");
  reader.require_only("is_decoder", false);
  reader.require_only("add_cross_attention", false);
  return reader.validated(config);
}

}  // namespace stofm::pipeline

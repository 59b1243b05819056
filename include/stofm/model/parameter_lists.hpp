// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which parameters a configuration asks for, under the names of the released checkpoints.
/// SE(2) Transformer: names of `se2transformer.pth` without a `model.` or `module.` prefix. Cell encoder:
/// "bert/" + the Hugging Face name without `bert.`, and "proj.weight", "proj.bias" for the projection.

#include <string>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/model/config.hpp"
#include "stofm/model/parameters.hpp"

namespace stofm::model {

namespace detail {
/// Weight [out, in] and bias [out]; the keys are those of the configuration.
inline void add_linear(std::vector<ParameterSpec>& list, const std::string& name, std::int64_t out,
                       const char* out_key, std::int64_t in, const char* in_key) {
  list.push_back({name + ".weight", {out, in}, {out_key, in_key}});
  list.push_back({name + ".bias", {out}, {out_key}});
}
inline void add_norm(std::vector<ParameterSpec>& list, const std::string& name, std::int64_t width,
                     const char* key) {
  list.push_back({name + ".weight", {width}, {key}});
  list.push_back({name + ".bias", {width}, {key}});
}
}  // namespace detail

/// Parameters of the SE(2) Transformer, in the order of the computation. \throws as Se2Config::validate()
STOFM_INLINE std::vector<ParameterSpec> parameter_list(const Se2Config& config);

/// Tensors of released SE(2) checkpoints that inference never uses: the final norm of pre-LN models, which
/// the reference builds and never applies, and the two heads of pretraining.
inline bool is_unused_se2_parameter(const std::string& name) {
  return name.starts_with("encoder.final_layer_norm.") || name.starts_with("lm_head.") ||
         name.starts_with("pair_head.");
}

/// Parameters of the cell encoder. `config.projection_dim` must be set. \throws as
/// CellEncoderConfig::validate()
STOFM_INLINE std::vector<ParameterSpec> parameter_list(const CellEncoderConfig& config);

/// Tensors of released BERT checkpoints that the embedding never uses.
inline bool is_unused_cell_encoder_parameter(const std::string& name) {
  return name == "bert/embeddings.position_ids" || name.starts_with("bert/pooler.") ||
         name.starts_with("bert/cls.") || name.starts_with("cls.");
}

}  // namespace stofm::model

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto model::parameter_list(const Se2Config& config) -> std::vector<ParameterSpec> {
  config.validate();
  const std::int64_t e = config.embedding_dim, f = config.ffn_embedding_dim, k = config.gaussian_hidden_dim,
                     h = config.num_attention_heads;
  std::vector<ParameterSpec> list;
  const auto linear = [&list](auto... of) { detail::add_linear(list, of...); };
  const auto norm = [&](const std::string& name) { detail::add_norm(list, name, e, "embedding_dim"); };
  linear("embedding_layer", e, "embedding_dim", config.input_dim, "input_dim");
  list.push_back({"token_type_embeddings.weight", {node_types, e}, {"node types", "embedding_dim"}});
  linear("gaussian.linear", 1, "scalar", 1, "scalar");
  list.push_back({"gaussian.means.weight", {1, k}, {"scalar", "gaussian_hidden_dim"}});
  list.push_back({"gaussian.stds.weight", {1, k}, {"scalar", "gaussian_hidden_dim"}});
  linear("gaussian.proj.0", k, "gaussian_hidden_dim", k, "gaussian_hidden_dim");
  linear("gaussian.proj.2", h, "num_attention_heads", k, "gaussian_hidden_dim");
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const std::string layer = concat("encoder.layers.", l, ".");
    for (const char* part : {"q_proj", "k_proj", "v_proj", "out_proj"})
      linear(layer + "self_attn." + part, e, "embedding_dim", e, "embedding_dim");
    norm(layer + "self_attn_layer_norm");
    linear(layer + "fc1", f, "ffn_embedding_dim", e, "embedding_dim");
    linear(layer + "fc2", e, "embedding_dim", f, "ffn_embedding_dim");
    norm(layer + "final_layer_norm");
  }
  return list;
}

STOFM_INLINE auto model::parameter_list(const CellEncoderConfig& config) -> std::vector<ParameterSpec> {
  config.validate();
  const std::int64_t w = config.hidden_size, f = config.intermediate_size;
  std::vector<ParameterSpec> list;
  const auto linear = [&list](auto... of) { detail::add_linear(list, of...); };
  const auto norm = [&](const std::string& name) { detail::add_norm(list, name, w, "hidden_size"); };
  const std::string embeddings = "bert/embeddings.";
  list.push_back(
      {embeddings + "word_embeddings.weight", {config.vocab_size, w}, {"vocab_size", "hidden_size"}});
  list.push_back({embeddings + "position_embeddings.weight",
                  {config.max_position_embeddings, w},
                  {"max_position_embeddings", "hidden_size"}});
  list.push_back({embeddings + "token_type_embeddings.weight",
                  {config.type_vocab_size, w},
                  {"type_vocab_size", "hidden_size"}});
  norm(embeddings + "LayerNorm");
  for (std::int64_t l = 0; l < config.num_hidden_layers; ++l) {
    const std::string layer = concat("bert/encoder.layer.", l, ".");
    for (const char* part : {"query", "key", "value"})
      linear(layer + "attention.self." + part, w, "hidden_size", w, "hidden_size");
    linear(layer + "attention.output.dense", w, "hidden_size", w, "hidden_size");
    norm(layer + "attention.output.LayerNorm");
    linear(layer + "intermediate.dense", f, "intermediate_size", w, "hidden_size");
    linear(layer + "output.dense", w, "hidden_size", f, "intermediate_size");
    norm(layer + "output.LayerNorm");
  }
  linear("proj", config.projection_dim, "rows of the projection", w, "hidden_size");
  return list;
}

}  // namespace stofm
#endif

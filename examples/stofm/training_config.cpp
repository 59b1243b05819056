// SPDX-License-Identifier: MIT
#include "training_config.hpp"

#include "stofm/io/json.hpp"

namespace stofm::program {
namespace {

nlohmann::json config_file(const std::string& name) {
  std::error_code ignored;
  if (name.find('.') == std::string::npos && !std::filesystem::exists(name, ignored))
    throw UsageError({"STOFM-2066", "", "--config", stofm::quoted(name),
                      "tiny, small, published or a config.json", "See 'stofm pretrain --help'."});
  return io::read_json(name);
}

}  // namespace

nlohmann::json named_se2_config(const std::string& name, std::int64_t input_dim) {
  struct Sizes {
    int layers, width, inner, heads, gaussians;
  };
  const auto make = [&](const Sizes& s) {
    return nlohmann::json{{"num_hidden_layers", s.layers},
                          {"embedding_dim", s.width},
                          {"ffn_embedding_dim", s.inner},
                          {"num_attention_heads", s.heads},
                          {"gaussian_hidden_dim", s.gaussians},
                          {"input_dim", input_dim},
                          {"pre_layernorm", false},
                          {"activation_fn", "gelu"},
                          {"dropout", 0.1},
                          {"attention_dropout", 0.1},
                          {"activation_dropout", 0.1}};
  };
  if (name == "tiny") return make({2, 32, 32, 4, 8});
  if (name == "small") return make({3, 128, 256, 8, 32});
  if (name == "published") return make({4, 256, 256, 8, 128});
  nlohmann::json json = config_file(name);
  if (json.is_object()) json["input_dim"] = input_dim;
  return json;
}

nlohmann::json named_cell_encoder_config(const std::string& name, std::int64_t vocabulary) {
  struct Sizes {
    int layers, width, inner, heads, positions;
  };
  const auto make = [&](const Sizes& s) {
    return nlohmann::json{{"model_type", "bert"},
                          {"num_hidden_layers", s.layers},
                          {"hidden_size", s.width},
                          {"intermediate_size", s.inner},
                          {"num_attention_heads", s.heads},
                          {"vocab_size", vocabulary},
                          {"max_position_embeddings", s.positions},
                          {"type_vocab_size", 2},
                          {"hidden_act", "relu"},
                          {"layer_norm_eps", 1e-12},
                          {"hidden_dropout_prob", 0.02},
                          {"attention_probs_dropout_prob", 0.02}};
  };
  if (name == "tiny") return make({2, 16, 32, 2, 256});
  if (name == "small") return make({2, 64, 128, 4, 512});
  if (name == "published") return make({6, 256, 512, 4, 2048});
  nlohmann::json json = config_file(name);
  if (json.is_object()) json["vocab_size"] = vocabulary;
  return json;
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The sizes and switches of the two encoders as plain structs. They know no file:
/// `pipeline/model_config.hpp` fills them from JSON. Names are the keys of the released configuration files,
/// so that a message about a field is a message about a key. No size has a default: every one comes from the
/// configuration that was converted with the weights. *Source* SPEC sections 2 and 5; keys of the authors'
/// and of Hugging Face's `config.json`.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

#include "stofm/core/checked.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/machine.hpp"
#include "stofm/core/memory.hpp"

namespace stofm::model {

/// Activation functions of the feed-forward parts, by their configuration name. "gelu" is the exact one
/// (erf).
inline constexpr std::array<const char*, 2> activation_names{"gelu", "relu"};

/// What a node of a sub-slice is; row numbers of the type embedding. *Source* SPEC section 4.
enum class NodeType : std::int32_t { cell = 0, cls = 1, virtual_cell = 2, padding = 3 };
/// Rows of the SE(2) type embedding.
inline constexpr std::int64_t node_types = 4;

/// Largest value of any size in a configuration: far above every published model, far below what overflows a
/// product of three sizes.
inline constexpr std::int64_t largest_size = 1 << 20;
/// Most layers.
inline constexpr std::int64_t largest_depth = 4096;

/// The SE(2) Transformer.
struct Se2Config {
  std::int64_t input_dim = 0;            ///< width of a cell embedding
  std::int64_t embedding_dim = 0;        ///< E, width of a node
  std::int64_t ffn_embedding_dim = 0;    ///< width inside the feed-forward part
  std::int64_t num_attention_heads = 0;  ///< H
  std::int64_t num_hidden_layers = 0;    ///< L
  std::int64_t gaussian_hidden_dim = 0;  ///< K, Gaussians of the distance bias
  std::string activation_fn = "gelu";    ///< one of `activation_names`
  bool pre_layernorm = false;            ///< LayerNorm before each part, and none at the end
  double layer_norm_eps = 1e-5;          ///< torch.nn.LayerNorm's default; not a key of the file
  double dropout = 0.1;                  ///< training only, as the next two
  double attention_dropout = 0.1;
  double activation_dropout = 0.1;

  std::int64_t head_dim() const { return embedding_dim / num_attention_heads; }
  /// Parameters of the model, without the two heads of pretraining.
  double parameter_count() const;
  /// \throws UsageError naming the key (as JSON pointer), the value and the range; ResourceError if the
  /// parameters would not fit the memory (estimate in GiB), before anything is allocated.
  void validate() const;
};

/// The cell encoder: a BERT (Geneformer V1 family) and a projection of its output at position 0.
struct CellEncoderConfig {
  std::int64_t vocab_size = 0;         ///< rows of the token embedding
  std::int64_t hidden_size = 0;        ///< width of a token
  std::int64_t intermediate_size = 0;  ///< width inside the feed-forward part
  std::int64_t num_attention_heads = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t max_position_embeddings = 0;  ///< longest sequence
  std::int64_t type_vocab_size = 0;          ///< rows of the token type embedding; row 0 is the one in use
  std::string hidden_act = "gelu";           ///< one of `activation_names`
  double layer_norm_eps = 1e-12;             ///< Hugging Face's default
  double hidden_dropout_prob = 0.0;          ///< training only, as the next
  double attention_probs_dropout_prob = 0.0;
  bool center_per_slice =
      false;  ///< ours: embeddings about the mean of their slice (pipeline/centred_rows.hpp)
  std::int64_t projection_dim = 0;  ///< not a key: rows of proj.weight; 0 = take it from the weights

  std::int64_t head_dim() const { return hidden_size / num_attention_heads; }
  double parameter_count() const;
  /// \throws as Se2Config::validate()
  void validate() const;
};

namespace detail {

[[noreturn]] inline void refuse_value(const char* code, const std::string& key, const std::string& found,
                                      const std::string& expected, const std::string& remedy) {
  throw UsageError({code, "", "/" + key, found, expected, remedy});
}

inline void require_size(const char* key, std::int64_t value, std::int64_t largest = largest_size) {
  if (value < 1 || value > largest)
    refuse_value("STOFM-1310", key, std::to_string(value), concat("an integer from 1 to ", largest),
                 "Take config.json from the checkpoint that the weights belong to.");
}

inline void require_probability(const char* key, double value) {
  if (!(value >= 0.0 && value < 1.0))
    refuse_value("STOFM-1311", key, concat(value), "a probability, 0 <= p < 1", "Mend the configuration.");
}

inline void require_epsilon(const char* key, double value) {
  if (!(value > 0.0 && value <= 1.0))
    refuse_value("STOFM-1312", key, concat(value), "0 < eps <= 1",
                 "BERT uses 1e-12, the SE(2) Transformer 1e-5.");
}

inline void require_activation(const char* key, const std::string& name) {
  std::string list;
  for (const char* known : activation_names) {
    if (name == known) return;
    list += (list.empty() ? "" : ", ") + std::string(known);
  }
  refuse_value("STOFM-1313", key, stofm::quoted(name), "one of: " + list,
               "Only the activations of the published models are computed.");
}

inline void require_division(const char* width_key, std::int64_t width, std::int64_t heads) {
  if (width % heads != 0)
    refuse_value("STOFM-1314", width_key,
                 concat(width_key, " = ", width, " with num_attention_heads = ", heads),
                 "a width that the number of heads divides", "Mend one of the two.");
}

/// Memory that a model may take: the library's cap or the machine's memory, whichever is smaller.
inline double available_bytes() {
  return static_cast<double>((std::min)(physical_memory(), memory_state().cap.load()));
}

inline void require_memory(const char* what, double parameters) {
  const double bytes = parameters * 4.0, available = available_bytes();
  if (bytes <= available) return;
  constexpr double gib = 1024.0 * 1024.0 * 1024.0;
  const auto tenths = [](double value) { return std::round(value * 10.0) / 10.0; };
  throw ResourceError(
      {"STOFM-1315", "", what, concat("sizes whose parameters take ", tenths(bytes / gib), " GiB as float32"),
       concat("at most ", tenths(available / gib), " GiB (the machine, or memory_state().cap)"),
       "Check the sizes in config.json."});
}

}  // namespace detail

inline double Se2Config::parameter_count() const {
  const auto e = static_cast<double>(embedding_dim), f = static_cast<double>(ffn_embedding_dim),
             k = static_cast<double>(gaussian_hidden_dim), h = static_cast<double>(num_attention_heads),
             layer = 4 * e * (e + 1) + f * (e + 1) + e * (f + 1) + 4 * e;
  return e * (static_cast<double>(input_dim) + 1) + 4 * e + 2 + 2 * k + k * (k + 1) + h * (k + 1) +
         static_cast<double>(num_hidden_layers) * layer;
}

inline void Se2Config::validate() const {
  detail::require_size("input_dim", input_dim);
  detail::require_size("embedding_dim", embedding_dim);
  detail::require_size("ffn_embedding_dim", ffn_embedding_dim);
  detail::require_size("num_attention_heads", num_attention_heads);
  detail::require_size("num_hidden_layers", num_hidden_layers, largest_depth);
  detail::require_size("gaussian_hidden_dim", gaussian_hidden_dim);
  detail::require_division("embedding_dim", embedding_dim, num_attention_heads);
  detail::require_activation("activation_fn", activation_fn);
  detail::require_epsilon("layer_norm_eps", layer_norm_eps);
  detail::require_probability("dropout", dropout);
  detail::require_probability("attention_dropout", attention_dropout);
  detail::require_probability("activation_dropout", activation_dropout);
  detail::require_memory("SE(2) Transformer", parameter_count());
}

inline double CellEncoderConfig::parameter_count() const {
  const auto w = static_cast<double>(hidden_size), f = static_cast<double>(intermediate_size),
             layer = 4 * w * (w + 1) + f * (w + 1) + w * (f + 1) + 4 * w,
             rows = static_cast<double>(vocab_size) + static_cast<double>(max_position_embeddings) +
                    static_cast<double>(type_vocab_size);
  return rows * w + 2 * w + static_cast<double>(num_hidden_layers) * layer +
         static_cast<double>(projection_dim) * (w + 1);
}

inline void CellEncoderConfig::validate() const {
  detail::require_size("vocab_size", vocab_size, INT32_MAX);
  detail::require_size("hidden_size", hidden_size);
  detail::require_size("intermediate_size", intermediate_size);
  detail::require_size("num_attention_heads", num_attention_heads);
  detail::require_size("num_hidden_layers", num_hidden_layers, largest_depth);
  detail::require_size("max_position_embeddings", max_position_embeddings);
  detail::require_size("type_vocab_size", type_vocab_size);
  detail::require_division("hidden_size", hidden_size, num_attention_heads);
  detail::require_activation("hidden_act", hidden_act);
  detail::require_epsilon("layer_norm_eps", layer_norm_eps);
  detail::require_probability("hidden_dropout_prob", hidden_dropout_prob);
  detail::require_probability("attention_probs_dropout_prob", attention_probs_dropout_prob);
  if (projection_dim < 0 || projection_dim > largest_size)
    detail::refuse_value("STOFM-1310", "projection_dim", std::to_string(projection_dim),
                         concat("0 to ", largest_size), "Leave it 0 to take it from proj.weight.");
  detail::require_memory("cell encoder", parameter_count());
}

}  // namespace stofm::model

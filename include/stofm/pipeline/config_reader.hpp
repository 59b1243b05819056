// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reads one JSON object key by key and refuses what it does not know, with the nearest key it does know.
/// *Source* RELIABILITY rows J03, J04, J07, J09.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/model/config.hpp"

namespace stofm::pipeline::detail {

/// How alike two keys are, 0 to 1: 2 * longest common subsequence / sum of the lengths; a key that is
/// contained in the other, letter by letter, counts as alike.
inline double key_similarity(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const char c : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = c == b[j] ? diagonal + 1 : (std::max)(above, row[j]);
      diagonal = above;
    }
  }
  const auto common = static_cast<double>(row.back()),
             shorter = static_cast<double>((std::min)(a.size(), b.size()));
  const double ratio = 2.0 * common / static_cast<double>(a.size() + b.size());
  return common == shorter && shorter >= 4 ? 0.5 + 0.5 * ratio : ratio;
}

/// Reads one configuration object and remembers which keys are known.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& json, std::string source, const char* what,
               std::initializer_list<std::string_view> required,
               std::initializer_list<std::string_view> ignored)
      : json_(json), source_(std::move(source)), what_(what), required_(required), known_(required) {
    known_.insert(known_.end(), ignored.begin(), ignored.end());
    for (const std::string_view key : hugging_face_keys) known_.push_back(key);
    if (!json.is_object())
      throw UsageError({"STOFM-2101", source_, what, std::string("a JSON ") + json.type_name(),
                        "a JSON object", "Give the config.json of the checkpoint."});
  }

  /// Optional keys that are read later.
  void also_known(std::initializer_list<std::string_view> keys) {
    known_.insert(known_.end(), keys.begin(), keys.end());
  }

  /// Refuses missing required keys and unknown keys.
  void check_keys() const {
    std::vector<std::string> missing;
    for (const std::string_view key : required_)
      if (!json_.contains(key)) missing.emplace_back(key);
    std::vector<std::string> unknown;
    for (const auto& [key, value] : json_.items())
      if (key.empty() || (key.front() != '_' && std::find(known_.begin(), known_.end(), key) == known_.end()))
        unknown.push_back(key);
    // One misspelt key explains one missing key; several missing keys are another kind of file.
    if (!unknown.empty() && missing.size() <= 1) refuse_unknown(unknown.front(), missing);
    if (!missing.empty()) refuse_missing(missing);
  }

  std::int64_t size(const char* key) const {
    const nlohmann::json& value = json_.at(key);
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.get<std::uint64_t>() > (1ULL << 53)))
      refuse_value(key, concat("an integer from 1 to ", model::largest_size));
    return value.get<std::int64_t>();
  }
  double number(const char* key, double fallback) const {
    if (!json_.contains(key)) return fallback;
    const nlohmann::json& value = json_.at(key);
    if (!value.is_number() || !std::isfinite(value.get<double>())) refuse_value(key, "a finite number");
    return value.get<double>();
  }
  double probability(const char* key, double fallback) const {
    const double value = number(key, fallback);
    if (!(value >= 0.0 && value < 1.0)) refuse_value(key, "a probability, 0 <= p < 1");
    return value;
  }
  bool flag(const char* key) const {
    const nlohmann::json& value = json_.at(key);
    if (!value.is_boolean()) refuse_value(key, "true or false");
    return value.get<bool>();
  }
  std::string text(const char* key) const {
    const nlohmann::json& value = json_.at(key);
    if (!value.is_string()) refuse_value(key, "a string");
    return value.get<std::string>();
  }
  /// A key that, if present, must have the one value that is computed.
  void require_only(const char* key, const nlohmann::json& value) const {
    if (json_.contains(key) && json_.at(key) != value)
      refuse_value(key, value.dump() + ": nothing else is computed");
  }
  /// A key that may be null or absent, else must equal `value`.
  void require_null_or(const char* key, const nlohmann::json& value) const {
    if (json_.contains(key) && !json_.at(key).is_null() && json_.at(key) != value)
      refuse_value(key, concat("null or ", value.dump(), ": nothing else is computed"));
  }

  /// Runs validate(), naming the file in its errors.
  template <class Config>
  Config validated(const Config& config) const {
    try {
      config.validate();
    } catch (const ResourceError& error) {
      throw ResourceError(with_source(error));
    } catch (const UsageError& error) {
      throw UsageError(with_source(error));
    }
    return config;
  }

 private:
  /// Written by every PretrainedConfig.to_dict(), without effect on an encoder's output.
  static constexpr std::string_view hugging_face_keys[] = {"architectures",
                                                           "model_type",
                                                           "transformers_version",
                                                           "torch_dtype",
                                                           "dtype",
                                                           "return_dict",
                                                           "output_hidden_states",
                                                           "output_attentions",
                                                           "torchscript",
                                                           "use_bfloat16",
                                                           "tf_legacy_loss",
                                                           "pruned_heads",
                                                           "tie_word_embeddings",
                                                           "tie_encoder_decoder",
                                                           "chunk_size_feed_forward",
                                                           "is_encoder_decoder",
                                                           "cross_attention_hidden_size",
                                                           "finetuning_task",
                                                           "id2label",
                                                           "label2id",
                                                           "num_labels",
                                                           "tokenizer_class",
                                                           "prefix",
                                                           "bos_token_id",
                                                           "pad_token_id",
                                                           "eos_token_id",
                                                           "sep_token_id",
                                                           "decoder_start_token_id",
                                                           "max_length",
                                                           "min_length",
                                                           "do_sample",
                                                           "early_stopping",
                                                           "num_beams",
                                                           "num_beam_groups",
                                                           "diversity_penalty",
                                                           "temperature",
                                                           "top_k",
                                                           "top_p",
                                                           "typical_p",
                                                           "repetition_penalty",
                                                           "length_penalty",
                                                           "no_repeat_ngram_size",
                                                           "encoder_no_repeat_ngram_size",
                                                           "bad_words_ids",
                                                           "num_return_sequences",
                                                           "output_scores",
                                                           "return_dict_in_generate",
                                                           "forced_bos_token_id",
                                                           "forced_eos_token_id",
                                                           "remove_invalid_values",
                                                           "exponential_decay_length_penalty",
                                                           "suppress_tokens",
                                                           "begin_suppress_tokens",
                                                           "task_specific_params",
                                                           "problem_type",
                                                           "use_cache",
                                                           "initializer_range",
                                                           "classifier_dropout",
                                                           "gradient_checkpointing",
                                                           "auto_map",
                                                           "attn_implementation",
                                                           "name_or_path",
                                                           "quantization_config",
                                                           "custom_pipelines",
                                                           "is_composition",
                                                           "base_model_tp_plan",
                                                           "base_model_pp_plan",
                                                           "use_return_dict",
                                                           "directionality",
                                                           "pooler_fc_size",
                                                           "pooler_num_attention_heads",
                                                           "pooler_num_fc_layers",
                                                           "pooler_size_per_head",
                                                           "pooler_type"};

  ErrorParts with_source(const Error& error) const {
    ErrorParts parts = error.parts();
    parts.file = source_;
    return parts;
  }
  [[noreturn]] void refuse_value(const char* key, const std::string& expected) const {
    throw UsageError({"STOFM-2104", source_, "/" + std::string(key), stofm::quoted(json_.at(key).dump()),
                      expected, "Mend the value, or take the config.json that belongs to the weights."});
  }
  [[noreturn]] void refuse_missing(const std::vector<std::string>& missing) const {
    std::string list;
    for (const std::string& key : missing) list += (list.empty() ? "" : ", ") + key;
    const bool bert = json_.contains("intermediate_size") && json_.contains("vocab_size");
    const bool se2 = json_.contains("gaussian_hidden_dim");
    const bool wants_bert = std::find(required_.begin(), required_.end(), "vocab_size") != required_.end();
    std::string remedy = "Give the config.json of the right part of the checkpoint.";
    if (bert && !wants_bert) remedy = "This looks like a BERT configuration, the cell encoder's. " + remedy;
    if (se2 && wants_bert) remedy = "This looks like the SE(2) Transformer's configuration. " + remedy;
    throw UsageError({"STOFM-2102", source_, what_, concat("no key ", list),
                      concat("all keys that set the ", what_), remedy});
  }
  [[noreturn]] void refuse_unknown(const std::string& key, const std::vector<std::string>& missing) const {
    std::string_view nearest;
    double best = 0;
    for (const std::string_view candidate : known_) {
      const bool is_missing = std::find(missing.begin(), missing.end(), candidate) != missing.end();
      if (json_.contains(candidate)) continue;
      const double similarity = key_similarity(key, candidate) + (is_missing ? 0.2 : 0.0);
      if (similarity > best) {
        best = similarity;
        nearest = candidate;
      }
    }
    std::string remedy = "Remove the key.";
    if (best >= 0.6) remedy = concat("Did you mean ", nearest, "?");
    throw UsageError({"STOFM-2103", source_,
                      "/" + stofm::quoted(key).substr(1, stofm::quoted(key).size() - 2), "an unknown key",
                      concat("a key of the ", what_), remedy});
  }

  const nlohmann::json& json_;
  std::string source_;
  const char* what_;
  std::vector<std::string_view> required_, known_;
};

}  // namespace stofm::pipeline::detail

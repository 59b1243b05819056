// SPDX-License-Identifier: MIT
#include "stofm/pipeline/model_config.hpp"

#include <doctest/doctest.h>

#include "stofm/io/json.hpp"
#include "tests/support/paths.hpp"

namespace {

using namespace stofm;

const auto golden = test::source_dir() / "tests" / "golden";
nlohmann::json se2_json() { return io::read_json(golden / "se2_small" / "config.json"); }
nlohmann::json bert_json() {
  return io::read_json(golden / "cell_encoder_small" / "cell_bert" / "config.json");
}

struct Refusal {
  std::string code, where, found, expected, remedy;
};

Refusal refusal_of(const nlohmann::json& json, bool bert = false) {
  try {
    if (bert) {
      pipeline::parse_cell_encoder_config(json, "config.json");
    } else {
      pipeline::parse_se2_config(json, "config.json");
    }
  } catch (const Error& error) {
    CHECK(error.exit_code() == (error.code() == "STOFM-1315" ? 5 : 2));
    CHECK(error.file() == "config.json");
    return {error.code(), error.where(), error.found(), error.expected(), error.remedy()};
  }
  return {"accepted", "", "", "", ""};
}

nlohmann::json with(nlohmann::json json, const std::string& key, const nlohmann::json& value) {
  json[key] = value;
  return json;
}

}  // namespace

TEST_CASE("released SE(2) configurations are read") {
  const auto small = pipeline::parse_se2_config(se2_json(), "small");
  CHECK(small.embedding_dim == 32);
  CHECK(small.ffn_embedding_dim == 48);
  CHECK(small.gaussian_hidden_dim == 16);
  CHECK(small.input_dim == 24);
  CHECK(small.num_attention_heads == 4);
  CHECK(small.num_hidden_layers == 2);
  CHECK(small.activation_fn == "gelu");
  CHECK_FALSE(small.pre_layernorm);
  const auto pre =
      pipeline::parse_se2_config(io::read_json(golden / "se2_prenorm" / "config.json"), "prenorm");
  CHECK(pre.pre_layernorm);
  CHECK(pre.activation_fn == "relu");
}

TEST_CASE("released BERT configurations are read, with keys of other versions of the library") {
  auto json = bert_json();
  json["position_embedding_type"] = "absolute";
  json["torch_dtype"] = "float32";
  json["gradient_checkpointing"] = false;
  json["_name_or_path"] = "somewhere";
  json["_attn_implementation_autoset"] = true;
  const auto config = pipeline::parse_cell_encoder_config(json, "small");
  CHECK(config.vocab_size == 101);
  CHECK(config.hidden_size == 48);
  CHECK(config.intermediate_size == 96);
  CHECK(config.num_attention_heads == 4);
  CHECK(config.num_hidden_layers == 3);
  CHECK(config.max_position_embeddings == 64);
  CHECK(config.type_vocab_size == 2);
  CHECK(config.hidden_act == "relu");
  CHECK(config.layer_norm_eps == 1e-12);
  CHECK(!config.center_per_slice);
}

TEST_CASE("center_per_slice is a key of ours, true or false") {
  auto json = bert_json();
  json["center_per_slice"] = true;
  CHECK(pipeline::parse_cell_encoder_config(json, "small").center_per_slice);
  const Refusal refusal = refusal_of(with(bert_json(), "center_per_slice", 1), true);
  CHECK(refusal.code == "STOFM-2104");
  CHECK(refusal.where == "/center_per_slice");
}

TEST_CASE("J03: a misspelt key is answered with the nearest one") {
  for (const auto& [wrong, right] : {std::pair<std::string, std::string>{"num_head", "num_attention_heads"},
                                     {"num_attention_head", "num_attention_heads"},
                                     {"pre_layer_norm", "pre_layernorm"},
                                     {"activation", "activation_fn"},
                                     {"hidden_layers", "num_hidden_layers"},
                                     {"ffn_dim", "ffn_embedding_dim"}}) {
    auto json = se2_json();
    json[wrong] = json[right];
    json.erase(right);
    const Refusal refusal = refusal_of(json);
    CHECK(refusal.code == "STOFM-2103");
    CHECK(refusal.where == "/" + wrong);
    CHECK(refusal.remedy == "Did you mean " + right + "?");
  }
  const Refusal stray = refusal_of(with(se2_json(), "xyzzy", 1));
  CHECK(stray.code == "STOFM-2103");
  CHECK(stray.remedy == "Remove the key.");
}

TEST_CASE("J04, J05, J07, J08: wrong types and ranges are refused at their JSON pointer") {
  for (const nlohmann::json& value :
       {nlohmann::json("8"), nlohmann::json(1.5), nlohmann::json(nullptr), nlohmann::json(true),
        nlohmann::json(9007199254740993ULL), nlohmann::json(UINT64_MAX)}) {
    const Refusal refusal = refusal_of(with(se2_json(), "num_attention_heads", value));
    CHECK(refusal.code == "STOFM-2104");
    CHECK(refusal.where == "/num_attention_heads");
    CHECK(refusal.expected.find("integer") != std::string::npos);
  }
  CHECK(refusal_of(with(se2_json(), "num_hidden_layers", -1)).code == "STOFM-1310");
  CHECK(refusal_of(with(se2_json(), "num_attention_heads", 0)).where == "/num_attention_heads");
  CHECK(refusal_of(with(se2_json(), "num_attention_heads", 5)).found ==
        "embedding_dim = 32 with num_attention_heads = 5");
  CHECK(refusal_of(with(se2_json(), "dropout", 1.0)).where == "/dropout");
  CHECK(refusal_of(with(se2_json(), "dropout", "0.1")).code == "STOFM-2104");
  CHECK(refusal_of(with(se2_json(), "layerdrop", -0.5)).where == "/layerdrop");
  CHECK(refusal_of(with(se2_json(), "pre_layernorm", 1)).where == "/pre_layernorm");
  const Refusal activation = refusal_of(with(se2_json(), "activation_fn", "gelu_new"));
  CHECK(activation.code == "STOFM-1313");
  CHECK(activation.expected == "one of: gelu, relu");
  CHECK(refusal_of(with(bert_json(), "hidden_act", "silu"), true).code == "STOFM-1313");
  CHECK(refusal_of(with(bert_json(), "layer_norm_eps", 0), true).where == "/layer_norm_eps");
  CHECK(refusal_of(nlohmann::json::array()).code == "STOFM-2101");
}

TEST_CASE("switches with one value in every published model are refused at another") {
  CHECK(refusal_of(with(se2_json(), "bias", false)).where == "/bias");
  CHECK(refusal_of(with(se2_json(), "cls_type_id", 2)).where == "/cls_type_id");
  CHECK(refusal_of(with(se2_json(), "embed_scale", 2.0)).where == "/embed_scale");
  CHECK(refusal_of(with(se2_json(), "hidden_size", 64)).where == "/hidden_size");
  CHECK(refusal_of(with(se2_json(), "encoder_normalize_before", true)).where == "/encoder_normalize_before");
  CHECK(refusal_of(with(bert_json(), "position_embedding_type", "relative_key"), true).where ==
        "/position_embedding_type");
  CHECK(refusal_of(with(bert_json(), "is_decoder", true), true).where == "/is_decoder");
}

TEST_CASE("J09: the configuration of the other model is refused with the keys that are missing") {
  const Refusal bert = refusal_of(bert_json());
  CHECK(bert.code == "STOFM-2102");
  CHECK(bert.found.find("embedding_dim") != std::string::npos);
  CHECK(bert.found.find("gaussian_hidden_dim") != std::string::npos);
  CHECK(bert.remedy.find("BERT") != std::string::npos);
  const Refusal se2 = refusal_of(se2_json(), true);
  CHECK(se2.code == "STOFM-2102");
  CHECK(se2.found.find("vocab_size") != std::string::npos);
  CHECK(se2.remedy.find("SE(2)") != std::string::npos);
}

TEST_CASE("J06: sizes that multiply to more than the memory are refused with an estimate") {
  auto json = bert_json();
  json["vocab_size"] = 2000000000;
  json["hidden_size"] = json["intermediate_size"] = 1 << 20;
  const Refusal refusal = refusal_of(json, true);
  CHECK(refusal.code == "STOFM-1315");
  CHECK(refusal.found.find("GiB") != std::string::npos);
}

// SPDX-License-Identifier: MIT
// A model assembled from its parts or read from a bundle: what must fit together (row J12).
#include "stofm/pipeline/model.hpp"

#include <doctest/doctest.h>

#include "tests/pipeline/embed_fixture.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using namespace stofm::pipeline;
using namespace stofm::test;

namespace {
std::string refusal(const ModelParts& parts, const std::string& word) {
  try {
    make_model(parts, {.file = "w.safetensors"});
  } catch (const Error& e) {
    CHECK_MESSAGE(std::string(e.what()).find(word) != std::string::npos, e.what());
    CHECK(std::string(e.what()).find("w.safetensors") != std::string::npos);
    return e.code();
  }
  return "accepted";
}
}  // namespace

TEST_CASE("a whole model knows its widths") {
  const auto model = tiny_model({.cell_width = 6, .width = 10});
  CHECK(model.width() == 10);
  CHECK(model.cell_width() == 6);
  CHECK(model.genes->vocabulary_size() == 33);
  CHECK(model.mouse_map->empty());
  CHECK(model.info == "{}");
}

TEST_CASE("J12: vocabulary and embedding rows must agree, both counts are named") {
  auto parts = tiny_parts();
  parts.gene_table = gene_table_text(31);
  CHECK(refusal(parts, "34 tokens") == "STOFM-4311");
  CHECK(refusal(parts, "33 rows") == "STOFM-4311");
}

TEST_CASE("halves of two models, or none, are refused") {
  auto parts = tiny_parts();
  parts.se2_config = tiny_parts({.cell_width = 6}).se2_config;
  CHECK(refusal(parts, "input_dim = 6") == "STOFM-4312");
  CHECK(refusal({}, "neither") == "STOFM-4310");
  parts = tiny_parts();
  parts.gene_table = "nonsense";
  CHECK(refusal(parts, "genes/table") == "STOFM-4101");
  parts = tiny_parts();
  parts.se2.erase("embedding_layer.bias");
  CHECK(refusal(parts, "se2/embedding_layer.bias") == "STOFM-1301");
}

TEST_CASE("a bundle written and read gives the same model") {
  const auto parts = tiny_parts();
  io::Bundle bundle;
  bundle.model_info = {{"name", "tiny"}, {"training", "converted"}};
  bundle.se2_config = {{"num_hidden_layers", 2},   {"embedding_dim", 8},       {"ffn_embedding_dim", 16},
                       {"num_attention_heads", 2}, {"gaussian_hidden_dim", 8}, {"input_dim", 8},
                       {"pre_layernorm", false},   {"activation_fn", "gelu"},  {"dropout", 0.1},
                       {"attention_dropout", 0.1}, {"activation_dropout", 0.1}};
  bundle.cell_encoder_config = {{"num_hidden_layers", 2},  {"hidden_size", 12},
                                {"intermediate_size", 16}, {"vocab_size", 33},
                                {"type_vocab_size", 2},    {"num_attention_heads", 2},
                                {"hidden_act", "gelu"},    {"max_position_embeddings", 24}};
  bundle.se2 = parts.se2;
  bundle.cell_encoder = parts.cell_encoder;
  bundle.gene_table = parts.gene_table;
  const ScratchDir dir;
  const auto path = dir / "tiny.safetensors";
  io::write_bundle(path, bundle);
  const Model model = load_model(path);
  CHECK(model.file == path.string());
  CHECK(model.info.find("converted") != std::string::npos);
  CHECK(model.width() == 8);
  const std::vector<std::int32_t> tokens{32, 4, 5, 9};
  const std::vector<std::int64_t> offsets{0, 4};
  CHECK(same_bits(model.cell_encoder->embed(tokens, offsets),
                  make_model(parts).cell_encoder->embed(tokens, offsets)));
}

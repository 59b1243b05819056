// SPDX-License-Identifier: MIT
#include "stofm/model/parameters.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "stofm/model/parameter_lists.hpp"
#include "tests/model/random_model.hpp"

namespace {

using namespace stofm;

model::Se2Config config() {
  model::Se2Config c;
  c.input_dim = 6;
  c.embedding_dim = 8;
  c.ffn_embedding_dim = 10;
  c.num_attention_heads = 2;
  c.num_hidden_layers = 2;
  c.gaussian_hidden_dim = 4;
  return c;
}

model::ParameterReport check(const model::NamedTensors<float>& weights,
                             const model::ParameterOptions& options = {}) {
  return model::check_parameters<float>(parameter_list(config()), weights, model::is_unused_se2_parameter,
                                        options);
}

}  // namespace

TEST_CASE("a complete set passes without a remark, and the list counts what the configuration says") {
  const auto weights = test::random_parameters(config(), 1);
  const auto report = check(weights);
  CHECK(report.notices.empty());
  CHECK(report.unused.empty());
  std::int64_t count = 0;
  for (const auto& [name, tensor] : weights) count += tensor.numel();
  CHECK(static_cast<double>(count) == config().parameter_count());
}

TEST_CASE("missing tensors are all counted, the first ten named") {
  auto weights = test::random_parameters(config(), 1);
  for (auto it = weights.begin(); it != weights.end();)
    it = it->first.starts_with("encoder.layers.1.") ? weights.erase(it) : std::next(it);
  try {
    check(weights, {.file = "a.safetensors", .prefix = "se2/"});
    FAIL("accepted");
  } catch (const FileError& error) {
    CHECK(error.code() == "STOFM-1301");
    CHECK(error.file() == "a.safetensors");
    CHECK(
        error.found().starts_with("16 of 43 tensors missing: se2/encoder.layers.1.self_attn.q_proj.weight"));
    CHECK(error.found().ends_with(" and 6 more"));
    CHECK(error.remedy().find("Convert") != std::string::npos);
  }
}

TEST_CASE("a wrong shape names both shapes and the keys that set it") {
  auto weights = test::random_parameters(config(), 1);
  weights.at("encoder.layers.0.fc1.weight") = Tensor<float>({768, 8});
  try {
    check(weights);
    FAIL("accepted");
  } catch (const FileError& error) {
    CHECK(error.code() == "STOFM-1302");
    CHECK(error.where() == "encoder.layers.0.fc1.weight");
    CHECK(error.found() == "shape [768, 8]");
    CHECK(error.expected() == "[10, 8] (ffn_embedding_dim = 10, embedding_dim = 8)");
  }
}

TEST_CASE("NaN and inf are counted with the first place, or noticed where they are allowed") {
  auto weights = test::random_parameters(config(), 1);
  weights.at("encoder.layers.1.fc2.weight").data()[5] = std::nanf("");
  weights.at("encoder.layers.1.fc2.weight").data()[7] = std::numeric_limits<float>::infinity();
  try {
    check(weights);
    FAIL("accepted");
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-1303");
    CHECK(error.where() == "encoder.layers.1.fc2.weight");
    CHECK(error.found() == "NaN or inf in 2 of 80 values, the first at element 5");
    CHECK(error.remedy().find("convert or train it again") != std::string::npos);
  }
  const auto report = check(weights, {.allow_nonfinite = true});
  REQUIRE(report.notices.size() == 1);
  CHECK(report.notices[0].code == "STOFM-W1303");
  CHECK(report.notices[0].count == 2);
}

TEST_CASE("tensors of no model are noticed, those of released checkpoints listed, zero matrices noticed") {
  auto weights = test::random_parameters(config(), 1);
  weights.emplace("lm_head.0.weight", Tensor<float>({8, 8}));
  weights.emplace("encoder.final_layer_norm.weight", Tensor<float>({8}));
  weights.emplace("stray\n", Tensor<float>({1}));
  weights.at("encoder.layers.0.self_attn.k_proj.weight") = Tensor<float>::full({8, 8}, 1e-40F);  // denormal
  weights.at("encoder.layers.0.self_attn.k_proj.bias") = Tensor<float>::zeros({8});  // a zero bias is common
  const auto report = check(weights);
  CHECK(report.unused == std::vector<std::string>{"encoder.final_layer_norm.weight", "lm_head.0.weight"});
  REQUIRE(report.notices.size() == 2);
  CHECK(report.notices[0].code == "STOFM-W1301");
  CHECK(report.notices[0].text.find("stray\\x0a") != std::string::npos);
  CHECK(report.notices[1].code == "STOFM-W1302");
  CHECK(report.notices[1].text.find("k_proj.weight") != std::string::npos);
  CHECK(report.notices[1].count == 1);
}

TEST_CASE("configurations are refused by key") {
  const auto refusal = [](auto change) {
    model::Se2Config c = config();
    change(c);
    try {
      c.validate();
    } catch (const Error& error) {
      return error.code() + " " + error.where() + " " + error.found();
    }
    return std::string("accepted");
  };
  CHECK(refusal([](auto&) {}) == "accepted");
  CHECK(refusal([](auto& c) { c.num_attention_heads = 0; }) == "STOFM-1310 /num_attention_heads 0");
  CHECK(refusal([](auto& c) { c.num_hidden_layers = 0; }) == "STOFM-1310 /num_hidden_layers 0");
  CHECK(refusal([](auto& c) { c.input_dim = -1; }) == "STOFM-1310 /input_dim -1");
  CHECK(refusal([](auto& c) { c.num_attention_heads = 3; }) ==
        "STOFM-1314 /embedding_dim embedding_dim = 8 with num_attention_heads = 3");
  CHECK(refusal([](auto& c) { c.dropout = 1.0; }).starts_with("STOFM-1311 /dropout"));
  CHECK(refusal([](auto& c) { c.attention_dropout = -0.1; }).starts_with("STOFM-1311 /attention_dropout"));
  CHECK(refusal([](auto& c) { c.activation_fn = "swish"; }) == "STOFM-1313 /activation_fn \"swish\"");
  CHECK(refusal([](auto& c) { c.layer_norm_eps = 0; }).starts_with("STOFM-1312"));
  const std::string huge = refusal([](auto& c) {
    c.embedding_dim = c.ffn_embedding_dim = 1 << 20;
    c.num_hidden_layers = 4096;
  });
  CHECK(huge.starts_with("STOFM-1315 SE(2) Transformer sizes whose parameters take 1"));
  CHECK(huge.ends_with(" GiB as float32"));
}

// SPDX-License-Identifier: MIT
#include "stofm/pipeline/verify_case.hpp"

#include <doctest/doctest.h>

#include "tests/model/golden_model.hpp"
#include "tests/model/random_model.hpp"

namespace {

using namespace stofm;
const auto golden = test::source_dir() / "tests" / "golden";

std::string code_of(const model::Se2Encoder<float>* se2, const model::CellEncoder<float>* cell,
                    const std::string& name) {
  try {
    pipeline::verify_case(se2, cell, golden / name / "case.safetensors");
  } catch (const Error& error) {
    return error.code() + " " + error.where();
  }
  return "accepted";
}

model::Se2Config config_of(const std::string& name) {
  return pipeline::parse_se2_config(io::read_json(golden / name / "config.json"), name);
}

}  // namespace

TEST_CASE("wrong weights are found out") {
  const auto config = config_of("se2_small");
  const model::Se2Encoder<float> other(config, test::random_parameters(config, 1));
  const auto entries = pipeline::verify_case(&other, nullptr, golden / "se2_small" / "case.safetensors");
  CHECK(entries.size() == 6);
  CHECK_FALSE(pipeline::all_ok(entries));
  for (const auto& entry : entries) CHECK(entry.max_abs_diff > 1e-3);
  CHECK_FALSE(pipeline::all_ok({}));
}

TEST_CASE("a case that does not fit the bundle is refused") {
  auto config = config_of("se2_small");
  config.input_dim = 25;
  const model::Se2Encoder<float> wider(config, test::random_parameters(config, 2));
  CHECK(code_of(&wider, nullptr, "se2_small") == "STOFM-4351 tensor token_embeddings");
  config = config_of("se2_small");
  config.num_hidden_layers = 1;
  const model::Se2Encoder<float> shallow(config, test::random_parameters(config, 3));
  CHECK(code_of(&shallow, nullptr, "se2_small") == "STOFM-4351 tensor hidden_states.2");
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  const model::Se2Encoder<float> other_heads(config, test::random_parameters(config, 4));
  CHECK(code_of(&other_heads, nullptr, "se2_small") == "STOFM-4351 tensor pair_rep");
  CHECK(code_of(&shallow, nullptr, "cell_encoder_small") == "STOFM-4350 case");
  CHECK(code_of(nullptr, nullptr, "se2_small") == "STOFM-4350 case");
  CHECK(code_of(&shallow, nullptr, "graph_tiny") == "STOFM-4350 case");
}

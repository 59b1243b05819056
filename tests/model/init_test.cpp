// SPDX-License-Identifier: MIT
#include "stofm/model/init.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace stofm;
using model::initial_parameters;

namespace {

model::Se2Config se2(std::int64_t layers) {
  return {.input_dim = 64,
          .embedding_dim = 128,
          .ffn_embedding_dim = 96,
          .num_attention_heads = 4,
          .num_hidden_layers = layers,
          .gaussian_hidden_dim = 32};
}
model::CellEncoderConfig cell_encoder() {
  return {.vocab_size = 300,
          .hidden_size = 64,
          .intermediate_size = 96,
          .num_attention_heads = 4,
          .num_hidden_layers = 1,
          .max_position_embeddings = 50,
          .type_vocab_size = 2,
          .projection_dim = 16};
}

struct Moments {
  double mean = 0, deviation = 0, least = 1e300, largest = -1e300;
};
Moments moments(const Tensor<float>& tensor) {
  Moments m;
  for (const float v : tensor.span()) {
    m.mean += static_cast<double>(v);
    m.least = std::min(m.least, static_cast<double>(v));
    m.largest = std::max(m.largest, static_cast<double>(v));
  }
  m.mean /= static_cast<double>(tensor.numel());
  for (const float v : tensor.span()) m.deviation += std::pow(static_cast<double>(v) - m.mean, 2);
  m.deviation = std::sqrt(m.deviation / static_cast<double>(tensor.numel()));
  return m;
}
bool same(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() && std::equal(a.span().begin(), a.span().end(), b.span().begin());
}

}  // namespace

TEST_CASE("initial parameters of the SE(2) Transformer follow the published distributions") {
  const auto p = initial_parameters(se2(2), {.seed = 7});
  const auto specs = model::parameter_list(se2(2));
  REQUIRE(p.size() == specs.size());
  for (const auto& spec : specs) CHECK(p.at(spec.name).shape() == spec.shape);

  // N(0, 0.02): 8192 draws, so the mean is within 5 standard errors (5 * 0.02 / 90.5) and the deviation
  // within 5 / sqrt(2 * 8192) = 3.9 %.
  const Moments normal = moments(p.at("embedding_layer.weight"));
  CHECK(std::abs(normal.mean) < 0.0012);
  CHECK(normal.deviation == doctest::Approx(0.02).epsilon(0.039));
  CHECK(normal.largest > 0.04);

  const double out_bound = std::sqrt(6.0 / 256.0), q_bound = out_bound / std::sqrt(2.0);
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    const Moments q = moments(p.at(std::string("encoder.layers.1.self_attn.") + name + ".weight"));
    CHECK(q.largest <= q_bound * (1 + 1e-6));
    CHECK(q.least >= -q_bound * (1 + 1e-6));
    CHECK(q.largest > 0.99 * q_bound);
    CHECK(q.deviation == doctest::Approx(q_bound / std::sqrt(3.0)).epsilon(0.03));
  }
  const Moments out = moments(p.at("encoder.layers.0.self_attn.out_proj.weight"));
  CHECK(out.largest > 0.99 * out_bound);
  CHECK(out.largest <= out_bound * (1 + 1e-6));

  for (const char* name : {"gaussian.means.weight", "gaussian.stds.weight"}) {
    const Moments g = moments(p.at(name));
    CHECK(g.least >= 0.0);
    CHECK(g.largest <= 3.0);
    CHECK(g.largest > 2.0);
  }
  CHECK(p.at("gaussian.linear.weight")(0, 0) == 1.0F);
  CHECK(p.at("gaussian.linear.bias")(0) == 0.0F);
  CHECK(moments(p.at("encoder.layers.0.self_attn_layer_norm.weight")).least == 1.0);
  CHECK(moments(p.at("encoder.layers.0.final_layer_norm.weight")).largest == 1.0);
  for (const auto& [name, tensor] : p)
    if (name.ends_with(".bias")) {
      const std::string& label = name;  // clang 14 captures no structured bindings
      CAPTURE(label);
      CHECK(moments(tensor).largest == 0.0);
      CHECK(moments(tensor).least == 0.0);
    }
}

TEST_CASE("initial parameters of the cell encoder leave the padding row at zero") {
  const auto p = initial_parameters(cell_encoder(), {.seed = 7, .standard_deviation = 0.05});
  const auto& words = p.at("bert/embeddings.word_embeddings.weight");
  for (std::int64_t c = 0; c < 64; ++c) CHECK(words(0, c) == 0.0F);
  CHECK(moments(words).deviation == doctest::Approx(0.05).epsilon(0.03));
  CHECK(moments(p.at("proj.weight")).deviation == doctest::Approx(0.05).epsilon(0.15));
  CHECK(moments(p.at("bert/embeddings.LayerNorm.weight")).least == 1.0);
}

TEST_CASE("initial parameters depend on seed and name only") {
  const auto a = initial_parameters(se2(1), {.seed = 7}), b = initial_parameters(se2(3), {.seed = 7}),
             c = initial_parameters(se2(1), {.seed = 8});
  for (const auto& [name, tensor] : a) {
    const std::string& label = name;
    CAPTURE(label);
    CHECK(same(tensor, b.at(name)));
  }
  CHECK_FALSE(same(a.at("embedding_layer.weight"), c.at("embedding_layer.weight")));
  CHECK_FALSE(same(a.at("encoder.layers.0.self_attn.q_proj.weight"),
                   a.at("encoder.layers.0.self_attn.k_proj.weight")));
  const auto wide = initial_parameters<double>(se2(1), {.seed = 7});
  CHECK(wide.at("embedding_layer.weight")(0, 0) == static_cast<double>(a.at("embedding_layer.weight")(0, 0)));
}

TEST_CASE("a deviation that is no number is refused") {
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    CHECK_THROWS_WITH_AS(initial_parameters(se2(1), {.standard_deviation = bad}),
                         doctest::Contains("STOFM-1320"), UsageError);
}

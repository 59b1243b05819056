// SPDX-License-Identifier: MIT
#include "stofm/model/se2_encoder.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <numbers>

#include "stofm/core/cpu_features.hpp"
#include "tests/model/random_model.hpp"
#include "tests/support/cosine.hpp"
#include "tests/support/kernel_levels.hpp"

namespace {

using namespace stofm;
using model::Se2Config;
using model::Se2Encoder;

Se2Config small_config() {
  Se2Config config;
  config.input_dim = 20;
  config.embedding_dim = 32;
  config.ffn_embedding_dim = 48;
  config.num_attention_heads = 4;
  config.num_hidden_layers = 3;
  config.gaussian_hidden_dim = 16;
  return config;
}

Se2Config wide_config() {
  Se2Config config = small_config();
  config.input_dim = config.embedding_dim = config.ffn_embedding_dim = 256;
  config.num_attention_heads = 8;
  config.num_hidden_layers = 4;
  config.gaussian_hidden_dim = 128;
  return config;
}

Tensor<float> states(const Se2Encoder<float>& model, const test::RandomSubSlice& slice) {
  return model.forward(slice.embeddings.view(), slice.distances, slice.types).last_hidden_state;
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("float agrees with double at the published depth and width") {
  const Se2Config config = wide_config();
  const auto weights = test::random_parameters(config, 7, 1.0);
  const auto slice = test::random_sub_slice(180, 12, config.input_dim, 8, 20);
  model::Se2EncoderOptions options;
  options.distance_bias.rounding =
      model::AffineRounding::float32;  // compare everything behind the rounding of w d + b
  const Se2Encoder<double> exact(config, model::cast_parameters<double>(weights), options);
  Tensor<double> wide(slice.embeddings.shape());
  std::copy_n(slice.embeddings.data(), slice.embeddings.numel(), wide.data());
  const auto reference =
      exact.forward(std::as_const(wide).view(), slice.distances, slice.types).last_hidden_state;
  test::for_each_level([&](CpuKernels level) {
    const Se2Encoder<float> model(config, weights);
    const double difference = test::relative_difference(states(model, slice), reference);
    MESSAGE("float against double, ", std::string(to_string(level)), ": ", difference);
    CHECK(difference <= 2e-6);
  });
}

TEST_CASE("a rigid motion of the nodes changes nothing beyond the rounding of distances") {
  const Se2Config config = small_config();
  const Se2Encoder<float> model(config, test::random_parameters(config, 3));
  auto slice = test::random_sub_slice(90, 6, config.input_dim, 4, 20);
  // Moved by an angle, a shift and a reflection; float32 positions are not needed.
  const double angle = 0.7;
  auto moved = slice;
  moved.positions = Tensor<double>({90, 2});
  for (std::int64_t i = 0; i < 90; ++i) {
    const double x = slice.positions(i, 0), y = slice.positions(i, 1);
    moved.positions(i, 0) = -(std::cos(angle) * x - std::sin(angle) * y) + 3;
    moved.positions(i, 1) = std::sin(angle) * x + std::cos(angle) * y - 5;
  }
  moved.distances = test::neighbour_distances(moved.positions, moved.types, 20);
  REQUIRE(moved.distances.columns == slice.distances.columns);
  CHECK(test::max_difference(states(model, slice), states(model, moved)) <= 1e-5);
  // ... and a real change of distances does not pass.
  auto other = slice;
  for (float& d : other.distances.values) d *= 1.05F;
  CHECK(test::max_difference(states(model, slice), states(model, other)) > 1e-3);
}

TEST_CASE("permuting the nodes permutes the output") {
  const Se2Config config = small_config();
  const auto slice = test::random_sub_slice(61, 5, config.input_dim, 5, 15);
  std::vector<std::int64_t> order(61);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random random(9);
  for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  const Tensor<float> dense = to_dense(slice.distances);
  Tensor<float> permuted({61, 61}), embeddings(slice.embeddings.shape());
  auto shuffled = slice;
  for (std::int64_t i = 0; i < 61; ++i) {
    const std::int64_t from = order[static_cast<std::size_t>(i)];
    shuffled.types[static_cast<std::size_t>(i)] = slice.types[static_cast<std::size_t>(from)];
    for (std::int64_t c = 0; c < config.input_dim; ++c) embeddings(i, c) = slice.embeddings(from, c);
    for (std::int64_t j = 0; j < 61; ++j) permuted(i, j) = dense(from, order[static_cast<std::size_t>(j)]);
  }
  shuffled.embeddings = embeddings;
  shuffled.distances = pair_distances_from_dense(std::as_const(permuted).view());
  test::for_each_level([&](CpuKernels) {
    const Se2Encoder<float> model(config, test::random_parameters(config, 3));
    const Tensor<float> straight = states(model, slice), mixed = states(model, shuffled);
    double worst = 0;
    for (std::int64_t i = 0; i < 61; ++i)
      for (std::int64_t c = 0; c < config.embedding_dim; ++c)
        worst = std::max(
            worst,
            std::abs(static_cast<double>(mixed(i, c) - straight(order[static_cast<std::size_t>(i)], c))));
    CHECK(worst <= 1e-5);
  });
}

TEST_CASE("the number of threads does not change one bit") {
  const Se2Config config = small_config();
  const auto slice = test::random_sub_slice(150, 9, config.input_dim, 6, 30);
  const int before = thread_count();
  test::for_each_level([&](CpuKernels) {
    const Se2Encoder<float> model(config, test::random_parameters(config, 11));
    set_thread_count(1);
    const Tensor<float> one = states(model, slice);
    for (const int threads : {2, 4}) {
      set_thread_count(threads);
      CHECK(same_bits(one, states(model, slice)));
    }
  });
  set_thread_count(before);
}

TEST_CASE("bfloat16: nodes within a cosine of 1e-4 of float32, the same bits for any number of threads") {
  const Se2Config config = wide_config();
  const auto weights = test::random_parameters(config, 5, 1.0);
  const auto slice = test::random_sub_slice(90, 7, config.input_dim, 6);
  const int before = thread_count();
  test::for_each_level([&](CpuKernels level) {
    model::Se2EncoderOptions options;
    options.grade = MatmulGrade::bfloat16;
    const Se2Encoder<float> exact(config, weights), model(config, weights, options);
    set_thread_count(1);
    const Tensor<float> one = states(model, slice);
    const double error = test::worst_cosine_error(one, states(exact, slice));
    MESSAGE("bfloat16 against float32, ", std::string(to_string(level)), ": ", error);
    CHECK(error <= 1e-4);  // 1.9e-5 measured with 1,050 nodes
    CHECK(error > 0);
    for (const int threads : {2, 3}) {
      set_thread_count(threads);
      CHECK(same_bits(states(model, slice), one));
    }
  });
  set_thread_count(before);
}

TEST_CASE("padded nodes may stand anywhere, take no part and come back as zeros") {
  const Se2Config config = small_config();
  for (const bool pre : {false, true}) {
    Se2Config shape = config;
    shape.pre_layernorm = pre;
    const Se2Encoder<float> model(shape, test::random_parameters(shape, 13));
    const auto slice = test::random_sub_slice(40, 4, config.input_dim, 14, 12);
    const auto plain = model.forward(slice.embeddings.view(), slice.distances, slice.types,
                                     {.hidden_states = true, .pair_rep = true, .gaussian_bias = true});
    // Pads at the front, in the middle and at the end, with embeddings and distances that must not leak.
    const std::vector<std::int64_t> pads{0, 7, 8, 30, 45};
    const std::int64_t n = 46;
    auto dense = Tensor<float>::full({n, n}, 1.5F);
    auto embeddings = Tensor<float>::full({n, config.input_dim}, 1000.0F);
    std::vector<std::int32_t> types(static_cast<std::size_t>(n), 3);
    std::vector<std::int64_t> place;
    for (std::int64_t i = 0; i < n; ++i)
      if (std::find(pads.begin(), pads.end(), i) == pads.end()) place.push_back(i);
    place.resize(40);
    const Tensor<float> inner = to_dense(slice.distances);
    for (std::int64_t i = 0; i < 40; ++i) {
      const std::int64_t at = place[static_cast<std::size_t>(i)];
      types[static_cast<std::size_t>(at)] = slice.types[static_cast<std::size_t>(i)];
      for (std::int64_t c = 0; c < config.input_dim; ++c) embeddings(at, c) = slice.embeddings(i, c);
      for (std::int64_t j = 0; j < 40; ++j) dense(at, place[static_cast<std::size_t>(j)]) = inner(i, j);
    }
    const auto padded = model.forward(std::as_const(embeddings).view(),
                                      pair_distances_from_dense(std::as_const(dense).view()), types,
                                      {.hidden_states = true, .pair_rep = true});
    REQUIRE(padded.hidden_states.size() == 4);
    for (std::int64_t i = 0; i < 40; ++i) {
      const std::int64_t at = place[static_cast<std::size_t>(i)];
      for (std::int64_t c = 0; c < config.embedding_dim; ++c) {
        CHECK(padded.last_hidden_state(at, c) == plain.last_hidden_state(i, c));
        CHECK(padded.hidden_states[1](at, c) == plain.hidden_states[1](i, c));
      }
      CHECK(padded.pair_rep(at, place[3], 1) == plain.pair_rep(i, 3, 1));
    }
    for (const std::int64_t pad : pads) {
      CHECK(padded.last_hidden_state(pad, 5) == 0.0F);
      CHECK(padded.pair_rep(place[2], pad, 0) == 0.0F);
      CHECK(padded.pair_rep(pad, place[2], 0) == 0.0F);
    }
  }
}

TEST_CASE("a batch of nothing but padding gives zeros, and no nodes give nothing") {
  const Se2Config config = small_config();
  const Se2Encoder<float> model(config, test::random_parameters(config, 3));
  PairDistances distances;
  distances.nodes = 3;
  distances.row_offsets = {0, 0, 0, 0};
  const auto embeddings = Tensor<float>::full({3, config.input_dim}, 5.0F);
  const std::vector<std::int32_t> types{3, 3, 3};
  const auto output =
      model.forward(embeddings.view(), distances, types, {.hidden_states = true, .pair_rep = true});
  for (const float value : std::as_const(output.last_hidden_state).span()) CHECK(value == 0.0F);
  CHECK(output.hidden_states.size() == 4);
  CHECK(output.pair_rep.shape() == Shape{3, 3, 4});
  const auto none = model.forward(Tensor<float>({0, config.input_dim}).view(), PairDistances{}, {});
  CHECK(none.last_hidden_state.shape() == Shape{0, 32});
}

TEST_CASE("one node, and cells that coincide, stay finite") {
  const Se2Config config = small_config();
  const Se2Encoder<float> model(config, test::random_parameters(config, 3));
  const auto one = test::random_sub_slice(1, 0, config.input_dim, 2, 0);
  const Tensor<float> alone = states(model, one);
  for (const float value : alone.span()) CHECK(std::isfinite(value));
  auto slice = test::random_sub_slice(30, 3, config.input_dim, 2, 8);
  for (std::int64_t i = 10; i < 20; ++i) {
    slice.positions(i, 0) = slice.positions(10, 0);
    slice.positions(i, 1) = slice.positions(10, 1);
  }
  slice.distances = test::neighbour_distances(slice.positions, slice.types, 8);
  const Tensor<float> together = states(model, slice);
  for (const float value : together.span()) CHECK(std::isfinite(value));
}

TEST_CASE("sizes that do not fit are refused with both") {
  const Se2Config config = small_config();
  const Se2Encoder<float> model(config, test::random_parameters(config, 3));
  const auto slice = test::random_sub_slice(12, 2, config.input_dim, 5, 4);
  const Tensor<float> narrow_rows({12, 19});
  CHECK_THROWS_AS(model.forward(narrow_rows.view(), slice.distances, slice.types), ShapeError);
  auto types = slice.types;
  types.pop_back();
  CHECK_THROWS_AS(model.forward(slice.embeddings.view(), slice.distances, types), ShapeError);
  types = slice.types;
  types[4] = 7;
  try {
    model.forward(slice.embeddings.view(), slice.distances, types);
    FAIL("a type of 7 was accepted");
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-1331");
    CHECK(error.where().find("node 4") != std::string::npos);
  }
  auto bad = slice.distances;
  bad.values[3] = std::nanf("");
  CHECK_THROWS_AS(model.forward(slice.embeddings.view(), bad, slice.types), DataError);
}

// SPDX-License-Identifier: MIT
#include "stofm/model/cell_encoder.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "stofm/core/cpu_features.hpp"
#include "tests/model/random_model.hpp"
#include "tests/support/cosine.hpp"
#include "tests/support/kernel_levels.hpp"

namespace {

using namespace stofm;
using model::CellEncoder;
using model::CellEncoderConfig;

CellEncoderConfig small_config() {
  CellEncoderConfig config;
  config.vocab_size = 90;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_attention_heads = 4;
  config.num_hidden_layers = 3;
  config.max_position_embeddings = 70;
  config.type_vocab_size = 2;
  config.hidden_act = "relu";
  config.projection_dim = 24;
  return config;
}

struct Cells {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
};

Cells random_cells(const std::vector<std::int64_t>& lengths, std::uint64_t seed) {
  Random random(seed);
  Cells cells;
  for (const std::int64_t length : lengths) {
    for (std::int64_t i = 0; i < length; ++i)
      cells.tokens.push_back(static_cast<std::int32_t>(random.below(90)));
    cells.offsets.push_back(static_cast<std::int64_t>(cells.tokens.size()));
  }
  return cells;
}

const std::vector<std::int64_t> lengths{17, 1, 70, 33, 2, 64, 17, 5, 48, 1};

}  // namespace

TEST_CASE("packed cells give what each gives alone, in the caller's order, for any chunk size") {
  const CellEncoderConfig config = small_config();
  const auto weights = test::random_parameters(config, 21);
  const Cells cells = random_cells(lengths, 22);
  test::for_each_level([&](CpuKernels) {
    const CellEncoder<float> model(config, weights);
    const Tensor<float> together = model.embed(cells.tokens, cells.offsets);
    for (std::size_t c = 0; c < lengths.size(); ++c) {
      const auto begin = static_cast<std::size_t>(cells.offsets[c]);
      const std::vector<std::int64_t> alone{0, lengths[c]};
      const Tensor<float> one =
          model.embed(std::span(cells.tokens).subspan(begin, static_cast<std::size_t>(lengths[c])), alone);
      CHECK(test::max_difference(
                together.slice(0, static_cast<std::int64_t>(c), static_cast<std::int64_t>(c) + 1), one) <=
            1e-6);
    }
    const CellEncoder<float> narrow(config, weights, {.parameters = {}, .tokens_per_chunk = 40});
    CHECK(test::max_difference(together, narrow.embed(cells.tokens, cells.offsets)) <= 1e-6);
  });
}

TEST_CASE("the folded last layer equals the full one at position 0") {
  const CellEncoderConfig config = small_config();
  const auto weights = model::cast_parameters<double>(test::random_parameters(config, 23));
  const CellEncoder<double> model(config, weights);
  const Cells cells = random_cells(lengths, 24);
  const Tensor<double> states = model.last_hidden_state(cells.tokens, cells.offsets),
                       embedding = model.embed(cells.tokens, cells.offsets);
  const Tensor<double>&w = weights.at("proj.weight"), &b = weights.at("proj.bias");
  for (std::size_t c = 0; c < lengths.size(); ++c) {
    std::vector<double> projected;
    double squares = 0;
    for (std::int64_t p = 0; p < 24; ++p) {
      double sum = b(p);
      for (std::int64_t k = 0; k < 32; ++k) sum += w(p, k) * states(cells.offsets[c], k);
      projected.push_back(sum);
      squares += sum * sum;
    }
    for (std::int64_t p = 0; p < 24; ++p)
      CHECK(embedding(static_cast<std::int64_t>(c), p) ==
            doctest::Approx(projected[static_cast<std::size_t>(p)] / std::sqrt(squares)).epsilon(1e-10));
  }
}

TEST_CASE("float agrees with double") {
  const CellEncoderConfig config = small_config();
  const auto weights = test::random_parameters(config, 25);
  const Cells cells = random_cells(lengths, 26);
  const Tensor<double> exact =
      CellEncoder<double>(config, model::cast_parameters<double>(weights)).embed(cells.tokens, cells.offsets);
  test::for_each_level([&](CpuKernels level) {
    const double difference = test::relative_difference(
        CellEncoder<float>(config, weights).embed(cells.tokens, cells.offsets), exact);
    MESSAGE("float against double, ", std::string(to_string(level)), ": ", difference);
    CHECK(difference <= 2e-6);
  });
}

TEST_CASE("the number of threads does not change one bit") {
  const CellEncoderConfig config = small_config();
  const Cells cells = random_cells(lengths, 28);
  const int before = thread_count();
  test::for_each_level([&](CpuKernels) {
    const CellEncoder<float> model(config, test::random_parameters(config, 27),
                                   {.parameters = {}, .tokens_per_chunk = 100});
    set_thread_count(1);
    const Tensor<float> one = model.embed(cells.tokens, cells.offsets);
    for (const int threads : {2, 4}) {
      set_thread_count(threads);
      const Tensor<float> many = model.embed(cells.tokens, cells.offsets);
      CHECK(std::memcmp(one.data(), many.data(), static_cast<std::size_t>(one.numel()) * sizeof(float)) == 0);
    }
  });
  set_thread_count(before);
}

TEST_CASE("bfloat16: cells within a cosine of 1e-4 of float32, the same bits for any number of threads") {
  const CellEncoderConfig config = small_config();
  const Cells cells = random_cells(lengths, 28);
  const auto weights = test::random_parameters(config, 27);
  const int before = thread_count();
  test::for_each_level([&](CpuKernels level) {
    const CellEncoder<float> exact(config, weights),
        model(config, weights, {.tokens_per_chunk = 100, .grade = MatmulGrade::bfloat16});
    set_thread_count(1);
    const Tensor<float> expected = exact.embed(cells.tokens, cells.offsets),
                        one = model.embed(cells.tokens, cells.offsets);
    const double error = test::worst_cosine_error(one, expected);
    MESSAGE("bfloat16 against float32, ", std::string(to_string(level)), ": ", error);
    CHECK(error <= 1e-4);  // what is promised; 1.2e-5 measured at the published sizes
    CHECK(error > 0);      // it is another grade
    for (const int threads : {2, 4}) {
      set_thread_count(threads);
      const Tensor<float> many = model.embed(cells.tokens, cells.offsets);
      CHECK(std::memcmp(one.data(), many.data(), static_cast<std::size_t>(one.numel()) * sizeof(float)) == 0);
    }
  });
  set_thread_count(before);
}

TEST_CASE("no cells give no rows, and bad sequences are refused by cell") {
  const CellEncoderConfig config = small_config();
  const CellEncoder<float> model(config, test::random_parameters(config, 29));
  const std::vector<std::int64_t> nothing{0};
  CHECK(model.embed({}, nothing).shape() == Shape{0, 24});
  const auto code_of = [&](const std::vector<std::int32_t>& tokens,
                           const std::vector<std::int64_t>& offsets) {
    try {
      model.embed(tokens, offsets);
    } catch (const Error& error) {
      return error.code() + " " + error.where();
    }
    return std::string("accepted");
  };
  CHECK(code_of({1, 2}, {0, 1, 1, 2}) == "STOFM-1340 tokens of cell 1");
  CHECK(code_of(std::vector<std::int32_t>(73, 1), {0, 2, 73}) == "STOFM-1340 tokens of cell 1");
  CHECK(code_of({1, 2, 90}, {0, 1, 3}) == "STOFM-1341 token 1 of cell 1");
  CHECK(code_of({-1}, {0, 1}) == "STOFM-1341 token 0 of cell 0");
  CHECK(code_of({1, 2}, {0, 3}).starts_with("STOFM-1327"));
}

TEST_CASE("the width of the projection comes from its weights") {
  CellEncoderConfig config = small_config();
  const auto weights = test::random_parameters(config, 30);
  config.projection_dim = 0;
  CHECK(CellEncoder<float>(config, weights).config().projection_dim == 24);
}

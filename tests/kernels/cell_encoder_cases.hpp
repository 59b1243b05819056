// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The cell encoder of the CUDA backend against the CPU's and against the golden cases: emulated and on a
/// device.

#include "stofm/backend/cuda/cell_encoder.hpp"
#include "tests/kernels/support/device_array.hpp"
#include "tests/model/golden_model.hpp"
#include "tests/model/random_model.hpp"

namespace cell_encoder_cases {

using namespace stofm;
using backend::CudaCellEncoder;
using backend::CudaCellEncoderOptions;
using backend::CudaCellEncoderSizes;
using backend::NamedHostTensor;
using backend::Precision;

inline CudaCellEncoderSizes sizes_of(const model::CellEncoderConfig& c) {
  CudaCellEncoderSizes s;
  s.vocab_size = c.vocab_size;
  s.hidden_size = c.hidden_size;
  s.intermediate_size = c.intermediate_size;
  s.heads = c.num_attention_heads;
  s.layers = c.num_hidden_layers;
  s.positions = c.max_position_embeddings;
  s.token_types = c.type_vocab_size;
  s.projection_dim = c.projection_dim;
  s.activation = model::detail::activation_of(c.hidden_act);
  s.layer_norm_eps = c.layer_norm_eps;
  return s;
}
inline std::vector<NamedHostTensor> named(const model::NamedTensors<float>& tensors) {
  std::vector<NamedHostTensor> result;
  for (const auto& [name, tensor] : tensors) result.push_back({name, tensor.span()});
  return result;
}

struct Cells {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
};

/// Largest difference of two sets of rows of length 1, and the smallest cosine of two rows.
struct Agreement {
  double largest = 0, cosine = 1;
};
inline Agreement compare(std::span<const float> found, const Tensor<float>& expected) {
  Agreement result;
  for (std::int64_t i = 0; i < expected.dim(0); ++i) {
    double dot = 0;
    for (std::int64_t j = 0; j < expected.dim(1); ++j) {
      const auto x = static_cast<double>(found[static_cast<std::size_t>(i * expected.dim(1) + j)]),
                 y = static_cast<double>(expected(i, j));
      const double d = std::abs(x - y);
      result.largest = d == d ? (std::max)(result.largest, d) : 1e30;
      dot += x * y;
    }
    result.cosine = (std::min)(result.cosine, dot);
  }
  return result;
}

inline std::vector<float> embed(const CudaCellEncoder& encoder, const Cells& cells) {
  std::vector<float> result((cells.offsets.size() - 1) *
                            static_cast<std::size_t>(encoder.sizes().projection_dim));
  encoder.embed(cells.tokens, cells.offsets, result);
  test::add_to_device_digest(result.data(), result.size() * sizeof(float));
  return result;
}

/// The bars: 2e-5 in float32; bf16 2e-2 and cosine 0.999. Split operands keep 16 bits of 24: 2^-16 a
/// product, a few layers deep.
inline void check(const model::CellEncoderConfig& config, const model::NamedTensors<float>& weights,
                  const Cells& cells, const Tensor<float>& expected) {
  for (const Precision precision : {Precision::float32, Precision::split_bf16, Precision::bf16}) {
    CAPTURE(static_cast<int>(precision));
    const CudaCellEncoder encoder(emulator::device_under_test, sizes_of(config), named(weights),
                                  {.precision = precision, .memory_bytes = std::int64_t{1} << 28});
    const Agreement found = compare(embed(encoder, cells), expected);
    CAPTURE(found.largest);
    CAPTURE(1 - found.cosine);
    const double tolerance = precision == Precision::float32      ? 2e-5
                             : precision == Precision::split_bf16 ? 2e-4
                                                                  : 2e-2;
    CHECK(found.largest <= tolerance);
    CHECK(found.cosine >= 0.999);
  }
}

TEST_CASE("the golden cases come out of the kernels") {
  for (const char* name : {"cell_encoder_small", "cell_encoder_gelu"}) {
    CAPTURE(name);
    const auto golden = test::GoldenModel::load(name);
    if (!golden) {
      MESSAGE("skipped: no golden case");
      continue;
    }
    const auto file = golden->open_case();
    const auto ids = file.read<std::int64_t>("input_ids"), lengths = file.read<std::int64_t>("lengths");
    Cells cells;
    for (std::int64_t cell = 0; cell < ids.dim(0); ++cell) {
      for (std::int64_t i = 0; i < lengths(cell); ++i)
        cells.tokens.push_back(static_cast<std::int32_t>(ids(cell, i)));
      cells.offsets.push_back(static_cast<std::int64_t>(cells.tokens.size()));
    }
    auto config = golden->cell_encoder_config();
    const auto weights = golden->weights<float>("cell_encoder/");
    config.projection_dim = weights.at("proj.weight").dim(0);
    check(config, weights, cells, file.read<float>("embedding"));
  }
}

inline model::CellEncoderConfig tiny(const char* activation, std::int64_t layers) {
  model::CellEncoderConfig c;
  c.vocab_size = 37;
  c.hidden_size = 128;
  c.intermediate_size = 36;
  c.num_attention_heads = 2;
  c.num_hidden_layers = layers;
  c.max_position_embeddings = 90;
  c.type_vocab_size = 2;
  c.hidden_act = activation;
  c.projection_dim = 7;
  return c;
}
inline Cells random_cells(const model::CellEncoderConfig& config,
                          std::initializer_list<std::int64_t> lengths) {
  Random random(5);
  Cells cells;
  for (const std::int64_t length : lengths) {
    for (std::int64_t i = 0; i < length; ++i)
      cells.tokens.push_back(
          static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size))));
    cells.offsets.push_back(static_cast<std::int64_t>(cells.tokens.size()));
  }
  return cells;
}

TEST_CASE("heads of 64, one layer or two, lengths from one token to the longest") {
  for (const char* activation : {"relu", "gelu"})
    for (const std::int64_t layers : {1, 2}) {
      CAPTURE(layers);
      const auto config = tiny(activation, layers);
      const auto weights = test::random_parameters(config, 3, 1.0);
      const Cells cells = random_cells(config, {1, 90, 17});
      check(config, weights, cells,
            model::CellEncoder<float>(config, weights).embed(cells.tokens, cells.offsets));
    }
}

TEST_CASE("batches change nothing, results come in the order of the cells, two runs give the same bits") {
  const auto config = tiny("gelu", 2);
  const auto weights = test::random_parameters(config, 3, 1.0);
  const Cells cells = random_cells(config, {3, 66, 1, 20, 90, 41, 7});
  {
    const CudaCellEncoder whole(emulator::device_under_test, sizes_of(config), named(weights),
                                {.precision = Precision::split_bf16, .tokens_per_batch = 1024});
    CudaCellEncoder parts(emulator::device_under_test, sizes_of(config), named(weights),
                          {.precision = Precision::split_bf16, .tokens_per_batch = 100});
    CHECK(whole.tokens_per_batch() == 1024);
    CHECK(parts.tokens_per_batch() == 128);
    const auto expected = embed(whole, cells), found = embed(parts, cells);
#if defined(STOFM_KERNEL_EMULATOR)
    CHECK(found == expected);
#else  // cuBLASLt may take another algorithm for another number of rows
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i)
      worst = (std::max)(worst, std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i])));
    CHECK(worst <= 2e-5);
#endif
    const CudaCellEncoder moved = std::move(parts);
    CHECK(embed(moved, Cells{}).empty());
    emulator::for_each_run([&] { CHECK(embed(moved, cells) == found); });
  }
#if defined(STOFM_KERNEL_EMULATOR)
  CHECK(emulator::device().blocks.empty());  // nothing is left on the device
#endif
}

}  // namespace cell_encoder_cases

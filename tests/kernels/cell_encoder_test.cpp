// SPDX-License-Identifier: MIT
// The whole cell encoder of the CUDA backend, run on the host, against the CPU's and against the golden
// cases.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/cell_encoder.cu"
#include "kernels/instantiate/runtime.cu"
#include "kernels/instantiate/sequence_attention_forward_bf16.cu"
#include "kernels/instantiate/sequence_attention_forward_float32.cu"
#include "kernels/instantiate/sequence_attention_forward_split_bf16.cu"
#include "tests/kernels/support/device_array.hpp"
#include "tests/model/golden_model.hpp"
#include "tests/model/random_model.hpp"

using namespace stofm;
using backend::CudaCellEncoder;
using backend::CudaCellEncoderOptions;
using backend::CudaCellEncoderSizes;
using backend::NamedHostTensor;
using backend::Precision;

namespace {

CudaCellEncoderSizes sizes_of(const model::CellEncoderConfig& c) {
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
std::vector<NamedHostTensor> named(const model::NamedTensors<float>& tensors) {
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
Agreement compare(std::span<const float> found, const Tensor<float>& expected) {
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

std::vector<float> embed(const CudaCellEncoder& encoder, const Cells& cells) {
  std::vector<float> result((cells.offsets.size() - 1) *
                            static_cast<std::size_t>(encoder.sizes().projection_dim));
  encoder.embed(cells.tokens, cells.offsets, result);
  return result;
}

/// The bars: 2e-5 in float32; bf16 2e-2 and cosine 0.999. Split operands keep 16 bits of 24: 2^-16 a
/// product, a few layers deep.
void check(const model::CellEncoderConfig& config, const model::NamedTensors<float>& weights,
           const Cells& cells, const Tensor<float>& expected) {
  for (const Precision precision :
       {Precision::float32, Precision::split_bf16, Precision::tf32, Precision::bf16}) {
    CAPTURE(static_cast<int>(precision));
    const CudaCellEncoder encoder(Cuda{}, sizes_of(config), named(weights),
                                  {.precision = precision, .memory_bytes = std::int64_t{1} << 28});
    const Agreement found = compare(embed(encoder, cells), expected);
    CAPTURE(found.largest);
    CAPTURE(1 - found.cosine);
    const double tolerance = precision == Precision::float32      ? 2e-5
                             : precision == Precision::split_bf16 ? 2e-4
                             : precision == Precision::tf32       ? 4e-3
                                                                  : 2e-2;
    CHECK(found.largest <= tolerance);
    CHECK(found.cosine >= 0.999);
  }
}

}  // namespace

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

namespace {

model::CellEncoderConfig tiny(const char* activation, std::int64_t layers) {
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
Cells random_cells(const model::CellEncoderConfig& config, std::initializer_list<std::int64_t> lengths) {
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

}  // namespace

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

TEST_CASE("batches change no bit, results come in the order of the cells, nothing is left on the device") {
  const auto config = tiny("gelu", 2);
  const auto weights = test::random_parameters(config, 3, 1.0);
  const Cells cells = random_cells(config, {3, 66, 1, 20, 90, 41, 7});
  {
    const CudaCellEncoder whole(Cuda{}, sizes_of(config), named(weights),
                                {.precision = Precision::split_bf16, .tokens_per_batch = 1024});
    CudaCellEncoder parts(Cuda{}, sizes_of(config), named(weights),
                          {.precision = Precision::split_bf16, .tokens_per_batch = 100});
    CHECK(whole.tokens_per_batch() == 1024);
    CHECK(parts.tokens_per_batch() == 128);
    const auto expected = embed(whole, cells);
    CHECK(embed(parts, cells) == expected);
    const CudaCellEncoder moved = std::move(parts);
    CHECK(embed(moved, cells) == expected);
    CHECK(embed(moved, Cells{}).empty());
    emulator::schedule() = {emulator::Schedule::Order::shuffled, 7};
    CHECK(embed(moved, cells) == expected);
    emulator::schedule() = {};
  }
  CHECK(emulator::device().blocks.empty());
}

TEST_CASE("what can't be computed is refused with its name") {
  const auto config = tiny("relu", 2);
  auto weights = test::random_parameters(config, 3, 1.0);
  const auto code = [&](const auto& act) {
    try {
      act();
    } catch (const Error& error) {
      return error.code();
    }
    return std::string("none");
  };
  const auto make = [&](const CudaCellEncoderSizes& sizes, const CudaCellEncoderOptions& options) {
    CudaCellEncoder(Cuda{}, sizes, named(weights), options);
  };
  CudaCellEncoderSizes sizes = sizes_of(config);
  sizes.heads = 1;  // of 128
  CHECK(code([&] { make(sizes, {}); }) == "STOFM-6040");
  sizes = sizes_of(config);
  sizes.vocab_size = 38;
  CHECK(code([&] { make(sizes, {}); }) == "STOFM-6041");
  sizes = sizes_of(config);
  CHECK(code([&] { make(sizes, {.memory_bytes = 4096}); }) == "STOFM-6003");
  emulator::device().memory_bytes = 100000;
  CHECK(code([&] { make(sizes, {}); }) == "STOFM-6003");
  emulator::device().memory_bytes = std::size_t{1} << 32;
  CHECK(emulator::device().blocks.empty());
  const CudaCellEncoder encoder(Cuda{}, sizes, named(weights), {.tokens_per_batch = 128});
  std::vector<float> result(7);
  const auto run = [&](std::vector<std::int32_t> tokens, std::vector<std::int64_t> offsets) {
    return code([&] { encoder.embed(tokens, offsets, result); });
  };
  CHECK(run({1, 2}, {0, 2}) == "none");
  CHECK(run({1, 2}, {0, 3}) == "STOFM-6042");
  CHECK(run({1, 2}, {0, 1, 2}) == "STOFM-6042");
  CHECK(run({1, 37}, {0, 2}) == "STOFM-6043");
  CHECK(run({1, -1}, {0, 2}) == "STOFM-6043");
  CHECK(run({}, {0, 0}) == "STOFM-6043");
  weights.erase("proj.bias");
  CHECK(code([&] { make(sizes, {}); }) == "STOFM-6041");
}

TEST_CASE("every call that the device refuses is an error, and the encoder works afterwards") {
  const auto config = tiny("gelu", 2);
  const auto weights = test::random_parameters(config, 3, 1.0);
  const Cells cells = random_cells(config, {5, 9});
  const CudaCellEncoder encoder(Cuda{}, sizes_of(config), named(weights), {.tokens_per_batch = 128});
  const auto expected = embed(encoder, cells);
  const std::int64_t before = kernels::call_faults().calls.load();
  CHECK(embed(encoder, cells) == expected);
  const std::int64_t calls = kernels::call_faults().calls.load() - before;
  for (std::int64_t k = 1; k <= calls; k += 3) {
    kernels::call_faults().countdown = k;
    CHECK_THROWS_AS(embed(encoder, cells), Error);
    kernels::call_faults().countdown = -1;
  }
  CHECK(embed(encoder, cells) == expected);
}

// SPDX-License-Identifier: MIT
// The whole cell encoder of the CUDA backend, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/cell_encoder_cases.hpp"

using namespace cell_encoder_cases;

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

// SPDX-License-Identifier: MIT
// Pieces of a slice from coordinates to hidden states, all kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/embed_pieces_cases.hpp"

using namespace embed_pieces_cases;

TEST_CASE("no order of blocks or threads changes a slice") {
  const auto config = test::small_se2_config(false, "relu");
  const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 3));
  const Slice slice(50, 2, 20, config.input_dim);
  std::vector<float> first;
  emulator::for_each_schedule([&] {
    pipeline::detail::CudaPieces pieces(cpu, device_under_test, {.precision = Precision::float32});
    Batches batches;
    const Embedded found = embed(batches.of(pieces, 2, true), slice, config.embedding_dim, {.neighbours = 6});
    const std::vector<float> bits(found.rows.span().begin(), found.rows.span().end());
    if (first.empty()) first = bits;
    CHECK(bits == first);
  });
  CHECK(emulator::device().blocks.empty());
}

TEST_CASE("a CUDA call that fails is an error, and the next slice is right") {
  const auto config = test::small_se2_config(false, "relu");
  const model::Se2Encoder<float> cpu(config, test::random_parameters(model::parameter_list(config), 3));
  pipeline::detail::CudaPieces pieces(cpu, device_under_test, {.precision = Precision::float32});
  const Slice slice(30, 1, 10, config.input_dim);
  Batches batches;
  const auto device = batches.of(pieces, 1, true);
  const Embedded expected = embed(device, slice, config.embedding_dim, {.neighbours = 5});
  const std::size_t before = emulator::device().used_bytes;
  auto& faults = kernels::call_faults();
  int failed = 0;
  for (std::int64_t call = 1; call < 100000; call += 1 + call / 4) {
    faults.countdown = call;
    bool threw = false;
    try {
      const Embedded found = embed(device, slice, config.embedding_dim, {.neighbours = 5});
      CHECK(std::equal(found.rows.span().begin(), found.rows.span().end(), expected.rows.span().begin()));
    } catch (const Error&) {
      threw = true;
    }
    const bool reached = faults.countdown.exchange(-1) <= 0;
    if (threw) CHECK(reached);  // without a graph that can't be had, kernels are launched one by one
    CHECK(emulator::device().used_bytes == before);
    if (!reached) break;
    failed += threw ? 1 : 0;
  }
  CHECK(failed > 10);
  const Embedded found = embed(device, slice, config.embedding_dim, {.neighbours = 5});
  CHECK(std::equal(found.rows.span().begin(), found.rows.span().end(), expected.rows.span().begin()));
}

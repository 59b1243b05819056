// SPDX-License-Identifier: MIT
// The emulator itself: collectives against their definitions, and the mistakes it must find.
#include "tests/kernels/support/emulator.hpp"

#include <doctest/doctest.h>

#include "stofm/kernels/common/block.cuh"
#include "stofm/kernels/common/dropout.cuh"
#include "stofm/kernels/common/mma.cuh"

using namespace stofm::kernels;

namespace {

struct Params {
  float* out = nullptr;
  const float* in = nullptr;
  std::int64_t count = 0;
};
struct Storage {
  float values[64];
  float scratch[4];
};

void run(void (*kernel)(Params), const Params& params, unsigned threads = 64,
         std::size_t shared = sizeof(Storage)) {
  emulator::launch(kernel, dim3(1), dim3(threads), shared, params);
}

void sums(Params p) {
  Storage& s = shared_memory<Storage>();
  p.out[threadIdx.x] = block_sum(static_cast<float>(threadIdx.x), s.scratch) +
                       1000.0F * block_max(static_cast<float>(threadIdx.x % 7), s.scratch);
}
void shuffles(Params p) {
  const float x = static_cast<float>(lane());
  p.out[threadIdx.x] =
      shuffle(x, 5) + 100.0F * shuffle_xor(x, 1) + (ballot(lane() % 2 == 0) == 0x55555555U ? 0.5F : 0.0F);
}
void missing_barrier(Params p) {
  Storage& s = shared_memory<Storage>();
  s.values[threadIdx.x] = 1.0F;
  if (p.count == 1) block_sync();
  p.out[threadIdx.x] = s.values[63 - threadIdx.x];
}
void divergent_barrier(Params) {
  if (threadIdx.x < 32) block_sync();
}
void divergent_lanes(Params) {
  if (lane() < 16)
    (void)warp_sum(1.0F);
  else
    warp_sync();
}
void divergent_places(Params p) {
  const float x = lane() < 16 ? shuffle(1.0F, 5) : shuffle(2.0F, 5);
  p.out[threadIdx.x] = x;
}
void divergent_barriers(Params p) {
  if (lane() < 16) {
    block_sync();
  } else {
    p.out[threadIdx.x] = 1.0F;
    block_sync();
  }
}
void left_lane(Params) {
  if (lane() == 3) return;
  warp_sync();
}
void misaligned(Params p) { store4(p.out + 1, load4(p.in)); }
void copies(Params p) {
  Storage& s = shared_memory<Storage>();
  if (threadIdx.x < 16) copy_async_16(&s.values[4 * threadIdx.x], p.in + 4 * threadIdx.x, threadIdx.x < 8);
  copy_async_commit();
  if (p.count == 1) copy_async_wait<0>();
  block_sync();
  p.out[threadIdx.x] = s.values[threadIdx.x];
  copy_async_wait<0>();
}
void never_waited(Params p) {
  copy_async_16(shared_memory<Storage>().values, p.in);
  copy_async_commit();
}
void thrower(Params) { throw std::runtime_error("from a thread"); }

/// [16, 16] x [16, 8] from a and b in memory by ldmatrix and mma; bfloat16.
struct MmaStorage {
  alignas(16) std::uint16_t a[16][16];
  alignas(16) std::uint16_t b[16][8];
};
void multiply(Params p) {
  MmaStorage& s = shared_memory<MmaStorage>();
  for (int k = lane(); k < 256; k += 32) s.a[k / 16][k % 16] = to_bfloat16(p.in[k]).bits;
  for (int k = lane(); k < 128; k += 32) s.b[k / 8][k % 8] = to_bfloat16(p.in[256 + k]).bits;
  warp_sync();
  std::uint32_t a[4], b[4];  // the upper two of b: the same matrices again
  ldmatrix_x4(a, &s.a[lane() % 16][lane() / 16 * 8]);
  ldmatrix_x4<true>(b, &s.b[lane() % 16][0]);
  float d[4] = {0, 0, 0, 0};
  mma_bfloat16(d, a, {b[0], b[1]});
  for (int i = 0; i < 4; ++i) p.out[accumulator_row(i) * 8 + accumulator_column(i)] = d[i];
}

}  // namespace

TEST_CASE("reductions, shuffles and ballots do what they say") {
  std::vector<float> out(64);
  emulator::for_each_schedule([&] {
    run(&sums, {out.data()});
    for (const float x : out) CHECK(x == 2016.0F + 6000.0F);
    run(&shuffles, {out.data()});
    CHECK(out[10] == 5.0F + 1100.0F + 0.5F);
    CHECK(out[31] == 5.0F + 3000.0F + 0.5F);
    CHECK(out[32] == 5.0F + 100.0F + 0.5F);
  });
}

TEST_CASE("a missing barrier shows as NaN, a barrier mends it") {
  std::vector<float> out(64);
  run(&missing_barrier, {out.data()});
  CHECK(out[0] != out[0]);
  run(&missing_barrier, {out.data(), nullptr, 1});
  CHECK(out[0] == 1.0F);
}

TEST_CASE("what would hang or is undefined on a device is refused") {
  alignas(16) float memory[8] = {};
  CHECK_THROWS_AS(run(&divergent_barrier, {}), emulator::Violation);
  CHECK_THROWS_AS(run(&divergent_lanes, {}), emulator::Violation);
  CHECK_THROWS_AS(run(&left_lane, {}), emulator::Violation);
  CHECK_THROWS_AS(run(&misaligned, {memory, memory}), emulator::Violation);
  CHECK_THROWS_AS(run(&never_waited, {memory, memory}), emulator::Violation);
  CHECK_THROWS_AS(run(&sums, {memory}, 64, 8), emulator::Violation);
  CHECK_THROWS_AS(run(&sums, {memory}, 33), emulator::Violation);
  CHECK_THROWS_AS(run(&thrower, {}), std::runtime_error);
  std::vector<float> out(64);
  if (emulator::detail::ways_are_seen) {  // not optimised
    CHECK_THROWS_AS(run(&divergent_places, {out.data()}), emulator::Violation);
    CHECK_THROWS_AS(run(&divergent_barriers, {out.data()}), emulator::Violation);
  }
  run(&sums, {out.data()});  // and it still works
  CHECK(out[5] == 8016.0F);
}

TEST_CASE("asynchronous copies arrive at their wait, zeros where they are not valid") {
  alignas(16) float in[64];
  for (int i = 0; i < 64; ++i) in[i] = static_cast<float>(i + 1);
  std::vector<float> out(64);
  run(&copies, {out.data(), in, 1});
  for (std::size_t i = 0; i < 64; ++i) CHECK(out[i] == (i < 32 ? in[i] : 0.0F));
  run(&copies, {out.data(), in, 0});
  CHECK(out[0] != out[0]);
}

TEST_CASE("tensor core fragments have the layouts of the PTX manual") {
  std::vector<float> in(512), out(128);
  for (std::size_t k = 0; k < in.size(); ++k)
    in[k] = static_cast<float>(static_cast<int>(k * 37 % 101) - 50) * 0.25F;
  run(&multiply, {out.data(), in.data()}, 32, sizeof(MmaStorage));
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = 0;  // multiples of 1/16 below 2^20: exact
      for (int k = 0; k < 16; ++k)
        sum += in[static_cast<std::size_t>(i * 16 + k)] * in[static_cast<std::size_t>(256 + k * 8 + j)];
      CHECK(out[static_cast<std::size_t>(i * 8 + j)] == sum);
    }
}

TEST_CASE("device scalars round as those of the host") {
  for (const float x :
       {0.0F, -0.0F, 1.00390625F, 1.01171875F, 3.4e38F, 1e-40F, INFINITY, -INFINITY, NAN, 0.3F}) {
    CHECK(to_bfloat16(x).bits == stofm::bfloat16(x).bits);
    CHECK(bits_of(low_bfloat16(pack_bfloat16(x, 1.0F))) == bits_of(static_cast<float>(stofm::bfloat16(x))));
  }
  const stofm::DropoutMask mask({.seed = 1, .stream = 2, .step = 3}, 30000);
  const DropoutParams dropout = dropout_params(mask, 2.0);
  for (std::uint64_t block = 0; block < 100; ++block)
    CHECK(keep_bits(dropout, block << (block % 34)) == mask.block(block << (block % 34)));
  CHECK(keeps(dropout, 12345) == mask.keeps(12345));
}

TEST_CASE("deferred streams do what must be done, when it must") {
  const bool before = std::exchange(emulator::device().deferred, true);
  cudaStream_t one = nullptr, other = nullptr;
  cudaEvent_t event = nullptr;
  void *device = nullptr, *pinned = nullptr, *result = nullptr;
  cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  cudaMallocAsync(&device, 4, one);
  cudaMallocHost(&pinned, 4);
  cudaMallocHost(&result, 4);
  auto& sent = *static_cast<int*>(pinned);
  auto& received = *static_cast<int*>(result);
  sent = 1;
  received = 0;
  cudaMemcpyAsync(device, pinned, 4, cudaMemcpyHostToDevice, one);
  sent = 2;  // too early
  cudaMemcpyAsync(result, device, 4, cudaMemcpyDeviceToHost, one);
  CHECK(received == 0);
  cudaStreamSynchronize(one);
  CHECK(received == 2);

  int pageable = 3;  // may be written again at once, and is there at once
  cudaMemcpyAsync(device, &pageable, 4, cudaMemcpyHostToDevice, one);
  pageable = 4;
  cudaMemcpyAsync(result, device, 4, cudaMemcpyDeviceToHost, other);  // of what came before the copy
  cudaStreamSynchronize(other);
  CHECK(received == 2);
  cudaEventRecord(event, one);
  cudaMemsetAsync(device, 0, 4, one);
  cudaStreamWaitEvent(other, event);
  cudaMemcpyAsync(result, device, 4, cudaMemcpyDeviceToHost, other);
  cudaStreamSynchronize(other);
  CHECK(received == 3);  // behind the event, before the fill
  cudaMemcpyAsync(&pageable, device, 4, cudaMemcpyDeviceToHost, one);
  CHECK(pageable == 0);
  cudaFreeAsync(device, one);
  CHECK(emulator::device().used_bytes == 0);
  cudaEventDestroy(event);
  cudaStreamDestroy(one);
  cudaStreamDestroy(other);
  cudaFreeHost(result);
  cudaFreeHost(pinned);
  emulator::device().deferred = before;
}

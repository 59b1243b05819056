// SPDX-License-Identifier: MIT
// CUDA graphs of queues that come again, on the emulated runtime: what a capture takes up and refuses, when a
// queue is captured and its graph used again, and every call of it failing in turn.
#include "tests/kernels/support/emulator.hpp"

#include <doctest/doctest.h>

#include "stofm/kernels/runtime/graph.cuh"
#include "stofm/kernels/runtime/memory.cuh"

using namespace stofm;

namespace {
constexpr Cuda device{0};

struct ScaleParams {
  const float* x = nullptr;
  float* y = nullptr;
  float factor = 1.0F;
  std::int64_t count = 0;
};
static __global__ void scale_kernel(const ScaleParams p) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < p.count) p.y[i] = p.factor * p.x[i];
}

/// y = 6 x, z = y, y = 0: two kernels, a copy, a filling.
struct Work {
  backend::CudaStream stream = backend::create_stream(device);
  kernels::DeviceArray<float> x{device, 40}, y{device, 40}, z{device, 40};

  /// Without a checked call: those are counted.
  void wait() const { (void)cudaStreamSynchronize(kernels::native(stream)); }
  void fill(float value) { std::fill_n(x.data(), 40, value); }
  void queue(std::int64_t count) const {
    auto* const out = const_cast<float*>(y.data());
    const kernels::LaunchConfig config{
        .grid = {kernels::blocks(count, 32)}, .block = {32}, .stream = stream, .name = "scale"};
    kernels::launch(scale_kernel, config, {x.data(), out, 2.0F, count});
    kernels::launch(scale_kernel, config, {out, out, 3.0F, count});
    STOFM_CUDA_CHECK(cudaMemcpyAsync(const_cast<float*>(z.data()), out,
                                     static_cast<std::size_t>(count) * sizeof(float),
                                     cudaMemcpyDeviceToDevice, kernels::native(stream)));
    STOFM_CUDA_CHECK(
        cudaMemsetAsync(out, 0, static_cast<std::size_t>(count) * sizeof(float), kernels::native(stream)));
  }
  kernels::GraphKey key(std::int64_t count) const {
    return kernels::GraphKey().add(x.data()).add(y.data()).add(z.data()).add(count);
  }
  /// Runs it for `value` and says whether exactly `count` results are right.
  bool right(kernels::GraphCache& graphs, float value, std::int64_t count = 40) {
    fill(value);
    std::fill_n(z.data(), 40, -1.0F);
    std::fill_n(y.data(), 40, -1.0F);
    graphs.run(stream, key(count), [&] { queue(count); });
    wait();
    for (std::int64_t i = 0; i < 40; ++i)
      if (z.data()[i] != (i < count ? 6.0F * value : -1.0F) || y.data()[i] != (i < count ? 0.0F : -1.0F))
        return false;
    return true;
  }
};

/// Checked calls that `run` makes.
template <class Run>
std::int64_t calls_of(const Run& run) {
  const std::int64_t before = kernels::call_faults().calls;
  run();
  return kernels::call_faults().calls - before;
}
}  // namespace

TEST_CASE("work on a captured stream waits for the graph, other streams do not") {
  Work work;
  work.fill(1.0F);
  const backend::CudaStream other = backend::create_stream(device);
  const std::int64_t launches = emulator::launches();
  float seen = 0;
  {
    kernels::detail::Capture capture(kernels::native(work.stream));
    work.queue(40);
    CHECK(emulator::launches() == launches);
    STOFM_CUDA_CHECK(
        cudaMemcpyAsync(&seen, work.x.data(), sizeof seen, cudaMemcpyDeviceToHost, kernels::native(other)));
    (void)cudaStreamSynchronize(kernels::native(other));
    CHECK(seen == 1.0F);
  }  // given up: nothing was done, and nothing is left
  CHECK(emulator::launches() == launches);
  CHECK(emulator::device().graphs == 0);
  work.queue(40);
  work.wait();
  CHECK(emulator::launches() == launches + 2);
  CHECK(work.z.data()[39] == 6.0F);
}

TEST_CASE("what a capture can not take up spoils it, and the stream goes on") {
  Work work;
  const cudaStream_t stream = kernels::native(work.stream);
  float host = 0;
  const auto spoiled_by = [&](const auto& call) {
    const auto capture = [&] {
      kernels::detail::Capture open(stream);
      CHECK_THROWS_AS(call(), Error);
      CHECK_THROWS_AS(work.queue(40), Error);
      (void)open.end();
    };
    CHECK_THROWS_AS(capture(), Error);
    work.fill(2.0F);
    work.queue(40);
    work.wait();
    CHECK(work.z.data()[0] == 12.0F);
  };
  spoiled_by([] { kernels::DeviceArray<float>(device, 1); });
  spoiled_by([&] { STOFM_CUDA_CHECK(cudaStreamSynchronize(stream)); });
  spoiled_by([&] {
    STOFM_CUDA_CHECK(cudaMemcpyAsync(work.x.data(), &host, sizeof host, cudaMemcpyHostToDevice, stream));
  });
  CHECK(emulator::device().graphs == 0);
}

TEST_CASE("a queue is captured when it is met again, and is one launch from then on") {
  {
    Work work;
    kernels::GraphCache graphs(true);
    CHECK(calls_of([&] { CHECK(work.right(graphs, 1.0F)); }) == 4);
    CHECK(graphs.use().captured == 0);
    CHECK(calls_of([&] { CHECK(work.right(graphs, 2.0F)); }) == 4 + 4);  // begin, end, make, launch
    CHECK(graphs.use().captured == 1);
    const std::int64_t kernels_before = emulator::launches();
    for (const float value : {3.0F, 4.0F}) CHECK(calls_of([&] { CHECK(work.right(graphs, value)); }) == 1);
    CHECK(emulator::launches() == kernels_before + 4);
    CHECK(graphs.use().captured == 1);
    CHECK(graphs.use().replayed == 3);
    CHECK(graphs.use().notices.empty());
    CHECK(emulator::device().graphs == 1);
    kernels::GraphCache none(false);
    for (int i = 0; i < 3; ++i) CHECK(calls_of([&] { CHECK(work.right(none, 5.0F)); }) == 4);
    CHECK(none.use().replayed == 0);
  }
  CHECK(emulator::device().graphs == 0);
}

TEST_CASE("another size or another buffer has a graph of its own") {
  Work work;
  kernels::GraphCache graphs(true);
  for (int i = 0; i < 3; ++i)
    for (const std::int64_t count : {40, 33}) CHECK(work.right(graphs, static_cast<float>(i + 1), count));
  CHECK(graphs.use().captured == 2);
  CHECK(graphs.use().replayed == 4);
  const kernels::DeviceArray<float> before = std::exchange(work.x, kernels::DeviceArray<float>(device, 40));
  CHECK(work.right(graphs, 7.0F));
  CHECK(graphs.use().replayed == 4);
  CHECK(work.right(graphs, 8.0F));
  CHECK(graphs.use().captured == 3);
  CHECK(work.right(graphs, 9.0F));
  CHECK(graphs.use().replayed == 6);
}

TEST_CASE("few graphs are kept: the one not used for the longest time goes") {
  Work work;
  kernels::GraphCache graphs(true);
  const auto most = static_cast<std::int64_t>(kernels::GraphCache::most_keys);
  for (std::int64_t count = 1; count <= most; ++count)
    for (int i = 0; i < 2; ++i) CHECK(work.right(graphs, 1.0F, count));
  CHECK(emulator::device().graphs == most);
  CHECK(work.right(graphs, 2.0F, 1));         // the oldest becomes the latest
  CHECK(work.right(graphs, 2.0F, most + 1));  // takes the place of 2
  CHECK(emulator::device().graphs == most - 1);
  CHECK(calls_of([&] { CHECK(work.right(graphs, 3.0F, 1)); }) == 1);
  CHECK(calls_of([&] { CHECK(work.right(graphs, 3.0F, 2)); }) == 4);
  graphs.clear();
  CHECK(emulator::device().graphs == 0);
  CHECK(work.right(graphs, 4.0F, 1));
}

TEST_CASE("whichever call of a graph fails, the results are right and one notice says so") {
  // Meeting 2: begin, 4 of the queue, end, make, launch. Meeting 3: launch.
  for (int k = 1; k <= 9; ++k) {
    CAPTURE(k);
    Work work;
    kernels::GraphCache graphs(true);
    CHECK(work.right(graphs, 1.0F));
    kernels::call_faults().error = cudaErrorUnknown;
    kernels::call_faults().countdown = k;
    for (const float value : {2.0F, 3.0F, 4.0F}) CHECK(work.right(graphs, value));
    CHECK(kernels::call_faults().countdown <= 0);
    kernels::call_faults().countdown = -1;
    REQUIRE(graphs.use().notices.size() == 1);
    CHECK(graphs.use().notices[0].code == "STOFM-W6001");
    CHECK(graphs.use().notices[0].text.find("STOFM-6006") != std::string::npos);
    CHECK(graphs.use().replayed == (k == 9 ? 1 : 0));
    CHECK(emulator::device().graphs == 0);
    CHECK_FALSE(emulator::device().capture.has_value());
  }
}

TEST_CASE("an error of the queue itself is thrown, and the stream is not left captured") {
  Work work;
  kernels::GraphCache graphs(true);
  const auto bad = [&] {
    graphs.run(work.stream, work.key(40), [] { throw UsageError({"STOFM-6008", "", "", "", "", ""}); });
  };
  CHECK_THROWS_AS(bad(), UsageError);
  CHECK_THROWS_AS(bad(), UsageError);
  CHECK_FALSE(emulator::device().capture.has_value());
  CHECK(work.right(graphs, 1.0F));
  CHECK(emulator::device().graphs == 0);
}

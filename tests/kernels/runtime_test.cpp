// SPDX-License-Identifier: MIT
// Device memory, copies, streams and the mapping of errors, on the emulated runtime; and the same with every
// call failing in turn.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/backend/cuda/rows.hpp"
#include "stofm/kernels/encoder_block/unit_rows.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/support/device_array.hpp"

using namespace stofm;

namespace {
constexpr Cuda device{0};

/// The error that `call` throws, or none.
template <class Call>
std::string code_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return "";
}
/// Sets the k-th checked call from here to fail with `error`, for as long as it lives.
struct FailingCall {
  FailingCall(std::int64_t k, cudaError_t error) {
    kernels::call_faults().error = error;
    kernels::call_faults().countdown = k;
  }
  ~FailingCall() { kernels::call_faults().countdown = -1; }
};

/// Something of everything: memory, copies, kernels, one with memory of its own, back.
void use_the_device() {
  const Tensor<float> host = Tensor<float>::full(Shape{3, 40}, 2.0F);
  const auto x = backend::to_device(host, device);
  auto sums = backend::to_device(Tensor<float>::full(Shape{40}, 1.0F), device);
  Tensor<float, Cuda> y(Shape{3, 40}, device);
  backend::l2_normalize_rows(device, y.view(), x.view());
  backend::add_column_sums(device, sums.data(), y.view());
  const Tensor<float> back = backend::to_host(y);
  CHECK(back.shape() == host.shape());
  (void)backend::cuda_device_info(device);
}
}  // namespace

TEST_CASE("tensors go to the device and back, dense and as matrices with gaps") {
  Tensor<float> host(Shape{5, 7});
  for (std::int64_t i = 0; i < host.numel(); ++i) host.data()[i] = static_cast<float>(i);
  const auto there = backend::to_device(host, device);
  CHECK(std::memcmp(backend::to_host(there).data(), host.data(), 35 * sizeof(float)) == 0);
  // Two columns in the middle, both ways.
  Tensor<float> columns = Tensor<float>::full(Shape{5, 2}, -1.0F);
  backend::copy_to_host<float>(columns.view(), there.slice(1, 3, 5).view());
  CHECK(columns(4, 1) == host(4, 4));
  auto part = backend::to_device(host, device);
  backend::copy_to_device<float>(part.slice(1, 0, 2).view(), std::as_const(columns).view());
  CHECK(backend::to_host(part)(2, 1) == host(2, 4));
  CHECK(backend::to_host(part)(2, 2) == host(2, 2));
  CHECK(backend::to_host(Tensor<float, Cuda>(Shape{0, 3}, device)).numel() == 0);
  CHECK(code_of([&] { backend::copy_to_host<float>(columns.view(), there.view()); }) == "STOFM-1101");
  CHECK(code_of([&] {
          backend::copy_to_host<float>(columns.view(),
                                       there.transpose(0, 1).slice(0, 0, 5).slice(1, 0, 2).view());
        }) == "STOFM-1101");
}

TEST_CASE("devices are counted, and a number that is not there is refused") {
  CHECK(backend::cuda_device_count() == 1);
  CHECK(backend::cuda_device_info(device).name == "kernel emulator");
  CHECK(backend::cuda_device_info(device).shared_bytes == 232448);
  CHECK(code_of([] { (void)backend::current_stream(Cuda{1}); }) == "STOFM-6002");
  CHECK(code_of([] { (void)backend::cuda_device_info(Cuda{-1}); }) == "STOFM-6002");
}

TEST_CASE("a thread has a stream of its own until it chooses one") {
  const auto own = backend::current_stream(device);
  const auto other = backend::create_stream(device);
  backend::set_current_stream(device, other);
  CHECK(backend::current_stream(device).handle == other.handle);
  backend::set_current_stream(device, {});
  CHECK(backend::current_stream(device).handle == own.handle);
  backend::destroy_stream(device, other);
}

TEST_CASE("memory that is not there is refused with what is free, and nothing stays behind") {
  emulator::device().memory_bytes = std::size_t{64} << 20;
  const std::size_t before = emulator::device().used_bytes;
  try {
    const Tensor<float, Cuda> small(Shape{1024, 1024}, device);
    const Tensor<float, Cuda> large(Shape{1024, 1024, 100}, device);
    CHECK(false);
  } catch (const ResourceError& error) {
    CHECK(error.code() == "STOFM-6003");
    CHECK(error.exit_code() == 5);
    CHECK(error.found() == "no room for 400 MiB more: 60 of 64 MiB are free");
    CHECK(error.remedy().find("--batch") != std::string::npos);
  }
  CHECK(emulator::device().used_bytes == before);
  emulator::device().memory_bytes = std::size_t{1} << 32;
}

TEST_CASE("every kind of failure has its code, a remedy and an exit code") {
  struct Row {
    cudaError_t error;
    const char* code;
    int exit_code;
  };
  for (const Row row :
       {Row{cudaErrorMemoryAllocation, "STOFM-6003", 5}, Row{cudaErrorNoDevice, "STOFM-6001", 6},
        Row{cudaErrorInsufficientDriver, "STOFM-6001", 6}, Row{cudaErrorInvalidDevice, "STOFM-6002", 6},
        Row{cudaErrorNoKernelImageForDevice, "STOFM-6004", 6}, Row{cudaErrorIllegalAddress, "STOFM-6005", 6},
        Row{cudaErrorUnknown, "STOFM-6006", 6}}) {
    const FailingCall failing(1, row.error);
    try {
      backend::synchronize(device, {});
      CHECK(false);
    } catch (const Error& error) {
      CHECK(error.code() == row.code);
      CHECK(error.exit_code() == row.exit_code);
      CHECK(error.where() == "[cudaStreamSynchronize]");
      CHECK_FALSE(error.remedy().empty());
      CHECK_FALSE(error.expected().empty());
    }
  }
}

TEST_CASE("whichever call fails, an error comes and no memory stays behind") {
  use_the_device();
  const std::int64_t calls_before = kernels::call_faults().calls;
  use_the_device();
  const std::int64_t calls = kernels::call_faults().calls - calls_before;
  CHECK(calls >= 12);
  for (const cudaError_t error : {cudaErrorMemoryAllocation, cudaErrorIllegalAddress, cudaErrorUnknown})
    for (std::int64_t k = 1; k <= calls; ++k) {
      CAPTURE(k);
      const std::size_t used = emulator::device().used_bytes;
      {
        const FailingCall failing(k, error);
        CHECK_THROWS_AS(use_the_device(), Error);
        CHECK(kernels::call_faults().countdown == 0);
      }
      CHECK(emulator::device().used_bytes == used);
      use_the_device();  // and the next one works again
    }
}

TEST_CASE("grids and blocks that no device can do are refused by name") {
  const auto refused = [](dim3 grid, dim3 block, std::size_t shared) {
    return code_of([&] {
      kernels::launch(kernels::unit_rows_kernel,
                      {.grid = grid, .block = block, .shared_bytes = shared, .stream = {}, .name = "test"},
                      {});
    });
  };
  CHECK(refused({1, 65536}, {32}, 0) == "STOFM-6008");
  CHECK(refused({1, 1, 65536}, {32}, 0) == "STOFM-6008");
  CHECK(refused({0x80000000U}, {32}, 0) == "STOFM-6008");
  CHECK(refused({1}, {33}, 0) == "STOFM-6008");
  CHECK(refused({1}, {1056}, 0) == "STOFM-6008");
  CHECK(refused({1}, {32}, 228 * 1024) == "STOFM-6008");
  CHECK(refused({0}, {32}, 0).empty());
  CHECK(kernels::blocks(0, 4) == 0);
  CHECK(kernels::blocks(8, 4) == 2);
  CHECK(kernels::blocks(9, 4) == 3);
  CHECK(kernels::blocks(INT64_MAX - 1, INT64_MAX) == 1);
  CHECK(code_of([] { (void)kernels::blocks(std::int64_t{1} << 31); }) == "STOFM-6008");
}

TEST_CASE("a device that can't run the kernels is told from one that can") {
  const auto why = [](int major, int minor, std::int64_t kib) {
    backend::CudaDeviceInfo info;
    info.name = "GPU", info.compute_major = major, info.compute_minor = minor, info.shared_bytes = kib * 1024;
    return backend::why_unusable(info);
  };
  CHECK(why(8, 0, 163) == "");
  CHECK(why(9, 0, 227) == "");
  CHECK(why(7, 0, 96).find("compute capability 7.0, 96 KiB") != std::string::npos);
  CHECK(why(8, 9, 99).find("compute capability 8.9, 99 KiB") != std::string::npos);
  CHECK(why(8, 0, 162) != "");
}

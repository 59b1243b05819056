// SPDX-License-Identifier: MIT
// Main of the tests that need a CUDA device: exit code 77 (skipped) without one.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "stofm/backend/cuda/device.hpp"
#include "tests/gpu/support/digest.hpp"

int main(int argc, char** argv) {
  if (stofm::backend::cuda_device_count() == 0) {
    std::puts("skipped: no CUDA device");
    return 77;
  }
  const int result = doctest::Context(argc, argv).run();
  std::printf("digest: %016llx\n", static_cast<unsigned long long>(stofm::test::device_digest()));
  return result;
}

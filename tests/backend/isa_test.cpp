// SPDX-License-Identifier: MIT
#include "stofm/backend/cpu/isa.hpp"

#include <doctest/doctest.h>

#include <string>

// The declarations of the CUDA backend are seen here and never defined: this program links without them.
#include "stofm/backend/cuda/linear.hpp"
#include "stofm/backend/cuda/stream.hpp"
#include "stofm/ops/layer_norm.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/softmax.hpp"
#include "stofm/ops/varlen_attention.hpp"

using namespace stofm;

TEST_CASE("a level of the machine can be chosen, one it lacks is refused") {
  const CpuKernels before = cpu_kernels();
  for (const CpuKernels level : {CpuKernels::generic, CpuKernels::avx512, CpuKernels::amx}) {
    if (level <= best_cpu_kernels()) {
      set_cpu_kernels(level);
      CHECK(cpu_kernels() == level);
    } else {
      CHECK_THROWS_WITH_AS(set_cpu_kernels(level), doctest::Contains("the best of this machine"), UsageError);
    }
  }
  set_cpu_kernels(before);
  MESSAGE("kernels of this machine: " << std::string(to_string(best_cpu_kernels())));
}

TEST_CASE("a CPU program uses the ops without a CUDA definition") {
  const auto x = Tensor<float>::full({2, 3}, 1.0F);
  CHECK(ops::softmax(ops::linear(x, x))(1, 1) == 0.5F);
}

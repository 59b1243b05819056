// SPDX-License-Identifier: MIT
#include "stofm/core/cpu_features.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

// The declarations of the CUDA backend are seen here and never defined: this program links without them.
#include "stofm/backend/cuda/rows.hpp"
#include "stofm/backend/cuda/se2_trainer.hpp"
#include "stofm/ops/layer_norm.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/softmax.hpp"
#include "stofm/ops/varlen_attention.hpp"

using namespace stofm;

TEST_CASE("a level of the machine can be chosen, one it lacks is refused") {
  const CpuKernels before = cpu_kernels();
  for (const CpuKernels level :
       {CpuKernels::generic, CpuKernels::avx2, CpuKernels::avx512, CpuKernels::amx, CpuKernels::neon}) {
    CHECK(has_cpu_kernels(level) == (level == CpuKernels::generic || level == best_cpu_kernels() ||
                                     (level < best_cpu_kernels() && best_cpu_kernels() <= CpuKernels::amx)));
    if (has_cpu_kernels(level)) {
      set_cpu_kernels(level);
      CHECK(cpu_kernels() == level);
    } else {
      CHECK_THROWS_WITH_AS(set_cpu_kernels(level), doctest::Contains("the best of this machine"), UsageError);
    }
  }
  set_cpu_kernels(before);
  MESSAGE("kernels of this machine: " << std::string(to_string(best_cpu_kernels())));
}

TEST_CASE("the levels of a machine end with its best one, and each has a name of its own") {
  const auto levels = cpu_kernel_levels();
  CHECK(levels.front() == CpuKernels::generic);
  CHECK(levels.back() == best_cpu_kernels());
  for (const CpuKernels best : {CpuKernels::generic, CpuKernels::avx2, CpuKernels::avx512, CpuKernels::amx})
    CHECK(stofm::detail::levels_up_to(best).size() == static_cast<std::size_t>(best) + 1);
  CHECK(stofm::detail::levels_up_to(CpuKernels::neon).size() == 2);
  CHECK(to_string(CpuKernels::avx2) == "avx2");
  CHECK(to_string(CpuKernels::neon) == "neon");
}

TEST_CASE("STOFM_CPU_KERNELS lowers the level, and says nothing to a machine that lacks it") {
  const char* const before = std::getenv("STOFM_CPU_KERNELS");
  const std::string kept = before != nullptr ? before : "";
  const auto start = [](const char* word, CpuKernels best) {
    ::setenv("STOFM_CPU_KERNELS", word, 1);
    return stofm::detail::initial_cpu_kernels(best);
  };
  CHECK(start("avx2", CpuKernels::amx) == CpuKernels::avx2);
  CHECK(start("avx2", CpuKernels::avx2) == CpuKernels::avx2);
  CHECK(start("generic", CpuKernels::neon) == CpuKernels::generic);
  CHECK(start("avx512", CpuKernels::avx2) == CpuKernels::avx2);
  CHECK(start("neon", CpuKernels::avx512) == CpuKernels::avx512);
  CHECK(start("avx2", CpuKernels::neon) == CpuKernels::neon);
  CHECK(start("sse9", CpuKernels::avx512) == CpuKernels::avx512);
  if (before != nullptr)
    ::setenv("STOFM_CPU_KERNELS", kept.c_str(), 1);
  else
    ::unsetenv("STOFM_CPU_KERNELS");
}

TEST_CASE("a CPU program uses the ops without a CUDA definition") {
  const auto x = Tensor<float>::full({2, 3}, 1.0F);
  CHECK(ops::softmax(ops::linear(x, x))(1, 1) == 0.5F);
}

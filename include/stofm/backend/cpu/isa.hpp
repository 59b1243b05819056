// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which hand-written kernels this CPU can run, found out when the program runs: a consumer needs no compiler
/// flags. The functions of a level carry a target attribute and are called only where `cpu_kernels()` allows.

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "stofm/core/error.hpp"
#include "stofm/core/exact_rounding.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(STOFM_NO_X86_KERNELS)
#define STOFM_X86_KERNELS 1
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
/// On every function that uses the instructions of a level; never on code that runs before the level was
/// checked. A product and a sum are one rounding only where the code says fmadd.
#define STOFM_TARGET_AVX512 \
  STOFM_UNFUSED __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")))
#define STOFM_TARGET_AMX \
  STOFM_UNFUSED __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,amx-tile,amx-bf16")))
/// Around kernels: the intrinsics of g++ before 13 pass registers "undefined" on purpose and are warned
/// about.
#if defined(__clang__)
#define STOFM_KERNELS_BEGIN
#define STOFM_KERNELS_END
#else
#define STOFM_KERNELS_BEGIN                                                                  \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"") \
      _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")
#define STOFM_KERNELS_END _Pragma("GCC diagnostic pop")
#endif
#define STOFM_INLINE_AVX512 inline __attribute__((always_inline)) STOFM_TARGET_AVX512
#define STOFM_INLINE_AMX inline __attribute__((always_inline)) STOFM_TARGET_AMX
#endif

namespace stofm {

/// Levels of float32 kernels, each includes the ones before it. Doubles always use the generic code.
enum class CpuKernels : int {
  generic = 0,  ///< Eigen and plain loops: any CPU
  avx512 = 1,   ///< AVX-512 F, BW, VL, DQ: float32 arithmetic throughout
  amx = 2,  ///< AMX tiles on floats split in bfloat16, float32 sums: in three parts (float32 accuracy) for
            ///< inference, in two (each product to about 2^-16) for gradients and attention in training
};

inline std::string_view to_string(CpuKernels level) {
  return level == CpuKernels::amx ? "amx" : level == CpuKernels::avx512 ? "avx512" : "generic";
}

namespace detail {

/// The best level of this machine: CPU, operating system (saved registers) and, for AMX on Linux, the
/// permission that a process has to ask for.
inline CpuKernels detect_cpu_kernels() {
#if defined(STOFM_X86_KERNELS)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return CpuKernels::generic;
  const bool has_fma = (c >> 12) & 1U, has_osxsave = (c >> 27) & 1U;
  if (!has_fma || !has_osxsave) return CpuKernels::generic;
  unsigned saved_low = 0, saved_high = 0;
  __asm__ volatile("xgetbv" : "=a"(saved_low), "=d"(saved_high) : "c"(0));
  constexpr unsigned vector_state = 0xe6U, tile_state = 3U << 17;
  if ((saved_low & vector_state) != vector_state) return CpuKernels::generic;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return CpuKernels::generic;
  const unsigned needed = (1U << 16) | (1U << 17) | (1U << 30) | (1U << 31);  // F, DQ, BW, VL
  if ((b & needed) != needed) return CpuKernels::generic;
  const bool has_tiles = ((d >> 22) & 1U) && ((d >> 24) & 1U);  // AMX-BF16, AMX-TILE
  if (!has_tiles || (saved_low & tile_state) != tile_state) return CpuKernels::avx512;
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  if (::syscall(SYS_arch_prctl, request_permission, tile_data) == 0) return CpuKernels::amx;
#endif
  return CpuKernels::avx512;
#else
  return CpuKernels::generic;
#endif
}

/// The start value: the best level, or a lower one from STOFM_CPU_KERNELS (unknown words and levels that the
/// machine lacks are ignored, so that a setting can travel between machines).
inline CpuKernels initial_cpu_kernels(CpuKernels best) {
  const char* text = std::getenv("STOFM_CPU_KERNELS");
  if (text == nullptr) return best;
  for (const CpuKernels level : {CpuKernels::generic, CpuKernels::avx512, CpuKernels::amx})
    if (text == to_string(level)) return level < best ? level : best;
  return best;
}

struct CpuKernelState {
  CpuKernels best = detect_cpu_kernels();
  std::atomic<CpuKernels> current{initial_cpu_kernels(best)};
  static CpuKernelState& get() {
    static CpuKernelState state;
    return state;
  }
};
}  // namespace detail

/// The best level of this machine.
inline CpuKernels best_cpu_kernels() { return detail::CpuKernelState::get().best; }

/// The level in use. Default: the best one, or what the variable STOFM_CPU_KERNELS (generic, avx512, amx)
/// says.
inline CpuKernels cpu_kernels() {
  return detail::CpuKernelState::get().current.load(std::memory_order_relaxed);
}

/// Chooses a level for the whole process; results differ between levels by rounding.
/// \throws UsageError if this machine lacks it.
inline void set_cpu_kernels(CpuKernels level) {
  if (level > best_cpu_kernels())
    throw UsageError({"STOFM-1110", "", "CPU kernels", std::string(to_string(level)),
                      concat("at most ", to_string(best_cpu_kernels()), ", the best of this machine"),
                      "Leave the choice to the program."});
  detail::CpuKernelState::get().current = level;
}

}  // namespace stofm

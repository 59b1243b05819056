// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which hand-written kernels this CPU can run, found out when the program runs: a consumer needs no compiler
/// flags. The functions of a level carry a target attribute and are called only where `cpu_kernels()` allows.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <span>
#include <string>
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
/// checked. A product and a sum are one rounding only where the code says fma.
#define STOFM_TARGET_AVX2 STOFM_UNFUSED __attribute__((target("avx2,fma")))
#define STOFM_TARGET_AVX512 \
  STOFM_UNFUSED __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")))
#define STOFM_TARGET_AVX512_BFLOAT16 \
  STOFM_UNFUSED __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define STOFM_TARGET_AMX \
  STOFM_UNFUSED __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,amx-tile,amx-bf16")))
#define STOFM_INLINE_AMX inline __attribute__((always_inline)) STOFM_TARGET_AMX
#elif defined(__aarch64__) && defined(__ARM_NEON) && defined(__AARCH64EL__) && !defined(STOFM_NO_NEON_KERNELS)
#define STOFM_NEON_KERNELS 1
/// Every 64-bit ARM has these instructions: nothing to ask for.
#define STOFM_TARGET_NEON STOFM_UNFUSED
#endif
#if defined(STOFM_X86_KERNELS) || defined(STOFM_NEON_KERNELS)
#define STOFM_VECTOR_KERNELS 1  // those of backend/cpu/vector/, for at least one set of instructions
#endif
/// Around kernels: the intrinsics of g++ before 13 pass registers "undefined" on purpose and are warned
/// about.
#if defined(__clang__) || !defined(STOFM_X86_KERNELS)
#define STOFM_KERNELS_BEGIN
#define STOFM_KERNELS_END
#else
#define STOFM_KERNELS_BEGIN                                                                  \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wmaybe-uninitialized\"") \
      _Pragma("GCC diagnostic ignored \"-Wuninitialized\"")
#define STOFM_KERNELS_END _Pragma("GCC diagnostic pop")
#endif

namespace stofm {

/// Levels of float32 kernels. On x86-64 each includes the ones before it; `neon` stands alone. Doubles always
/// use the generic code.
enum class CpuKernels : int {
  generic = 0,  ///< Eigen and plain loops: any CPU
  avx2 = 1,     ///< AVX2 and FMA: float32 arithmetic throughout, as on all levels but amx
  avx512 = 2,   ///< AVX-512 F, BW, VL, DQ
  amx = 3,   ///< AMX tiles on floats split in bfloat16, float32 sums: in three parts (float32 accuracy) for
             ///< inference, in two (each product to about 2^-16) for gradients and attention in training
  neon = 4,  ///< 64-bit ARM
};

inline std::string_view to_string(CpuKernels level) {
  constexpr std::string_view names[] = {"generic", "avx2", "avx512", "amx", "neon"};
  return names[static_cast<int>(level)];
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
  unsigned saved_low = 0;
  __asm__ volatile("xgetbv" : "=a"(saved_low) : "c"(0) : "edx");
  constexpr unsigned avx2_state = 0x6U, avx512_state = 0xe6U, tile_state = 3U << 17;
  if ((saved_low & avx2_state) != avx2_state) return CpuKernels::generic;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !((b >> 5) & 1U)) return CpuKernels::generic;
  constexpr unsigned avx512 = (1U << 16) | (1U << 17) | (1U << 30) | (1U << 31);  // F, DQ, BW, VL
  if ((b & avx512) != avx512 || (saved_low & avx512_state) != avx512_state) return CpuKernels::avx2;
  const bool has_tiles = ((d >> 22) & 1U) && ((d >> 24) & 1U);  // AMX-BF16, AMX-TILE
  if (!has_tiles || (saved_low & tile_state) != tile_state) return CpuKernels::avx512;
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  if (::syscall(SYS_arch_prctl, request_permission, tile_data) == 0) return CpuKernels::amx;
#endif
  return CpuKernels::avx512;
#elif defined(STOFM_NEON_KERNELS)
  return CpuKernels::neon;
#else
  return CpuKernels::generic;
#endif
}

/// The levels of a machine whose best one is given, the lowest first.
inline std::span<const CpuKernels> levels_up_to(CpuKernels best) {
  static constexpr CpuKernels x86[] = {CpuKernels::generic, CpuKernels::avx2, CpuKernels::avx512,
                                       CpuKernels::amx};
  static constexpr CpuKernels arm[] = {CpuKernels::generic, CpuKernels::neon};
  if (best == CpuKernels::neon) return arm;
  return std::span(x86).first(static_cast<std::size_t>(best) + 1);
}

/// The start value: the best level, or a lower one from STOFM_CPU_KERNELS (unknown words and levels that the
/// machine lacks are ignored, so that a setting can travel between machines).
inline CpuKernels initial_cpu_kernels(CpuKernels best) {
  const char* text = std::getenv("STOFM_CPU_KERNELS");
  if (text == nullptr) return best;
  for (const CpuKernels level : levels_up_to(best))
    if (text == to_string(level)) return level;
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

/// The levels of this machine, the lowest (generic) first.
inline std::span<const CpuKernels> cpu_kernel_levels() { return detail::levels_up_to(best_cpu_kernels()); }

/// Whether this machine has a level.
inline bool has_cpu_kernels(CpuKernels level) {
  const auto levels = cpu_kernel_levels();
  return std::find(levels.begin(), levels.end(), level) != levels.end();
}

/// The level in use. Default: the best one, or what the variable STOFM_CPU_KERNELS (generic, avx2, avx512,
/// amx, neon) says.
inline CpuKernels cpu_kernels() {
  return detail::CpuKernelState::get().current.load(std::memory_order_relaxed);
}

/// Chooses a level for the whole process; results differ between levels by rounding.
/// \throws UsageError if this machine lacks it.
inline void set_cpu_kernels(CpuKernels level) {
  if (!has_cpu_kernels(level))
    throw UsageError({"STOFM-1110", "", "CPU kernels", std::string(to_string(level)),
                      concat("at most ", to_string(best_cpu_kernels()), ", the best of this machine"),
                      "Leave the choice to the program."});
  detail::CpuKernelState::get().current = level;
}

}  // namespace stofm

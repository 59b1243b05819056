// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How this CPU multiplies bfloat16 numbers. backend/cpu/bfloat16/forms.hpp has the kernels.

#include <cstring>
#include <string_view>

#include "stofm/core/cpu_features.hpp"

namespace stofm {

enum class Bfloat16Form { rounded, pairs, tiles };

namespace detail {
struct Bfloat16Instructions {
  bool present = false;  ///< AVX-512-bf16
  bool pay = false;      ///< and vdpbf16ps is one operation

  Bfloat16Instructions() {
#if defined(STOFM_X86_KERNELS)
    unsigned a = 0, b = 0, c = 0, d = 0;
    present = __get_cpuid_count(7, 1, &a, &b, &c, &d) && ((a >> 5) & 1U);
    char vendor[13] = {};
    if (!present || !__get_cpuid(0, &a, &b, &c, &d)) return;
    std::memcpy(vendor, &b, 4);
    std::memcpy(vendor + 4, &d, 4);
    std::memcpy(vendor + 8, &c, 4);
    pay = std::string_view(vendor) != "GenuineIntel";
#endif
  }
};
inline const Bfloat16Instructions& bfloat16_instructions() {
  static const Bfloat16Instructions found;
  return found;
}
}  // namespace detail

/// The form of a level (not of `generic`).
inline Bfloat16Form bfloat16_form(CpuKernels level) {
  const detail::Bfloat16Instructions& cpu = detail::bfloat16_instructions();
  if (level == CpuKernels::amx && cpu.present) return Bfloat16Form::tiles;
  if (level == CpuKernels::avx512 && cpu.pay) return Bfloat16Form::pairs;
  return Bfloat16Form::rounded;
}

/// Whether products of this grade are faster than float32 ones at a level.
inline bool bfloat16_pays(CpuKernels level) {
  return level != CpuKernels::generic && bfloat16_form(level) != Bfloat16Form::rounded;
}

}  // namespace stofm

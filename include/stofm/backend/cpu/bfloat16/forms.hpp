// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Products whose operands are rounded to bfloat16 and whose sums are float32 (MatmulGrade::bfloat16), and
/// how a CPU makes them. Operands are rows of 32-bit words, kept where floats are:
///
/// | form | a word is | what multiplies | where |
/// |---|---|---|---|
/// | `rounded` | one number, rounded | the float32 kernels | AVX2, NEON, AVX-512 of Intel |
/// | `pairs` | two numbers, the second in the lower half | vdpbf16ps: 2 x float32 | AVX-512-bf16 of AMD |
/// | `tiles` | the same | AMX: 16 x float32 | the level amx |
///
/// `rounded` and `pairs` give the same bits: vdpbf16ps adds the product of the upper halves, then that of the
/// lower ones, each as a fused multiply-add. So the level avx512 has one result, and what is taken there is a
/// question of speed: Intel's cores make vdpbf16ps of four micro-operations, half as fast as the float32
/// products it replaces (measured on Sapphire Rapids: 2 cycles against 0.5 for a multiply-add of half as many
/// numbers).
///
/// The text of kernels is compiled once per form (each_form.inc); a form has `numbers_per_word`, `words_of`,
/// `adjacent` and `joined`, `multiply_panels`, and the tile sizes of its set. `generic` rounds copies of its
/// operands for Eigen.

#include <algorithm>
#include <type_traits>
#include <utility>

#include "stofm/backend/cpu/amx/tiles.hpp"
#include "stofm/backend/cpu/vector/linear.hpp"
#include "stofm/core/bfloat16_form.hpp"
#include "stofm/core/scalar.hpp"

namespace stofm::backend {

/// Numbers of a row, rounded: for the generic kernels.
template <class T>
void round_row(T* row, std::int64_t count) {
  for (std::int64_t j = 0; j < count; ++j) row[j] = static_cast<T>(bfloat16(static_cast<float>(row[j])));
}

/// x [rows, columns] becomes a copy of itself, rounded, that `copy` owns: operands of the generic kernels.
/// Doubles stay what they are: a grade is one of floats.
template <class T>
void round_operand(TensorView<const T>& x, Tensor<T>& copy) {
  if constexpr (std::is_same_v<T, float>) {
    copy = Tensor<T>(x.shape);
    parallel_for(x.dim(0), 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        T* row = copy.data() + i * x.dim(1);
        std::copy_n(x.row(i), x.dim(1), row);
        round_row(row, x.dim(1));
      }
    });
    x = std::as_const(copy).view();
  }
}

/// Around `multiply_panels`, where it needs nothing.
struct NoScope {
  NoScope() {}
  ~NoScope() {}
};

}  // namespace stofm::backend

#if defined(STOFM_X86_KERNELS)
STOFM_KERNELS_BEGIN
#define STOFM_INLINE_AVX512_BFLOAT16 inline __attribute__((always_inline)) STOFM_TARGET_AVX512_BFLOAT16

namespace stofm::backend::bfloat16_pairs {
using namespace avx512;

inline constexpr std::int64_t numbers_per_word = 2;

/// 16 words of 32 numbers that follow each other.
STOFM_INLINE_AVX512_BFLOAT16 Vector adjacent(Vector first, Vector second) {
  return _mm512_castsi512_ps(_mm512_rol_epi32((__m512i)_mm512_cvtne2ps_pbh(second, first), 16));
}
/// 16 words of a number of each.
STOFM_INLINE_AVX512_BFLOAT16 Vector joined(Vector first, Vector second) {
  alignas(64) static constexpr std::uint16_t order[32] = {16, 0,  17, 1,  18, 2,  19, 3,  20, 4,  21,
                                                          5,  22, 6,  23, 7,  24, 8,  25, 9,  26, 10,
                                                          27, 11, 28, 12, 29, 13, 30, 14, 31, 15};
  return _mm512_castsi512_ps(
      _mm512_permutexvar_epi16(_mm512_load_si512(order), (__m512i)_mm512_cvtne2ps_pbh(second, first)));
}
}  // namespace stofm::backend::bfloat16_pairs

namespace stofm::backend::avx512_bfloat16 {
using namespace bfloat16_pairs;
using ProductScope = NoScope;
inline std::int64_t words_of(std::int64_t k) { return (k + 1) / 2; }
/// c + the products of the upper halves, + those of the lower ones: what product_tile.inc adds up.
STOFM_INLINE_AVX512_BFLOAT16 Vector multiply_add(Vector a, Vector b, Vector c) {
  return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
}  // namespace stofm::backend::avx512_bfloat16

namespace stofm::backend::amx_bfloat16 {
using namespace bfloat16_pairs;
using ProductScope = amx::TileScope;
inline constexpr std::int64_t task_rows = 64, attention_rows = 64;
/// Whole tiles of 32 numbers.
inline std::int64_t words_of(std::int64_t k) { return (k + 31) / 32 * 16; }
}  // namespace stofm::backend::amx_bfloat16
STOFM_KERNELS_END
#endif

/// The form `rounded` of one set.
#define STOFM_ROUNDED_FORM(set, inlined)                                                            \
  namespace stofm::backend::set##_rounded {                                                         \
    using namespace set;                                                                            \
    using ProductScope = NoScope;                                                                   \
    inline constexpr std::int64_t numbers_per_word = 1;                                             \
    inline std::int64_t words_of(std::int64_t k) { return k; }                                      \
    inlined Vector adjacent(Vector first, Vector /*second*/) { return rounded_to_bfloat16(first); } \
    inlined Vector joined(Vector first, Vector /*second*/) { return rounded_to_bfloat16(first); }   \
  }

#if defined(STOFM_X86_KERNELS)
STOFM_ROUNDED_FORM(avx512, STOFM_INLINE_AVX512)
STOFM_ROUNDED_FORM(avx2, STOFM_INLINE_AVX2)
/// A function of the form that a level takes.
#define STOFM_AT_BFLOAT16(level, ...)                                                   \
  (::stofm::bfloat16_form(level) == ::stofm::Bfloat16Form::tiles                        \
       ? ::stofm::backend::amx_bfloat16::__VA_ARGS__                                    \
   : ::stofm::bfloat16_form(level) == ::stofm::Bfloat16Form::pairs                      \
       ? ::stofm::backend::avx512_bfloat16::__VA_ARGS__                                 \
   : (level) == ::stofm::CpuKernels::avx2 ? ::stofm::backend::avx2_rounded::__VA_ARGS__ \
                                          : ::stofm::backend::avx512_rounded::__VA_ARGS__)
#elif defined(STOFM_NEON_KERNELS)
STOFM_ROUNDED_FORM(neon, STOFM_INLINE_NEON)
#define STOFM_AT_BFLOAT16(level, ...) (static_cast<void>(level), ::stofm::backend::neon_rounded::__VA_ARGS__)
#endif
#undef STOFM_ROUNDED_FORM

/// As STOFM_RETURN_KERNEL (vector/sets.hpp), of kernels with bfloat16 operands.
#if defined(STOFM_VECTOR_KERNELS)
#define STOFM_RETURN_BFLOAT16_KERNEL(T, level, ...)                                            \
  if constexpr (std::is_same_v<T, float>) {                                                    \
    if ((level) != ::stofm::CpuKernels::generic) return STOFM_AT_BFLOAT16(level, __VA_ARGS__); \
  }
#else
#define STOFM_RETURN_BFLOAT16_KERNEL(T, level, ...)
#endif

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tensor core products of one warp (mma.sync, sm_80 and later) on fragments in registers, and ldmatrix.
/// Source of the layouts: PTX ISA, "Matrix Fragments for mma.m16n8k16", with group g = lane / 4 and
/// place t = lane % 4:
///   accumulator, 16 x 8: d[0], d[1] at row g, columns 2 t, 2 t + 1; d[2], d[3] at row g + 8
///   bfloat16 A, 16 x 16: a[0] row g, columns 2 t, 2 t + 1; a[1] row g + 8; a[2], a[3] the same, 8 columns
///   further bfloat16 B, 16 x 8:  b[0] rows 2 t, 2 t + 1 of column g; b[1] 8 rows further
/// The lower half of a register holds the element of lower index. Sums are float32.

#include "stofm/kernels/common/copy.cuh"
#include "stofm/kernels/common/warp.cuh"

namespace stofm::kernels {

/// Row (0..15) and column (0..7) of d[i] of this lane's accumulator.
__device__ __forceinline__ int accumulator_row(int i) { return lane() / 4 + (i / 2) * 8; }
__device__ __forceinline__ int accumulator_column(int i) { return lane() % 4 * 2 + i % 2; }

#if defined(STOFM_KERNEL_EMULATOR)
namespace detail {
struct MmaOperands {
  float d[4];
  std::uint32_t a[4], b[2];
};
struct MmaResult {
  float d[4];
};
struct MatrixRows {
  std::uint32_t r[4];
};
/// Uninstrumented: the sanitized tests would spend half of their time here.
inline __attribute__((no_sanitize("address", "undefined"))) double emulated_dot(const double* a, const double* b,
                                                                                double sum) {
  for (int k = 0; k < 16; ++k) sum += a[k] * b[k];
  return sum;
}
/// d += a b from the fragments of all lanes. The elements of b come transposed.
inline void emulated_mma(float (&d)[4], const MmaOperands& mine) {
  const MmaResult result =
      emulator::detail::collective<MmaResult>("mma_bfloat16", mine, [](const auto& in, const auto& out) {
        double a[16][16], b[8][16];
        const auto number = [](std::uint32_t packed, int e) {
          return static_cast<double>(e == 0 ? low_bfloat16(packed) : high_bfloat16(packed));
        };
        for (int l = 0; l < warp_size; ++l)
          for (int e = 0; e < 2; ++e) {
            const int column = l % 4 * 2 + e;
            for (int i = 0; i < 4; ++i) a[l / 4 + i % 2 * 8][column + i / 2 * 8] = number(in[l]->a[i], e);
            for (int i = 0; i < 2; ++i) b[l / 4][column + i * 8] = number(in[l]->b[i], e);
          }
        for (int l = 0; l < warp_size; ++l)
          for (int i = 0; i < 4; ++i) {
            const int row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
            out[l]->d[i] =
                static_cast<float>(emulated_dot(a[row], b[column], static_cast<double>(in[l]->d[i])));
          }
      });
  for (int i = 0; i < 4; ++i) d[i] = result.d[i];
}
template <bool Transposed>
void emulated_ldmatrix(std::uint32_t (&r)[4], const void* row) {
  emulator::detail::require_aligned(row, 16, "ldmatrix_x4");
  emulator::detail::seen_read(row, 16);
  const MatrixRows result =
      emulator::detail::collective<MatrixRows>("ldmatrix_x4", row, [](const auto& in, const auto& out) {
        for (int m = 0; m < 4; ++m)
          for (int l = 0; l < warp_size; ++l) {
            std::uint32_t packed = 0;
            for (int e = 0; e < 2; ++e) {
              const int along = l % 4 * 2 + e, across = l / 4;
              const int from_row = Transposed ? along : across, from_column = Transposed ? across : along;
              std::uint16_t value;
              std::memcpy(&value, static_cast<const char*>(*in[m * 8 + from_row]) + 2 * from_column, 2);
              packed |= static_cast<std::uint32_t>(value) << (16 * e);
            }
            out[l]->r[m] = packed;
          }
      });
  for (int m = 0; m < 4; ++m) r[m] = result.r[m];
}
}  // namespace detail
#endif

/// d += a b, [16, 16] x [16, 8] in bfloat16.
__device__ __forceinline__ void mma_bfloat16(float (&d)[4], const std::uint32_t (&a)[4],
                                             const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif defined(STOFM_KERNEL_EMULATOR)
  detail::emulated_mma(d, {{d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
#else
  (void)d, (void)a, (void)b;
#endif
}

/// Eight-by-eight matrices of 16-bit numbers from shared memory: lane 8 m + i gives the address (16-byte
/// aligned) of row i of matrix m; r[m] then holds row lane / 4, columns 2 (lane % 4) and + 1 of matrix m (of
/// its transpose, if Transposed).
template <bool Transposed = false>
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
#if defined(__CUDA_ARCH__)
  const std::uint32_t address = shared_address(row);
  if constexpr (Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
#elif defined(STOFM_KERNEL_EMULATOR)
  detail::emulated_ldmatrix<Transposed>(r, row);
#else
  (void)r, (void)row;
#endif
}
/// Two floats as bfloat16 parts: high = bf16(x), low = bf16(x - high); together about 16 bits of mantissa.
struct SplitPair {
  std::uint32_t high, low;
};
__device__ __forceinline__ SplitPair split_bfloat16(float x, float y) {
  const std::uint32_t high = pack_bfloat16(x, y);
  return {high, pack_bfloat16(x - low_bfloat16(high), y - high_bfloat16(high))};
}
/// d += (a_high + a_low) (b_high + b_low) without the product of the low parts: float32 grade from three
/// products. Small terms first.
__device__ __forceinline__ void mma_split_bfloat16(float (&d)[4], const std::uint32_t (&a_high)[4],
                                                   const std::uint32_t (&a_low)[4],
                                                   const std::uint32_t (&b_high)[2],
                                                   const std::uint32_t (&b_low)[2]) {
  mma_bfloat16(d, a_low, b_high);
  mma_bfloat16(d, a_high, b_low);
  mma_bfloat16(d, a_high, b_high);
}

}  // namespace stofm::kernels

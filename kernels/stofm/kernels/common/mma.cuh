// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tensor core products of one warp (mma.sync, sm_80 and later) on fragments in registers, and ldmatrix.
/// Source of the layouts: PTX ISA, "Matrix Fragments for mma.m16n8k16 / m16n8k8", with group g = lane / 4 and
/// place t = lane % 4:
///   accumulator, 16 x 8: d[0], d[1] at row g, columns 2 t, 2 t + 1; d[2], d[3] at row g + 8
///   bfloat16 A, 16 x 16: a[0] row g, columns 2 t, 2 t + 1; a[1] row g + 8; a[2], a[3] the same, 8 columns
///   further bfloat16 B, 16 x 8:  b[0] rows 2 t, 2 t + 1 of column g; b[1] 8 rows further tf32 A, 16 x 8:
///   a[0] (g, t), a[1] (g + 8, t), a[2] (g, t + 4), a[3] (g + 8, t + 4) tf32 B, 8 x 8:       b[0] (t, g),
///   b[1] (t + 4, g)
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
template <int K>
__attribute__((no_sanitize("address", "undefined"))) double emulated_dot(const double* a, const double* b,
                                                                         double sum) {
  for (int k = 0; k < K; ++k) sum += a[k] * b[k];
  return sum;
}
/// d += a b from the fragments of all lanes; K and how a register holds numbers differ. The elements of b
/// come transposed.
template <int K, class ElementA, class ElementB>
void emulated_mma(float (&d)[4], const MmaOperands& mine, const char* name, const ElementA& element_a,
                  const ElementB& element_b) {
  const MmaResult result =
      emulator::detail::collective<MmaResult>(name, mine, [&](const auto& in, const auto& out) {
        double a[16][K], b[8][K];
        for (int l = 0; l < warp_size; ++l) {
          element_a(*in[l], l / 4, l % 4, a);
          element_b(*in[l], l / 4, l % 4, b);
        }
        for (int l = 0; l < warp_size; ++l)
          for (int i = 0; i < 4; ++i) {
            const int row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
            out[l]->d[i] =
                static_cast<float>(emulated_dot<K>(a[row], b[column], static_cast<double>(in[l]->d[i])));
          }
      });
  for (int i = 0; i < 4; ++i) d[i] = result.d[i];
}
template <int Count, bool Transposed>
void emulated_ldmatrix(std::uint32_t* r, const void* row, const char* name) {
  emulator::detail::require_aligned(row, 16, name);
  if (lane() < 8 * Count) emulator::detail::seen_read(row, 16);
  const MatrixRows result =
      emulator::detail::collective<MatrixRows>(name, row, [](const auto& in, const auto& out) {
        for (int m = 0; m < Count; ++m)
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
  for (int m = 0; m < Count; ++m) r[m] = result.r[m];
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
  const detail::MmaOperands mine{{d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  detail::emulated_mma<16>(
      d, mine, "mma_bfloat16",
      [](const auto& in, int g, int t, auto& to) {
        for (int i = 0; i < 4; ++i)
          for (int e = 0; e < 2; ++e)
            to[g + i % 2 * 8][2 * t + e + i / 2 * 8] =
                static_cast<double>(e == 0 ? low_bfloat16(in.a[i]) : high_bfloat16(in.a[i]));
      },
      [](const auto& in, int g, int t, auto& to) {
        for (int i = 0; i < 2; ++i)
          for (int e = 0; e < 2; ++e)
            to[g][2 * t + e + i * 8] =
                static_cast<double>(e == 0 ? low_bfloat16(in.b[i]) : high_bfloat16(in.b[i]));
      });
#else
  (void)d, (void)a, (void)b;
#endif
}

/// A float rounded to tf32 (10 bits of mantissa, nearest, ties away), as a register for mma_tf32.
__device__ __forceinline__ std::uint32_t to_tf32(float x) {
#if defined(__CUDA_ARCH__)
  std::uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
#else
  const std::uint32_t raw = bits_of(x);
  if ((raw & 0x7f800000U) == 0x7f800000U) return raw;  // inf, NaN
  return (raw + 0x1000U) & 0xffffe000U;
#endif
}

/// d += a b, [16, 8] x [8, 8] in tf32 (registers from to_tf32; lower bits would be cut off).
__device__ __forceinline__ void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif defined(STOFM_KERNEL_EMULATOR)
  const detail::MmaOperands mine{{d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  detail::emulated_mma<8>(
      d, mine, "mma_tf32",
      [](const auto& in, int g, int t, auto& to) {
        for (int i = 0; i < 4; ++i)
          to[g + i % 2 * 8][t + i / 2 * 4] = static_cast<double>(float_of(in.a[i] & 0xffffe000U));
      },
      [](const auto& in, int g, int t, auto& to) {
        for (int i = 0; i < 2; ++i) to[g][t + i * 4] = static_cast<double>(float_of(in.b[i] & 0xffffe000U));
      });
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
  detail::emulated_ldmatrix<4, Transposed>(r, row, "ldmatrix_x4");
#else
  (void)r, (void)row;
#endif
}
/// The same for two matrices: addresses from lanes 0 to 15 (the others give any aligned one).
template <bool Transposed = false>
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t (&r)[2], const void* row) {
#if defined(__CUDA_ARCH__)
  const std::uint32_t address = shared_address(row);
  if constexpr (Transposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  }
#elif defined(STOFM_KERNEL_EMULATOR)
  detail::emulated_ldmatrix<2, Transposed>(r, row, "ldmatrix_x2");
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

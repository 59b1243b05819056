// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The vector layer on 64-bit ARM: a Vector is four registers of 4 floats. What each function means is said
/// in README.md of this folder. There are no masked loads and stores: tails go through 16 floats on the
/// stack.

#include <cstdint>
#include <cstring>

#include "stofm/core/cpu_features.hpp"

#if defined(STOFM_NEON_KERNELS)
#include <arm_neon.h>

#define STOFM_INLINE_NEON inline __attribute__((always_inline)) STOFM_TARGET_NEON

namespace stofm::backend::neon {

struct Vector {  // 16 floats
  float32x4_t a, b, c, d;
};
struct Words {  // 16 unsigned words
  uint32x4_t a, b, c, d;
};
struct Doubles {  // 8 doubles
  float64x2_t a, b, c, d;
};
struct Mask {  // all bits of a lane, or none
  uint32x4_t a, b, c, d;
};
struct Lanes {  // the first so many lanes, between 0 and 16
  std::int64_t count;
};

// Tiles of products: 24 of 32 registers hold sums.
inline constexpr std::int64_t row_tile = 6, panel_vectors = 1, task_rows = 48, attention_rows = 24;
inline constexpr std::int64_t strided_rows = 6, strided_vectors = 1;

/// The same function of each of the four registers.
#define STOFM_NEON_1(f, x) \
  { f(x.a), f(x.b), f(x.c), f(x.d) }
#define STOFM_NEON_2(f, x, y) \
  { f(x.a, y.a), f(x.b, y.b), f(x.c, y.c), f(x.d, y.d) }
#define STOFM_NEON_3(f, x, y, z) \
  { f(x.a, y.a, z.a), f(x.b, y.b, z.b), f(x.c, y.c, z.c), f(x.d, y.d, z.d) }

STOFM_INLINE_NEON Lanes first_lanes(std::int64_t count) {
  return {count >= 16 ? 16 : count <= 0 ? 0 : count};
}

STOFM_INLINE_NEON Vector splat(float x) {
  const float32x4_t all = vdupq_n_f32(x);
  return {all, all, all, all};
}
STOFM_INLINE_NEON Vector zero() { return splat(0.0F); }
STOFM_INLINE_NEON Vector load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
STOFM_INLINE_NEON void store(float* p, Vector x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
STOFM_INLINE_NEON Vector load_or(Vector other, Lanes lanes, const float* p) {
  if (lanes.count == 16) return load(p);
  float all[16];
  store(all, other);
  std::memcpy(all, p, static_cast<std::size_t>(lanes.count) * sizeof(float));
  return load(all);
}
STOFM_INLINE_NEON Vector load(Lanes lanes, const float* p) { return load_or(zero(), lanes, p); }
STOFM_INLINE_NEON void store(float* p, Lanes lanes, Vector x) {
  if (lanes.count == 16) return store(p, x);
  float all[16];
  store(all, x);
  std::memcpy(p, all, static_cast<std::size_t>(lanes.count) * sizeof(float));
}

STOFM_INLINE_NEON Vector add(Vector x, Vector y) { return STOFM_NEON_2(vaddq_f32, x, y); }
STOFM_INLINE_NEON Vector sub(Vector x, Vector y) { return STOFM_NEON_2(vsubq_f32, x, y); }
STOFM_INLINE_NEON Vector mul(Vector x, Vector y) { return STOFM_NEON_2(vmulq_f32, x, y); }
STOFM_INLINE_NEON Vector div(Vector x, Vector y) { return STOFM_NEON_2(vdivq_f32, x, y); }
STOFM_INLINE_NEON Vector root(Vector x) { return STOFM_NEON_1(vsqrtq_f32, x); }
STOFM_INLINE_NEON Vector fma(Vector x, Vector y, Vector z) { return STOFM_NEON_3(vfmaq_f32, z, x, y); }
STOFM_INLINE_NEON Vector fnma(Vector x, Vector y, Vector z) { return STOFM_NEON_3(vfmsq_f32, z, x, y); }
STOFM_INLINE_NEON Vector negative(Vector x) { return STOFM_NEON_1(vnegq_f32, x); }
STOFM_INLINE_NEON Vector fms(Vector x, Vector y, Vector z) { return fma(x, y, negative(z)); }
STOFM_INLINE_NEON Vector larger(Vector x, Vector y) { return STOFM_NEON_2(vmaxq_f32, x, y); }
STOFM_INLINE_NEON Vector magnitude(Vector x) { return STOFM_NEON_1(vabsq_f32, x); }
STOFM_INLINE_NEON Vector nearest_integer(Vector x) { return STOFM_NEON_1(vrndnq_f32, x); }
inline constexpr bool power_overflows_to_infinity = false;
STOFM_INLINE_NEON float32x4_t times_power_of_two(float32x4_t p, float32x4_t n) {
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vcvtnq_s32_f32(n), 23)));
}
STOFM_INLINE_NEON Vector times_power_of_two(Vector p, Vector n) {
  return STOFM_NEON_2(times_power_of_two, p, n);
}
STOFM_INLINE_NEON Vector fraction(Vector x) { return sub(x, STOFM_NEON_1(vrndmq_f32, x)); }
STOFM_INLINE_NEON Vector times_power_of_floor(Vector p, Vector x) {
  return times_power_of_two(p, STOFM_NEON_1(vrndmq_f32, x));
}
STOFM_INLINE_NEON float sum_of(Vector x) {
  return vaddvq_f32(vaddq_f32(vaddq_f32(x.a, x.b), vaddq_f32(x.c, x.d)));
}
STOFM_INLINE_NEON float largest_of(Vector x) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(x.a, x.b), vmaxq_f32(x.c, x.d)));
}

STOFM_INLINE_NEON Mask not_mask(Mask x) { return STOFM_NEON_1(vmvnq_u32, x); }
STOFM_INLINE_NEON Mask less(Vector x, Vector y) { return STOFM_NEON_2(vcltq_f32, x, y); }
STOFM_INLINE_NEON Mask greater(Vector x, Vector y) { return STOFM_NEON_2(vcgtq_f32, x, y); }
STOFM_INLINE_NEON Mask at_most(Vector x, Vector y) { return STOFM_NEON_2(vcleq_f32, x, y); }
STOFM_INLINE_NEON Mask equal(Vector x, Vector y) { return STOFM_NEON_2(vceqq_f32, x, y); }
STOFM_INLINE_NEON Mask not_less(Vector x, Vector y) { return not_mask(less(x, y)); }
STOFM_INLINE_NEON Mask not_greater(Vector x, Vector y) { return not_mask(greater(x, y)); }
STOFM_INLINE_NEON Mask not_at_most(Vector x, Vector y) { return not_mask(at_most(x, y)); }
STOFM_INLINE_NEON Mask not_equal(Vector x, Vector y) { return not_mask(equal(x, y)); }
STOFM_INLINE_NEON Mask is_nan(Vector x) { return not_mask(equal(x, x)); }
STOFM_INLINE_NEON Mask no_lane() {
  const uint32x4_t none = vdupq_n_u32(0);
  return {none, none, none, none};
}
STOFM_INLINE_NEON Mask either(Mask x, Mask y) { return STOFM_NEON_2(vorrq_u32, x, y); }
STOFM_INLINE_NEON uint32x4_t quarter_bits() {
  const std::uint32_t bits[4] = {1, 2, 4, 8};
  return vld1q_u32(bits);
}
STOFM_INLINE_NEON Mask mask_of_bits(std::uint32_t bits) {
  const uint32x4_t bit = quarter_bits();
  return {vtstq_u32(vdupq_n_u32(bits), bit), vtstq_u32(vdupq_n_u32(bits >> 4), bit),
          vtstq_u32(vdupq_n_u32(bits >> 8), bit), vtstq_u32(vdupq_n_u32(bits >> 12), bit)};
}
STOFM_INLINE_NEON std::uint32_t bits_of(Mask mask) {
  const uint32x4_t bit = quarter_bits();
  return vaddvq_u32(vandq_u32(mask.a, bit)) | vaddvq_u32(vandq_u32(mask.b, bit)) << 4 |
         vaddvq_u32(vandq_u32(mask.c, bit)) << 8 | vaddvq_u32(vandq_u32(mask.d, bit)) << 12;
}
STOFM_INLINE_NEON float32x4_t keep(uint32x4_t mask, float32x4_t x) {
  return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(x)));
}
STOFM_INLINE_NEON Vector keep(Mask mask, Vector x) { return STOFM_NEON_2(keep, mask, x); }
STOFM_INLINE_NEON Vector keep(Lanes lanes, Vector x) {
  if (lanes.count == 16) return x;
  return keep(mask_of_bits((1U << lanes.count) - 1U), x);
}
STOFM_INLINE_NEON Vector select(Mask mask, Vector x, Vector y) { return STOFM_NEON_3(vbslq_f32, mask, x, y); }

/// Which lanes `store_packed` puts side by side.
struct Packing {
  std::int64_t count;
  std::uint8_t lanes[16];
};
STOFM_INLINE_NEON Packing packing_of_bits(std::uint32_t bits) {
  Packing packing{0, {}};
  for (std::uint8_t lane = 0; lane < 16; ++lane)
    if (((bits >> lane) & 1U) != 0) packing.lanes[packing.count++] = lane;
  return packing;
}
STOFM_INLINE_NEON void store_packed(float* p, const Packing& packing, Vector x) {
  float all[16];
  store(all, x);
  for (std::int64_t i = 0; i < packing.count; ++i) p[i] = all[packing.lanes[i]];
}

STOFM_INLINE_NEON Words splat_word(std::uint32_t x) {
  const uint32x4_t all = vdupq_n_u32(x);
  return {all, all, all, all};
}
STOFM_INLINE_NEON Words count_up() {
  const std::uint32_t numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return {vld1q_u32(numbers), vld1q_u32(numbers + 4), vld1q_u32(numbers + 8), vld1q_u32(numbers + 12)};
}
STOFM_INLINE_NEON Words as_words(Vector x) {
  return {vreinterpretq_u32_f32(x.a), vreinterpretq_u32_f32(x.b), vreinterpretq_u32_f32(x.c),
          vreinterpretq_u32_f32(x.d)};
}
STOFM_INLINE_NEON Vector as_floats(Words x) {
  return {vreinterpretq_f32_u32(x.a), vreinterpretq_f32_u32(x.b), vreinterpretq_f32_u32(x.c),
          vreinterpretq_f32_u32(x.d)};
}
STOFM_INLINE_NEON Words add_words(Words x, Words y) { return STOFM_NEON_2(vaddq_u32, x, y); }
STOFM_INLINE_NEON Words either_bit(Words x, Words y) { return STOFM_NEON_2(vorrq_u32, x, y); }
STOFM_INLINE_NEON Words differing_bits(Words x, Words y) { return STOFM_NEON_2(veorq_u32, x, y); }
STOFM_INLINE_NEON Words odd_bits(Words x, Words y, Words z) {
  return differing_bits(differing_bits(x, y), z);
}
template <int Bits>
STOFM_INLINE_NEON Words shifted_up(Words x) {
  return {vshlq_n_u32(x.a, Bits), vshlq_n_u32(x.b, Bits), vshlq_n_u32(x.c, Bits), vshlq_n_u32(x.d, Bits)};
}
template <int Bits>
STOFM_INLINE_NEON Words shifted_down(Words x) {
  return {vshrq_n_u32(x.a, Bits), vshrq_n_u32(x.b, Bits), vshrq_n_u32(x.c, Bits), vshrq_n_u32(x.d, Bits)};
}
STOFM_INLINE_NEON uint32x4_t one_where_less(uint32x4_t x, uint32x4_t y) {
  return vshrq_n_u32(vcltq_u32(x, y), 31);
}
STOFM_INLINE_NEON Words one_where_less(Words x, Words y) { return STOFM_NEON_2(one_where_less, x, y); }
STOFM_INLINE_NEON uint32x4_t keep_halves_from(uint32x4_t x, uint32x4_t threshold, uint32x4_t values) {
  const uint16x8_t kept = vcgeq_u16(vreinterpretq_u16_u32(x), vreinterpretq_u16_u32(threshold));
  return vandq_u32(vreinterpretq_u32_u16(kept), values);
}
STOFM_INLINE_NEON Words keep_halves_from(Words x, Words threshold, Words values) {
  return STOFM_NEON_3(keep_halves_from, x, threshold, values);
}
STOFM_INLINE_NEON void multiply_wide(uint32x4_t& high, uint32x4_t& low, uint32x4_t x, uint32x4_t by) {
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(x), vget_low_u32(by))),
                   second = vreinterpretq_u32_u64(vmull_high_u32(x, by));
  low = vuzp1q_u32(first, second);
  high = vuzp2q_u32(first, second);
}
STOFM_INLINE_NEON void multiply_wide(Words& high, Words& low, Words x, Words by) {
  multiply_wide(high.a, low.a, x.a, by.a);
  multiply_wide(high.b, low.b, x.b, by.b);
  multiply_wide(high.c, low.c, x.c, by.c);
  multiply_wide(high.d, low.d, x.d, by.d);
}
STOFM_INLINE_NEON void store_low_bytes(std::uint8_t* p, Lanes lanes, Words x) {
  const uint16x8_t first = vcombine_u16(vmovn_u32(x.a), vmovn_u32(x.b)),
                   second = vcombine_u16(vmovn_u32(x.c), vmovn_u32(x.d));
  std::uint8_t all[16];
  vst1q_u8(all, vcombine_u8(vmovn_u16(first), vmovn_u16(second)));
  std::memcpy(p, all, static_cast<std::size_t>(lanes.count));
}

STOFM_INLINE_NEON Doubles load_doubles(const double* p) {
  return {vld1q_f64(p), vld1q_f64(p + 2), vld1q_f64(p + 4), vld1q_f64(p + 6)};
}
STOFM_INLINE_NEON Doubles load_widened(const float* p) {
  const float32x4_t first = vld1q_f32(p), second = vld1q_f32(p + 4);
  return {vcvt_f64_f32(vget_low_f32(first)), vcvt_high_f64_f32(first), vcvt_f64_f32(vget_low_f32(second)),
          vcvt_high_f64_f32(second)};
}
STOFM_INLINE_NEON void store_doubles(double* p, Doubles x) {
  vst1q_f64(p, x.a);
  vst1q_f64(p + 2, x.b);
  vst1q_f64(p + 4, x.c);
  vst1q_f64(p + 6, x.d);
}
STOFM_INLINE_NEON Doubles fma(Doubles x, Doubles y, Doubles z) { return STOFM_NEON_3(vfmaq_f64, z, x, y); }

STOFM_INLINE_NEON void transpose_4x4(float32x4_t& a, float32x4_t& b, float32x4_t& c, float32x4_t& d) {
  const float64x2_t ab_even = vreinterpretq_f64_f32(vtrn1q_f32(a, b)),
                    ab_odd = vreinterpretq_f64_f32(vtrn2q_f32(a, b)),
                    cd_even = vreinterpretq_f64_f32(vtrn1q_f32(c, d)),
                    cd_odd = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
  a = vreinterpretq_f32_f64(vtrn1q_f64(ab_even, cd_even));
  b = vreinterpretq_f32_f64(vtrn1q_f64(ab_odd, cd_odd));
  c = vreinterpretq_f32_f64(vtrn2q_f64(ab_even, cd_even));
  d = vreinterpretq_f32_f64(vtrn2q_f64(ab_odd, cd_odd));
}
/// rows[i][j] <-> rows[j][i]: sixteen squares of 4, those off the diagonal change places.
STOFM_INLINE_NEON void transpose_16x16(Vector (&rows)[16]) {
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    transpose_4x4(rows[i].a, rows[i + 1].a, rows[i + 2].a, rows[i + 3].a);
    transpose_4x4(rows[i].b, rows[i + 1].b, rows[i + 2].b, rows[i + 3].b);
    transpose_4x4(rows[i].c, rows[i + 1].c, rows[i + 2].c, rows[i + 3].c);
    transpose_4x4(rows[i].d, rows[i + 1].d, rows[i + 2].d, rows[i + 3].d);
  }
  const auto exchange = [](float32x4_t& x, float32x4_t& y) {
    const float32x4_t kept = x;
    x = y;
    y = kept;
  };
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    exchange(rows[r].b, rows[4 + r].a);
    exchange(rows[r].c, rows[8 + r].a);
    exchange(rows[r].d, rows[12 + r].a);
    exchange(rows[4 + r].c, rows[8 + r].b);
    exchange(rows[4 + r].d, rows[12 + r].b);
    exchange(rows[8 + r].d, rows[12 + r].c);
  }
}

#undef STOFM_NEON_1
#undef STOFM_NEON_2
#undef STOFM_NEON_3
}  // namespace stofm::backend::neon
#endif

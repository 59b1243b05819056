// SPDX-License-Identifier: MIT
#include "stofm/backend/cpu/avx512/vector_math.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

using namespace stofm;

#if defined(STOFM_X86_KERNELS)
namespace {
namespace avx512 = stofm::backend::avx512;

STOFM_TARGET_AVX512 float exp_of(float x) { return _mm512_cvtss_f32(avx512::exp_ps(_mm512_set1_ps(x))); }
STOFM_TARGET_AVX512 float gelu_of(float x) { return _mm512_cvtss_f32(avx512::gelu_ps(_mm512_set1_ps(x))); }
STOFM_TARGET_AVX512 void split_of(float x, float& hi, float& lo) {
  __m512i h, l;
  const __m512 value = avx512::canonical_nan(_mm512_set1_ps(x));
  avx512::split_pairs(value, value, h, l);
  alignas(64) std::uint32_t words[16];
  _mm512_store_si512(words, h);
  hi = std::bit_cast<float>(words[0] << 16);
  const bool halves_agree = words[0] >> 16 == (words[0] & 0xffffU);
  _mm512_store_si512(words, l);
  lo = std::bit_cast<float>(words[0] & 0xffff0000U);
  if (!halves_agree || words[0] >> 16 != (words[0] & 0xffffU)) hi = lo = -12345.0F;
}
STOFM_TARGET_AVX512 bool transposes() {
  __m512i rows[16];
  alignas(64) std::int32_t words[16];
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) words[j] = i * 16 + j;
    rows[i] = _mm512_load_si512(words);
  }
  avx512::transpose_16x16(rows);
  bool right = true;
  for (int i = 0; i < 16; ++i) {
    _mm512_store_si512(words, rows[i]);
    for (int j = 0; j < 16; ++j) right = right && words[j] == j * 16 + i;
  }
  return right;
}
double ulps(float value, double exact) {
  const float near = static_cast<float>(exact);
  const double spacing =
      static_cast<double>(std::nextafter(std::abs(near), std::numeric_limits<float>::infinity())) -
      std::abs(static_cast<double>(near));
  return std::abs(static_cast<double>(value) - exact) / spacing;
}
bool available() { return best_cpu_kernels() >= CpuKernels::avx512; }
}  // namespace

TEST_CASE("exp is within two ulp over the whole range and right at its ends") {
  if (!available()) return;
  double worst = 0;
  for (double x = -87.3; x < 88.7; x += 0.00037)
    worst = std::max(
        worst, ulps(exp_of(static_cast<float>(x)), std::exp(static_cast<double>(static_cast<float>(x)))));
  MESSAGE("largest error of exp: " << worst << " ulp");
  CHECK(worst <= 2.0);
  CHECK(exp_of(0.0F) == 1.0F);
  CHECK(exp_of(-100.0F) == 0.0F);
  CHECK(exp_of(-std::numeric_limits<float>::infinity()) == 0.0F);
  CHECK(std::isinf(exp_of(90.0F)));
  CHECK(std::isnan(exp_of(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("gelu is within 2^-22 |x| and right at its ends") {
  if (!available()) return;
  double worst = 0;
  for (double x = -20; x < 20; x += 0.00011) {
    const double v = static_cast<double>(static_cast<float>(x));
    worst = std::max(worst, std::abs(static_cast<double>(gelu_of(static_cast<float>(x))) -
                                     0.5 * v * std::erfc(-v / std::sqrt(2.0))) /
                                std::abs(v));
  }
  MESSAGE("largest error of gelu: " << worst * 0x1p24 << " * 2^-24 |x|");
  CHECK(worst <= 0x1p-22);
  CHECK(gelu_of(0.0F) == 0.0F);
  CHECK(gelu_of(1e30F) == 1e30F);
  CHECK(gelu_of(-1e30F) == 0.0F);
  CHECK(std::isnan(gelu_of(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("a float is the sum of two bfloat16 to 2^-16, and NaN and inf do not get lost") {
  if (!available()) return;
  float hi = 0, lo = 0;
  for (const float x :
       {0.0F, 1.0F, -1.0F, 3.14159265F, 1.00390625F, 1.005859375F, -1e-20F, 7.7e30F, 0.333333343F}) {
    split_of(x, hi, lo);
    CHECK(std::abs(static_cast<double>(x) - static_cast<double>(hi) - static_cast<double>(lo)) <=
          0x1p-16 * std::abs(static_cast<double>(x)));
    CHECK((std::bit_cast<std::uint32_t>(hi) & 0xffffU) == 0U);
  }
  for (const std::uint32_t bits :
       {0x7fc00000U, 0xffc00000U, 0x7fffffffU, 0xffffffffU, 0x7f800001U, 0x7f800000U}) {
    split_of(std::bit_cast<float>(bits), hi, lo);
    CHECK_FALSE(std::isfinite(hi + lo));
  }
}

TEST_CASE("sixteen rows of sixteen words are transposed") {
  if (available()) CHECK(transposes());
}
#endif

// SPDX-License-Identifier: MIT
// The vector layer and its functions, on every set of instructions of this machine.
#include "stofm/backend/cpu/vector/math.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "stofm/backend/cpu/amx/bfloat16_parts.hpp"
#include "stofm/core/scalar.hpp"

#if defined(STOFM_VECTOR_KERNELS)
#define STOFM_KERNEL_TEXT "tests/backend/vector_probe.inc"
#include "stofm/backend/cpu/vector/each_set.inc"

using namespace stofm;

namespace {
constexpr float infinity = std::numeric_limits<float>::infinity(),
                not_a_number = std::numeric_limits<float>::quiet_NaN();

/// Calls body(level) for every level with vectors of its own.
template <class Body>
void on_every_set(Body body) {
  for (const CpuKernels level : cpu_kernel_levels()) {
    if (level == CpuKernels::generic || level == CpuKernels::amx) continue;
    const std::string name(to_string(level));
    CAPTURE(name);
    body(level);
  }
}

double ulps(float value, double exact) {
  const float near = static_cast<float>(exact);
  const double spacing =
      static_cast<double>(std::nextafter(std::abs(near), std::numeric_limits<float>::infinity())) -
      std::abs(static_cast<double>(near));
  return std::abs(static_cast<double>(value) - exact) / spacing;
}

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}
}  // namespace

TEST_CASE("exp is within two ulp over the whole range and right at its ends") {
  on_every_set([](CpuKernels level) {
    const auto exp_of = [level](float x) { return STOFM_AT_LEVEL(level, exp_of(x)); };
    double worst = 0;
    for (double x = -87.3; x < 88.7; x += 0.00037)
      worst = std::max(
          worst, ulps(exp_of(static_cast<float>(x)), std::exp(static_cast<double>(static_cast<float>(x)))));
    MESSAGE("largest error of exp: " << worst << " ulp");
    CHECK(worst <= 2.0);
    CHECK(exp_of(0.0F) == 1.0F);
    CHECK(exp_of(-87.34F) == 0.0F);
    CHECK(exp_of(-100.0F) == 0.0F);
    CHECK(exp_of(-1e30F) == 0.0F);
    CHECK(exp_of(-infinity) == 0.0F);
    CHECK(std::isinf(exp_of(88.75F)));
    CHECK(std::isinf(exp_of(90.0F)));
    CHECK(std::isinf(exp_of(1e30F)));
    CHECK(std::isnan(exp_of(not_a_number)));
  });
}

TEST_CASE("gelu is within 2^-22 |x| and right at its ends") {
  on_every_set([](CpuKernels level) {
    const auto gelu_of = [level](float x) { return STOFM_AT_LEVEL(level, gelu_of(x)); };
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
    CHECK(gelu_of(-infinity) == 0.0F);
    CHECK(std::isnan(gelu_of(not_a_number)));
  });
}

TEST_CASE("sixteen rows of sixteen numbers are transposed") {
  on_every_set([](CpuKernels level) {
    float values[256];
    for (int i = 0; i < 256; ++i) values[i] = static_cast<float>(i);
    STOFM_AT_LEVEL(level, transpose_probe(values));
    bool right = true;
    for (int i = 0; i < 256; ++i) right = right && values[i] == static_cast<float>(i % 16 * 16 + i / 16);
    CHECK(right);
  });
}

TEST_CASE("the first lanes are read and written, and nothing beyond them") {
  on_every_set([](CpuKernels level) {
    for (std::int64_t count = -3; count < 20; ++count) {
      const auto real = static_cast<std::size_t>(std::clamp<std::int64_t>(count, 0, 16));
      const std::vector<float> x(real, 2.5F);  // a sanitizer sees a read past its end
      float y[16], z[16];
      std::fill(z, z + 16, -1.0F);
      STOFM_AT_LEVEL(level, lane_probe(y, z, x.data(), count, 7.0F));
      for (std::size_t lane = 0; lane < 16; ++lane) {
        CHECK(y[lane] == (lane < real ? 2.5F : 7.0F));
        CHECK(z[lane] == (lane < real ? 2.5F : -1.0F));
      }
    }
  });
}

TEST_CASE("comparisons say what the scalar ones say, NaN and signed zeros included") {
  on_every_set([](CpuKernels level) {
    const float values[] = {0.0F, -0.0F, 1.0F, -2.0F, infinity, -infinity, not_a_number, 1e-40F};
    for (const float second : values) {
      float a[16], b[16];
      for (int lane = 0; lane < 16; ++lane) {
        a[lane] = values[lane % 8];
        b[lane] = lane < 8 ? second : values[(lane + 3) % 8];
      }
      std::uint32_t found[7], expected[7] = {};
      STOFM_AT_LEVEL(level, compare_probe(found, a, b));
      for (int lane = 0; lane < 16; ++lane) {
        const float x = a[lane], y = b[lane];
        const bool says[] = {(x < y), (x > y), !(x < y), !(x > y), !(x <= y), x != y, std::isnan(x)};
        for (int c = 0; c < 7; ++c) expected[c] |= static_cast<std::uint32_t>(says[c]) << lane;
      }
      for (int c = 0; c < 7; ++c) CHECK(found[c] == expected[c]);
    }
  });
}

TEST_CASE("masks choose lanes, and chosen lanes are stored side by side") {
  on_every_set([](CpuKernels level) {
    float a[16], b[16];
    for (int lane = 0; lane < 16; ++lane) {
      a[lane] = static_cast<float>(lane + 1);
      b[lane] = -a[lane];
    }
    for (const std::uint32_t bits : {0U, 1U, 0x8000U, 0xffffU, 0xa55aU, 0x00ffU, 0xff00U, 0x7ffeU, 0x1248U}) {
      float y[16], z[16], packed[17];
      std::fill(packed, packed + 17, 99.0F);
      STOFM_AT_LEVEL(level, mask_probe(y, z, packed, a, b, bits));
      int next = 0;
      for (int lane = 0; lane < 16; ++lane) {
        const bool set = ((bits >> lane) & 1U) != 0;
        CHECK(y[lane] == (set ? a[lane] : b[lane]));
        CHECK(z[lane] == (set ? a[lane] : 0.0F));
        if (set) CHECK(packed[next++] == a[lane]);
      }
      for (; next < 17; ++next) CHECK(packed[next] == 99.0F);
    }
  });
}

TEST_CASE(
    "numbers are rounded to bfloat16 as the storage type rounds them, those too small for it to zeros") {
  on_every_set([](CpuKernels level) {
    std::uint32_t word = 1;
    for (int round = 0; round < 3000; ++round) {
      float x[16], y[64];
      for (float& value : x) {
        word = word * 1664525U + 1013904223U;
        value = std::bit_cast<float>(round % 3 == 0 ? word & 0xffff8000U : word);  // ties too
      }
      const float special[] = {0.0F, -0.0F, infinity, -infinity, not_a_number, 1e-40F, -1e-39F, 3.4e38F};
      if (round == 0) std::copy(special, special + 8, x);
      STOFM_AT_LEVEL(level, bfloat16_probe(y, x));
      for (int lane = 0; lane < 16; ++lane) {
        const auto expected = static_cast<float>(bfloat16(x[lane]));
        if (std::isnan(x[lane])) {
          CHECK(std::isnan(y[lane]));
        } else if (std::abs(x[lane]) < std::numeric_limits<float>::min()) {
          CHECK(y[lane] == 0.0F);
        } else {
          CHECK(same_bits(y[lane], expected));
        }
        CHECK(same_bits(y[48 + lane], x[lane]));
      }
    }
  });
}

TEST_CASE("a power of two is made of a fraction and a floor") {
  on_every_set([](CpuKernels level) {
    for (int round = 0; round < 100; ++round) {
      float x[16], y[64];
      for (int lane = 0; lane < 16; ++lane)
        x[lane] = -120.0F + static_cast<float>(round * 16 + lane) * 0.0751F;
      if (round == 0) x[3] = -5.0F;
      STOFM_AT_LEVEL(level, bfloat16_probe(y, x));
      for (int lane = 0; lane < 16; ++lane) {
        CHECK(y[16 + lane] == x[lane] - std::floor(x[lane]));
        CHECK(same_bits(y[32 + lane], std::ldexp(1.5F, static_cast<int>(std::floor(x[lane])))));
      }
    }
  });
}

TEST_CASE("arithmetic rounds as the scalar functions do") {
  on_every_set([](CpuKernels level) {
    float a[16], b[16], y[98];
    for (int lane = 0; lane < 16; ++lane) {
      a[lane] =
          std::ldexp(1.0F + static_cast<float>(lane) / 7.0F, lane % 5 - 2) * (lane % 3 == 0 ? -1.0F : 1.0F);
      b[lane] = 0.3F + static_cast<float>(lane) / 11.0F;
    }
    a[3] = 2.5F;  // to even
    STOFM_AT_LEVEL(level, arithmetic_probe(y, a, b));
    double sum = 0, magnitudes = 0;
    for (int lane = 0; lane < 16; ++lane) {
      CHECK(same_bits(y[lane], a[lane] / b[lane]));
      CHECK(same_bits(y[16 + lane], std::sqrt(std::abs(a[lane]))));
      CHECK(y[32 + lane] == std::nearbyint(a[lane]));
      CHECK(same_bits(y[48 + lane], std::fma(a[lane], b[lane], -3.0F)));
      CHECK(same_bits(y[64 + lane], std::fma(-a[lane], b[lane], 3.0F)));
      CHECK(y[80 + lane] == std::max(a[lane], b[lane]));
      sum += static_cast<double>(a[lane]);
      magnitudes += static_cast<double>(std::abs(a[lane]));
    }
    CHECK(std::abs(static_cast<double>(y[96]) - sum) <= 4 * 0x1p-24 * magnitudes);  // four additions deep
    CHECK(y[97] == *std::max_element(a, a + 16));
  });
}
#endif

#if defined(STOFM_X86_KERNELS)
namespace {
STOFM_TARGET_AVX512 void split_of(float x, float& hi, float& lo) {
  namespace avx512 = stofm::backend::avx512;
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
}  // namespace

TEST_CASE("a float is the sum of two bfloat16 to 2^-16, and NaN and inf do not get lost") {
  if (!has_cpu_kernels(CpuKernels::avx512)) return;
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
#endif

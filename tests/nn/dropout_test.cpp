// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "stofm/nn/dropout.hpp"
#include "tests/support/kernel_levels.hpp"

using namespace stofm;
using namespace stofm::nn;

TEST_CASE("a keep block is the 16-bit halves of one Philox block") {
  // Known answer of Philox4x32-10 for counter and key all zeros (Random123, kat_vectors).
  DropoutMask mask;
  const auto words = philox4x32({0, 0, 0, 0}, {0, 0});
  CHECK(words == std::array<std::uint32_t, 4>{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U});
  mask.threshold = 0xac4c;  // halves in order: e8d5 6627 c58d e169 ac4c bc57 dbd8 9b00
  CHECK(mask.block(0) == 0b01111101);
  mask.threshold = 0xac4d;
  CHECK(mask.block(0) == 0b01101101);
  CHECK(mask.keeps(0));
  CHECK_FALSE(mask.keeps(1));
}

TEST_CASE("many blocks at once are the single blocks on every kernel level") {
  const DropoutMask mask(RandomKey{0x123456789abcdefULL, 42, 7}, DropoutRate::of(0.3).threshold);
  test::for_each_level([&](CpuKernels) {
    for (const std::uint64_t first : {0ULL, 5ULL, 0xfffffff3ULL, 0xfffffffffffffff0ULL})
      for (const std::int64_t count : {1, 16, 17, 53}) {
        std::vector<std::uint8_t> bits(static_cast<std::size_t>(count) + 1, 0xee);
        backend::dropout_mask_blocks(bits.data(), mask, first, count);
        for (std::int64_t i = 0; i < count; ++i)
          REQUIRE(bits[static_cast<std::size_t>(i)] == mask.block(first + static_cast<std::uint64_t>(i)));
        CHECK(bits.back() == 0xee);
      }
  });
}

TEST_CASE("seed, stream, step and children name other masks, with the right share of kept elements") {
  const RandomKey key{1, 2, 3};
  const std::vector<RandomKey> keys{key,
                                    {2, 2, 3},
                                    {1, 3, 3},
                                    {1, 2, 4},
                                    {1, 2, 3ULL << 32},
                                    key.child(0),
                                    key.child(1),
                                    key.child(0).child(0)};
  const auto rate = DropoutRate::of(0.25);
  CHECK(rate.factor == doctest::Approx(4.0 / 3.0));
  constexpr std::int64_t blocks = 20000, elements = blocks * 8;
  std::vector<std::vector<std::uint8_t>> masks;
  for (const RandomKey& one : keys) {
    auto& bits = masks.emplace_back(static_cast<std::size_t>(blocks));
    backend::dropout_mask_blocks(bits.data(), DropoutMask(one, rate.threshold), 0, blocks);
    std::int64_t kept = 0;
    for (const std::uint8_t byte : bits) kept += std::popcount(byte);
    // five standard deviations of a binomial share
    CHECK(std::abs(static_cast<double>(kept) / elements - 0.75) < 5 * std::sqrt(0.25 * 0.75 / elements));
  }
  for (std::size_t i = 0; i < masks.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      std::int64_t both = 0;
      for (std::size_t b = 0; b < masks[i].size(); ++b)
        both += std::popcount(static_cast<std::uint8_t>(masks[i][b] & masks[j][b]));
      const double expected = 0.75 * 0.75;
      CHECK(std::abs(static_cast<double>(both) / elements - expected) <
            5 * std::sqrt(expected * (1 - expected) / elements));
    }
  CHECK(Random(key.generator()).bits() != Random(key.child(0).generator()).bits());
}

TEST_CASE("dropout keeps or scales, its gradient has the same mask, and threads and kernels do not matter") {
  const int before = thread_count();
  Tensor<float> x({37, 1003});
  Random random(5);
  for (float& value : x.span()) value = static_cast<float>(random.normal());
  const RandomKey key{11, 12, 13};
  const DropoutMask mask(key, DropoutRate::of(0.1).threshold);
  Tensor<float> first;
  test::for_each_level([&](CpuKernels) {
    for (const int threads : {1, 3}) {
      set_thread_count(threads);
      autograd::Tape<float> tape;
      const auto input = tape.input(x);
      const auto y = dropout(input, 0.1, key);
      tape.backward(y, Tensor<float>::full(x.shape(), 2.0F));
      const auto grad = tape.grad(input);
      if (first.numel() == 0) {
        first = y.value().clone();
        const float factor = static_cast<float>(DropoutRate::of(0.1).factor);
        for (std::int64_t e = 0; e < x.numel(); ++e) {
          const bool kept = mask.keeps(static_cast<std::uint64_t>(e));
          REQUIRE(y.value().data()[e] == (kept ? x.data()[e] * factor : 0.0F));
          REQUIRE(grad.data()[e] == (kept ? 2.0F * factor : 0.0F));
        }
      }
      CHECK(std::memcmp(first.data(), y.value().data(), static_cast<std::size_t>(x.numel()) * 4) == 0);
    }
  });
  set_thread_count(before);
}

TEST_CASE("dropout of a view is dropout of its dense copy; probability zero is the input itself") {
  Tensor<double> x({5, 7});
  for (std::int64_t e = 0; e < x.numel(); ++e) x.data()[e] = static_cast<double>(e) + 1.0;
  const Tensor<double> view = x.transpose(0, 1);
  const auto a = dropout(autograd::constant(view), 0.5, {1, 2, 3});
  const auto b = dropout(autograd::constant(view.contiguous()), 0.5, {1, 2, 3});
  CHECK(std::memcmp(a.value().data(), b.value().data(), 35 * sizeof(double)) == 0);
  CHECK(dropout(autograd::constant(x), 0.0, {}).value().data() == x.data());
  CHECK(dropout(autograd::constant(Tensor<float>({0, 4})), 0.5, {}).shape() == Shape{0, 4});
}

TEST_CASE("probabilities outside [0, 1) are refused") {
  for (const double p : {-0.1, 1.0, 2.0, std::nan("")})
    CHECK_THROWS_AS(dropout(autograd::constant(Tensor<float>({2})), p, {}), UsageError);
}

// SPDX-License-Identifier: MIT
#include "stofm/ops/linear.hpp"

#include "stofm/ops/matmul.hpp"
#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {

/// The largest |error| / bound over the elements of y against a double loop.
template <class T>
double worst_ratio(const Tensor<T>& y, const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& b,
                   const LinearOptions& options, CpuKernels level) {
  double worst = 0;
  for (std::int64_t i = 0; i < x.dim(0); ++i)
    for (std::int64_t j = 0; j < w.dim(0); ++j) {
      double sum = b.empty() ? 0.0 : static_cast<double>(b(j)), size = std::abs(sum);
      for (std::int64_t k = 0; k < x.dim(1); ++k) {
        const double term = static_cast<double>(x(i, k)) * static_cast<double>(w(j, k));
        sum += term;
        size += std::abs(term);
      }
      const double z = options.scale * sum;
      double expected = z;
      if (options.activation == Activation::relu) expected = std::max(z, 0.0);
      if (options.activation == Activation::gelu) expected = 0.5 * z * std::erfc(-z / std::sqrt(2.0));
      // |gelu'| and |relu'| are at most 1.13; bias, scale and the activation itself round a few times more
      double bound = 1.13 * std::abs(options.scale) * size * product_bound<T>(level, x.dim(1) + 3);
      if (options.activation == Activation::gelu) bound += 4 * roundoff<T> * std::abs(z);
      worst = std::max(worst, std::abs(static_cast<double>(y(i, j)) - expected) / (bound + 1e-300));
    }
  return worst;
}

template <class T>
void check_all_shapes(CpuKernels level) {
  std::uint64_t seed = 1;
  for (const std::int64_t m : {1, 2, 31, 33, 65})
    for (const std::int64_t n : {1, 2, 31, 33, 65})
      for (const std::int64_t k : {1, 2, 31, 33, 65}) {
        const auto x = spiky<T>({m, k}, ++seed), w = spiky<T>({n, k}, ++seed), b = spiky<T>({n}, ++seed);
        const LinearOptions options{.activation = static_cast<Activation>(seed % 3),
                                    .scale = seed % 2 == 0 ? 1.0 : 0.3};
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        REQUIRE(worst_ratio(ops::linear(x, w, b, options), x, w, b, options, level) <= 1.0);
      }
}

}  // namespace

TEST_CASE("linear matches a double loop at odd sizes and every kernel level") {
  at_every_level([](CpuKernels level) {
    check_all_shapes<float>(level);
    if (level == CpuKernels::generic) check_all_shapes<double>(level);
  });
}

TEST_CASE("linear reads strided rows and writes nothing between them") {
  at_every_level([](CpuKernels level) {
    const auto x = spiky<float>({45, 70}, 1), w = spiky<float>({37, 70}, 2), b = spiky<float>({37}, 3);
    const auto wide_x = with_gaps(x), wide_w = with_gaps(w, 7);
    auto wide_y = Tensor<float>::full({45, 48}, 77.0F);
    auto y = wide_y.slice(1, 4, 41);
    ops::linear_into(y.view(), wide_x.view(), wide_w.view(), b.view());
    CHECK(worst_ratio(y, x, w, b, {}, level) <= 1.0);
    for (std::int64_t i = 0; i < 45; ++i)
      for (const std::int64_t j : {0, 1, 2, 3, 41, 42, 47}) CHECK(wide_y(i, j) == 77.0F);
  });
}

TEST_CASE("a packed layer gives the bits of linear, also after the level changed") {
  const auto x = spiky<float>({70, 50}, 1), w = spiky<float>({41, 50}, 2), b = spiky<float>({41}, 3);
  const ops::PackedLinear<float> layer(w, b);
  CHECK(layer.inputs() == 50);
  CHECK(layer.outputs() == 41);
  at_every_level([&](CpuKernels) {
    for (const auto activation : {Activation::identity, Activation::relu, Activation::gelu}) {
      const auto a = layer(x, {.activation = activation}),
                 c = ops::linear(x, w, b, {.activation = activation});
      CHECK(std::ranges::equal(a.span(), c.span()));
    }
  });
}

TEST_CASE("a row does not depend on the rows around it, nor a result on the number of threads") {
  const auto x = spiky<float>({301, 130}, 4), w = spiky<float>({77, 130}, 5), b = spiky<float>({77}, 6);
  at_every_level([&](CpuKernels level) {
    set_thread_count(1);
    const auto one = ops::linear(x, w, b, {.activation = Activation::gelu});
    for (const int threads : {2, 3, 4, 8}) {
      set_thread_count(threads);
      CHECK(std::ranges::equal(ops::linear(x, w, b, {.activation = Activation::gelu}).span(), one.span()));
    }
    if (level == CpuKernels::generic) return;  // Eigen's product may choose by size
    const auto some = ops::linear(x.slice(0, 100, 103), w, b, {.activation = Activation::gelu});
    for (std::int64_t i = 0; i < 3; ++i)
      for (std::int64_t j = 0; j < 77; ++j) CHECK(some(i, j) == one(100 + i, j));
  });
  set_thread_count(2);
}

TEST_CASE("the bfloat16 grade is the product of rounded operands, summed in float32") {
  at_every_level([](CpuKernels) {
    std::uint64_t seed = 1;
    for (const std::int64_t m : {1, 2, 15, 17, 33, 65})
      for (const std::int64_t n : {1, 31, 32, 33, 65})
        for (const std::int64_t k : {1, 2, 31, 32, 33, 64, 65}) {
          const auto x = spiky<float>({m, k}, ++seed), w = spiky<float>({n, k}, ++seed),
                     b = spiky<float>({n}, ++seed);
          const LinearOptions options{.activation = static_cast<Activation>(seed % 3),
                                      .scale = seed % 2 == 0 ? 1.0 : 0.3,
                                      .grade = MatmulGrade::bfloat16};
          CAPTURE(m);
          CAPTURE(n);
          CAPTURE(k);
          const auto rx = rounded_to_bfloat16(x), rw = rounded_to_bfloat16(w);
          // products of rounded operands have 16 bits: only the sums round, as float32 sums do
          REQUIRE(worst_ratio(ops::linear(x, w, b, options), rx, rw, b, options, CpuKernels::generic) <= 1.0);
        }
  });
}

TEST_CASE("bfloat16: weights packed before, gaps between rows and threads change no bit") {
  const auto x = spiky<float>({301, 67}, 4), w = spiky<float>({77, 67}, 5), b = spiky<float>({77}, 6);
  const LinearOptions options{.activation = Activation::gelu, .grade = MatmulGrade::bfloat16};
  at_every_level([&](CpuKernels) {
    const ops::PackedLinear<float> packed(w, b, MatmulGrade::bfloat16), other(w, b);
    set_thread_count(1);
    const auto one = ops::linear(with_gaps(x), with_gaps(w, 7), b, options);
    for (const int threads : {1, 2, 3, 8}) {
      set_thread_count(threads);
      CHECK(std::ranges::equal(packed(x, options).span(), one.span()));
      CHECK(std::ranges::equal(other(x, options).span(), one.span()));
      CHECK(std::ranges::equal(packed(x).span(), other(x).span()));
    }
    auto wide = Tensor<float>::full({301, 80}, 77.0F);
    packed.apply_into(wide.slice(1, 2, 79).view(), x.view(), options);
    for (std::int64_t i = 0; i < 301; ++i) {
      for (std::int64_t j = 0; j < 77; ++j) REQUIRE(wide(i, j + 2) == one(i, j));
      for (const std::int64_t j : {0, 1, 79}) REQUIRE(wide(i, j) == 77.0F);
    }
  });
  set_thread_count(2);
}

TEST_CASE("bfloat16: NaN, infinity and empty sides") {
  at_every_level([](CpuKernels) {
    const LinearOptions options{.grade = MatmulGrade::bfloat16};
    auto x = spiky<float>({40, 33}, 1);
    const auto w = spiky<float>({20, 33}, 2);
    x(7, 32) = std::numeric_limits<float>::quiet_NaN();
    x(39, 0) = std::numeric_limits<float>::infinity();
    const auto y = ops::linear(x, w, {}, options);
    for (std::int64_t i = 0; i < 40; ++i)
      for (std::int64_t j = 0; j < 20; ++j) {
        CHECK(std::isnan(y(i, j)) == (i == 7));
        CHECK(std::isinf(y(i, j)) == (i == 39));
      }
    CHECK(ops::linear(Tensor<float>(Shape{0, 5}), spiky<float>({3, 5}, 1), {}, options).shape() ==
          Shape{0, 3});
    CHECK(ops::linear(spiky<float>({4, 5}, 1), Tensor<float>(Shape{0, 5}), {}, options).shape() ==
          Shape{4, 0});
    const auto bias_only =
        ops::linear(Tensor<float>(Shape{2, 0}), Tensor<float>(Shape{3, 0}), spiky<float>({3}, 9), options);
    CHECK(bias_only(1, 2) == spiky<float>({3}, 9)(2));
  });
  const auto x = spiky<double>({3, 4}, 1), w = spiky<double>({2, 4}, 2);
  CHECK(std::ranges::equal(ops::linear(x, w, {}, {.grade = MatmulGrade::bfloat16}).span(),
                           ops::linear(x, w).span()));  // doubles have one grade
}

TEST_CASE("NaN comes out where NaN went in, and only there") {
  at_every_level([](CpuKernels) {
    auto x = spiky<float>({40, 33}, 1);
    const auto w = spiky<float>({20, 33}, 2);
    x(7, 32) = std::numeric_limits<float>::quiet_NaN();
    for (const auto activation : {Activation::identity, Activation::relu, Activation::gelu}) {
      const auto y = ops::linear(x, w, {}, {.activation = activation});
      for (std::int64_t i = 0; i < 40; ++i)
        for (std::int64_t j = 0; j < 20; ++j) CHECK(std::isnan(y(i, j)) == (i == 7));
    }
  });
}

TEST_CASE("empty sides are results, not errors") {
  at_every_level([](CpuKernels) {
    CHECK(ops::linear(Tensor<float>(Shape{0, 5}), spiky<float>({3, 5}, 1)).shape() == Shape{0, 3});
    CHECK(ops::linear(spiky<float>({4, 5}, 1), Tensor<float>(Shape{0, 5})).shape() == Shape{4, 0});
    const auto bias_only =
        ops::linear(Tensor<float>(Shape{2, 0}), Tensor<float>(Shape{3, 0}), spiky<float>({3}, 9));
    CHECK(bias_only(1, 2) == spiky<float>({3}, 9)(2));
  });
}

TEST_CASE("linear and matmul refuse a view without data, not with a crash") {
  const Tensor<float> x({3, 4}), w({2, 4});
  Tensor<float> y({3, 2});
  const TensorView<float> nothing{nullptr, Shape{3, 2}, Shape{3, 2}.row_major_strides(), {}};
  const TensorView<const float> no_x{nullptr, Shape{3, 4}, Shape{3, 4}.row_major_strides(), {}};
  CHECK_THROWS_WITH_AS(ops::linear_into(nothing, x.view(), w.view()), doctest::Contains("without data"),
                       ShapeError);
  CHECK_THROWS_WITH_AS(ops::linear_into(y.view(), no_x, w.view()), doctest::Contains("without data"),
                       ShapeError);
}

TEST_CASE("linear refuses shapes that do not fit and names both") {
  const auto x = spiky<float>({4, 5}, 1), w = spiky<float>({3, 6}, 2);
  CHECK_THROWS_WITH_AS(ops::linear(x, w), doctest::Contains("[linear]: found x [4, 5], w [3, 6]"),
                       ShapeError);
  CHECK_THROWS_WITH_AS(ops::linear(x, spiky<float>({3, 5}, 2), spiky<float>({4}, 3)),
                       doctest::Contains("b [4]"), ShapeError);
  CHECK_THROWS_WITH_AS(ops::linear(x.transpose(0, 1), spiky<float>({3, 4}, 2)), doctest::Contains("stride"),
                       ShapeError);
}

TEST_CASE("matmul takes any layout of both sides") {
  at_every_level([](CpuKernels level) {
    const auto a = spiky<float>({35, 66}, 1), b = spiky<float>({66, 33}, 2);
    const auto at = a.transpose(0, 1).clone().transpose(0, 1), bt = b.transpose(0, 1).clone().transpose(0, 1);
    for (const auto& y : {ops::matmul(a, b), ops::matmul(at, b), ops::matmul(a, bt), ops::matmul(at, bt)})
      CHECK(worst_ratio(y, a, b.transpose(0, 1), Tensor<float>(), {}, level) <= 1.0);
  });
  CHECK_THROWS_WITH_AS(ops::matmul(spiky<double>({2, 3}, 1), spiky<double>({2, 3}, 1)),
                       doctest::Contains("a [2, 3], b [2, 3]"), ShapeError);
}

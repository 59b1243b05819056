// SPDX-License-Identifier: MIT
#include "stofm/ops/varlen_attention.hpp"

#include "stofm/ops/cast.hpp"
#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {

using Offsets = std::vector<std::int64_t>;

/// Attention by definition, in double.
template <class T>
Tensor<double> by_definition(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                             const Offsets& q_offsets, const Offsets& k_offsets, std::int64_t heads,
                             double scale) {
  auto y = Tensor<double>::zeros(q.shape());
  const std::int64_t width = q.dim(1) / heads;
  for (std::size_t s = 0; s + 1 < q_offsets.size(); ++s)
    for (std::int64_t i = q_offsets[s]; i < q_offsets[s + 1]; ++i)
      for (std::int64_t h = 0; h < heads; ++h) {
        std::vector<double> logits;
        double largest = -std::numeric_limits<double>::infinity(), sum = 0;
        for (std::int64_t j = k_offsets[s]; j < k_offsets[s + 1]; ++j) {
          double dot = 0;
          for (std::int64_t c = h * width; c < (h + 1) * width; ++c)
            dot += static_cast<double>(q(i, c)) * static_cast<double>(k(j, c));
          logits.push_back(scale * dot);
          largest = std::max(largest, logits.back());
        }
        for (double& p : logits) sum += p = std::exp(p - largest);
        for (std::size_t j = 0; j < logits.size(); ++j)
          for (std::int64_t c = h * width; c < (h + 1) * width; ++c)
            y(i, c) +=
                logits[j] / sum * static_cast<double>(v(k_offsets[s] + static_cast<std::int64_t>(j), c));
      }
  return y;
}

/// Error bound for one output: the weights change by a relative 2 e with e the largest error of a logit
/// (numerator and sum), the products with v by their own bound, and exp, sum and division by a few roundings.
/// |q|, |k| <= `size`.
template <class T>
double attention_bound(CpuKernels level, std::int64_t keys, std::int64_t width, double scale, double q_size,
                       double k_size) {
  const double logit = scale * static_cast<double>(width) * q_size * k_size;
  const double logit_error = logit * (product_bound<T>(level, width) + 2 * roundoff<T>);
  return 2 * logit_error + 2 * product_bound<T>(level, keys) + 16 * roundoff<T>;
}

template <class T>
double largest_of(const Tensor<T>& t) {
  double largest = 0;
  for (const T v : t.span()) largest = std::max(largest, std::abs(static_cast<double>(v)));
  return largest;
}

/// What MatmulGrade::bfloat16 does besides rounding queries, keys and values: the weights are rounded (2^-9),
/// their exp is right to 2^-13.
constexpr double weight_rounding = 0x1p-9 + 2 * 0x1p-13;

template <class T>
void check(CpuKernels level, std::int64_t heads, std::int64_t width, const Offsets& q_offsets,
           const Offsets& k_offsets, MatmulGrade grade = MatmulGrade::float32) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  const auto q = spiky<T>({q_offsets.back(), heads * width}, 11, 0.25),
             k = spiky<T>({k_offsets.back(), heads * width}, 12, 0.25),
             v = spiky<T>({k_offsets.back(), heads * width}, 13);
  auto y = Tensor<T>::full(q.shape(), T(99));
  ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), q_offsets, k_offsets,
                             {.heads = heads, .scale = scale, .grade = grade});
  auto expected = Tensor<double>();
  if constexpr (std::is_same_v<T, float>)
    if (grade == MatmulGrade::bfloat16)
      expected = by_definition(rounded_to_bfloat16(q), rounded_to_bfloat16(k), rounded_to_bfloat16(v),
                               q_offsets, k_offsets, heads, scale);
  if (grade == MatmulGrade::float32) expected = by_definition(q, k, v, q_offsets, k_offsets, heads, scale);
  std::int64_t keys = 0;
  for (std::size_t s = 0; s + 1 < k_offsets.size(); ++s)
    keys = std::max(keys, k_offsets[s + 1] - k_offsets[s]);
  const double bound =
      largest_of(v) * (attention_bound<T>(level, keys, width, scale, largest_of(q), largest_of(k)) +
                       (grade == MatmulGrade::bfloat16 ? weight_rounding : 0.0));
  double worst = 0;
  for (std::int64_t i = 0; i < q.dim(0); ++i)
    for (std::int64_t c = 0; c < q.dim(1); ++c)
      worst = std::max(worst, std::abs(static_cast<double>(y(i, c)) - expected(i, c)));
  CAPTURE(heads);
  CAPTURE(width);
  REQUIRE(worst <= bound);
}

const Offsets ragged{0, 1, 3, 3, 34, 67, 132, 164, 180};

}  // namespace

TEST_CASE("attention over packed sequences matches the definition at every kernel level") {
  at_every_level([](CpuKernels level) {
    for (const std::int64_t width : {1, 8, 16, 24, 31, 32, 33, 64, 80})
      check<float>(level, 3, width, ragged, ragged);
    if (level == CpuKernels::generic) check<double>(level, 2, 16, ragged, ragged);
  });
}

TEST_CASE("queries may be fewer than keys, down to one or none per sequence") {
  at_every_level([](CpuKernels level) {
    check<float>(level, 4, 64, {0, 1, 2, 3, 4}, {0, 1, 33, 100, 165});
    check<float>(level, 2, 24, {0, 0, 2, 35, 35}, {0, 7, 8, 40, 90});
  });
}

TEST_CASE("sequences beyond one block of keys are rescaled on the way") {
  at_every_level([](CpuKernels level) {
    check<float>(level, 1, 16, {0, 33}, {0, 2049});
    check<float>(level, 1, 8, {0, 3}, {0, 4500});
  });
}

TEST_CASE("bfloat16: attention is that of rounded operands, with rounded weights") {
  at_every_level([](CpuKernels level) {
    const auto grade = MatmulGrade::bfloat16;
    for (const std::int64_t width : {1, 8, 16, 31, 32, 33, 64, 80})
      check<float>(level, 3, width, ragged, ragged, grade);
    check<float>(level, 2, 24, {0, 0, 2, 35, 35}, {0, 7, 8, 40, 90}, grade);
    check<float>(level, 1, 16, {0, 33}, {0, 2049}, grade);  // several blocks of keys
    check<float>(level, 4, 64, {0, 1, 18, 83}, {0, 256, 513, 1100}, grade);
  });
}

TEST_CASE(
    "bfloat16: huge logits select, NaN stays in its sequence, no key gives zeros, threads change nothing") {
  at_every_level([](CpuKernels) {
    const AttentionOptions options{.heads = 1, .scale = 1.0, .grade = MatmulGrade::bfloat16};
    auto q = Tensor<float>::zeros({340, 8}), k = Tensor<float>::zeros({340, 8}),
         v = Tensor<float>::zeros({340, 8});
    for (std::int64_t i = 0; i < 340; ++i) {
      q(i, 0) = 100.0F;
      k(i, 0) = i == 317 ? 100.0F : -100.0F;  // logits +-1e4, the largest in the second block of keys
      v(i, 3) = static_cast<float>(i % 200);
    }
    auto y = Tensor<float>(Shape{340, 8});
    ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), Offsets{0, 340}, Offsets{0, 340},
                               options);
    for (std::int64_t i = 0; i < 340; ++i) CHECK(y(i, 3) == 117.0F);
    k(300, 5) = std::numeric_limits<float>::quiet_NaN();
    q(300, 5) = 1.0F;
    ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), Offsets{0, 200, 340},
                               Offsets{0, 200, 340}, options);
    for (std::int64_t i = 0; i < 340; ++i) CHECK(std::isnan(y(i, 3)) == (i >= 200));
    ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), Offsets{0, 200, 340},
                               Offsets{0, 340, 340}, options);
    for (std::int64_t i = 200; i < 340; ++i) CHECK(y(i, 3) == 0.0F);
    const auto a = spiky<float>({180, 96}, 1, 0.3), b = spiky<float>({180, 96}, 2, 0.3);
    const AttentionOptions three{.heads = 3, .scale = 0.2, .grade = MatmulGrade::bfloat16};
    Tensor<float> first;
    for (const int threads : {1, 2, 3, 8}) {
      set_thread_count(threads);
      auto out = Tensor<float>(Shape{180, 96});
      ops::varlen_attention_into(out.view(), with_gaps(a).view(), with_gaps(b, 3).view(), b.view(), ragged,
                                 ragged, three);
      if (threads == 1) first = out;
      CHECK(std::ranges::equal(out.span(), first.span()));
    }
    set_thread_count(2);
  });
}

TEST_CASE("D39: a query without keys gets zeros") {
  at_every_level([](CpuKernels) {
    const auto q = spiky<float>({5, 16}, 1), k = spiky<float>({3, 16}, 2);
    auto y = Tensor<float>::full({5, 16}, 9.0F);
    ops::varlen_attention_into(y.view(), q.view(), k.view(), k.view(), Offsets{0, 2, 5}, Offsets{0, 3, 3},
                               {.heads = 2, .scale = 1.0});
    for (std::int64_t i = 2; i < 5; ++i)
      for (std::int64_t c = 0; c < 16; ++c) CHECK(y(i, c) == 0.0F);
    CHECK(y(0, 0) != 9.0F);
    auto none = Tensor<float>(Shape{0, 16});
    CHECK_NOTHROW(
        ops::varlen_attention_into(none.view(), none.view(), none.view(), none.view(), Offsets{0}, 2, 1.0));
  });
}

TEST_CASE("D40: huge logits select, they do not overflow") {
  at_every_level([](CpuKernels) {
    auto q = Tensor<float>::zeros({40, 8}), k = Tensor<float>::zeros({40, 8}),
         v = Tensor<float>::zeros({40, 8});
    for (std::int64_t i = 0; i < 40; ++i) {
      q(i, 0) = 100.0F;
      k(i, 0) = i == 17 ? 100.0F : -100.0F;  // logits +-1e4
      v(i, 3) = static_cast<float>(i);
    }
    auto y = Tensor<float>(Shape{40, 8});
    ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), Offsets{0, 40}, 1, 1.0);
    for (std::int64_t i = 0; i < 40; ++i) CHECK(y(i, 3) == 17.0F);
  });
}

TEST_CASE("a NaN reaches its sequence and no other") {
  at_every_level([](CpuKernels) {
    auto k = spiky<float>({70, 32}, 3);
    const auto q = spiky<float>({70, 32}, 4);
    k(40, 5) = std::numeric_limits<float>::quiet_NaN();
    auto y = Tensor<float>(Shape{70, 32});
    ops::varlen_attention_into(y.view(), q.view(), k.view(), q.view(), Offsets{0, 35, 70}, 1, 1.0);
    for (std::int64_t i = 0; i < 70; ++i) CHECK(std::isnan(y(i, 0)) == (i >= 35));
  });
}

TEST_CASE("attention reads strided rows and has the same bits for any number of threads") {
  at_every_level([](CpuKernels) {
    const auto q = spiky<float>({180, 96}, 1, 0.3), k = spiky<float>({180, 96}, 2, 0.3),
               v = spiky<float>({180, 96}, 3);
    const auto wide_q = with_gaps(q), wide_k = with_gaps(k, 3), wide_v = with_gaps(v, 11);
    Tensor<float> first;
    for (const int threads : {1, 2, 3, 4, 8}) {
      set_thread_count(threads);
      auto y = Tensor<float>(Shape{180, 96});
      ops::varlen_attention_into(y.view(), wide_q.view(), wide_k.view(), wide_v.view(), ragged, 3, 0.2);
      if (threads == 1) {
        ops::varlen_attention_into(y.view(), q.view(), k.view(), v.view(), ragged, 3, 0.2);
        first = y;
      }
      CHECK(std::ranges::equal(y.span(), first.span()));
    }
    set_thread_count(2);
  });
}

TEST_CASE("AVX2 and AVX-512 have the same bits, short sequences and long ones, in float32") {
  const auto q = spiky<float>({1000, 64}, 1, 0.3), k = spiky<float>({1000, 64}, 2, 0.3),
             v = spiky<float>({1000, 64}, 3);
  std::vector<Tensor<float>> found;
  at_every_level([&](CpuKernels level) {
    if (level != CpuKernels::avx2 && level != CpuKernels::avx512) return;
    found.emplace_back(Shape{1000, 64});
    ops::varlen_attention_into(found.back().view(), q.view(), k.view(), v.view(),
                               Offsets{0, 1, 41, 300, 1000}, 2, 0.2);
  });
  for (const Tensor<float>& other : found) CHECK(std::ranges::equal(other.span(), found[0].span()));
}

TEST_CASE("attention refuses offsets and heads that do not fit") {
  auto t = spiky<float>({6, 12}, 1), y = Tensor<float>(Shape{6, 12});
  auto run = [&](const Offsets& offsets, std::int64_t heads) {
    ops::varlen_attention_into(y.view(), t.view(), t.view(), t.view(), offsets, heads, 1.0);
  };
  CHECK_THROWS_WITH_AS(run({0, 5}, 3),
                       doctest::Contains("ending in 5, expected ascending values from 0 to 6"), ShapeError);
  CHECK_THROWS_AS(run({0, 4, 3, 6}, 3), ShapeError);
  CHECK_THROWS_AS(run({}, 3), ShapeError);
  CHECK_THROWS_WITH_AS(run({0, 6}, 5), doctest::Contains("5 heads for q [6, 12]"), ShapeError);
}

namespace {
template <class T>
struct Gradients {
  Tensor<T> q, k, v;
};

template <class T>
Gradients<T> gradients(const Tensor<T>& grad_y, const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                       const std::vector<std::int64_t>& offsets, std::int64_t heads, double scale) {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  Tensor<T> y(q.shape());
  ops::varlen_attention_into<T>(y.view(), q.view(), k.view(), v.view(), offsets, heads, scale);
  Gradients<T> into{with_gaps(Tensor<T>::full(q.shape(), nan)), Tensor<T>::full(q.shape(), nan),
                    with_gaps(Tensor<T>::full(q.shape(), nan))};
  ops::varlen_attention_gradient_into<T>({into.q.view(), into.k.view(), into.v.view()}, grad_y.view(),
                                         std::as_const(y).view(), q.view(), k.view(), v.view(), offsets,
                                         offsets, {.heads = heads, .scale = scale});
  return into;
}

double distance(const Tensor<float>& found, const Tensor<double>& expected) {
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < expected.dim(0); ++i)
    for (std::int64_t j = 0; j < expected.dim(1); ++j) {
      const double e = expected(i, j), d = static_cast<double>(found(i, j)) - e;
      difference += d * d;
      norm += e * e;
    }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}
}  // namespace

TEST_CASE("float gradients of attention over sequences agree with double at every level") {
  struct Sample {
    std::vector<std::int64_t> offsets;
    std::int64_t heads, width;
  };
  for (const Sample& s : {Sample{{0, 1}, 1, 1},
                          {{0, 3, 3, 8}, 2, 5},
                          {{0, 55, 111, 168}, 2, 16},
                          {{0, 57, 1102}, 2, 33},
                          {{0, 130}, 3, 64},
                          {{0, 31, 64, 97}, 1, 100}}) {
    const Shape shape{s.offsets.back(), s.heads * s.width};
    std::uint64_t seed = static_cast<std::uint64_t>(s.width);
    auto make = [&] { return spiky<float>(shape, ++seed, 0.5); };
    const auto q = with_gaps(make()), k = make(), v = with_gaps(make()), grad_y = make();
    const double scale = 0.6 / std::sqrt(static_cast<double>(s.width));
    const auto exact = gradients(ops::cast<double>(grad_y), ops::cast<double>(q), ops::cast<double>(k),
                                 ops::cast<double>(v), s.offsets, s.heads, scale);
    at_every_level([&](CpuKernels) {
      const auto found = gradients(grad_y, q, k, v, s.offsets, s.heads, scale);
      const double floor = 1e-6;  // one key: q and k have no gradient at all, sums of roundings come out
      CHECK(distance(found.v, exact.v) <= 2e-5);
      const bool alone = shape[0] == 1;
      CHECK(distance(found.q, exact.q) <= (alone ? floor : 2e-5));
      CHECK(distance(found.k, exact.k) <= (alone ? floor : 2e-5));
    });
  }
}

TEST_CASE("gradients of attention have the same bits on 1, 2 and 4 threads, empty sequences included") {
  const int before = thread_count();
  const std::vector<std::int64_t> offsets{0, 0, 100, 100, 101, 260};
  const auto q = spiky<float>({260, 48}, 1), k = spiky<float>({260, 48}, 2), v = spiky<float>({260, 48}, 3),
             grad_y = spiky<float>({260, 48}, 4);
  at_every_level([&](CpuKernels) {
    std::vector<float> expected;
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      const auto found = gradients(grad_y, q, k, v, offsets, 3, 0.2);
      std::vector<float> all;
      for (const auto& part : {found.q, found.k, found.v})
        for (std::int64_t i = 0; i < 260; ++i)
          for (std::int64_t j = 0; j < 48; ++j) all.push_back(part(i, j));
      if (threads == 1) expected = all;
      CHECK(all == expected);
    }
  });
  set_thread_count(before);
}

TEST_CASE("gradients of attention refuse shapes and offsets that do not fit") {
  const auto x = spiky<float>({4, 6}, 1);
  Tensor<float> a({4, 6}), small({4, 5});
  const std::vector<std::int64_t> offsets{0, 4}, wrong{0, 5};
  auto call = [&](Tensor<float>& grad_k, const std::vector<std::int64_t>& o, std::int64_t heads) {
    ops::varlen_attention_gradient_into<float>({a.view(), grad_k.view(), a.view()}, x.view(), x.view(),
                                               x.view(), x.view(), x.view(), o, o,
                                               {.heads = heads, .scale = 1.0});
  };
  CHECK_THROWS_AS(call(small, offsets, 2), ShapeError);
  CHECK_THROWS_AS(call(a, wrong, 2), ShapeError);
  CHECK_THROWS_AS(call(a, offsets, 4), ShapeError);
}

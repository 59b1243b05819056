// SPDX-License-Identifier: MIT
#include "stofm/ops/varlen_attention_gradient.hpp"

#include "stofm/ops/cast.hpp"
#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

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
                                         {.heads = heads, .scale = scale});
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
                                               x.view(), x.view(), x.view(), o,
                                               {.heads = heads, .scale = 1.0});
  };
  CHECK_THROWS_AS(call(small, offsets, 2), ShapeError);
  CHECK_THROWS_AS(call(a, wrong, 2), ShapeError);
  CHECK_THROWS_AS(call(a, offsets, 4), ShapeError);
}

// SPDX-License-Identifier: MIT
// Float gradients of the row ops against the same ops in double, at every kernel level. That the doubles are
// right is what tests/autograd checks.
#include "stofm/ops/activation.hpp"
#include "stofm/ops/cast.hpp"
#include "stofm/ops/column_sums.hpp"
#include "stofm/ops/layer_norm.hpp"
#include "stofm/ops/scatter_rows.hpp"
#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
double largest_difference(const Tensor<float>& found, const Tensor<double>& expected) {
  const auto a = found.contiguous();
  double largest = 0;
  for (std::int64_t k = 0; k < expected.numel(); ++k) {
    const double difference = std::abs(static_cast<double>(a.data()[k]) - expected.data()[k]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}
}  // namespace

TEST_CASE("float activations and their derivatives agree with double on a sweep") {
  constexpr std::int64_t count = 24'001;
  Tensor<float> x({1, count});
  for (std::int64_t i = 0; i < count; ++i) x(0, i) = static_cast<float>(i - count / 2) * 1e-3F;
  const auto exact = ops::cast<double>(x);
  const auto ones = Tensor<float>::full(x.shape(), 1.0F);
  at_every_level([&](CpuKernels) {
    for (const auto kind : {Activation::identity, Activation::relu, Activation::gelu}) {
      CHECK(largest_difference(ops::activation(x, kind), ops::activation(exact, kind)) <= 3e-6);
      CHECK(largest_difference(ops::activation_gradient(ones, x, kind),
                               ops::activation_gradient(ops::cast<double>(ones), exact, kind)) <= 1e-6);
    }
  });
}

TEST_CASE("activations and derivatives of NaN and infinities") {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const auto x = Tensor<float>::from({5}, {nan, infinity, -infinity, 0.0F, 1.0F});
  const auto grad = Tensor<float>::from({5}, {1.0F, 1.0F, 1.0F, nan, nan});
  at_every_level([&](CpuKernels) {
    for (const auto kind : {Activation::relu, Activation::gelu}) {
      const auto y = ops::activation_gradient(grad, x, kind);
      CHECK(std::isnan(y(0)));
      CHECK(y(1) == 1.0F);
      CHECK((y(2) == 0.0F || kind == Activation::gelu));
      CHECK(std::isnan(y(3)));
      CHECK(std::isnan(y(4)));
      CHECK(std::isnan(ops::activation(x, kind)(0)));
    }
  });
}

TEST_CASE("float gradients of layer normalisation agree with double at every level") {
  std::uint64_t seed = 0;
  for (const auto& size_of_case :
       {std::pair<std::int64_t, std::int64_t>{1, 2}, {3, 16}, {65, 33}, {130, 100}, {7, 256}}) {
    const std::int64_t m = size_of_case.first, n = size_of_case.second;
    const auto x = with_gaps(spiky<float>({m, n}, ++seed)), r = spiky<float>({m, n}, ++seed),
               grad = with_gaps(spiky<float>({m, n}, ++seed)), gamma = spiky<float>({n}, ++seed);
    auto run = [&]<class T>(T, auto in, auto residual, auto grad_y, auto g) {
      Tensor<T> all = Tensor<T>::full({m + 2, n}, T(0.5));
      Tensor<T> grad_z = all.slice(0, 0, m), grad_gamma = all.select(0, m), grad_beta = all.select(0, m + 1);
      ops::layer_norm_gradient_into<T>(grad_z.view(), grad_gamma.view(), grad_beta.view(),
                                       std::as_const(grad_y).view(), std::as_const(in).view(),
                                       std::as_const(residual).view(), std::as_const(g).view(), 1e-5);
      return all;
    };
    const auto exact = run(0.0, ops::cast<double>(x), ops::cast<double>(r), ops::cast<double>(grad),
                           ops::cast<double>(gamma));
    double size = 1;
    for (const double v : exact.span()) size = std::max(size, std::abs(v));
    at_every_level(
        [&](CpuKernels) { CHECK(largest_difference(run(0.0F, x, r, grad, gamma), exact) <= 3e-6 * size); });
  }
}

TEST_CASE("column sums and scattered rows add to what is there") {
  auto sums = Tensor<float>::full({67}, 1.0F);
  const auto x = with_gaps(Tensor<float>::full({130, 67}, 0.5F));
  ops::add_column_sums_into<float>(sums.view(), x.view());
  for (const float s : sums.span()) CHECK(s == 66.0F);
  auto table = Tensor<float>::full({3, 2}, 1.0F);
  const std::vector<std::int32_t> indices{2, 0, 2};
  ops::scatter_add_rows_into<float, std::int32_t>(table.view(), Tensor<float>::full({3, 2}, 2.0F).view(),
                                                  indices);
  CHECK(table(0, 0) == 3.0F);
  CHECK(table(1, 1) == 1.0F);
  CHECK(table(2, 1) == 5.0F);
  const std::vector<std::int32_t> outside{3, 0, 2};
  CHECK_THROWS_AS(
      (ops::scatter_add_rows_into<float, std::int32_t>(table.view(), Tensor<float>({3, 2}).view(), outside)),
      ShapeError);
  CHECK_THROWS_AS(ops::add_column_sums_into<float>(sums.view(), table.view()), ShapeError);
}

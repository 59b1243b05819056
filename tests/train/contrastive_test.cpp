// SPDX-License-Identifier: MIT
#include "stofm/train/contrastive.hpp"

#include <doctest/doctest.h>

#include <cmath>

namespace {

using namespace stofm;

Tensor<double> unit_rows(std::int64_t rows, std::int64_t width, std::uint64_t seed) {
  Random random(seed);
  Tensor<double> x({rows, width});
  for (std::int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (std::int64_t c = 0; c < width; ++c) {
      x(i, c) = random.normal();
      sum += x(i, c) * x(i, c);
    }
    for (std::int64_t c = 0; c < width; ++c) x(i, c) /= std::sqrt(sum);
  }
  return x;
}

}  // namespace

TEST_CASE("the contrastive loss is the mean of both directions' cross-entropies") {
  const std::int64_t cells = 6;
  const double temperature = 0.2;
  const Tensor<double> a = unit_rows(cells, 4, 1), b = unit_rows(cells, 4, 2);
  double expected = 0;
  for (std::int64_t i = 0; i < cells; ++i) {
    double rows = 0, columns = 0, own = 0;
    for (std::int64_t j = 0; j < cells; ++j) {
      double forward = 0, back = 0;
      for (std::int64_t c = 0; c < 4; ++c) {
        forward += a(i, c) * b(j, c);
        back += a(j, c) * b(i, c);
      }
      rows += std::exp(forward / temperature);
      columns += std::exp(back / temperature);
      if (i == j) own = forward / temperature;
    }
    expected += (std::log(rows) + std::log(columns) - 2 * own) / (2.0 * static_cast<double>(cells));
  }
  const auto loss = train::info_nce(autograd::constant(a), autograd::constant(b), temperature);
  CHECK(*loss.loss.value().data() == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("its gradient is the difference quotient") {
  Tensor<double> a = unit_rows(5, 3, 3);
  const Tensor<double> b = unit_rows(5, 3, 4);
  autograd::Tape<double> tape;
  const auto x = tape.input(a.clone()), y = tape.input(b);
  tape.backward(train::info_nce(x, y, 0.3).loss);
  const Tensor<double> grad = tape.grad(x);
  const auto value = [&] {
    return *train::info_nce(autograd::constant(a), autograd::constant(b), 0.3).loss.value().data();
  };
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double kept = a.data()[i], h = 1e-6;
    a.data()[i] = kept + h;
    const double ahead = value();
    a.data()[i] = kept - h;
    const double behind = value();
    a.data()[i] = kept;
    CHECK((ahead - behind) / (2 * h) == doctest::Approx(grad.data()[i]).epsilon(1e-6));
  }
}

TEST_CASE("equal views find each other, one cell alone has nothing to find") {
  const Tensor<double> a = unit_rows(8, 16, 5);
  const auto same = train::info_nce(autograd::constant(a), autograd::constant(a), 0.05);
  CHECK(same.accuracy == 1.0);
  CHECK(*same.loss.value().data() < 0.01);
  const Tensor<double> one = unit_rows(1, 16, 6);
  CHECK(*train::info_nce(autograd::constant(one), autograd::constant(one), 0.05).loss.value().data() == 0.0);
  CHECK_THROWS_AS(train::info_nce(autograd::constant(a), autograd::constant(one), 0.05), ShapeError);
  CHECK_THROWS_AS(train::info_nce(autograd::constant(a), autograd::constant(a), 0.0), UsageError);
}

TEST_CASE("a view keeps <cls>, the order, and 70 to 90 % of the genes") {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};
  for (int cell = 0; cell < 300; ++cell) {
    tokens.push_back(500);
    for (std::int32_t g = 0; g < 200; ++g) tokens.push_back(2 + g);
    offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  tokens.insert(tokens.end(), {500, 500, 7});
  offsets.push_back(static_cast<std::int64_t>(tokens.size()) - 2);
  offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  const auto view = train::drop_genes(tokens, offsets, {1, 2, 3});
  REQUIRE(view.offsets.size() == offsets.size());
  double least = 1, most = 0, sum = 0;
  for (std::size_t cell = 0; cell < 300; ++cell) {
    const auto begin = view.tokens.begin() + view.offsets[cell],
               end = view.tokens.begin() + view.offsets[cell + 1];
    CHECK(*begin == 500);
    CHECK(std::is_sorted(begin + 1, end));
    const double kept = static_cast<double>(end - begin - 1) / 200;
    least = (std::min)(least, kept);
    most = (std::max)(most, kept);
    sum += kept / 300;
  }
  CHECK(sum == doctest::Approx(0.8).epsilon(0.02));
  CHECK(least > 0.55);  // 0.7 less five standard deviations of 200 draws
  CHECK(most < 1.0);
  CHECK(view.offsets[301] - view.offsets[300] == 1);  // a bare cell
  CHECK(view.offsets[302] - view.offsets[301] == 2);  // its only gene stays
  CHECK(train::drop_genes(tokens, offsets, {1, 2, 3}).tokens == view.tokens);
  CHECK(train::drop_genes(tokens, offsets, {1, 2, 4}).tokens != view.tokens);
  const auto whole = train::drop_genes(tokens, offsets, {}, {.least_kept = 1.0, .most_kept = 1.0});
  CHECK(whole.tokens == tokens);
  CHECK_THROWS_AS(train::drop_genes(tokens, offsets, {}, {.least_kept = 0.0}), UsageError);
}

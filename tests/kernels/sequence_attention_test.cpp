// SPDX-License-Identifier: MIT
// Attention over packed sequences, forward and backward, run on the host, against the CPU backend in double.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/sequence_attention/launch.cuh"
#include "stofm/ops/varlen_attention.hpp"
#include "tests/kernels/support/device_array.hpp"

using namespace stofm;
using emulator::Matrix;
using kernels::OperandForm;
using kernels::Precision;

namespace {

using Offsets = std::vector<std::int64_t>;

Offsets offsets_of(std::initializer_list<std::int64_t> lengths) {
  Offsets offsets{0};
  for (const std::int64_t n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}

struct Case {
  std::int64_t heads, head_dim;
  Offsets queries, keys;
  double dropout = 0.0;
};

/// float32 numbers as the kernels read them: themselves, rounded, or split; `read_back` gives what they then
/// mean.
struct Numbers {
  Matrix<float> plain;
  Matrix<bfloat16> parts;
  Precision precision;

  Numbers(std::int64_t rows, std::int64_t columns, std::int64_t gap, Precision of, std::uint32_t seed)
      : plain(rows, columns, gap),
        parts(rows, of == Precision::split_bf16 ? 2 * columns : columns, 8),
        precision(of) {
    std::mt19937 bits(seed);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) {
        const float x = normal(bits) * (bits() % 16 == 0 ? 3.0F : 1.0F);
        plain.at(i, j) = x;
        if (of == Precision::float32) continue;
        const bfloat16 high(x);
        parts.at(i, j) = high;
        if (of == Precision::split_bf16) parts.at(i, columns + j) = bfloat16(x - static_cast<float>(high));
        // The reference computes with what the kernel reads: its own rounding of operands is not at test
        // here.
        plain.at(i, j) = static_cast<float>(high) +
                         (of == Precision::split_bf16 ? static_cast<float>(parts.at(i, columns + j)) : 0.0F);
      }
  }
  kernels::AttentionMatrix matrix(std::int64_t column = 0) const {
    if (precision == Precision::float32) return {plain.data() + column, plain.stride(), 0};
    return {parts.data() + column, parts.stride(), plain.columns()};
  }
  Tensor<double> wide() const {
    Tensor<double> result({plain.rows(), plain.columns()});
    for (std::int64_t i = 0; i < plain.rows(); ++i)
      for (std::int64_t j = 0; j < plain.columns(); ++j) result(i, j) = static_cast<double>(plain.at(i, j));
    return result;
  }
};

double largest(const Tensor<double>& x) {
  double most = 0;
  for (const double value : x.span()) most = (std::max)(most, std::abs(value));
  return most;
}

/// Largest difference, relative to the largest number of the reference.
double difference(const Matrix<float>& x, const Tensor<double>& expected) {
  double worst = 0;
  for (std::int64_t i = 0; i < x.rows(); ++i)
    for (std::int64_t j = 0; j < x.columns(); ++j) {
      const double d = std::abs(static_cast<double>(x.at(i, j)) - expected(i, j));
      worst = d == d ? (std::max)(worst, d) : 1e30;
    }
  return worst / (largest(expected) + 1e-30);
}

/// Roundings of scores and sums in float32 (D = 64 terms of up to 9: 2^-24 * 64 * 9 in a score, as much in a
/// weight); bf16 weights round at 2^-9; split ones at 2^-17.
double tolerance(Precision precision) {
  return precision == Precision::bf16 ? 8e-3 : precision == Precision::split_bf16 ? 4e-5 : 1e-5;
}

void check(const Case& c, Precision precision) {
  CAPTURE(c.head_dim);
  CAPTURE(static_cast<int>(precision));
  CAPTURE(c.dropout);
  const std::int64_t width = c.heads * c.head_dim, rows = c.queries.back(), keys = c.keys.back();
  const Numbers q(rows, width, 4, precision, 1), k(keys, width, 0, precision, 2),
      v(keys, width, 8, precision, 3), grad(rows, width, 0, precision, 4);
  const double scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
  const RandomKey key{11, 22, 33};
  const DropoutRate rate = DropoutRate::of(c.dropout);

  Tensor<double> expected({rows, width}), expected_q({rows, width}), expected_k({keys, width}),
      expected_v({keys, width});
  const Tensor<double> wide_q = q.wide(), wide_k = k.wide(), wide_v = v.wide(), grad_y = grad.wide();
  const AttentionOptions options{.heads = c.heads, .scale = scale};
  const WeightDropout dropout{DropoutMask(key, rate.threshold), rate.factor};
  ops::varlen_attention_into<double>(expected.view(), wide_q.view(), wide_k.view(), wide_v.view(), c.queries,
                                     c.keys, options, dropout);
  ops::varlen_attention_gradient_into<double>({expected_q.view(), expected_k.view(), expected_v.view()},
                                              grad_y.view(), std::as_const(expected).view(), wide_q.view(),
                                              wide_k.view(), wide_v.view(), c.queries, c.keys, options,
                                              dropout);

  const kernels::AttentionPlan tiles =
      kernels::plan_attention(c.queries, c.keys, c.heads, kernels::sequence_attention::TilePolicy::rows);
  Matrix<float> first(rows, width), first_k(keys, width);
  bool is_first = true;
  emulator::for_each_schedule([&] {
    Matrix<float> y(rows, width), log_sums(c.heads, rows), row_dots(c.heads, rows);
    kernels::AttentionForward forward;
    forward.tiles = tiles.of_queries.data();
    forward.tile_count = static_cast<std::int64_t>(tiles.of_queries.size());
    forward.q = q.matrix();
    forward.k = k.matrix();
    forward.v = v.matrix();
    forward.heads = c.heads;
    forward.head_dim = c.head_dim;
    forward.rows = rows;
    forward.scale = scale;
    forward.dropout = kernels::dropout_params(DropoutMask(key, rate.threshold), rate.factor);
    forward.y = y.data();
    forward.log_sums = log_sums.data();
    kernels::attention_forward(precision, forward, {});
    CHECK(y.intact());
    CHECK(log_sums.intact());
    CHECK(difference(y, expected) <= tolerance(precision));

    kernels::launch_row_dots(OperandForm::float32,
                             {y.data(), grad.plain.data(), row_dots.data(), rows, c.heads, c.head_dim}, {});
    Matrix<float> grad_q(rows, width, 4), grad_k(keys, width), grad_v(keys, width, 8);
    kernels::AttentionBackward backward;
    backward.query_tiles = tiles.of_queries.data();
    backward.key_tiles = tiles.of_keys.data();
    backward.query_tile_count = static_cast<std::int64_t>(tiles.of_queries.size());
    backward.key_tile_count = static_cast<std::int64_t>(tiles.of_keys.size());
    backward.q = forward.q;
    backward.k = forward.k;
    backward.v = forward.v;
    backward.grad_y = grad.matrix();
    backward.heads = c.heads;
    backward.head_dim = c.head_dim;
    backward.rows = rows;
    backward.scale = scale;
    backward.dropout = forward.dropout;
    backward.log_sums = log_sums.data();
    backward.row_dots = row_dots.data();
    backward.grad_q = {grad_q.data(), grad_q.stride()};
    backward.grad_k = {grad_k.data(), grad_k.stride()};
    backward.grad_v = {grad_v.data(), grad_v.stride()};
    kernels::attention_backward(precision, backward, {});
    CHECK(grad_q.intact());
    CHECK(grad_k.intact());
    CHECK(grad_v.intact());
    CHECK(difference(grad_q, expected_q) <= 2 * tolerance(precision));
    CHECK(difference(grad_k, expected_k) <= 2 * tolerance(precision));
    CHECK(difference(grad_v, expected_v) <= 2 * tolerance(precision));
    if (is_first) {
      first = y;
      first_k = grad_k;
    }
    is_first = false;
    CHECK(y == first);
    CHECK(grad_k == first_k);
  });
}

constexpr Precision precisions[] = {Precision::float32, Precision::split_bf16, Precision::bf16};

}  // namespace

TEST_CASE("packed sequences attend to themselves, and the gradients are those of the CPU") {
  const Offsets offsets = offsets_of({1, 70, 5});
  for (const Precision precision : precisions)
    for (const std::int64_t head_dim : {12, 16, 32, 64}) check({2, head_dim, offsets, offsets}, precision);
}

TEST_CASE("some rows ask, all rows answer") {
  for (const Precision precision : precisions)
    check({2, 16, offsets_of({1, 0, 3, 66}), offsets_of({129, 4, 64, 63})}, precision);
}

TEST_CASE("dropped weights are the ones that the CPU drops") {
  for (const Precision precision : precisions)
    check({2, 16, offsets_of({3, 70}), offsets_of({17, 81}), 0.25}, precision);
}

TEST_CASE("tiles hold every row once, longest sequences first, and weights are numbered as on the CPU") {
  const Offsets queries = offsets_of({3, 0, 130, 64}), keys = offsets_of({20, 7, 130, 65});
  const auto plan = kernels::plan_attention(queries, keys, 3, 64);
  CHECK(plan.of_queries.size() == 1 + 0 + 3 + 1);
  CHECK(plan.of_keys.size() == 1 + 1 + 3 + 2);
  CHECK(plan.of_keys.front().keys == 130);
  for (const auto& tile : plan.of_queries) {
    const std::int64_t before = tile.sequence == 0   ? 0
                                : tile.sequence <= 2 ? 3 * 3 * 32
                                                     : 3 * 3 * 32 + 3 * 130 * 144;
    CHECK(tile.first_weight == before);
  }
}

TEST_CASE("shared memory fits the devices") {
  using Policy = kernels::sequence_attention::TilePolicy;
  for (const Precision p : precisions)
    for (const int d : {16, 32, 64}) {
      CHECK(Policy::forward_bytes(p, d) <= kernels::shared_limit_sm80);
      CHECK(Policy::backward_bytes(p, d) <= kernels::shared_limit_sm80);
    }
  CHECK(sizeof(kernels::AttentionForwardStorage<Precision::split_bf16, 64>) <=
        Policy::forward_bytes(Precision::split_bf16, 64) + 16);
  CHECK(sizeof(kernels::AttentionBackwardStorage<Precision::float32, 64>) ==
        Policy::backward_bytes(Precision::float32, 64));
}

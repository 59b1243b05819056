// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/autograd/rules/varlen_attention.hpp"
#include "stofm/nn/losses.hpp"
#include "stofm/nn/modules.hpp"
#include "tests/support/gradcheck.hpp"

using namespace stofm;
using namespace stofm::nn;

namespace {
void create_block(ParameterSet<double>& set, const std::string& prefix, std::int64_t width,
                  std::int64_t inner) {
  std::uint64_t stream = 0;
  const RandomKey key{3};
  for (const char* name :
       {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"})
    create_linear(set, prefix + name, {.in = width, .out = width}, key.child(stream++));
  create_linear(set, prefix + "intermediate.dense", {.in = width, .out = inner}, key.child(stream++));
  create_linear(set, prefix + "output.dense", {.in = inner, .out = width}, key.child(stream++));
  create_layer_norm(set, prefix + "attention.output.LayerNorm", width);
  create_layer_norm(set, prefix + "output.LayerNorm", width);
}
}  // namespace

TEST_CASE("linear layers with and without a bias, embeddings and norms find their parameters by name") {
  ParameterSet<float> set;
  create_linear(set, "with", {.in = 2, .out = 1}, RandomKey{1});
  create_linear(set, "without", {.in = 2, .out = 1, .bias = false}, RandomKey{2});
  create_embedding(set, "table", 4, 3, RandomKey{3});
  create_layer_norm(set, "norm", 3);
  set.at("with.bias").changing()(0) = 5.0F;
  set.at("with.weight").changing() = Tensor<float>::from({1, 2}, {1.0F, 2.0F});
  set.at("without.weight").changing() = Tensor<float>::from({1, 2}, {1.0F, 2.0F});
  Tape<float> tape;
  const auto x = autograd::constant(Tensor<float>::from({1, 2}, {10.0F, 100.0F}));
  CHECK(Linear<float>(set, "with")(tape, x).value()(0, 0) == 215.0F);
  CHECK(Linear<float>(set, "without")(tape, x).value()(0, 0) == 210.0F);
  const auto rows = Embedding<float>(set, "table")(tape, std::vector<std::int64_t>{2, 0});
  CHECK(rows.value()(0, 1) == set.at("table.weight").value()(2, 1));
  const auto norm = LayerNorm<float>(set, "norm")(tape, rows);
  CHECK(std::abs(norm.value()(0, 0) + norm.value()(0, 1) + norm.value()(0, 2)) < 1e-5F);
  CHECK_THROWS_AS(Linear<float>(set, "missing"), UsageError);
  CHECK_THROWS_AS(create_layer_norm(set, "norm", 3), UsageError);
}

TEST_CASE("the gradient of a post-LN block with dropout passes the central-difference check") {
  ParameterSet<double> set;
  create_block(set, "layer.0.", 6, 10);
  const BertBlock<double> block(set, "layer.0.", Activation::gelu);
  const std::vector<std::int64_t> offsets{0, 3, 3, 7};
  const auto f = [&](Tape<double>& tape, const auto& x) {
    return block(tape, x[0],
                 [&](const auto& q, const auto& k, const auto& v) {
                   return autograd::varlen_attention<double>(q, k, v, offsets, 2, 0.5);
                 },
                 {.hidden = 0.3, .key = {1, 2, 3}});
  };
  Tensor<double> x = normal_values<double>({7, 6}, 1.0, RandomKey{9});
  CHECK(test::gradcheck(f, {x}).largest() <= 1e-6);
  Tape<double> tape;
  tape.backward(autograd::sum(f(tape, std::vector{tape.input(x)})));
  std::int64_t with_gradient = 0;
  for (const auto* parameter : set.list())
    for (const double g : parameter->grad().span()) with_gradient += g != 0.0;
  CHECK(with_gradient > set.numel() / 2);
}

TEST_CASE("parts of a batch count by their targets, and a part without targets by nothing") {
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::from({3}, {1.0, 2.0, 4.0}));
  const auto zeros = Tensor<double>::zeros({3});
  const LossSum<double> one{mse(x, zeros, Reduction::sum), 3.0}, none{},
      two{mse(x, zeros, Reduction::sum), 4.0};
  const auto mean = mean_loss(one + none + two, 2.0);
  CHECK(mean.value().data()[0] == doctest::Approx(12.0));  // 2 * (21 + 21) / 7
  tape.backward(mean);
  CHECK(tape.grad(x)(1) == doctest::Approx(2.0 * 2.0 * 2.0 * 2.0 / 7.0));
  CHECK(mean_loss(none + none).absent());
}

// SPDX-License-Identifier: MIT
// Trains a small network, by the library's own differentiation, to tell two spirals apart.
//     build/examples/02_train_mlp
#include <cmath>
#include <cstdio>
#include <stofm/autograd.hpp>

using namespace stofm::autograd;
using stofm::Tensor;

namespace {
/// Point i lies on one of two arms that turn around each other; its label says on which.
void make_spirals(Tensor<float>& points, std::vector<int>& labels, stofm::Random& random) {
  for (std::int64_t i = 0; i < points.dim(0); ++i) {
    const double turn = 9.0 * random.uniform(), radius = (i % 2 == 0 ? turn : -turn) / 9.0;
    points(i, 0) = static_cast<float>(radius * std::cos(turn));
    points(i, 1) = static_cast<float>(radius * std::sin(turn));
    labels.push_back(static_cast<int>(i % 2));
  }
}
}  // namespace

int main() try {
  stofm::Random random(1);
  Tensor<float> x({400, 2});
  std::vector<int> labels;
  make_spirals(x, labels, random);

  // [train an mlp]
  auto normal = [&random](const stofm::Shape& shape, double deviation) {
    Tensor<float> values(shape);
    for (float& value : values.span()) value = static_cast<float>(deviation * random.normal());
    return values;
  };
  ParameterSet<float> net;
  auto& w1 = net.add("1.weight", normal({32, 2}, 1.0));
  auto& b1 = net.add("1.bias", normal({32}, 0.5));
  auto& w2 = net.add("2.weight", normal({32, 32}, 0.25));
  auto& b2 = net.add("2.bias", normal({32}, 0.5));
  auto& w3 = net.add("3.weight", normal({2, 32}, 0.25));
  auto classify = [&](Tape<float>& tape) {
    const auto first = relu(linear(constant(x), tape.parameter(w1), tape.parameter(b1)));
    const auto second = relu(linear(first, tape.parameter(w2), tape.parameter(b2)));
    return linear(second, tape.parameter(w3));
  };

  stofm::nn::AdamW<float> optimizer(net, {.learning_rate = 5e-3});
  Tape<float> tape;
  for (int step = 0; step <= 500; ++step) {
    const auto loss = cross_entropy(classify(tape), labels);
    if (step % 100 == 0) std::printf("step %3d  loss %.4f\n", step, double{loss.value().item()});
    net.zero_grad();
    tape.backward(loss);
    tape.clear();
    optimizer.step();
  }
  // [train an mlp]
  const NoGrad<float> scope(tape);
  const Tensor<float> scores = classify(tape).value();
  int right = 0;
  for (std::int64_t i = 0; i < x.dim(0); ++i)
    right += (scores(i, 1) > scores(i, 0)) == (labels[static_cast<std::size_t>(i)] == 1) ? 1 : 0;
  std::printf("%d of 400 points on the right side\n", right);
  return right >= 390 ? 0 : 1;
} catch (const stofm::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}

// SPDX-License-Identifier: MIT
// A differentiable op of your own, and the check that its gradient is right.
//     build/examples/10_custom_op
#include <cmath>
#include <cstdio>
#include <iostream>
#include <stofm/autograd.hpp>

using namespace stofm::autograd;
using stofm::Tensor;

// [custom op]
/// log(1 + e^x): grad_x = grad_y / (1 + e^-x).
template <stofm::ops::Computed T>
Variable<T> softplus(const Variable<T>& x) {
  const Tensor<T> in = x.value();
  Tensor<T> y = stofm::ops::apply(in, [](T v) { return std::log1p(std::exp(v)); });
  return record<T>("softplus", std::move(y), {x}, [in](const Tensor<T>& grad_y, Gradients<T>& into) {
    if (into.wanted(0)) into.add_owned(0, stofm::ops::mul(grad_y, stofm::ops::sigmoid(in)));
  });
}
// [custom op]

int main() {
  // [tensors]
  const auto x = Tensor<double>::from({2, 3}, {-3, -1, -0.25, 0.5, 1, 4});
  const auto last = x.slice(1, 2, 3);  // the last column: a view, not a copy
  std::cout << last.shape() << ' ' << x(1, 2) << '\n' << stofm::ops::exp(x) << '\n';
  // [tensors]
  // [gradcheck]
  const auto found = gradcheck([](Tape<double>&, const auto& in) { return softplus(in[0]); }, {x});
  // [gradcheck]
  Tape<double> tape;
  const auto in = tape.input(x);
  const auto loss = mean(softplus(in));
  tape.backward(loss);
  std::printf("loss %.4f, worst error of a gradient %.1e\n", loss.value().item(), found.largest());
  return found.largest() < 1e-8 ? 0 : 1;
}

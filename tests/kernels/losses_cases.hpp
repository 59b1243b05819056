// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CUDA losses against the rules of autograd, their sums and gradients; emulated and on a device.

#include "stofm/autograd/rules/losses.hpp"
#include "stofm/backend/cuda/losses.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace losses_cases {

using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;
using emulator::worst_ratio;

inline stofm::Tensor<float> tensor_of(const Matrix<float>& m) {
  stofm::Tensor<float> t(stofm::Shape{m.rows(), m.columns()});
  for (std::int64_t i = 0; i < m.rows(); ++i)
    std::copy_n(m.view().row(i), m.columns(), t.data() + i * m.columns());
  return t;
}

/// Loss and gradient by `rule` on the CPU against `call(sum, gradient)`.
template <class Rule, class Call>
void check_loss(const Matrix<float>& x, double absolute, double relative, const Rule& rule,
                const Call& call) {
  stofm::autograd::Tape<float> tape;
  const auto input = tape.input(tensor_of(x));
  const auto loss = rule(input);
  const double expected = static_cast<double>(*loss.value().data());
  tape.backward(loss);
  const stofm::Tensor<float> gradient_of_rule = tape.grad(input);
  Matrix<float> expected_gradient(x.rows(), x.columns());
  if (gradient_of_rule.numel() > 0)
    std::copy_n(gradient_of_rule.data(), gradient_of_rule.numel(), expected_gradient.data());
  double first = 0;
  bool is_first = true;
  emulator::for_each_run([&] {
    Matrix<float> gradient(x.rows(), x.columns(), 2);
    Matrix<double> sum(1, 1);
    auto device_gradient = stage(gradient);
    auto device_sum = stage(sum);
    call(device_sum.data(), device_gradient.view());
    device_gradient.fetch();
    device_sum.fetch();
    CHECK(gradient.intact());
    CHECK(sum.intact());
    CHECK(sum.at(0, 0) == doctest::Approx(expected).epsilon(1e-6));  // the rule rounds to float
    CHECK(worst_ratio(gradient, expected_gradient, absolute, relative) <= 1.0);
    if (is_first) first = sum.at(0, 0);
    is_first = false;
    CHECK(sum.at(0, 0) == first);
  });
}

TEST_CASE("squared errors and cosines as on the CPU") {
  for (const std::int64_t columns : {1, 31, 33, 256})
    for (const std::int64_t rows : {0, 1, 7, 300}) {
      CAPTURE(rows);
      CAPTURE(columns);
      auto x = Matrix<float>(rows, columns, 1).random(1);
      const auto target = Matrix<float>(rows, columns, 3).random(2);
      if (rows > 1)
        for (std::int64_t j = 0; j < columns; ++j) x.at(1, j) = 0.0F;
      const auto sum = stofm::autograd::Reduction::sum;
      check_loss(
          x, 0, 0, [&](const auto& input) { return stofm::autograd::mse(input, tensor_of(target), sum); },
          [&](double* loss, auto gradient) {
            stofm::backend::squared_error(device_under_test, loss, gradient, stage(x).view(),
                                          stage(target).view());
          });
      // Double inside, one rounding; what cancels in t - h cos is of order 1 / |x|, and |x| > 0.01 here.
      check_loss(
          x, 1e-11, 1.2e-7,
          [&](const auto& input) { return stofm::autograd::cosine_loss(input, tensor_of(target), sum); },
          [&](double* loss, auto gradient) {
            stofm::backend::cosine_loss(device_under_test, loss, gradient, stage(x).view(),
                                        stage(target).view());
          });
    }
}

TEST_CASE("cross entropy as on the CPU, with weights, masked classes and in place") {
  for (const std::int64_t columns : {1, 33, 300})
    for (const std::int64_t rows : {0, 1, 5}) {
      CAPTURE(rows);
      CAPTURE(columns);
      auto x = Matrix<float>(rows, columns, 2).random(3);
      Matrix<std::int32_t> targets(1, rows);
      Matrix<float> weights(1, rows);
      std::vector<std::int32_t> target_list;
      std::vector<float> weight_list;
      for (std::int64_t i = 0; i < rows; ++i) {
        targets.at(0, i) = static_cast<std::int32_t>((7 * i + 3) % columns);
        weights.at(0, i) = i == 2 ? 0.0F : 0.5F + static_cast<float>(i);
        if (i == 2) targets.at(0, i) = -5;  // not looked at
        target_list.push_back(targets.at(0, i));
        weight_list.push_back(weights.at(0, i));
        if (columns > 2) x.at(i, (targets.at(0, i) + 1 + columns) % columns) = -INFINITY;
      }
      const auto sum = stofm::autograd::Reduction::sum;
      // expf within 2 ULP and a double sum: a few ULP of weight.
      check_loss(
          x, 2e-6, 2e-6,
          [&](const auto& input) {
            return stofm::autograd::cross_entropy<float, std::int32_t>(input, target_list, weight_list, sum);
          },
          [&](double* loss, auto gradient) {
            stofm::backend::cross_entropy(device_under_test, loss, gradient, stage(x).view(),
                                          stage(targets).data(), stage(weights).data());
          });
      emulator::for_each_run([&] {
        Matrix<double> loss(1, 1);
        Matrix<float> apart(rows, columns, 2), together = x;
        auto device_apart = stage(apart), device_together = stage(together);
        for (auto* into : {&device_apart, &device_together})
          stofm::backend::cross_entropy(device_under_test, stage(loss).data(), into->view(),
                                        device_together.view(), stage(targets).data(), stage(weights).data());
        device_apart.fetch();
        device_together.fetch();
        CHECK(apart == together);
      });
    }
}

}  // namespace losses_cases

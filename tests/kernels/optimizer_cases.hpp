// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CUDA AdamW and global norm against the CPU backend: emulated and on a device.

#include <cmath>

#include "stofm/backend/cpu/adamw.hpp"
#include "stofm/backend/cpu/sum_of_squares.hpp"
#include "stofm/backend/cuda/adamw.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace optimizer_cases {

using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;

constexpr std::int64_t sizes[] = {1, 255, 257, 0, 16384, 16385, 5};

TEST_CASE("three AdamW steps have the bits of the CPU") {
  const stofm::backend::CudaAdamWOptions options{.learning_rate = 1e-2, .gradient_factor = 0.7};
  std::vector<Matrix<float>> x, m, v, grad, device_x, device_m, device_v;
  std::uint32_t seed = 1;
  for (const std::int64_t n : sizes) {
    for (auto* list : {&x, &device_x}) list->push_back(Matrix<float>(1, n).random(seed));
    grad.push_back(Matrix<float>(1, n).random(++seed, 1e-3));
    for (auto* list : {&m, &v, &device_m, &device_v}) {
      list->emplace_back(1, n);
      list->back().fill(0.0F);
    }
  }
  for (std::int64_t t = 1; t <= 3; ++t) {
    std::vector<stofm::backend::CudaParameter> parameters;
    std::vector<emulator::Staged<float>> staged;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const bool decays = i % 2 == 0;
      const std::int64_t step = t + static_cast<std::int64_t>(i % 3);  // some joined earlier
      const auto power = static_cast<double>(step);
      stofm::backend::AdamWStep<float> numbers;
      numbers.keep = static_cast<float>(1.0 - (decays ? options.learning_rate * options.weight_decay : 0.0));
      numbers.gradient_factor = static_cast<float>(options.gradient_factor);
      numbers.one_minus_beta1 = static_cast<float>(1.0 - options.beta1);
      numbers.beta2 = static_cast<float>(options.beta2);
      numbers.one_minus_beta2 = static_cast<float>(1.0 - options.beta2);
      numbers.step_size = static_cast<float>(options.learning_rate / (1.0 - std::pow(options.beta1, power)));
      numbers.root_correction = static_cast<float>(std::sqrt(1.0 - std::pow(options.beta2, power)));
      numbers.epsilon = static_cast<float>(options.epsilon);
      stofm::backend::adamw_step(x[i].data(), m[i].data(), v[i].data(), grad[i].data(), x[i].columns(),
                                 numbers);
      for (auto* list : {&device_x, &device_m, &device_v, &grad}) staged.push_back(stage((*list)[i]));
      const std::size_t at = staged.size() - 4;
      parameters.push_back({staged[at].data(), staged[at + 1].data(), staged[at + 2].data(),
                            staged[at + 3].data(), x[i].columns(), decays, step});
    }
    stofm::backend::adamw_step(device_under_test, parameters, options);
    for (auto& one : staged) one.fetch();
    for (std::size_t i = 0; i < x.size(); ++i) {
      CAPTURE(i);
      CHECK(device_x[i] == x[i]);
      CHECK(device_m[i] == m[i]);
      CHECK(device_v[i] == v[i]);
      CHECK(device_x[i].intact());
    }
  }
}

TEST_CASE("gradients are cleared behind the step when asked") {
  Matrix<float> x(1, 300), m(1, 300), v(1, 300), grad(1, 300);
  for (auto* all : {&x, &m, &v, &grad}) all->fill(0.5F);
  auto dx = stage(x), dm = stage(m), dv = stage(v), dg = stage(grad);
  const stofm::backend::CudaParameter one{dx.data(), dm.data(), dv.data(), dg.data(), 300};
  stofm::backend::adamw_step(device_under_test, std::span(&one, 1), {.clear_gradients = true});
  dg.fetch();
  for (std::int64_t j = 0; j < 300; ++j) CHECK(grad.at(0, j) == 0.0F);
}

TEST_CASE("the global norm is that of the CPU and the same in every run") {
  std::vector<Matrix<float>> grad;
  double squares = 0;
  std::uint32_t seed = 7;
  for (const std::int64_t n : sizes) {
    grad.push_back(Matrix<float>(1, n).random(seed++));
    squares += stofm::backend::sum_of_squares(grad.back().data(), n);
  }
  double first = -1;
  emulator::for_each_run([&] {
    std::vector<stofm::backend::CudaParameter> parameters;
    std::vector<emulator::Staged<float>> staged;
    for (auto& one : grad) {
      staged.push_back(stage(one));
      parameters.push_back({nullptr, nullptr, nullptr, staged.back().data(), one.columns()});
    }
    const double norm = stofm::backend::global_norm(device_under_test, parameters);
    CHECK(norm == doctest::Approx(std::sqrt(squares)).epsilon(1e-13));  // double sums of 3e4 terms
    if (first < 0) first = norm;
    CHECK(norm == first);
  });
  CHECK(stofm::backend::global_norm(device_under_test, {}) == 0.0);
}

}  // namespace optimizer_cases

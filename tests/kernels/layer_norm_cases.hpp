// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CUDA layer normalisation against the CPU backend: emulated and on a device.

#include "stofm/backend/cpu/layer_norm.hpp"
#include "stofm/backend/cuda/layer_norm.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace layer_norm_cases {

using emulator::Matrix;
using emulator::stage;

// float sums of n terms in a tree, against double: n/32 + 5 roundings each in mean and variance, on inputs up
// to 100 standard deviations apart; 2^-24 * (n/32 + 5) * a few.
constexpr double tolerance = 2e-5;

inline void check(std::int64_t rows, std::int64_t columns, bool with_residual, std::int64_t gap) {
  CAPTURE(rows);
  CAPTURE(columns);
  CAPTURE(with_residual);
  const auto x = Matrix<float>(rows, columns, gap).random(1);
  const auto residual = Matrix<float>(rows, columns, 2 * gap).random(2);
  const auto gamma = Matrix<float>(1, columns).random(3), beta = Matrix<float>(1, columns).random(4);
  Matrix<float> expected(rows, columns);
  stofm::backend::layer_norm(stofm::Cpu{}, expected.view(), x.view(),
                             with_residual ? residual.view() : stofm::TensorView<const float>{}, gamma.data(),
                             beta.data(), 1e-5);
  Matrix<float> first(rows, columns, 3 * gap);
  bool is_first = true;
  emulator::for_each_run([&] {
    Matrix<float> y(rows, columns, 3 * gap);
    auto device_y = stage(y), device_x = stage(x), device_residual = stage(residual),
         device_gamma = stage(gamma), device_beta = stage(beta);
    stofm::backend::layer_norm(
        emulator::device_under_test, device_y.view(), device_x.view(),
        with_residual ? device_residual.view() : stofm::TensorView<float, stofm::Cuda>{}, device_gamma.data(),
        device_beta.data(), 1e-5);
    device_y.fetch();
    CHECK(y.intact());
    CHECK(emulator::worst_ratio(y, expected, tolerance, tolerance) <= 1.0);
    if (is_first) first = y;
    is_first = false;
    CHECK(y == first);
  });
}

TEST_CASE("rows are normalised as on the CPU") {
  for (const std::int64_t columns : {1, 2, 31, 32, 33, 255, 256, 257, 1024, 1025})
    for (const std::int64_t rows : {1, 3, 5}) check(rows, columns, columns % 2 == 0, columns % 3);
}

TEST_CASE("the residual is added, and y may be x") {
  check(7, 96, true, 5);
  check(7, 96, false, 5);
  auto x = Matrix<float>(5, 40).random(1);
  const auto gamma = Matrix<float>(1, 40).random(3), beta = Matrix<float>(1, 40).random(4);
  Matrix<float> y(5, 40);
  auto device_y = stage(y), device_x = stage(x), device_gamma = stage(gamma), device_beta = stage(beta);
  for (auto* into : {&device_y, &device_x})
    stofm::backend::layer_norm(emulator::device_under_test, into->view(), device_x.view(), {},
                               device_gamma.data(), device_beta.data(), 1e-5);
  device_y.fetch();
  device_x.fetch();
  CHECK(x == y);
}

TEST_CASE("an empty matrix is left alone") {
  check(0, 32, false, 0);
  check(3, 0, false, 0);
}

TEST_CASE("gradients as on the CPU, grad_z in place of grad_y too") {
  for (const std::int64_t columns : {1, 33, 256, 1030})
    for (const std::int64_t rows : {0, 1, 9, 300}) {
      if (rows * columns > 100000) continue;
      CAPTURE(rows);
      CAPTURE(columns);
      const bool with_residual = rows != 9;
      const auto x = Matrix<float>(rows, columns, 2).random(1),
                 residual = Matrix<float>(rows, columns).random(2);
      const auto grad_y = Matrix<float>(rows, columns, 2).random(3),
                 gamma = Matrix<float>(1, columns).random(4);
      const auto start = Matrix<float>(1, columns).random(5);
      Matrix<float> expected(rows, columns), expected_gamma = start, expected_beta = start;
      stofm::backend::layer_norm_gradient(
          stofm::Cpu{}, expected.view(), expected_gamma.data(), expected_beta.data(), grad_y.view(), x.view(),
          with_residual ? residual.view() : stofm::TensorView<const float>{}, gamma.data(), 1e-5);
      emulator::for_each_run([&] {
        Matrix<float> grad_gamma = start, grad_beta = start, in_place = grad_y, grad_z(rows, columns, 5);
        auto device_x = stage(x), device_residual = stage(residual), device_grad_y = stage(in_place),
             device_gamma = stage(gamma), device_grad_z = stage(grad_z),
             device_grad_gamma = stage(grad_gamma), device_grad_beta = stage(grad_beta);
        const auto rest = with_residual ? device_residual.view() : stofm::TensorView<float, stofm::Cuda>{};
        stofm::backend::layer_norm_gradient(
            emulator::device_under_test, device_grad_z.view(), device_grad_gamma.data(),
            device_grad_beta.data(), device_grad_y.view(), device_x.view(), rest, device_gamma.data(), 1e-5);
        stofm::backend::layer_norm_gradient(emulator::device_under_test, device_grad_y.view(), nullptr,
                                            nullptr, device_grad_y.view(), device_x.view(), rest,
                                            device_gamma.data(), 1e-5);
        for (auto* one : {&device_grad_z, &device_grad_y, &device_grad_gamma, &device_grad_beta})
          one->fetch();
        CHECK(grad_z.intact());
        // As forward; grad_y and gamma are up to 100 and multiply the rounding of h, sums over rows add up to
        // 300.
        CHECK(emulator::worst_ratio(grad_z, expected, 1e-3, 1e-4) <= 1.0);
        CHECK(emulator::worst_ratio(grad_z, in_place, 0, 0) <= 1.0);
        CHECK(emulator::worst_ratio(grad_gamma, expected_gamma, 2e-3, 2e-5) <= 1.0);
        CHECK(emulator::worst_ratio(grad_beta, expected_beta, 1e-4, 1e-6) <= 1.0);
      });
    }
}

}  // namespace layer_norm_cases

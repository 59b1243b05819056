// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CUDA activations, conversion and dropout against the CPU; emulated and on a device.

#include "stofm/backend/cpu/activation.hpp"
#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/backend/cuda/activation.hpp"
#include "stofm/backend/cuda/elementwise.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace elementwise_cases {

using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;
using emulator::worst_ratio;
using stofm::Activation;

TEST_CASE("activations and their gradients as on the CPU") {
  for (const auto activation : {Activation::identity, Activation::relu, Activation::gelu})
    for (const std::int64_t columns : {0, 1, 31, 33, 200})
      for (const std::int64_t rows : {0, 1, 9}) {
        CAPTURE(columns);
        CAPTURE(rows);
        auto x = Matrix<float>(rows, columns, 3).random(1);
        const auto grad_y = Matrix<float>(rows, columns, 1).random(2);
        if (rows > 1 && columns > 4) {
          x.at(0, 0) = INFINITY;
          x.at(0, 1) = -1e30F;
          x.at(0, 2) = NAN;
          x.at(0, 3) = 0.0F;
        }
        Matrix<float> expected(rows, columns), expected_grad(rows, columns);
        stofm::backend::activate_rows(stofm::Cpu{}, expected.view(), std::as_const(x).view(), activation);
        stofm::backend::activation_gradient(stofm::Cpu{}, expected_grad.view(), grad_y.view(),
                                            std::as_const(x).view(), activation);
        emulator::for_each_run([&] {
          Matrix<float> y(rows, columns, 2), grad_x(rows, columns, 5);
          auto device_y = stage(y), device_grad = stage(grad_x), device_x = stage(x);
          stofm::backend::activate_rows(device_under_test, device_y.view(), device_x.view(), activation);
          stofm::backend::activation_gradient(device_under_test, device_grad.view(), stage(grad_y).view(),
                                              device_x.view(), activation);
          device_y.fetch();
          device_grad.fetch();
          CHECK(y.intact());
          CHECK(grad_x.intact());
          // erf within 2 ULP of 1, cancelled for x near -6: absolute 2^-22 |x|.
          CHECK(worst_ratio(y, expected, 2e-6, 1e-6) <= 1.0);
          CHECK(worst_ratio(grad_x, expected_grad, 3e-5, 1e-6) <= 1.0);
        });
      }
}

TEST_CASE("bfloat16 and back has the bits of the CPU") {
  for (const std::int64_t count : {0, 1, 255, 1024, 1025}) {
    auto x = Matrix<float>(1, count).random(3);
    if (count > 8) {
      const float odd[] = {INFINITY, -INFINITY, NAN, 3.4e38F, 1e-40F, -0.0F, 1.00390625F, 1.01171875F};
      std::copy_n(odd, 8, x.data());
    }
    emulator::for_each_run([&] {
      Matrix<stofm::bfloat16> y(1, count);
      Matrix<float> back(1, count);
      auto device_y = stage(y);
      auto device_back = stage(back);
      stofm::backend::convert(device_under_test, device_y.data(), stage(x).data(), count);
      stofm::backend::convert(device_under_test, device_back.data(), device_y.data(), count);
      device_y.fetch();
      device_back.fetch();
      CHECK(y.intact());
      CHECK(back.intact());
      for (std::int64_t j = 0; j < count; ++j) {
        const float expected = static_cast<float>(stofm::bfloat16(x.at(0, j)));
        CHECK(y.at(0, j).bits == stofm::bfloat16(x.at(0, j)).bits);
        CHECK((back.at(0, j) == expected || expected != expected));
      }
    });
  }
}

TEST_CASE("dropout drops what the CPU drops") {
  for (const std::int64_t count : {0, 1, 7, 8, 2047, 2048, 2049, 5000}) {
    const stofm::DropoutMask mask({.seed = 5, .stream = 6, .step = 7}, 20000);
    const auto x = Matrix<float>(1, count).random(4);
    Matrix<float> expected(1, count);
    stofm::backend::dropout(expected.data(), x.data(), count, mask, 1.4F);
    emulator::for_each_run([&] {
      Matrix<float> y(1, count);
      auto device_y = stage(y);
      stofm::backend::dropout(device_under_test, device_y.data(), stage(x).data(), count, mask, 1.4F);
      device_y.fetch();
      CHECK(y == expected);
    });
  }
}

}  // namespace elementwise_cases

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The linear layer and attention over packed sequences of the CUDA backend against the CPU's: emulated and
/// on a device.

#include "stofm/backend/cpu/linear.hpp"
#include "stofm/backend/cpu/varlen_attention.hpp"
#include "stofm/backend/cuda/linear.hpp"
#include "stofm/backend/cuda/varlen_attention.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace linear_attention_cases {

using namespace stofm;
using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;

TEST_CASE("the linear layer is the CPU's") {
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu})
    for (const double scale : {1.0, 0.5})
      for (const bool biased : {true, false}) {
        const auto x = Matrix<float>(7, 33, 2).random(1), w = Matrix<float>(9, 33, 1).random(2),
                   bias = Matrix<float>(1, 9).random(3);
        Matrix<float> y(7, 9, 4), expected(7, 9);
        const LinearOptions options{.activation = activation, .scale = scale};
        backend::linear(Cpu{}, expected.view(), x.view(), w.view(), biased ? bias.data() : nullptr, options);
        auto device_x = stage(x), device_w = stage(w), device_bias = stage(bias);
        auto device_y = stage(y);
        backend::linear(device_under_test, device_y.view(), device_x.view(), device_w.view(),
                        biased ? device_bias.data() : nullptr, options);
        device_y.fetch();
        CHECK(y.intact());
        // 33 terms of up to 90 * 90 in float32: 33 * 2^-24 * 8100 at most; gelu has slope up to 1.13.
        CHECK(emulator::worst_ratio(y, expected, 2e-3, 1e-5) <= 1.0);
      }
}

TEST_CASE("a linear layer of no rows is nothing") {
  Matrix<float> empty(0, 9);
  const auto w = Matrix<float>(9, 33).random(2);
  auto device_empty = stage(empty);
  auto device_w = stage(w);
  TensorView<const float, Cuda> x = device_w.view();
  x.shape = Shape{0, 33};
  backend::linear(device_under_test, device_empty.view(), x, device_w.view(), nullptr, {});
}

TEST_CASE("attention over packed views is the CPU's") {
  const std::vector<std::int64_t> queries{0, 2, 2, 70}, keys{0, 65, 66, 70};
  for (const std::int64_t gap : {0, 3}) {
    const auto q = Matrix<float>(70, 24, gap).random(1, 0.1), k = Matrix<float>(70, 24, gap).random(2, 0.1),
               v = Matrix<float>(70, 24, 2 * gap).random(3);
    Matrix<float> y(70, 24, gap), expected(70, 24);
    const AttentionOptions options{.heads = 2, .scale = 0.3};
    backend::varlen_attention<float>(Cpu{}, expected.view(), q.view(), k.view(), v.view(), queries, keys,
                                     options);
    auto device_q = stage(q), device_k = stage(k), device_v = stage(v);
    auto device_y = stage(y);
    backend::varlen_attention(device_under_test, device_y.view(), device_q.view(), device_k.view(),
                              device_v.view(), queries, keys, options);
    device_y.fetch();
    CHECK(y.intact());
    // Weights to a few 2^-24 times the scores (up to 30), values up to 90.
    CHECK(emulator::worst_ratio(y, expected, 1e-3, 1e-4) <= 1.0);
  }
}

}  // namespace linear_attention_cases

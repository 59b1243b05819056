// SPDX-License-Identifier: MIT
// The kernels of layer normalisation, run on the host, against the CPU backend.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/layer_norm.cu"
#include "kernels/instantiate/runtime.cu"
#include "stofm/backend/cpu/layer_norm.hpp"
#include "tests/kernels/support/device_array.hpp"

using emulator::Matrix;

namespace {

// float sums of n terms in a tree, against double: n/32 + 5 roundings each in mean and variance, on inputs up
// to 100 standard deviations apart; 2^-24 * (n/32 + 5) * a few.
constexpr double tolerance = 2e-5;

void check(std::int64_t rows, std::int64_t columns, bool with_residual, std::int64_t gap) {
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
  emulator::for_each_schedule([&] {
    Matrix<float> y(rows, columns, 3 * gap);
    stofm::backend::layer_norm(
        stofm::Cuda{}, y.device_view(), x.device_view(),
        with_residual ? residual.device_view() : stofm::TensorView<const float, stofm::Cuda>{}, gamma.data(),
        beta.data(), 1e-5);
    CHECK(y.intact());
    CHECK(emulator::worst_ratio(y, expected, tolerance, tolerance) <= 1.0);
    if (is_first) first = y;
    is_first = false;
    CHECK(y == first);
  });
}

}  // namespace

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
  stofm::backend::layer_norm(stofm::Cuda{}, y.device_view(), x.device_view(), {}, gamma.data(), beta.data(),
                             1e-5);
  stofm::backend::layer_norm(stofm::Cuda{}, x.device_view(), x.device_view(), {}, gamma.data(), beta.data(),
                             1e-5);
  CHECK(x == y);
}

TEST_CASE("nothing is launched for an empty matrix") {
  const std::int64_t before = emulator::launches();
  check(0, 32, false, 0);
  check(3, 0, false, 0);
  CHECK(emulator::launches() == before);
}

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CUDA ops on rows against the CPU: length 1, column sums, gather and scatter; emulated and on a device.

#include "stofm/backend/cpu/column_sums.hpp"
#include "stofm/backend/cpu/gather.hpp"
#include "stofm/backend/cpu/scatter_rows.hpp"
#include "stofm/backend/cuda/rows.hpp"
#include "stofm/ops/l2_normalize.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace rows_cases {

using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;
using emulator::worst_ratio;

constexpr std::int64_t widths[] = {1, 2, 31, 32, 33, 64, 257, 1000};
constexpr std::int64_t heights[] = {0, 1, 3, 9};

/// Calls `check(rows, columns, gap)` for odd sizes, with and without gaps between the rows.
template <class Check>
void for_sizes(const Check& check) {
  for (const std::int64_t columns : widths)
    for (const std::int64_t rows : heights) {
      CAPTURE(rows);
      CAPTURE(columns);
      check(rows, columns, (rows + columns) % 4);
    }
}
/// Runs `call(y)` under every schedule into fresh memory; all runs must leave the same bits, within
/// `tolerance` of `expected`, and nothing outside.
template <class Call>
void check_output(const Matrix<float>& expected, std::int64_t gap, double absolute, double relative,
                  const Call& call) {
  Matrix<float> first(0, 0);
  bool is_first = true;
  emulator::for_each_run([&] {
    Matrix<float> y(expected.rows(), expected.columns(), gap);
    auto device_y = stage(y);
    call(device_y.view());
    device_y.fetch();
    CHECK(y.intact());
    CHECK(worst_ratio(y, expected, absolute, relative) <= 1.0);
    if (is_first) first = y;
    is_first = false;
    CHECK(y == first);
  });
}
inline stofm::Tensor<float> tensor_of(const Matrix<float>& m) {
  stofm::Tensor<float> t(stofm::Shape{m.rows(), m.columns()});
  for (std::int64_t i = 0; i < m.rows(); ++i)
    std::copy_n(m.view().row(i), m.columns(), t.data() + i * m.columns());
  return t;
}
inline Matrix<float> matrix_of(const stofm::Tensor<float>& t) {
  Matrix<float> m(t.dim(0), t.dim(1));
  if (t.numel() > 0) std::copy_n(t.data(), t.numel(), m.data());
  return m;
}

TEST_CASE("rows of length 1, and their gradient, as on the CPU") {
  for_sizes([](std::int64_t rows, std::int64_t columns, std::int64_t gap) {
    auto x = Matrix<float>(rows, columns, gap).random(4, 1e20);
    if (rows > 1)
      for (std::int64_t j = 0; j < columns; ++j) x.at(1, j) = 0.0F;
    const auto grad_y = Matrix<float>(rows, columns).random(5, 1e20);
    const auto expected = matrix_of(stofm::ops::l2_normalize_rows(tensor_of(x)));
    check_output(expected, gap, 1e-37, 1.2e-7, [&](auto y) {  // double inside: one rounding to float
      stofm::backend::l2_normalize_rows(device_under_test, y, stage(x).view());
    });
    const auto expected_grad =
        matrix_of(stofm::ops::l2_normalize_rows_gradient(tensor_of(grad_y), tensor_of(x)));
    check_output(expected_grad, gap, 1e-12, 1.2e-7, [&](auto grad_x) {
      stofm::backend::l2_normalize_rows_gradient(device_under_test, grad_x, stage(grad_y).view(),
                                                 stage(x).view());
    });
  });
}

TEST_CASE("column sums are added in double, over several chunks of rows") {
  for (const std::int64_t rows : {0, 1, 7, 8, 255, 256, 257, 600})
    for (const std::int64_t columns : {1, 31, 33, 65}) {
      CAPTURE(rows);
      CAPTURE(columns);
      const auto x = Matrix<float>(rows, columns, 3).random(6);
      auto expected = Matrix<float>(1, columns).random(7);
      const auto start = expected;
      stofm::backend::add_column_sums(stofm::Cpu{}, expected.data(), x.view());
      check_output(expected, 0, 1e-12, 1.2e-7, [&](auto sums) {
        if (columns > 0)
          stofm::backend::copy_rows(device_under_test, sums.data, 0, stage(start).data(), 0, columns * 4, 1,
                                    stofm::backend::CopyDirection::on_device);
        stofm::backend::add_column_sums(device_under_test, sums.data, stage(x).view());
      });
    }
}

TEST_CASE("rows are gathered and scattered with the bits of the CPU") {
  for (const std::int64_t columns : {1, 33, 100})
    for (const std::int64_t count : {0, 1, 40}) {
      CAPTURE(columns);
      CAPTURE(count);
      std::mt19937 random(11);
      std::vector<std::int32_t> indices;
      for (std::int64_t i = 0; i < count; ++i) indices.push_back(static_cast<std::int32_t>(random() % 9));
      const std::span<const std::int32_t> picked(indices);
      const auto table = Matrix<float>(9, columns, 2).random(8);
      const auto x = Matrix<float>(count, columns, 1).random(9);
      for (const bool accumulate : {false, true}) {
        auto expected = x;
        stofm::backend::gather_rows(stofm::Cpu{}, expected.view(), table.view(), picked, accumulate);
        emulator::for_each_run([&] {
          auto y = x;
          auto device_y = stage(y);
          stofm::backend::gather_rows(device_under_test, device_y.view(), stage(table).view(), picked,
                                      accumulate);
          device_y.fetch();
          CHECK(y == expected);
        });
      }
      auto expected = table;
      stofm::backend::scatter_add_rows(stofm::Cpu{}, expected.view(), x.view(), picked);
      emulator::for_each_run([&] {
        auto into = table;
        auto device_into = stage(into);
        stofm::backend::scatter_add_rows(device_under_test, device_into.view(), stage(x).view(), picked);
        device_into.fetch();
        CHECK(into == expected);
      });
    }
}

}  // namespace rows_cases

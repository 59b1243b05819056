// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CUDA neighbours in the plane against the CPU code, bit by bit: emulated and on a device.

#include "stofm/backend/cuda/knn_2d.hpp"
#include "stofm/cluster/knn_2d.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace knn_2d_cases {

using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;

enum class Scatter { even, lattice, line, one_place, two_places, outlier, heaps };

inline Matrix<double> points(Scatter scatter, std::int64_t n, std::uint32_t seed, std::int64_t gap = 0) {
  Matrix<double> xy(n, 2, gap);
  std::mt19937 bits(seed);
  std::uniform_real_distribution<double> uniform(-50, 50);
  for (std::int64_t i = 0; i < n; ++i)
    for (int a = 0; a < 2; ++a) {
      double v = uniform(bits);
      if (scatter == Scatter::lattice) v = std::floor(v / 8);
      if (scatter == Scatter::line && a == 1) v = 3;
      if (scatter == Scatter::one_place) v = a == 0 ? 1.5 : -0.0;
      if (scatter == Scatter::two_places) v = i % 3 == 0 ? 1 : -1;
      if (scatter == Scatter::outlier && i == n / 2) v = 1e9;
      if (scatter == Scatter::heaps) v = std::floor(v / 30) + (bits() % 2 == 0 ? 0.0 : 1e-9);
      xy.at(i, a) = v;
    }
  return xy;
}

inline void check(const Matrix<double>& xy, std::int64_t k) {
  CAPTURE(xy.rows());
  CAPTURE(k);
  const auto expected = stofm::cluster::nearest_neighbours_2d(xy.view(), k);
  const auto found = stofm::backend::nearest_neighbours_2d(device_under_test, xy.view(), k);
  CHECK(found.points == expected.points);
  CHECK(found.k == expected.k);
  CHECK(found.indices == expected.indices);
  CHECK(found.squared_distances == expected.squared_distances);
}

TEST_CASE("neighbours are those of the CPU on any scatter") {
  for (const Scatter scatter : {Scatter::even, Scatter::lattice, Scatter::line, Scatter::one_place,
                                Scatter::two_places, Scatter::outlier, Scatter::heaps}) {
    CAPTURE(static_cast<int>(scatter));
    check(points(scatter, 400, 1), 9);
    check(points(scatter, 97, 2), 49);
    check(points(scatter, 33, 3), 5);
  }
}

TEST_CASE("trees of two and three levels") {
  check(points(Scatter::even, 1100, 1), 3);
  check(points(Scatter::one_place, 1100, 1), 3);
  check(points(Scatter::heaps, 1100, 1), 40);
}

TEST_CASE("few points, many neighbours") {
  for (const std::int64_t n : {0, 1, 2, 3, 31, 32, 33}) {
    for (const std::int64_t k : {0, 1, 2, 32, 50}) check(points(Scatter::even, n, 4), k);
  }
  check(points(Scatter::lattice, 70, 5), 69);
  check(points(Scatter::even, 300, 5), 299);
}

TEST_CASE("points with gaps between the rows") { check(points(Scatter::even, 50, 6, 3), 4); }

TEST_CASE("the device overload writes nothing but its rows, in any order of blocks") {
  const std::int64_t n = 75, k = 6;
  const auto xy = points(Scatter::lattice, n, 7);
  const auto expected = stofm::cluster::nearest_neighbours_2d(xy.view(), k);
  emulator::for_each_run([&] {
    Matrix<std::int32_t> indices(n, k);
    Matrix<double> distances(n, k);
    stofm::Tensor<std::uint8_t, stofm::Cuda> workspace(
        stofm::Shape{stofm::backend::knn_2d_workspace_bytes(n)}, device_under_test);
    auto device_xy = stage(xy), device_distances = stage(distances);
    auto device_indices = stage(indices);
    stofm::backend::nearest_neighbours_2d(device_under_test, device_xy.data(), n, k, device_indices.data(),
                                          device_distances.data(), workspace.data());
    device_indices.fetch();
    device_distances.fetch();
    CHECK((indices.intact() && distances.intact()));
    CHECK(std::equal(expected.indices.begin(), expected.indices.end(), indices.data()));
    CHECK(std::equal(expected.squared_distances.begin(), expected.squared_distances.end(), distances.data()));
  });
}

TEST_CASE("sizes beyond the kernels are refused") {
  const auto xy = points(Scatter::even, 3, 9);
  CHECK_THROWS_AS(stofm::backend::nearest_neighbours_2d(device_under_test, xy.view(), -1), stofm::ShapeError);
  CHECK_THROWS_AS(stofm::backend::nearest_neighbours_2d(device_under_test, xy.data(), 5000, 2000, nullptr,
                                                        nullptr, nullptr),
                  stofm::ShapeError);
}

}  // namespace knn_2d_cases

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// CUDA k-means against the CPU code, labels, centres and distances bit by bit: emulated and on a device.

#include "stofm/backend/cuda/kmeans.hpp"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "tests/kernels/support/device_array.hpp"

namespace kmeans_cases {

using emulator::device_under_test;
using emulator::Matrix;
using emulator::stage;
using stofm::backend::KMeansAssignment;

enum class Cloud { spiky, lattice, blobs, one_place, far_away };

/// Points that make ties (lattice), near ties (far away) and clusters (blobs).
inline Matrix<float> points(Cloud cloud, std::int64_t n, std::int64_t d, std::uint32_t seed) {
  Matrix<float> x(n, d);
  x.random(seed);
  std::mt19937 bits(seed);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto blob = static_cast<float>(bits() % 7) * 20.0F;
    for (std::int64_t j = 0; j < d; ++j) {
      float& value = x.at(i, j);
      if (cloud == Cloud::lattice) value = static_cast<float>(bits() % 3);
      if (cloud == Cloud::blobs) value = value / 30.0F + (j % 2 == 0 ? blob : -blob);
      if (cloud == Cloud::one_place) value = 0.5F;
      if (cloud == Cloud::far_away) value = 1000.0F + value / 30.0F;
    }
  }
  return x;
}

struct Assigned {
  std::vector<std::int32_t> labels;
  std::vector<float> distances;
  bool operator==(const Assigned&) const = default;
};

inline Assigned on_cpu(const Matrix<float>& rows, const Matrix<float>& centres) {
  Assigned result{std::vector<std::int32_t>(static_cast<std::size_t>(rows.rows())),
                  std::vector<float>(static_cast<std::size_t>(rows.rows()))};
  stofm::cluster::nearest_centres(rows.view(), stofm::cluster::PackedPoints(centres.view()), result.labels,
                                  result.distances);
  return result;
}

inline stofm::Tensor<std::uint8_t, stofm::Cuda> workspace_for(std::int64_t n, std::int64_t d,
                                                              std::int64_t k) {
  return stofm::Tensor<std::uint8_t, stofm::Cuda>(
      stofm::Shape{stofm::backend::kmeans_workspace_bytes(n, d, k)}, device_under_test);
}

inline Assigned on_device(const Matrix<float>& rows, const Matrix<float>& centres,
                          KMeansAssignment assignment) {
  const std::int64_t n = rows.rows();
  auto workspace = workspace_for(n, rows.columns(), centres.rows());
  Matrix<std::int32_t> labels(1, n);
  Matrix<float> distances(1, n);
  auto device_rows = stage(rows), device_centres = stage(centres), device_distances = stage(distances);
  auto device_labels = stage(labels);
  stofm::backend::kmeans_assign(device_under_test, device_rows.view(), device_centres.view(),
                                device_labels.data(), device_distances.data(), workspace.data(), assignment);
  device_labels.fetch();
  device_distances.fetch();
  CHECK(labels.intact());
  CHECK(distances.intact());
  return {{labels.data(), labels.data() + n}, {distances.data(), distances.data() + n}};
}

inline void check_assignment(Cloud cloud, std::int64_t n, std::int64_t d, std::int64_t k) {
  CAPTURE(static_cast<int>(cloud));
  CAPTURE(n);
  CAPTURE(d);
  CAPTURE(k);
  const auto rows = points(cloud, n, d, 1), centres = points(cloud, k, d, 2);
  const Assigned expected = on_cpu(rows, centres);
  for (const auto assignment : {KMeansAssignment::exact_scan, KMeansAssignment::margin_tile}) {
    const Assigned found = on_device(rows, centres, assignment);
    CHECK(found.labels == expected.labels);
    CHECK(found.distances == expected.distances);
  }
}

TEST_CASE("every row finds the centre that the CPU finds, to the bit") {
  for (const Cloud cloud : {Cloud::spiky, Cloud::lattice, Cloud::blobs, Cloud::far_away}) {
    check_assignment(cloud, 1, 1, 1);
    check_assignment(cloud, 33, 2, 5);
    check_assignment(cloud, 70, 5, 67);
    check_assignment(cloud, 130, 31, 17);
    check_assignment(cloud, 65, 65, 129);
    check_assignment(cloud, 7, 256, 7);
  }
  check_assignment(Cloud::spiky, 5, 1024, 3);
  check_assignment(Cloud::lattice, 9, 50, 700);
  check_assignment(Cloud::one_place, 40, 3, 4);
}

inline void check_step(std::int64_t n, std::int64_t d, std::int64_t k) {
  CAPTURE(n);
  CAPTURE(d);
  CAPTURE(k);
  const auto rows = points(Cloud::spiky, n, d, 5);
  auto centres = points(Cloud::spiky, k, d, 6);
  if (k > 4)
    std::copy_n(centres.data(), d, centres.data() + 4 * d);  // the later of two equal ones stays empty
  const Assigned expected = on_cpu(rows, centres);
  auto means = stofm::Tensor<float>({k, d});
  std::copy_n(centres.data(), k * d, means.data());
  const auto counts = stofm::cluster::detail::centres_to_means(rows.view(), expected.labels, means);
  emulator::for_each_run([&] {
    Matrix<float> moved = centres;
    Matrix<std::int32_t> labels(1, n);
    Matrix<std::int64_t> found(1, k);
    auto workspace = workspace_for(n, d, k);
    auto device_rows = stage(rows), device_moved = stage(moved);
    auto device_labels = stage(labels);
    auto device_found = stage(found);
    stofm::backend::kmeans_lloyd_step(device_under_test, device_rows.view(), device_moved.view(),
                                      device_labels.data(), device_found.data(), workspace.data());
    device_moved.fetch();
    device_labels.fetch();
    device_found.fetch();
    CHECK(std::equal(means.data(), means.data() + k * d, moved.data()));
    CHECK(std::equal(counts.begin(), counts.end(), found.data()));
    CHECK(std::equal(expected.labels.begin(), expected.labels.end(), labels.data()));
    CHECK((labels.intact() && found.intact() && moved.intact()));
  });
}

TEST_CASE("a full step has the means of the CPU, in any order of blocks and threads") {
  check_step(1, 1, 1);
  check_step(50, 2, 7);
  check_step(300, 33, 5);
  check_step(2100, 3, 4);
}

inline void check_run(const Matrix<float>& rows, stofm::cluster::MiniBatchKMeansOptions options) {
  CAPTURE(rows.rows());
  CAPTURE(rows.columns());
  CAPTURE(options.clusters);
  const auto expected = stofm::cluster::mini_batch_kmeans(rows.view(), options);
  const auto found = stofm::backend::mini_batch_kmeans(device_under_test, rows.view(),
                                                       {options.clusters,
                                                        options.batch,
                                                        options.max_passes,
                                                        options.patience,
                                                        options.full_steps,
                                                        options.seed,
                                                        {}});
  CHECK(found.clusters == expected.clusters);
  CHECK(found.batches == expected.batches);
  CHECK(found.labels == expected.labels);
  CHECK(found.inertia == expected.inertia);
  REQUIRE(static_cast<std::int64_t>(found.centres.size()) == expected.centres.numel());
  CHECK(std::equal(found.centres.begin(), found.centres.end(), expected.centres.data()));
}

TEST_CASE("a whole run gives what the CPU gives") {
  stofm::cluster::MiniBatchKMeansOptions options{.clusters = 5, .batch = 40, .max_passes = 20, .seed = 3};
  check_run(points(Cloud::blobs, 300, 2, 1), options);
  check_run(points(Cloud::spiky, 200, 1, 1), options);
  options.max_passes = 2;
  check_run(points(Cloud::blobs, 150, 60, 1), options);  // the margin tile
  options.full_steps = 0;
  check_run(points(Cloud::blobs, 150, 5, 2), options);
}

TEST_CASE("k = 1, k = n and one point") {
  stofm::cluster::MiniBatchKMeansOptions options{.clusters = 1, .batch = 16, .max_passes = 2, .patience = 2};
  check_run(points(Cloud::spiky, 1, 3, 1), options);
  check_run(points(Cloud::spiky, 40, 3, 1), options);
  options.clusters = 40;
  check_run(points(Cloud::spiky, 40, 3, 1), options);
  options.clusters = 100;  // more than points
  check_run(points(Cloud::spiky, 40, 3, 1), options);
}

TEST_CASE("fewer places than clusters, in the sample and in all rows") {
  stofm::cluster::MiniBatchKMeansOptions options{.clusters = 12, .batch = 4, .max_passes = 2, .patience = 2};
  check_run(points(Cloud::one_place, 60, 2, 1), options);
  check_run(points(Cloud::lattice, 200, 2, 1), options);     // 9 places
  Matrix<float> rare = points(Cloud::one_place, 300, 2, 1);  // a sample of 36 is likely to miss these
  for (std::int64_t i = 0; i < 14; ++i) rare.at(20 * i + 3, 0) = static_cast<float>(i);
  check_run(rare, options);
}

TEST_CASE("sizes beyond the kernels are refused") {
  CHECK_THROWS_AS(stofm::backend::kmeans_workspace_bytes(10, 1025, 2), stofm::ShapeError);
  CHECK_THROWS_AS(stofm::backend::kmeans_workspace_bytes(10, 2, 4097), stofm::ShapeError);
}

}  // namespace kmeans_cases

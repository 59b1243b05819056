// SPDX-License-Identifier: MIT
// The k-means kernels, run on the host, against the CPU code: labels, centres and distances bit by bit.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/kmeans.cu"
#include "kernels/instantiate/runtime.cu"
#include "stofm/cluster/mini_batch_kmeans.hpp"
#include "tests/kernels/support/device_array.hpp"

using emulator::Matrix;
using stofm::backend::KMeansAssignment;

namespace {

enum class Cloud { spiky, lattice, blobs, one_place, far_away };

/// Points that make ties (lattice), near ties (far away) and clusters (blobs).
Matrix<float> points(Cloud cloud, std::int64_t n, std::int64_t d, std::uint32_t seed) {
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

Assigned on_cpu(const Matrix<float>& rows, const Matrix<float>& centres) {
  Assigned result{std::vector<std::int32_t>(static_cast<std::size_t>(rows.rows())),
                  std::vector<float>(static_cast<std::size_t>(rows.rows()))};
  stofm::cluster::nearest_centres(rows.view(), stofm::cluster::PackedPoints(centres.view()), result.labels,
                                  result.distances);
  return result;
}

Assigned on_device(const Matrix<float>& rows, const Matrix<float>& centres, KMeansAssignment assignment) {
  const std::int64_t n = rows.rows(),
                     bytes = stofm::backend::kmeans_workspace_bytes(n, rows.columns(), centres.rows());
  const stofm::Tensor<std::uint8_t, stofm::Cuda> workspace(stofm::Shape{bytes}, stofm::Cuda{});
  Matrix<std::int32_t> labels(1, n);
  Matrix<float> distances(1, n);
  stofm::backend::kmeans_assign(stofm::Cuda{}, rows.device_view(), centres.device_view(), labels.data(),
                                distances.data(), const_cast<std::uint8_t*>(workspace.data()), assignment);
  CHECK(labels.intact());
  CHECK(distances.intact());
  return {{labels.data(), labels.data() + n}, {distances.data(), distances.data() + n}};
}

void check_assignment(Cloud cloud, std::int64_t n, std::int64_t d, std::int64_t k) {
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

}  // namespace

TEST_CASE("every row finds the centre that the CPU finds, to the bit") {
  for (const Cloud cloud : {Cloud::spiky, Cloud::lattice, Cloud::blobs, Cloud::far_away}) {
    check_assignment(cloud, 1, 1, 1);
    check_assignment(cloud, 33, 2, 5);
    check_assignment(cloud, 130, 31, 17);
    check_assignment(cloud, 65, 65, 129);
    check_assignment(cloud, 7, 256, 7);
  }
  check_assignment(Cloud::spiky, 5, 1024, 3);
  check_assignment(Cloud::one_place, 40, 3, 4);
}

TEST_CASE("tiles of every height give the same labels") {
  using namespace stofm::kernels::kmeans;
  const std::int64_t n = 150, d = 70, k = 140;
  const auto rows = points(Cloud::lattice, n, d, 3), centres = points(Cloud::lattice, k, d, 4);
  const Assigned expected = on_cpu(rows, centres);
  for (const int height : {32, 64, 128}) {
    CAPTURE(height);
    emulator::for_each_schedule([&] {
      stofm::kernels::WorkspaceCutter count;
      (void)cut_assign_workspace(count, n, d, k);
      const stofm::kernels::TransferArray<unsigned char> memory(stofm::Cuda{}, count.bytes());
      stofm::kernels::WorkspaceCutter cutter(memory.data());
      const AssignWorkspace w = cut_assign_workspace(cutter, n, d, k);
      Matrix<std::int32_t> labels(1, n);
      const Problem problem{n, d, k, 227 * 1024, {}};
      const std::int64_t padded_k = MarginTilePolicy::padded_centres(k),
                         padded_d = MarginTilePolicy::padded_columns(d);
      stofm::kernels::launch(prepare_centres<PrepareStorage>,
                             {.grid = {stofm::kernels::blocks(padded_k)},
                              .block = {prepare_threads},
                              .shared_bytes = sizeof(PrepareStorage),
                              .stream = {},
                              .name = "prepare_centres"},
                             {centres.data(), w.high, w.low, w.squared_norms, w.transposed, k, d, padded_d});
      const MarginTileParams tile{
          rows.data(), w.high, w.low, w.squared_norms, labels.data(), w.second,        w.states,
          n,           d,      k,     padded_d,        padded_k,      margin_bounds(d)};
      if (height == 32) launch_margin_tile<MarginTilePolicy, 32>(problem, tile);
      if (height == 64) launch_margin_tile<MarginTilePolicy, 64>(problem, tile);
      if (height == 128) launch_margin_tile<MarginTilePolicy, 128>(problem, tile);
      CHECK(labels.intact());
      std::int64_t settled = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        if (w.states[i] != RowState::settled) continue;
        ++settled;
        CHECK(labels.at(0, i) == expected.labels[static_cast<std::size_t>(i)]);
      }
      CHECK(settled > 0);  // the margin decides some rows of this lattice, and leaves some
      CHECK(settled < n);
    });
  }
}

TEST_CASE("a full step has the means of the CPU, in any order of blocks and threads") {
  for (const auto& [n, d, k] :
       {std::array<std::int64_t, 3>{1, 1, 1}, {50, 2, 7}, {300, 33, 5}, {2100, 3, 4}}) {
    CAPTURE(n);
    const auto rows = points(Cloud::spiky, n, d, 5);
    auto centres = points(Cloud::spiky, k, d, 6);
    if (k > 4)
      std::copy_n(centres.data(), d, centres.data() + 4 * d);  // the later of two equal ones stays empty
    const Assigned expected = on_cpu(rows, centres);
    auto means = stofm::Tensor<float>({k, d});
    std::copy_n(centres.data(), k * d, means.data());
    const auto counts = stofm::cluster::detail::centres_to_means(rows.view(), expected.labels, means);
    emulator::for_each_schedule([&] {
      Matrix<float> moved = centres;
      Matrix<std::int32_t> labels(1, n);
      Matrix<std::int64_t> found(1, k);
      const stofm::Tensor<std::uint8_t, stofm::Cuda> workspace(
          stofm::Shape{stofm::backend::kmeans_workspace_bytes(n, d, k)}, stofm::Cuda{});
      stofm::backend::kmeans_lloyd_step(stofm::Cuda{}, rows.device_view(), moved.device_view(), labels.data(),
                                        found.data(), const_cast<std::uint8_t*>(workspace.data()));
      CHECK(std::equal(means.data(), means.data() + k * d, moved.data()));
      CHECK(std::equal(counts.begin(), counts.end(), found.data()));
      CHECK((labels.intact() && found.intact() && moved.intact()));
    });
  }
}

namespace {

void check_run(const Matrix<float>& rows, stofm::cluster::MiniBatchKMeansOptions options) {
  CAPTURE(rows.rows());
  CAPTURE(rows.columns());
  CAPTURE(options.clusters);
  const auto expected = stofm::cluster::mini_batch_kmeans(rows.view(), options);
  const auto found = stofm::backend::mini_batch_kmeans(stofm::Cuda{}, rows.view(),
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

}  // namespace

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

TEST_CASE("policies fit the shared memory of both architectures") {
  using namespace stofm::kernels::kmeans;
  for (const std::int64_t limit : {std::int64_t{163} * 1024, std::int64_t{227} * 1024})
    for (std::int64_t d = 1; d <= most_columns; ++d)
      for (const std::int64_t n : {std::int64_t{1}, std::int64_t{1} << 20}) {
        const int rows = MarginTilePolicy::rows_for(n, d, limit);
        REQUIRE(MarginTilePolicy::fits(d, limit) == (MarginTilePolicy::shared_bytes(rows, d) <= limit));
        REQUIRE((MarginTilePolicy::fits(d, limit) || (d > 896 && limit < 200 * 1024)));
        REQUIRE(8 * 32 % rows == 0);
        REQUIRE((MarginTilePolicy::padded_columns(d) + MarginTilePolicy::padding) * 2 % 16 == 0);
      }
  CHECK(MarginTilePolicy::rows_for(1 << 20, 256, 227 * 1024) == 128);
  CHECK(MarginTilePolicy::rows_for(1 << 20, 256, 163 * 1024) == 64);
  CHECK(MarginTilePolicy::rows_for(1024, 256, 227 * 1024) == 32);  // enough blocks for a batch
  for (const std::int64_t n :
       {std::int64_t{1}, std::int64_t{1024}, std::int64_t{16385}, std::int64_t{0x7fffffff}}) {
    CHECK(parts(n) <= 16);
    CHECK(parts(n) == (n + stofm::cluster::detail::kmeans_part_rows(n) - 1) /
                          stofm::cluster::detail::kmeans_part_rows(n));
    const auto layout = stofm::kernels::counting_sort::layout_of(n, 4096, part_rows(n));
    CHECK(layout.tiles_per_part * layout.tile_items >= std::min(layout.part_items, n));
    CHECK(layout.parts * layout.tiles_per_part <= 4096);
  }
  CHECK_THROWS_AS(stofm::backend::kmeans_workspace_bytes(10, 1025, 2), stofm::ShapeError);
  CHECK_THROWS_AS(stofm::backend::kmeans_workspace_bytes(10, 2, 4097), stofm::ShapeError);
}

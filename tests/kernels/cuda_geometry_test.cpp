// SPDX-License-Identifier: MIT
// Geometry of a slice on the emulated device, as the pipeline sees it.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/runtime/memory.cuh"
#include "stofm/pipeline/cuda_geometry.hpp"
#include "tests/kernels/support/device_array.hpp"

using namespace stofm;

namespace {

Tensor<double> cells(std::int64_t n) {
  Random random(1);
  Tensor<double> xy({n, 2});
  for (std::int64_t e = 0; e < 2 * n; ++e) xy.data()[e] = std::floor(40 * random.uniform()) - 20;
  return xy;
}
Tensor<float> features(std::int64_t n, std::int64_t width) {
  Random random(2);
  Tensor<float> rows({n, width});
  for (std::int64_t e = 0; e < n * width; ++e) rows.data()[e] = static_cast<float>(random.normal());
  return rows;
}

}  // namespace

TEST_CASE("clusters of the device are those of the CPU, notices too") {
  const pipeline::CudaGeometry geometry(Cuda{});
  for (const std::int64_t n : {1, 60}) {
    const auto rows = features(n, 2);
    const cluster::MiniBatchKMeansOptions options{.clusters = n == 1 ? 3 : 0, .batch = 16, .max_passes = 3};
    const auto expected = cluster::mini_batch_kmeans(rows.view(), options);
    const auto found = geometry.mini_batch_kmeans(rows.view(), options);
    CHECK(found.labels == expected.labels);
    CHECK(found.clusters == expected.clusters);
    CHECK(found.inertia == expected.inertia);
    CHECK(found.batches == expected.batches);
    CHECK(std::equal(found.centres.data(), found.centres.data() + found.centres.numel(),
                     expected.centres.data()));
    REQUIRE(found.notices.size() == expected.notices.size());
    for (std::size_t i = 0; i < found.notices.size(); ++i)
      CHECK(found.notices[i].text == expected.notices[i].text);
  }
}

TEST_CASE("what the kernels do not take goes to the CPU") {
  const pipeline::CudaGeometry geometry(Cuda{});
  const auto wide = features(3, 1030);
  const std::int64_t before = emulator::launches();
  CHECK(geometry.mini_batch_kmeans(wide.view(), {.clusters = 2, .max_passes = 1}).clusters == 2);
  const auto xy = cells(1100);
  CHECK(geometry.nearest_neighbours_2d(xy.view(), 1050).indices ==
        cluster::nearest_neighbours_2d(xy.view(), 1050).indices);
  CHECK(geometry.build_sub_slices({}, xy.view(), xy.view(), {.neighbours = 2000}).empty());
  CHECK(emulator::launches() == before);
}

TEST_CASE("the device refuses what the CPU refuses") {
  const pipeline::CudaGeometry geometry(Cuda{});
  auto rows = features(5, 2);
  CHECK_THROWS_AS(geometry.mini_batch_kmeans(rows.view(), {.batch = 0}), UsageError);
  rows.data()[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(geometry.mini_batch_kmeans(rows.view(), {.clusters = 2}), DataError);
  CHECK_THROWS_AS(geometry.mini_batch_kmeans(Tensor<float>({0, 2}).view(), {.clusters = 2}), DataError);
  auto xy = cells(5);
  CHECK_THROWS_AS(geometry.nearest_neighbours_2d(xy.view(), -1), ShapeError);
  xy.data()[1] = 1e200;
  CHECK_THROWS_AS(geometry.nearest_neighbours_2d(xy.view(), 2), DataError);
}

TEST_CASE("neighbours, squares and pieces of the device are those of the CPU") {
  const pipeline::CudaGeometry geometry(Cuda{});
  const backend::CudaStream before = backend::current_stream(Cuda{});
  const auto xy = cells(150), virtual_xy = cells(4);
  const auto expected = cluster::nearest_neighbours_2d(xy.view(), 9),
             found = geometry.nearest_neighbours_2d(xy.view(), 9);
  CHECK(found.indices == expected.indices);
  CHECK(found.squared_distances == expected.squared_distances);
  const auto pieces = pipeline::split_cells(xy.view(), 30);
  CHECK(geometry.split_cells(xy.view(), 30) == pieces);
  const auto subs = geometry.build_sub_slices(pieces, xy.view(), virtual_xy.view(), {.neighbours = 8});
  REQUIRE(subs.size() == pieces.size());
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const auto sub = pipeline::build_sub_slice(pieces[p], xy.view(), virtual_xy.view(), {.neighbours = 8});
    CHECK(subs[p].node_cells == sub.node_cells);
    CHECK(subs[p].token_types == sub.token_types);
    CHECK(subs[p].virtual_cells == sub.virtual_cells);
    CHECK(subs[p].coincident_pairs == sub.coincident_pairs);
    CHECK(subs[p].distances.nodes == sub.distances.nodes);
    CHECK(subs[p].distances.row_offsets == sub.distances.row_offsets);
    CHECK(subs[p].distances.columns == sub.distances.columns);
    CHECK(subs[p].distances.values == sub.distances.values);
    CHECK(std::equal(sub.xy.data(), sub.xy.data() + sub.xy.numel(), subs[p].xy.data()));
  }
  CHECK(backend::current_stream(Cuda{}).handle == before.handle);
}

TEST_CASE("virtual cells do not depend on where their points are computed") {
  const std::int64_t n = 90;
  const auto xy = cells(n);
  const auto rows = features(n, 6);
  for (const auto method : {pipeline::ClusterMethod::leiden, pipeline::ClusterMethod::kmeans}) {
    const auto expected = pipeline::find_virtual_cells(xy.view(), rows.view(), {.method = method});
    const std::int64_t before = emulator::launches();
    const auto found = pipeline::find_virtual_cells(
        xy.view(), rows.view(), {.method = method, .points = pipeline::cuda_point_functions(Cuda{})});
    CHECK(emulator::launches() > before);
    CHECK(found.labels == expected.labels);
    CHECK(found.modularity == expected.modularity);
    CHECK(found.inertia == expected.inertia);
  }
}

namespace {

/// Lets each CUDA call of `run` fail in turn: a stofm::Error every time, and no memory left behind.
template <class Run>
void fail_each_call(const Run& run) {
  auto& faults = kernels::call_faults();
  run();  // the pool and the stream are there now
  const std::size_t before = emulator::device().used_bytes;
  std::int64_t failed = 0;
  for (std::int64_t call = 1; call < 100000; call += 1 + call / 20) {
    faults.countdown = call;
    bool threw = false;
    try {
      run();
    } catch (const Error&) {
      threw = true;
    }
    const bool reached = faults.countdown.exchange(-1) <= 0;
    CHECK(threw == reached);
    CHECK(emulator::device().used_bytes == before);
    if (!reached) break;
    ++failed;
  }
  CHECK(failed > 10);
}

}  // namespace

TEST_CASE("a CUDA call that fails is an error and leaves nothing allocated") {
  const pipeline::CudaGeometry geometry(Cuda{});
  const auto rows = features(40, 50);
  const auto xy = cells(60), virtual_xy = cells(3);
  const auto pieces = pipeline::split_cells(xy.view(), 30);
  fail_each_call([&] {
    (void)geometry.mini_batch_kmeans(rows.view(),
                                     {.clusters = 3, .batch = 16, .max_passes = 1, .full_steps = 1});
  });
  fail_each_call([&] { (void)geometry.nearest_neighbours_2d(xy.view(), 5); });
  fail_each_call([&] { (void)geometry.split_cells(xy.view(), 10); });
  fail_each_call([&] { (void)geometry.build_sub_slices(pieces, xy.view(), virtual_xy.view()); });
}

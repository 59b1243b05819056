// SPDX-License-Identifier: MIT
// The k-means kernels, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/kmeans/mini_batch.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/kmeans_cases.hpp"

using namespace kmeans_cases;

TEST_CASE("tiles of every height give the same labels") {
  using namespace stofm::kernels::kmeans;
  const std::int64_t n = 150, d = 70, k = 140;
  const auto rows = points(Cloud::lattice, n, d, 3), centres = points(Cloud::lattice, k, d, 4);
  const Assigned expected = on_cpu(rows, centres);
  for (const int height : {32, 64, 128}) {
    CAPTURE(height);
    emulator::for_each_schedule([&] {
      stofm::kernels::Arena count;
      (void)cut_assign_workspace(count, n, d, k);
      const stofm::kernels::DeviceArray<std::byte> memory(stofm::Cuda{}, count.used());
      stofm::kernels::Arena arena(memory.data());
      const AssignWorkspace w = cut_assign_workspace(arena, n, d, k);
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

namespace {

struct OrderedSum {
  const float* values;
  double* cumulative;  // null: the sum only
  double* sum;
  std::int64_t count;
};
template <class Storage>
void sum_once(const OrderedSum p) {
  const double sum = stofm::kernels::kmeans::sum_in_order(p.values, p.count, p.cumulative,
                                                          stofm::kernels::shared_memory<Storage>());
  if (threadIdx.x == 0) *p.sum = sum;
}

}  // namespace

TEST_CASE("sums of distances have the bits of a loop in order, whatever their range") {
  using namespace stofm::kernels::kmeans;
  for (const double range :
       {1.0, 6.0, 40.0, 80.0})  // powers of two between the values; from 17 or so order matters
    for (const std::int64_t count : {1, 2, 255, 256, 257, 2001}) {
      CAPTURE(range);
      CAPTURE(count);
      std::mt19937 bits(7);
      std::uniform_real_distribution<double> uniform(0, 1);
      std::vector<float> values(static_cast<std::size_t>(count));
      for (float& v : values)
        v = bits() % 9 == 0 ? 0.0F : static_cast<float>(std::exp2(range * (uniform(bits) - 0.5)));
      std::vector<double> expected(values.size()), cumulative(values.size());
      double sum = 0;
      for (std::size_t i = 0; i < values.size(); ++i) expected[i] = sum += static_cast<double>(values[i]);
      for (double* running : {cumulative.data(), static_cast<double*>(nullptr)}) {
        double found = -1;
        emulator::launch(sum_once<ChooseStorage>, {1}, {choose_threads}, sizeof(ChooseStorage),
                         OrderedSum{values.data(), running, &found, count});
        CHECK(found == sum);
      }
      CHECK(cumulative == expected);
    }
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
  }
}

// SPDX-License-Identifier: MIT
// The arithmetic of the pair attention tiles, and the index of a batch: host C++, no kernel.
#include <doctest/doctest.h>

#include <deque>
#include <random>

#include "stofm/backend/cuda/pair_attention.hpp"
#include "stofm/kernels/pair_attention/policy.hpp"

using namespace stofm;
using namespace stofm::kernels;
using backend::PairBatchPlan;
using backend::Precision;

namespace {

constexpr Precision all_precisions[] = {Precision::float32, Precision::split_bf16, Precision::bf16};

struct Pair {
  std::int64_t row, column, entry;
  friend bool operator==(const Pair&, const Pair&) = default;
};

/// All pairs of one sub-slice, as its strips tell of them; checks the order on the way.
std::vector<Pair> pairs_of(const backend::PairBatch& batch, std::int64_t slice,
                           const backend::PairStrips& strips, bool by_column) {
  std::vector<Pair> result;
  const std::int64_t n = batch.node_offsets[slice + 1] - batch.node_offsets[slice], tiles = (n + 63) / 64;
  for (std::int64_t own = 0; own < (n + 15) / 16; ++own)
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t strip = batch.first_strip[slice] + own * tiles + tile;
      for (std::int64_t s = strips.offsets[strip]; s < strips.offsets[strip + 1]; ++s) {
        if (s > strips.offsets[strip]) {
          CHECK(strips.positions[s - 1] <= strips.positions[s]);
          if (strips.positions[s - 1] == strips.positions[s])
            CHECK(strips.entries[s - 1] < strips.entries[s]);
        }
        const std::int64_t i = own * 16 + strips.positions[s] / 64, j = tile * 64 + strips.positions[s] % 64;
        result.push_back(by_column ? Pair{j, i, strips.entries[s]} : Pair{i, j, strips.entries[s]});
      }
    }
  std::sort(result.begin(), result.end(), [](const Pair& a, const Pair& b) { return a.entry < b.entry; });
  return result;
}

}  // namespace

TEST_CASE("every plan fits the shared memory of sm_80, and operands stay where they fit") {
  for (const Precision precision : all_precisions)
    for (const int width : {16, 32, 64}) {
      CHECK(pair_chunk_bytes(precision, width) % 16 == 0);
      // 16 bytes more than a multiple of 32: eight rows lie in different banks.
      CHECK((width * pair_element_bytes(precision) + 16) % 32 == 16);
      for (std::int64_t layers = 1; layers <= backend::max_pair_layers; ++layers)
        for (const PairSharedPlan plan : {pair_forward_shared(precision, width, layers),
                                          pair_backward_shared(precision, width, layers)}) {
          CHECK(plan.bytes <= PairAttentionPolicy::shared_limit);
          CHECK(plan.bytes % 4 == 0);
        }
      CHECK(pair_forward_shared(precision, width, 4).resident);
      CHECK(pair_backward_shared(precision, width, 4).resident);
    }
}

TEST_CASE("operands stream where they do not fit") {
  CHECK_FALSE(pair_forward_shared(Precision::split_bf16, 64, 12).resident);
  CHECK_FALSE(pair_backward_shared(Precision::float32, 64, 32).resident);
}

TEST_CASE("the published model leaves room for several blocks on a multiprocessor") {
  // 4 layers, heads of 32: 228 KB shared memory on Hopper, 1 KB of it reserved per block.
  const auto blocks = [](const PairSharedPlan& plan) { return 228 * 1024 / (plan.bytes + 1024); };
  CHECK(blocks(pair_forward_shared(Precision::bf16, 32, 4)) >= 4);
  CHECK(blocks(pair_forward_shared(Precision::split_bf16, 32, 4)) >= 2);
  CHECK(blocks(pair_backward_shared(Precision::bf16, 32, 4)) >= 2);
  CHECK(blocks(pair_backward_shared(Precision::split_bf16, 32, 4)) >= 2);
  // And the class defaults of the reference, 12 layers with heads of 24, stay resident in bf16.
  CHECK(pair_forward_shared(Precision::bf16, pair_padded_width(24), 12).resident);
}

TEST_CASE("registers for sums stay below what a thread has") {
  for (const int width : {16, 32, 64}) {
    const std::int64_t group = pair_layers_per_block(width);
    CHECK(group * width == PairAttentionPolicy::gradient_columns);
    // Backward: logits and dA of 16 x 64, gradients, dV: 32 + 32 + 2 a column + width / 2; room for
    // fragments.
    CHECK(64 + PairAttentionPolicy::gradient_columns / 2 + width / 2 <= 160);
    CHECK(pair_layer_groups(width, 1) == 1);
    CHECK(pair_layer_groups(width, group) == 1);
    CHECK(pair_layer_groups(width, group + 1) == 2);
    CHECK(pair_layer_groups(width, backend::max_pair_layers) * group >= backend::max_pair_layers);
  }
}

TEST_CASE("widths are padded to those with kernels") {
  CHECK(pair_padded_width(0) == 0);
  CHECK(pair_padded_width(1) == 16);
  CHECK(pair_padded_width(16) == 16);
  CHECK(pair_padded_width(24) == 32);
  CHECK(pair_padded_width(32) == 32);
  CHECK(pair_padded_width(33) == 64);
  CHECK(pair_padded_width(64) == 64);
  CHECK(pair_padded_width(65) == 0);
}

namespace {
/// Lists of one sub-slice, kept while a plan points to them.
struct Lists {
  std::vector<std::int64_t> offsets{0}, rows, columns;
  std::vector<std::int32_t> listed;
};
/// One pair in five is listed, none in row 3. Mirrored: each with its mirror, and pairs asked for by row,
/// some twice, each with its mirror, too; else any pairs in any order, with repeats.
Lists random_lists(std::int64_t n, bool mirrored, std::mt19937& bits) {
  const auto size = static_cast<std::size_t>(n);
  std::vector<std::vector<bool>> chosen(size, std::vector<bool>(size)), asked = chosen;
  for (std::size_t i = 0; i < size; ++i)
    for (std::size_t j = 0; j < size; ++j) {
      const bool take = bits() % 5 == 0, ask = bits() % 9 == 0;
      if (mirrored && j > i) continue;
      if (i != 3 && (!mirrored || j != 3)) chosen[i][j] = take;
      asked[i][j] = ask;
      if (mirrored) {
        chosen[j][i] = chosen[i][j];
        asked[j][i] = ask;
      }
    }
  Lists lists;
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      if (chosen[i][j]) lists.listed.push_back(static_cast<std::int32_t>(j));
      for (std::size_t times = mirrored && asked[i][j] ? 1 + (i + j) % 2 : 0; times > 0; --times) {
        lists.rows.push_back(static_cast<std::int64_t>(i));
        lists.columns.push_back(static_cast<std::int64_t>(j));
      }
    }
    lists.offsets.push_back(static_cast<std::int64_t>(lists.listed.size()));
    if (mirrored) continue;
    lists.rows.push_back(static_cast<std::int64_t>(bits() % static_cast<unsigned>(n)) / 2);
    lists.columns.push_back(static_cast<std::int64_t>(bits() % static_cast<unsigned>(n)) / 3);
  }
  return lists;
}

void check_batch(bool mirrored) {
  std::mt19937 bits(3);
  PairBatchPlan plan;
  std::deque<Lists> kept;
  std::vector<std::vector<Pair>> listed, asked;
  std::int64_t entry = 0, number = 0;
  for (const std::int64_t n : {5, 0, 1, 64, 65, 130}) {
    const Lists& lists = kept.emplace_back(random_lists(n, mirrored, bits));
    listed.emplace_back();
    asked.emplace_back();
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t p = lists.offsets[static_cast<std::size_t>(i)];
           p < lists.offsets[static_cast<std::size_t>(i) + 1]; ++p)
        listed.back().push_back({i, lists.listed[static_cast<std::size_t>(p)], entry++});
    for (std::size_t p = 0; p < lists.rows.size(); ++p)
      asked.back().push_back({lists.rows[p], lists.columns[p], number++});
    plan.add(lists.offsets, lists.listed, lists.rows, lists.columns);
    std::vector<std::int32_t> mirrors(lists.listed.size());
    CHECK(backend::detail::find_mirrors(lists.offsets, lists.listed, mirrors) == (mirrored || n < 2));
  }
  CHECK(plan.slices() == 6);
  CHECK(plan.nodes() == 265);
  CHECK(plan.entries() == entry);
  CHECK(plan.pairs() == number);
  std::vector<std::uint64_t> store(static_cast<std::size_t>(plan.bytes() / 8));
  REQUIRE(plan.bytes() % 8 == 0);
  plan.write(reinterpret_cast<std::byte*>(store.data()));
  const backend::PairBatch batch = plan.view(reinterpret_cast<const std::byte*>(store.data()));
  CHECK(batch.slices == 6);
  CHECK(batch.tiles == 1 + 0 + 1 + 1 + 2 + 3);
  for (std::int64_t t = 0; t < batch.tiles; ++t) {
    const std::int32_t slice = batch.tile_slice[t];
    CHECK(batch.tile_first[t] % 64 == 0);
    CHECK(batch.tile_first[t] < batch.node_offsets[slice + 1] - batch.node_offsets[slice]);
  }
  for (std::int64_t s = 0; s < 6; ++s) {
    const auto at = static_cast<std::size_t>(s);
    CHECK(pairs_of(batch, s, batch.bias_by_row, false) == listed[at]);
    CHECK(pairs_of(batch, s, batch.bias_by_column, true) == listed[at]);
    CHECK(pairs_of(batch, s, batch.pairs_by_row, false) == asked[at]);
    CHECK(pairs_of(batch, s, batch.pairs_by_column, true) == asked[at]);
  }
  plan.clear();
  CHECK(plan.nodes() == 0);
}
}  // namespace

TEST_CASE("a batch lists every pair once by row and once by column") { check_batch(false); }

TEST_CASE("a batch of pairs with mirrors, asked for by row, lists the same") { check_batch(true); }

TEST_CASE("a batch without listed pairs has no strips") {
  PairBatchPlan plan;
  const std::vector<std::int64_t> offsets(11, 0);
  plan.add(offsets, std::vector<std::int32_t>{});
  std::vector<std::uint64_t> store(static_cast<std::size_t>(plan.bytes() / 8));
  plan.write(reinterpret_cast<std::byte*>(store.data()));
  const auto batch = plan.view(reinterpret_cast<const std::byte*>(store.data()));
  CHECK(batch.bias_by_row.offsets == nullptr);
  CHECK(batch.pairs_by_column.offsets == nullptr);
  CHECK(batch.nodes == 10);
}

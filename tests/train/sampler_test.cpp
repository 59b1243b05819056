// SPDX-License-Identifier: MIT
#include "stofm/train/corpus_sampler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "stofm/train/data_split.hpp"

namespace {

using namespace stofm;
using train::CorpusSampler;
using train::PieceRef;
using train::SamplerOptions;

const std::vector<train::SlicePieces> slices{{0, 3, 100}, {2, 1, 50}, {3, 7, 300}, {4, 0, 10}, {7, 2, 60}};

std::set<std::pair<std::int64_t, std::int64_t>> places(const std::vector<PieceRef>& order) {
  std::set<std::pair<std::int64_t, std::int64_t>> found;
  for (const auto& ref : order) found.insert({ref.slice, ref.piece});
  return found;
}

}  // namespace

TEST_CASE("an epoch visits every piece once, in an order of its own") {
  const CorpusSampler sampler(slices, {.seed = 4});
  CHECK(sampler.pieces_per_epoch() == 13);
  const auto first = sampler.epoch_order(0), second = sampler.epoch_order(1);
  CHECK(first.size() == 13);
  CHECK(places(first).size() == 13);
  CHECK(places(second) == places(first));
  CHECK(first == sampler.epoch_order(0));
  const auto differs = [](const auto& a, const auto& b) {
    return !std::equal(a.begin(), a.end(), b.begin(), [](const PieceRef& x, const PieceRef& y) {
      return x.slice == y.slice && x.piece == y.piece;
    });
  };
  CHECK(differs(first, second));
  CHECK(differs(first, CorpusSampler(slices, {.seed = 5}).epoch_order(0)));
  const auto plain = CorpusSampler(slices, {.seed = 4, .shuffle = false}).epoch_order(2);
  CHECK(plain.front() == PieceRef{0, 0, 2});
  CHECK(plain.back() == PieceRef{7, 1, 2});
}

TEST_CASE("a global batch is the same list for any number of ranks") {
  for (const int ranks : {1, 2, 3, 6}) {
    CorpusSampler whole(slices, {.seed = 8, .batch = 6});
    std::vector<CorpusSampler> parts;
    for (int rank = 0; rank < ranks; ++rank)
      parts.emplace_back(slices, SamplerOptions{.seed = 8, .batch = 6 / ranks, .rank = rank, .ranks = ranks});
    for (int b = 0; b < 9; ++b) {
      std::vector<PieceRef> joined;
      for (auto& part : parts)
        for (const auto& ref : part.next()) joined.push_back(ref);
      CHECK(joined == whole.next());
      for (auto& part : parts) CHECK(part.position() == whole.position());
    }
  }
}

TEST_CASE(
    "a restored sampler goes on as if it had never stopped: mid-epoch, at the end of one, with other ranks") {
  CorpusSampler through(slices, {.seed = 2, .batch = 1});
  std::vector<PieceRef> all;
  std::vector<train::SamplerPosition> before;
  for (int i = 0; i < 40; ++i) {
    before.push_back(through.position());
    all.push_back(through.next().front());
  }
  CHECK(before[13] == train::SamplerPosition{1, 0});
  CHECK(all[13].epoch == 1);
  for (const std::size_t at : {0U, 1U, 12U, 13U, 14U, 25U, 26U, 30U}) {
    CorpusSampler resumed(slices, {.seed = 2, .batch = 2, .ranks = 2});
    resumed.restore(before[at]);
    std::vector<PieceRef> batch = resumed.next_global();
    for (const auto& ref : resumed.next_global()) batch.push_back(ref);
    CHECK(std::equal(batch.begin(), batch.end(), all.begin() + static_cast<std::ptrdiff_t>(at)));
  }
  CHECK(through.batches_in(2) == 26);
  CHECK(CorpusSampler(slices, {.batch = 4, .ranks = 2}).batches_in(1) == 2);
}

TEST_CASE("windows keep slices together that fit, and still visit everything") {
  const CorpusSampler sampler(slices, {.seed = 3, .window_bytes = 160});
  std::set<std::vector<std::int64_t>> orders;
  for (std::int64_t epoch = 0; epoch < 6; ++epoch) {
    const auto order = sampler.epoch_order(epoch);
    CHECK(places(order).size() == 13);
    // At any place, the slices that have begun and are not over fit a window, or are a single large one.
    std::map<std::int64_t, std::pair<std::size_t, std::size_t>> spans;
    std::vector<std::int64_t> list;
    for (std::size_t i = 0; i < order.size(); ++i) {
      spans.try_emplace(order[i].slice, i, i).first->second.second = i;
      list.push_back(order[i].slice);
    }
    orders.insert(list);
    for (std::size_t i = 0; i < order.size(); ++i) {
      std::int64_t bytes = 0, open = 0;
      for (const auto& slice : slices)
        if (const auto span = spans.find(slice.slice);
            span != spans.end() && span->second.first <= i && i <= span->second.second) {
          bytes += slice.bytes;
          ++open;
        }
      CHECK((bytes <= 160 || open == 1));
    }
  }
  CHECK(orders.size() > 3);
}

TEST_CASE(
    "pieces per slice: slices count alike, a large one goes on where it stopped, a small one begins again") {
  const std::int64_t drawn = 4;
  const CorpusSampler sampler(slices, {.seed = 6, .pieces_per_slice = drawn});
  std::int64_t with_pieces = 0;
  for (const auto& slice : slices) with_pieces += slice.pieces > 0;
  CHECK(sampler.pieces_per_epoch() == drawn * with_pieces);
  std::map<std::int64_t, std::vector<PieceRef>> of_slice;
  for (std::int64_t epoch = 0; epoch < 15; ++epoch) {
    const auto order = sampler.epoch_order(epoch);
    std::map<std::int64_t, std::int64_t> times;
    for (const auto& ref : order) ++times[ref.slice];
    for (const auto& [slice, count] : times) CHECK(count == drawn);
    CHECK(times.size() == static_cast<std::size_t>(with_pieces));
    CHECK(order == sampler.epoch_order(epoch));
    for (const auto& ref : order) of_slice[ref.slice].push_back(ref);
  }
  for (const auto& slice : slices) {
    if (slice.pieces == 0) continue;
    // No draw twice (masks are keyed by it), and every visit that is over has seen every piece once.
    std::set<std::pair<std::int64_t, std::int64_t>> draws;
    std::map<std::int64_t, std::set<std::int64_t>> visits;
    for (const auto& ref : of_slice[slice.slice]) {
      draws.emplace(ref.epoch, ref.piece);
      visits[ref.epoch].insert(ref.piece);
    }
    CHECK(draws.size() == static_cast<std::size_t>(15 * drawn));
    for (std::int64_t visit = 0; visit < 15 * drawn / slice.pieces; ++visit)
      CHECK(visits[visit].size() == static_cast<std::size_t>(slice.pieces));
  }
  CorpusSampler through(slices, {.seed = 6, .batch = 3, .pieces_per_slice = drawn});
  for (int i = 0; i < 7; ++i) through.next();
  CorpusSampler resumed(slices, {.seed = 6, .batch = 3, .pieces_per_slice = drawn});
  resumed.restore(through.position());
  for (int i = 0; i < 9; ++i) CHECK(resumed.next() == through.next());
}

TEST_CASE("what can not be sampled is refused") {
  CHECK_THROWS_AS(CorpusSampler({}, {}), UsageError);
  CHECK_THROWS_AS(CorpusSampler({{0, 0, 5}}, {}), UsageError);
  for (const SamplerOptions& bad :
       {SamplerOptions{.batch = 0}, SamplerOptions{.rank = 1}, SamplerOptions{.rank = -1},
        SamplerOptions{.ranks = 0}, SamplerOptions{.window_bytes = -1},
        SamplerOptions{.pieces_per_slice = -1}})
    CHECK_THROWS_AS(CorpusSampler(slices, bad), UsageError);
  CorpusSampler sampler(slices, {});
  CHECK_THROWS_AS(sampler.restore({0, 13}), UsageError);
  CHECK_THROWS_AS(sampler.restore({-1, 0}), UsageError);
  CHECK_THROWS_AS(sampler.restore({0, -1}), UsageError);
}

TEST_CASE("slices are held out by name or by share") {
  const std::vector<std::filesystem::path> files{"x/a.h5ad", "x/b.h5ad", "y/c.h5ad", "y/d.h5ad", "y/e.h5ad"};
  const auto named = train::split_slices(files, {.validation = {"c", "x/a.h5ad", "e.h5ad"}, .fraction = 0.5});
  CHECK(named.validation == std::vector<std::int64_t>{0, 2, 4});
  CHECK(named.training == std::vector<std::int64_t>{1, 3});
  CHECK(train::split_slices(files, {}).validation.empty());
  std::set<std::vector<std::int64_t>> chosen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto split = train::split_slices(files, {.fraction = 0.4, .seed = seed});
    CHECK(split.validation.size() == 2);
    CHECK(split.training.size() == 3);
    chosen.insert(split.validation);
  }
  CHECK(chosen.size() > 4);
  CHECK(train::split_slices(files, {.fraction = 0.01}).validation.size() == 1);
  CHECK(train::split_slices(files, {.fraction = 0.99}).training.size() == 1);
  // The same slice whatever the order of the list.
  const std::vector<std::filesystem::path> turned(files.rbegin(), files.rend());
  const auto a = train::split_slices(files, {.fraction = 0.2}),
             b = train::split_slices(turned, {.fraction = 0.2});
  CHECK(files[static_cast<std::size_t>(a.validation[0])] ==
        turned[static_cast<std::size_t>(b.validation[0])]);

  const auto one = train::split_slices({"a.h5ad"}, {.fraction = 0.5});
  CHECK(one.training.size() == 1);
  CHECK(one.notices.size() == 1);
  CHECK_THROWS_AS(train::split_slices(files, {.validation = {"f"}}), UsageError);
  CHECK_THROWS_AS(train::split_slices({"x/a.h5ad", "y/a.h5ad"}, {.validation = {"a"}}), UsageError);
  CHECK_THROWS_AS(train::split_slices({"a.h5ad"}, {.validation = {"a"}}), UsageError);
  CHECK_THROWS_AS(train::split_slices(files, {.fraction = 1}), UsageError);
  CHECK_THROWS_AS(train::split_slices(files, {.fraction = -0.1}), UsageError);
}

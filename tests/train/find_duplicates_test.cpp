// SPDX-License-Identifier: MIT
#include "stofm/train/find_duplicates.hpp"

#include <doctest/doctest.h>

#include "stofm/core/error.hpp"

namespace {

using namespace stofm;
using train::CellFingerprints;
using train::Fingerprints;

/// Cells [begin, end) of tissue `which`.
Fingerprints cells(std::uint64_t which, std::uint64_t begin, std::uint64_t end) {
  Fingerprints prints;
  for (std::uint64_t i = begin; i < end; ++i) prints.push_back(train::mix_bits(which * 1'000'000 + i + 1));
  return train::sorted_fingerprints(prints);
}

train::FingerprintSource source(const std::vector<CellFingerprints>& slices) {
  return [&slices](std::int64_t i, bool sketches) {
    const CellFingerprints& all = slices[static_cast<std::size_t>(i)];
    if (!sketches) return all;
    return CellFingerprints{train::sketch_of(all.counts), train::sketch_of(all.places)};
  };
}

}  // namespace

TEST_CASE("shares of common cells are exact, whatever the sizes") {
  const std::vector<CellFingerprints> slices{
      {cells(1, 0, 40000), {}},                // 0
      {cells(2, 0, 3000), {}},                 // 1: of its own
      {cells(1, 20000, 20300), {}},            // 2: a window of 0
      {cells(1, 39000, 43000), {}},            // 3: a quarter of it is in 0
      {cells(3, 0, 500), cells(9, 0, 500)},    // 4
      {cells(4, 0, 500), cells(9, 100, 600)},  // 5: other counts, the places of 4
      {cells(1, 39990, 45000), {}},            // 6: 10 cells of 0, 3,000 of 3
  };
  const auto found = train::find_common_cells(7, source(slices));
  REQUIRE(found.size() == 4);
  CHECK(found[0].a == 0);
  CHECK(found[0].b == 2);
  CHECK(found[0].counts == 1);
  CHECK(found[1].b == 3);
  CHECK(found[1].counts == 0.25);
  CHECK(found[2].a == 3);
  CHECK(found[2].b == 6);
  CHECK(found[2].counts == doctest::Approx(3010.0 / 4000));
  CHECK(found[3].a == 4);
  CHECK(found[3].counts == 0);
  CHECK(found[3].places == 0.8);
  const auto of = train::leave_out_duplicates({0, 6, 3, 1, 4, 5, 2}, found, 0.5);
  CHECK(of == std::vector<std::int64_t>{-1, -1, 0, 6, -1, 4, -1});
  CHECK(train::leave_out_duplicates({0, 3, 6, 1, 5, 4, 2}, found, 0.9) ==
        std::vector<std::int64_t>{-1, -1, 0, -1, -1, -1, -1});
}

TEST_CASE("a hundred copies of a slice leave one") {
  std::vector<CellFingerprints> slices(100, {cells(5, 0, 200), {}});
  const auto found = train::find_common_cells(100, source(slices));
  std::vector<std::int64_t> order(100);
  for (std::size_t i = 0; i < 100; ++i) order[i] = static_cast<std::int64_t>(i);
  const auto of = train::leave_out_duplicates(order, found, 0.5);
  CHECK(std::count(of.begin(), of.end(), -1) == 1);
  CHECK(of[99] == 0);
}

TEST_CASE("shares that are none are refused") {
  const std::vector<CellFingerprints> none;
  CHECK_THROWS_AS(train::find_common_cells(0, source(none), {.report = 0}), UsageError);
  CHECK_THROWS_AS(train::find_common_cells(0, source(none), {.report = 0.6}), UsageError);
  CHECK(train::find_common_cells(0, source(none)).empty());
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/pipeline/cuda_numbered_distances.hpp"
#include "tests/model/random_model.hpp"

using namespace stofm;
using pipeline::NumberedDistances;

namespace {
/// Whether each pair has the distance of its number and stands among the pairs of that number, once, in
/// order.
void check_numbers(const PairDistances& list, const NumberedDistances& numbers) {
  const std::size_t entries = list.columns.size();
  REQUIRE(numbers.distance_of.size() == entries);
  REQUIRE(numbers.entries.size() == entries);
  REQUIRE(numbers.offsets.size() == numbers.distances.size() + 1);
  CHECK(numbers.offsets.front() == 0);
  CHECK(numbers.offsets.back() == static_cast<std::int32_t>(entries));
  std::vector<int> seen(entries);
  for (std::size_t number = 0; number < numbers.distances.size(); ++number) {
    const auto begin = numbers.entries.begin() + numbers.offsets[number],
               end = numbers.entries.begin() + numbers.offsets[number + 1];
    CHECK(begin < end);
    CHECK(std::is_sorted(begin, end));
    for (auto e = begin; e < end; ++e) {
      const auto pair = static_cast<std::size_t>(*e);
      ++seen[pair];
      CHECK(numbers.distance_of[pair] == static_cast<std::int32_t>(number));
      CHECK(list.values[pair] == numbers.distances[number]);
    }
  }
  CHECK(seen == std::vector<int>(entries, 1));
}
}  // namespace

TEST_CASE("a pair and its mirror share a number: half as many as pairs, and one a node with itself") {
  const auto piece = test::random_sub_slice(130, 7, 4, 3, 9);
  const NumberedDistances numbers = pipeline::number_distances(piece.distances);
  check_numbers(piece.distances, numbers);
  std::size_t diagonal = 0;
  for (std::size_t i = 0; i + 1 < piece.distances.row_offsets.size(); ++i)
    for (std::int64_t p = piece.distances.row_offsets[i]; p < piece.distances.row_offsets[i + 1]; ++p)
      diagonal +=
          piece.distances.columns[static_cast<std::size_t>(p)] == static_cast<std::int32_t>(i) ? 1 : 0;
  CHECK(numbers.distances.size() == (piece.distances.columns.size() + diagonal) / 2);
  CHECK(numbers.distances.size() > 500);
}

TEST_CASE("pairs without a mirror, or with another distance there, are numbered by distance") {
  PairDistances list;
  list.row_offsets = {0, 2, 3, 4};
  list.columns = {0, 1, 0, 1};  // (2, 1) has no mirror
  list.values = {0.0F, 2.0F, 2.0F, 1.0F};
  NumberedDistances numbers = pipeline::number_distances(list);
  check_numbers(list, numbers);
  CHECK(numbers.distances == std::vector<float>{0.0F, 1.0F, 2.0F});
  list.row_offsets = {0, 1, 2, 2};
  list.columns = {1, 0};
  list.values = {2.0F, 3.0F};
  numbers = pipeline::number_distances(list);
  check_numbers(list, numbers);
  CHECK(numbers.distances == std::vector<float>{2.0F, 3.0F});
  list.row_offsets = {0, 2, 2, 2};
  list.columns = {1, 2};  // above the diagonal alone: more pairs than places
  list.values = {3.0F, 3.0F};
  numbers = pipeline::number_distances(list);
  check_numbers(list, numbers);
  CHECK(numbers.distances == std::vector<float>{3.0F});
  list.row_offsets = {0, 0, 1, 2};
  list.columns = {0, 1};  // below it alone
  numbers = pipeline::number_distances(list);
  check_numbers(list, numbers);
}

TEST_CASE("no pairs have no numbers") {
  PairDistances list;
  list.row_offsets = {0, 0, 0};
  const NumberedDistances numbers = pipeline::number_distances(list);
  CHECK(numbers.distances.empty());
  CHECK(numbers.offsets == std::vector<std::int32_t>{0});
}

TEST_CASE("a distance that is negative or not finite is refused, by its nodes") {
  for (const float bad : {-1.0F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    PairDistances list;
    list.row_offsets = {0, 1, 2};
    list.columns = {1, 0};
    list.values = {bad, bad};
    try {
      pipeline::number_distances(list);
      FAIL("took it");
    } catch (const DataError& error) {
      CHECK(error.code() == "STOFM-1330");
      CHECK(error.where() == "distance of node 0 to node 1");
    }
  }
}

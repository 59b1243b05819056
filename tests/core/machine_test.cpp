// SPDX-License-Identifier: MIT
#include "stofm/core/machine.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace stofm;

TEST_CASE("memory of machine and process: the parts are not larger than the whole") {
  const std::int64_t machine = physical_memory(), available = available_physical_memory();
  CHECK(machine > 0);
  CHECK(available > 0);
  if (available != unknown_memory) CHECK(available <= machine);
  const std::int64_t mapped = address_space_in_use();
  CHECK(mapped >= 0);
  const std::int64_t before = peak_resident_memory();
  CHECK(before > 100'000);                  // a unit of 1,024 bytes left out would be less,
  CHECK(before < std::int64_t{64} << 30);   // one too many more
  if (mapped > 0) CHECK(before <= mapped);  // nothing was given back yet
  constexpr std::int64_t more = 64 << 20;
  std::vector<char> used(static_cast<std::size_t>(before + more), 'x');
  CHECK(peak_resident_memory() >= before + more);
  CHECK(used.back() == 'x');
}

TEST_CASE("the second-level cache is of a size that a core can have, or not known") {
  const std::int64_t bytes = level2_cache();
  if (bytes == 0) return;
  CHECK(bytes >= 64 << 10);
  CHECK(bytes <= 1 << 30);
}

TEST_CASE("the program knows its own file") {
  const std::filesystem::path self = program_file();
  REQUIRE_FALSE(self.empty());
  CHECK(self.is_absolute());
  CHECK(std::filesystem::is_regular_file(self));
}

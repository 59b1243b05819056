// SPDX-License-Identifier: MIT
// The working memory that threads keep: grown, shared by calls of a slot, counted apart, given back.
#include <doctest/doctest.h>

#include <thread>

#include "stofm/backend/cpu/scratch.hpp"
#include "stofm/core/error.hpp"

using namespace stofm;

TEST_CASE("a thread keeps one block per slot, counts it, and gives it back when it ends") {
  MemoryState& state = memory_state();
  const std::int64_t in_use = state.in_use, kept = state.kept;
  std::int64_t kept_small = 0, kept_large = 0, in_use_large = 0;
  bool same = false, apart = false;
  std::thread([&] {
    auto* const first = backend::scratch<float, 41>(100);
    kept_small = state.kept - kept;
    same = backend::scratch<float, 41>(90) == first;
    apart = backend::scratch<float, 42>(10) != first;
    (void)backend::scratch<float, 41>(1000);
    kept_large = state.kept - kept;
    in_use_large = state.in_use - in_use;
  }).join();
  CHECK(same);
  CHECK(apart);
  CHECK(kept_small == 500);        // 400 bytes and a quarter
  CHECK(kept_large == 5000 + 50);  // the smaller block of the slot is gone
  CHECK(in_use_large == kept_large);
  CHECK(state.kept == kept);
  CHECK(state.in_use == in_use);
}

TEST_CASE("a block that can't grow leaves none, and the next call makes one") {
  MemoryState& state = memory_state();
  const std::int64_t kept = state.kept;
  std::thread([&] {
    const auto block = [](std::int64_t count) { return backend::scratch<float, 43>(count); };
    (void)block(100);
    state.fail = [](std::size_t) { return true; };
    CHECK_THROWS_AS((void)block(1000), ResourceError);
    state.fail = nullptr;
    CHECK(state.kept == kept);
    CHECK(block(1000) != nullptr);
    CHECK(state.kept == kept + 5000);
  }).join();
  CHECK(state.kept == kept);
}

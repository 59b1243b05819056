// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which cases of the device tests are left out where every access is watched, which takes a hundred times
/// as long: TEST_CASE("..." * doctest::skip(stofm::test::only_small_sizes())).

#include <cstdlib>

namespace stofm::test {

/// Whether STOFM_GPU_SMALL is set: run.sh sets it for compute-sanitizer.
inline bool only_small_sizes() { return std::getenv("STOFM_GPU_SMALL") != nullptr; }

}  // namespace stofm::test

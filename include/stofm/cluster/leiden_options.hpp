// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What Leiden is told: a plain struct, for those who pass it on without the algorithm.

#include <cstdint>

#include "stofm/core/stop_check.hpp"

namespace stofm::cluster {

/// Which clusters a pass looks into, and in which order nodes are visited.
enum class LeidenWalk {
  by_size,     ///< everywhere up to leiden_everywhere_up_to nodes, local above
  everywhere,  ///< all clusters in every pass, nodes shuffled
  local,       ///< after two passes those that changed, nodes shuffled within blocks of neighbours
};

/// Nodes. Below it everything takes seconds, and labels are those of the first release.
inline constexpr std::int64_t leiden_everywhere_up_to = 100'000;

struct LeidenOptions {
  double resolution = 1.0;       ///< g; SPEC section 3
  std::int64_t max_passes = -1;  ///< -1: until stable (SPEC section 3)
  std::uint64_t seed = 0;        ///< of the order in which nodes are looked at
  LeidenWalk walk = LeidenWalk::by_size;
  StopCheck stop = {};  ///< asked by the calling thread
};

}  // namespace stofm::cluster

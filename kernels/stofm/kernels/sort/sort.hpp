// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Sorts and running sums of whole arrays on the thread's current stream: CUB's, or loops in the emulator
/// (instantiate/sort.cu). Memory beside the arrays comes from the pool. Both are exact, so the result does
/// not depend on timing.

#include <cstdint>

#include "stofm/core/device.hpp"

namespace stofm::kernels {

/// Queues a stable sort by the lowest `key_bits` bits (1 to 64) of the keys, ascending; values move along.
void sort_pairs(Cuda device, std::uint64_t* keys, std::uint32_t* values, std::int64_t items, int key_bits);

/// Queues sums: each of `count` values becomes the sum of those before it, values[count] the sum of all.
void running_sums(Cuda device, std::int64_t* values, std::int64_t count);

}  // namespace stofm::kernels

// SPDX-License-Identifier: MIT
// The kernels of losses on a device.
#include "tests/kernels/losses_cases.hpp"

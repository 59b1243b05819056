// SPDX-License-Identifier: MIT
// The optimizer on a device.
#include "tests/kernels/optimizer_cases.hpp"

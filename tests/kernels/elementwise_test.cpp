// SPDX-License-Identifier: MIT
// The kernels of elementwise, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/elementwise_cases.hpp"

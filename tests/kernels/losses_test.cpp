// SPDX-License-Identifier: MIT
// The kernels of losses, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/losses_cases.hpp"

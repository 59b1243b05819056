// SPDX-License-Identifier: MIT
// The kernels of losses, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/losses.cu"
#include "kernels/instantiate/runtime.cu"
#include "tests/kernels/losses_cases.hpp"

// SPDX-License-Identifier: MIT
// The kernels of rows, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/rows_cases.hpp"

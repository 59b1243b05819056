// SPDX-License-Identifier: MIT
// The kernels of rows, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/rows.cu"
#include "kernels/instantiate/runtime.cu"
#include "tests/kernels/rows_cases.hpp"

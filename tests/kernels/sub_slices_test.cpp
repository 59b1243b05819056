// SPDX-License-Identifier: MIT
// The kernels that cut a slice and build its pieces, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/sub_slices_cases.hpp"

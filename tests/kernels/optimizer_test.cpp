// SPDX-License-Identifier: MIT
// The optimizer, its kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/optimizer_cases.hpp"

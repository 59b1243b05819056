// SPDX-License-Identifier: MIT
// Domain adaptation with the passes of a device, their kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/cuda_adapt_cases.hpp"

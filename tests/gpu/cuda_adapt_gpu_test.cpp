// SPDX-License-Identifier: MIT
// Domain adaptation on a device: what the emulated test checks.
#include "tests/kernels/cuda_adapt_cases.hpp"

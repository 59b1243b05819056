// SPDX-License-Identifier: MIT
// The runner of the SE(2) Transformer, its kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "stofm/kernels/runtime/memory.cuh"
#include "tests/kernels/se2_encoder_cases.hpp"

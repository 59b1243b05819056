// SPDX-License-Identifier: MIT
// Training passes of the cell encoder of the CUDA backend, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/cell_encoder_trainer_cases.hpp"

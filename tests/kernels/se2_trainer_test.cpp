// SPDX-License-Identifier: MIT
// Training steps of the SE(2) Transformer, their kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/se2_trainer_cases.hpp"

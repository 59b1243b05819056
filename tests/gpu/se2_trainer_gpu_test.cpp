// SPDX-License-Identifier: MIT
// Training steps of the SE(2) Transformer on a device: what the emulated test checks.
#include "tests/kernels/se2_trainer_cases.hpp"

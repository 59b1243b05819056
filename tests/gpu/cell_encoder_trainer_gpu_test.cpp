// SPDX-License-Identifier: MIT
// Training passes of the cell encoder on a device.
#include "tests/kernels/cell_encoder_trainer_cases.hpp"

// SPDX-License-Identifier: MIT
// The cell encoder on a device.
#include "tests/kernels/cell_encoder_cases.hpp"

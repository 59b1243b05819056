// SPDX-License-Identifier: MIT
// Layer normalisation on a device.
#include "tests/kernels/layer_norm_cases.hpp"

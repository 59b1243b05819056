// SPDX-License-Identifier: MIT
// The distance bias on a device.
#include "tests/kernels/gaussian_bias_cases.hpp"

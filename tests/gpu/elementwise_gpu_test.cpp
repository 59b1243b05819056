// SPDX-License-Identifier: MIT
// The kernels of elementwise on a device.
#include "tests/kernels/elementwise_cases.hpp"

// SPDX-License-Identifier: MIT
// The kernels of rows on a device.
#include "tests/kernels/rows_cases.hpp"

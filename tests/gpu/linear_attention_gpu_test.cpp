// SPDX-License-Identifier: MIT
// The linear layer and attention over packed sequences on a device.
#include "tests/kernels/linear_attention_cases.hpp"

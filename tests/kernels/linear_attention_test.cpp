// SPDX-License-Identifier: MIT
// The linear layer and attention over packed sequences of the CUDA backend, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/linear_attention_cases.hpp"

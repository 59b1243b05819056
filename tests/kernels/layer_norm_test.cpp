// SPDX-License-Identifier: MIT
// Layer normalisation, its kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/layer_norm_cases.hpp"

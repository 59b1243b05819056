// SPDX-License-Identifier: MIT
// Layer normalisation, its kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/layer_norm.cu"
#include "kernels/instantiate/runtime.cu"
#include "tests/kernels/layer_norm_cases.hpp"

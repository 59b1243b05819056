// SPDX-License-Identifier: MIT
// Pretraining with the steps of a device, their kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "tests/kernels/cuda_pretrain_cases.hpp"

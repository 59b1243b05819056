// SPDX-License-Identifier: MIT
// Pretraining on a device: what the emulated test checks.
#include "tests/kernels/cuda_pretrain_cases.hpp"

// SPDX-License-Identifier: MIT
// The runner of the SE(2) Transformer, its kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/gaussian_bias.cu"
#include "kernels/instantiate/pair_attention_forward.cu"
#include "kernels/instantiate/runtime.cu"
#include "kernels/instantiate/se2_encoder.cu"
#include "tests/kernels/se2_encoder_cases.hpp"

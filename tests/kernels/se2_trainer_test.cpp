// SPDX-License-Identifier: MIT
// Training steps of the SE(2) Transformer, their kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/gaussian_bias.cu"
#include "kernels/instantiate/optimizer.cu"
#include "kernels/instantiate/pair_attention_backward.cu"
#include "kernels/instantiate/pair_attention_backward_keys.cu"
#include "kernels/instantiate/pair_attention_backward_queries.cu"
#include "kernels/instantiate/pair_attention_forward.cu"
#include "kernels/instantiate/runtime.cu"
#include "kernels/instantiate/se2_trainer.cu"
#include "tests/kernels/se2_trainer_cases.hpp"

// SPDX-License-Identifier: MIT
// Domain adaptation with the passes of a device, their kernels run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/cell_encoder_trainer.cu"
#include "kernels/instantiate/layer_norm.cu"
#include "kernels/instantiate/optimizer.cu"
#include "kernels/instantiate/rows.cu"
#include "kernels/instantiate/runtime.cu"
#include "kernels/instantiate/sequence_attention_backward_bf16.cu"
#include "kernels/instantiate/sequence_attention_backward_float32.cu"
#include "kernels/instantiate/sequence_attention_backward_split_bf16.cu"
#include "kernels/instantiate/sequence_attention_forward_bf16.cu"
#include "kernels/instantiate/sequence_attention_forward_float32.cu"
#include "kernels/instantiate/sequence_attention_forward_split_bf16.cu"
#include "tests/kernels/cuda_adapt_cases.hpp"

// SPDX-License-Identifier: MIT
// Training passes of the cell encoder of the CUDA backend, run on the host.
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
#include "tests/kernels/cell_encoder_trainer_cases.hpp"

// SPDX-License-Identifier: MIT
// The linear layer and attention over packed sequences of the CUDA backend, run on the host.
#include "tests/kernels/support/emulator.hpp"

#include "kernels/instantiate/linear.cu"
#include "kernels/instantiate/runtime.cu"
#include "kernels/instantiate/sequence_attention_forward_bf16.cu"
#include "kernels/instantiate/sequence_attention_forward_float32.cu"
#include "kernels/instantiate/sequence_attention_forward_split_bf16.cu"
#include "kernels/instantiate/varlen_attention.cu"
#include "tests/kernels/linear_attention_cases.hpp"

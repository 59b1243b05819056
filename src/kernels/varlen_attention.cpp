// SPDX-License-Identifier: MIT
// Part of stofm::compiled (backend/cpu/instances.hpp).
#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/backend/cpu/instances.hpp"
#include "stofm/backend/cpu/softmax.hpp"

#undef STOFM_KERNEL_INSTANCE
#define STOFM_KERNEL_INSTANCE(...) template decltype(__VA_ARGS__) __VA_ARGS__;
#include "stofm/backend/cpu/varlen_attention.hpp"

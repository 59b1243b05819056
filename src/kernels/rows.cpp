// SPDX-License-Identifier: MIT
// Part of stofm::compiled (backend/cpu/instances.hpp).
#include "stofm/backend/cpu/instances.hpp"

#undef STOFM_KERNEL_INSTANCE
#define STOFM_KERNEL_INSTANCE(...) template decltype(__VA_ARGS__) __VA_ARGS__;
#include "stofm/backend/cpu/activation.hpp"
#include "stofm/backend/cpu/adamw.hpp"
#include "stofm/backend/cpu/column_sums.hpp"
#include "stofm/backend/cpu/cross_entropy.hpp"
#include "stofm/backend/cpu/dropout_mask.hpp"
#include "stofm/backend/cpu/gaussian.hpp"
#include "stofm/backend/cpu/layer_norm.hpp"
#include "stofm/backend/cpu/softmax.hpp"
#include "stofm/backend/cpu/sum_of_squares.hpp"

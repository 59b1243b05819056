// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention with its gradient in float32 on vectors. Formulas: ops/pair_attention_training.hpp; the
/// scheme is that of amx/pair_attention_training.hpp with one block of 32 rows at a time, products as in
/// linear.hpp: left operands row by row, right operands in panels. Limiter: the two FMA ports.

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "stofm/backend/cpu/pair_attention_training_state.hpp"
#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/backend/cpu/vector/dropout_mask.hpp"
#include "stofm/core/parallel.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/pair_attention_training.inc"
#include "stofm/backend/cpu/vector/each_set.inc"

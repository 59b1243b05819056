// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pair attention and its gradient in float32 on vectors. Formulas: ops/pair_attention.hpp. The forward is
/// attend_rows of attention.hpp; the gradient has the scheme of amx/pair_attention_backward.hpp with one
/// block of 32 rows at a time, products as in linear.hpp: left operands row by row, right operands in panels.
/// Limiter: the two FMA ports.

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "stofm/backend/cpu/pair_attention_state.hpp"
#include "stofm/backend/cpu/vector/attention.hpp"
#include "stofm/backend/cpu/vector/dropout_mask.hpp"
#include "stofm/core/parallel.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/vector/pair_attention.inc"
#include "stofm/backend/cpu/vector/each_set.inc"

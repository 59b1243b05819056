// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Softmax attention with bfloat16 operands: queries, keys, values and the weights are rounded; logits, their
/// maxima and sums are float32. The scheme of vector/attention.hpp: blocks of keys, logits in rows, the
/// words of the weights in their place. In pair attention a layer is kept as words: queries [heads][nodes, in
/// blocks of 32][words], keys [heads][panels].

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "stofm/backend/cpu/bfloat16/products.hpp"
#include "stofm/backend/cpu/vector/pair_attention.hpp"

#define STOFM_KERNEL_TEXT "stofm/backend/cpu/bfloat16/attention.inc"
#include "stofm/backend/cpu/bfloat16/each_form.inc"

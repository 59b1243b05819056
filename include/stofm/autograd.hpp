// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Automatic differentiation on the CPU: tape, differentiable ops, gradcheck, optimizer, schedules, losses,
/// modules.
///
///     auto loss = cross_entropy(relu(linear(constant(x), tape.parameter(w))), labels);
///     tape.backward(loss);

#include "stofm/autograd/gradcheck.hpp"
#include "stofm/autograd/parameter.hpp"
#include "stofm/autograd/recompute.hpp"
#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/broadcast.hpp"
#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/functions.hpp"
#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/l2_normalize.hpp"
#include "stofm/autograd/rules/layer_norm.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/autograd/rules/matmul.hpp"
#include "stofm/autograd/rules/reduce.hpp"
#include "stofm/autograd/rules/softmax.hpp"
#include "stofm/autograd/rules/varlen_attention.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "stofm/autograd/tape.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/nn/clip_gradients.hpp"
#include "stofm/nn/dropout.hpp"
#include "stofm/nn/modules.hpp"
#include "stofm/nn/schedule.hpp"
#include "stofm/tensor.hpp"

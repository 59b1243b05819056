// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tensors: shapes, views, slices, printing, random numbers, threads, errors, arithmetic element by element.
///
///     auto x = stofm::Tensor<float>::from({2, 3}, {1, 2, 3, 4, 5, 6});
///     std::cout << stofm::ops::exp(x.transpose(0, 1)) << x.shape();

#include "stofm/core/error.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/print.hpp"
#include "stofm/core/random.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/ops/broadcast.hpp"
#include "stofm/ops/elementwise.hpp"
#include "stofm/ops/functions.hpp"
#include "stofm/version.hpp"

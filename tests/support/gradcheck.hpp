// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// stofm/autograd/gradcheck.hpp under the name that tests use.

#include "stofm/autograd/gradcheck.hpp"

namespace stofm::test {
using autograd::gradcheck;
using autograd::gradcheck_parameters;
using autograd::GradcheckOptions;
using autograd::GradcheckResult;
namespace detail {
using namespace autograd::gradcheck_detail;
}
}  // namespace stofm::test

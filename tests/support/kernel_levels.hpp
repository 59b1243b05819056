// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Runs a test at every level of kernels that this machine has.

#include "stofm/core/cpu_features.hpp"

namespace stofm::test {

/// Calls body(level) with each level set, and puts back the one that was in use.
template <class Body>
void for_each_level(Body&& body) {
  const CpuKernels before = cpu_kernels();
  for (const CpuKernels level : cpu_kernel_levels()) {
    set_cpu_kernels(level);
    body(level);
  }
  set_cpu_kernels(before);
}

}  // namespace stofm::test

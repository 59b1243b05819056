// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Operands of products for tests. Include the emulator first.

#include <vector>

#include "stofm/kernels/encoder_block/convert.cuh"
#include "tests/kernels/support/device_array.hpp"

namespace stofm::test {

/// x in an operand form, made by the kernel that makes them on the device.
inline std::vector<bfloat16> parts_of(const emulator::Matrix<float>& x, kernels::OperandForm form) {
  std::vector<bfloat16> result(static_cast<std::size_t>(x.rows() * kernels::operand_row(form, x.columns())));
  kernels::ConvertParams<float> p;
  p.x = x.data();
  p.stride = x.stride();
  p.out = result.data();
  p.rows = x.rows();
  p.columns = x.columns();
  kernels::launch_convert(form, Activation::identity, p, {});
  return result;
}

}  // namespace stofm::test

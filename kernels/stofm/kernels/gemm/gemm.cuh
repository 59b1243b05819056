// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The library behind the products: `class Gemm` with `run(const GemmProblem&, CudaStream)`, over cuBLASLt,
/// or as loops where the kernels are emulated on the host.

#if defined(STOFM_KERNEL_EMULATOR)
#include "stofm/kernels/gemm/gemm_loops.hpp"
#else
#include "stofm/kernels/gemm/gemm_cublaslt.cuh"
#endif
#include "stofm/kernels/gemm/linear_product.hpp"

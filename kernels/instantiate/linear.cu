// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/linear.hpp"

#include <map>
#include <memory>

#include "stofm/kernels/gemm/finish_linear.cuh"
#include "stofm/kernels/gemm/gemm.cuh"

namespace stofm::backend {

/// The GEMM library of this thread and device.
static kernels::Gemm& thread_gemm(Cuda device) {
  static thread_local std::map<int, std::unique_ptr<kernels::Gemm>> made;
  auto& gemm = made[device.ordinal];
  if (!gemm) gemm = std::make_unique<kernels::Gemm>(device);
  return *gemm;
}

void linear(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x,
            TensorView<const float, Cuda> w, const float* bias, LinearOptions options) {
  if (y.numel() == 0) return;
  const CudaStream stream = current_stream(device);
  const bool in_epilogue = bias != nullptr && options.scale == 1.0 && options.activation != Activation::gelu;
  kernels::GemmProblem p;
  p.m = y.dim(0);
  p.n = y.dim(1);
  p.k = x.dim(1);
  p.a = x.data;
  p.stride_a = x.stride(0);
  p.b = w.data;
  p.stride_b = w.stride(0);
  p.d = y.data;
  p.stride_d = y.stride(0);
  p.tf32 = options.grade == MatmulGrade::bfloat16;
  p.alpha = static_cast<float>(options.scale);
  p.bias = bias;
  if (in_epilogue)
    p.epilogue = options.activation == Activation::relu ? kernels::GemmEpilogue::bias_relu
                                                        : kernels::GemmEpilogue::bias;
  thread_gemm(device).run(p, stream);
  if (!in_epilogue && (bias != nullptr || options.activation != Activation::identity))
    kernels::launch_finish_linear({y.data, bias, static_cast<float>(options.scale), options.activation,
                                   y.dim(0), y.dim(1), y.stride(0)},
                                  stream);
}

}  // namespace stofm::backend

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A whole step from a list of parameters: pieces are cut and copied to the device at each call. A runner
/// that keeps its parameters keeps their pieces too and calls launch.cuh.

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "stofm/backend/cuda/adamw.hpp"
#include "stofm/kernels/optimizer/launch.cuh"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels {

inline DeviceArray<ParameterPiece> pieces_to_device(Cuda device, const std::vector<ParameterPiece>& pieces) {
  DeviceArray<ParameterPiece> array(device, static_cast<std::int64_t>(pieces.size()));
  if (pieces.empty()) return array;
  STOFM_CUDA_CHECK(cudaMemcpyAsync(array.data(), pieces.data(), pieces.size() * sizeof(ParameterPiece),
                                   cudaMemcpyHostToDevice, native(thread_stream(device))));
  return array;
}

inline void adamw_step(Cuda device, std::span<const backend::CudaParameter> parameters,
                       const backend::CudaAdamWOptions& options) {
  AdamWParams params{};
  params.factor = static_cast<float>(options.gradient_factor);
  params.clear_gradients = options.clear_gradients;
  std::map<std::pair<bool, std::int64_t>, std::int64_t> groups;
  std::vector<ParameterPiece> pieces;
  for (const backend::CudaParameter& parameter : parameters) {
    const auto next = static_cast<std::int64_t>(groups.size());
    const auto [group, is_new] = groups.try_emplace({parameter.decays, parameter.step}, next);
    if (is_new) {
      if (next == AdamWParams::groups)
        throw UsageError({"STOFM-1510", "", "[adamw]", "parameters with more than 16 different step counts",
                          "at most 16", "Step them in several calls."});
      params.numbers[next] =
          adamw_numbers(options.learning_rate, options.beta1, options.beta2, options.epsilon,
                        parameter.decays ? options.weight_decay : 0.0, parameter.step);
    }
    append_pieces(
        pieces, {parameter.value, parameter.m, parameter.v, parameter.grad, parameter.count, group->second});
  }
  const DeviceArray<ParameterPiece> table = pieces_to_device(device, pieces);
  params.pieces = table.data();
  launch_adamw(params, static_cast<std::int64_t>(pieces.size()), thread_stream(device));
}

inline double global_norm(Cuda device, std::span<const backend::CudaParameter> parameters) {
  std::vector<ParameterPiece> pieces;
  for (const backend::CudaParameter& parameter : parameters)
    append_pieces(pieces, {nullptr, nullptr, nullptr, parameter.grad, parameter.count, 0});
  const DeviceArray<ParameterPiece> table = pieces_to_device(device, pieces);
  DeviceArray<double> squares(device, static_cast<std::int64_t>(pieces.size())), result(device, 1);
  const CudaStream stream = thread_stream(device);
  launch_global_norm({table.data(), squares.data(), result.data(), static_cast<std::int64_t>(pieces.size())},
                     stream);
  double norm = 0.0;
  STOFM_CUDA_CHECK(
      cudaMemcpyAsync(&norm, result.data(), sizeof(norm), cudaMemcpyDeviceToHost, native(stream)));
  STOFM_CUDA_CHECK(cudaStreamSynchronize(native(stream)));
  return norm;
}

}  // namespace stofm::kernels

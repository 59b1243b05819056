// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of layer normalisation.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/layer_norm/layer_norm_backward.cuh"
#include "stofm/kernels/layer_norm/layer_norm_forward.cuh"

namespace stofm::kernels {

/// Queues one kernel.
template <class Policy = LayerNormPolicy>
void launch_layer_norm(const LayerNormParams& params, CudaStream stream) {
  if (params.columns == 0) return;
  const LaunchConfig config{.grid = {blocks(params.rows, Policy::warps)},
                            .block = {Policy::threads},
                            .stream = stream,
                            .name = "layer_norm"};
  if (params.columns <= 256)
    launch(layer_norm_rows<Policy, 8>, config, params);
  else if (params.columns <= Policy::largest_in_registers)
    launch(layer_norm_rows<Policy, Policy::largest_in_registers / warp_size>, config, params);
  else
    launch(layer_norm_long_rows<Policy>, config, params);
}

/// Queues two kernels, and two more if `grad_gamma` or `grad_beta` ([columns], added to) is there. `partial`:
/// ColumnSumsPolicy::workspace(rows, columns, 2) doubles.
template <class Policy = RowPolicy>
void launch_layer_norm_gradient(const LayerNormGradientParams& params, float* grad_gamma, float* grad_beta,
                                double* partial, CudaStream stream) {
  if (params.rows == 0 || params.columns == 0) return;
  launch_rows<Policy>(layer_norm_statistics<Policy>, params.rows, stream, "layer_norm_gradient", params);
  if (grad_gamma != nullptr || grad_beta != nullptr)
    launch_column_sums<LayerNormGradientTerm>({{params.grad_y, params.x, params.residual, params.statistics},
                                               partial,
                                               {grad_gamma, grad_beta},
                                               params.rows,
                                               params.columns},
                                              stream, "layer_norm_gradient");
  launch_rows<Policy>(layer_norm_gradient_rows<Policy>, params.rows, stream, "layer_norm_gradient", params);
}

}  // namespace stofm::kernels

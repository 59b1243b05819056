// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of layer normalisation.

#include "stofm/kernels/common/launch.cuh"
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

}  // namespace stofm::kernels

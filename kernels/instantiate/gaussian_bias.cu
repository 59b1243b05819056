// SPDX-License-Identifier: MIT
#include "stofm/kernels/gaussian_bias/launch.cuh"

namespace stofm::backend {

void gaussian_bias_forward(CudaStream stream, const GaussianWeights& weights, const float* distances,
                           std::int64_t count, float* phi) {
  kernels::launch_gaussian_forward(stream, weights, distances, count, phi);
}
std::int64_t gaussian_bias_backward_bytes(std::int64_t gaussians, std::int64_t heads, std::int64_t count) {
  return kernels::gaussian_backward_bytes(gaussians, heads, count);
}
void gaussian_bias_backward(CudaStream stream, const GaussianWeights& weights, const float* distances,
                            std::int64_t count, const float* grad_phi, const GaussianWeightGradients& into,
                            void* workspace) {
  kernels::launch_gaussian_backward(stream, weights, distances, count, grad_phi, into, workspace);
}
void distance_bias_values(CudaStream stream, const DistanceEntries& entries, std::int64_t heads,
                          const float* phi, float* values, float* background) {
  kernels::launch_distance_values(stream, entries, heads, phi, values, background);
}
std::int64_t distance_bias_gradient_bytes(std::int64_t heads, std::int64_t) {
  return kernels::far_sum_parts * heads * std::int64_t{sizeof(double)};
}
void distance_bias_gradient(CudaStream stream, const DistanceEntries& entries, std::int64_t heads,
                            const float* grad_values, const float* grad_background, float* grad_phi,
                            void* workspace) {
  kernels::launch_distance_gradient(stream, entries, heads, grad_values, grad_background, grad_phi,
                                    workspace);
}

}  // namespace stofm::backend

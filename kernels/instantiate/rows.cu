// SPDX-License-Identifier: MIT
#include "stofm/backend/cuda/rows.hpp"

#include "stofm/kernels/column_sums/column_sums.cuh"
#include "stofm/kernels/gather_rows/gather_rows.cuh"
#include "stofm/kernels/l2_normalize/l2_normalize.cuh"

namespace stofm::backend {

using kernels::RowPolicy, kernels::rows_of;

void l2_normalize_rows(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> x) {
  kernels::launch(kernels::l2_normalize_rows<RowPolicy>, kernels::per_row<RowPolicy>(x.dim(0), current_stream(device), "l2_normalize"), {rows_of(y), rows_of(x), x.dim(0), x.dim(1)});
}
void l2_normalize_rows_gradient(Cuda device, TensorView<float, Cuda> grad_x,
                                TensorView<const float, Cuda> grad_y, TensorView<const float, Cuda> x) {
  kernels::launch(kernels::l2_normalize_gradient_rows<RowPolicy>, kernels::per_row<RowPolicy>(x.dim(0), current_stream(device), "l2_normalize_gradient"),
                         {rows_of(grad_x), rows_of(grad_y), rows_of(x), x.dim(0), x.dim(1)});
}

void add_column_sums(Cuda device, float* sums, TensorView<const float, Cuda> x) {
  kernels::DeviceArray<double> partial(device, kernels::ColumnSumsPolicy::workspace(x.dim(0), x.dim(1)));
  kernels::launch_column_sums({rows_of(x), partial.data(), sums, x.dim(0), x.dim(1)}, current_stream(device));
}

void gather_rows(Cuda device, TensorView<float, Cuda> y, TensorView<const float, Cuda> table,
                 std::span<const std::int32_t> indices, bool accumulate) {
  kernels::gather_rows(device, y, table, indices, accumulate);
}
void scatter_add_rows(Cuda device, TensorView<float, Cuda> table, TensorView<const float, Cuda> x,
                      std::span<const std::int32_t> indices) {
  kernels::scatter_add_rows(device, table, x, indices);
}

}  // namespace stofm::backend

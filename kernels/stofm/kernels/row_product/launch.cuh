// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launch of a row product.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/row_product/row_product.cuh"

namespace stofm::kernels {

/// D = A B^T, or A B where B is `Turned`, into `store`; both operands dense, in bfloat16 or in parts, of
/// widths that row_product_takes(). \param partial [row tiles, columns] with Store::sums
template <bool Turned, class Policy = RowProductPolicy, class Store>
void launch_row_product(CudaStream stream, const Operand& a, const Operand& b, const Store& store,
                        float* partial, const char* name) {
  const RowProductParams<Store> params{static_cast<const bfloat16*>(a.data),
                                       static_cast<const bfloat16*>(b.data),
                                       a.stride,
                                       low_part_offset(a),
                                       b.stride,
                                       low_part_offset(b),
                                       a.rows,
                                       Turned ? b.columns : b.rows,
                                       a.columns,
                                       partial,
                                       store};
  const auto run = [&]<int Parts>() {
    launch(row_product_kernel<Parts, Turned, Store, Policy>,
           {.grid = {blocks(Policy::row_tiles(params.rows) * Policy::column_tiles(params.columns))},
            .block = {Policy::threads},
            .shared_bytes = sizeof(RowProductShared<Parts, Turned, Policy>),
            .stream = stream,
            .name = name},
           params);
  };
  if constexpr (Store::parts == 2)
    run.template operator()<2>();
  else
    run.template operator()<1>();
}

}  // namespace stofm::kernels

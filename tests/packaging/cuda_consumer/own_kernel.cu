// SPDX-License-Identifier: MIT
#include "stofm/kernels/encoder_block/unit_rows.cuh"

void normalise(const stofm::kernels::UnitRowsParams& params, stofm::backend::CudaStream stream) {
  stofm::kernels::launch_unit_rows(params, stream);
}

// SPDX-License-Identifier: MIT
#include <cstdio>

#include "stofm/kernels/encoder_block/unit_rows.cuh"

int main() {
  stofm::kernels::UnitRowsParams params{};
  params.columns = 4;
  stofm::kernels::launch_unit_rows(params, {});  // no rows: nothing to launch, no device needed
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) return 0;
  params.rows = 1;
  try {
    stofm::kernels::launch_unit_rows(params, {});
  } catch (const stofm::Error& error) {
    std::printf("no device, and it says so: %s\n", error.what());
    return error.kind() == stofm::ErrorKind::device ? 0 : 1;
  }
  return 1;
}

// SPDX-License-Identifier: MIT
// A consumer that reads .h5ad: links what stofm::hdf5 or stofm-hdf5.pc name.
#include <stofm/io/h5ad_reader.hpp>

#include <cstdio>

#if defined(STANDARD)
static_assert(__cplusplus >= STANDARD);
#endif

int main(int, char** argv) {
  const auto slice = stofm::io::read_h5ad(argv[1]);
  std::printf("reader: %lld cells\n", static_cast<long long>(slice.cells));
  return slice.cells > 0 ? 0 : 1;
}

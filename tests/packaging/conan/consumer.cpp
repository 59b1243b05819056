// SPDX-License-Identifier: MIT
// The package as Conan gives it: headers, and libhdf5 where the option asks for .h5ad.
#include <stofm/tensor.hpp>
#include <stofm/version.hpp>

#if defined(STOFM_WITH_HDF5)
#include <hdf5.h>
#include <zlib.h>
#endif

#include <iostream>

int main() {
  const auto x = stofm::Tensor<double>::from({2, 2}, {1, 2, 3, 4});
  std::cout << "stofm " << STOFM_VERSION << ", " << x.shape();
#if defined(STOFM_WITH_HDF5)
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  std::cout << ", HDF5 " << major << '.' << minor << ", zlib " << zlibVersion();
#endif
  std::cout << '\n';
  return x(1, 1) == 4 ? 0 : 1;
}

// SPDX-License-Identifier: MIT
#include "command_line.hpp"
#include "device.hpp"

#if defined(STOFM_WITH_HDF5)
#include <hdf5.h>
#endif

#include "stofm/core/cpu_features.hpp"
#include "stofm/core/error.hpp"
#include "stofm/version.hpp"

namespace stofm::program {

std::string version_text() {
  std::string text = "stofm " STOFM_VERSION "\n";
#if defined(__clang__)
  text += concat("compiler  clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__, "\n");
#else
  text += concat("compiler  g++ ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__, "\n");
#endif
  text += concat("kernels   ", to_string(cpu_kernels()),
                 " (STOFM_CPU_KERNELS=generic|avx2|avx512|amx|neon lowers it)\n");
#if defined(STOFM_WITH_HDF5)
  unsigned major = 0, minor = 0, release = 0;
  if (H5get_libversion(&major, &minor, &release) >= 0)
    text += concat("HDF5      ", major, ".", minor, ".", release, "\n");
#else
  text += "HDF5      not built in: .h5ad can not be read\n";
#endif
  const std::string cuda = cuda_words();
  text += cuda.empty() ? std::string("CUDA      not built in\n") : concat("CUDA      ", cuda, "\n");
  return text;
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reading a slice from .h5ad: the declaration, without libhdf5. The body is in io/h5ad_reader.hpp.

#include <string>

#include "stofm/core/compiled.hpp"
#include "stofm/io/h5ad_options.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io {

/// Opens `path` and reads everything but the counts. By default this process forks: libhdf5 runs in a child
/// that lives as long as the slice's functions do, as it crashes on some damaged files. In a process of MPI,
/// of CUDA or of many threads say `{.isolation = H5adIsolation::none}`: nothing is forked then. \return a
/// Slice whose read_counts may be called from several threads (one at a time runs); it throws as this does
/// \throws FileError damaged, refused or foreign files (STOFM-35xx); DataError content that can not be
/// embedded;
///   UsageError options that do not fit the file; ResourceError memory, processes
/// *Cost* all of obs' index shape, var's names, coordinates, indptr; a look at up to 3 x 2^20 stored values.
STOFM_H5AD_INLINE Slice read_h5ad(const std::string& path, const H5adReadOptions& options = {});

}  // namespace stofm::io

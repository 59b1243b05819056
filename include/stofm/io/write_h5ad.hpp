// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Writing embeddings back into .h5ad: the declaration, without libhdf5. The body is in io/h5ad_writer.hpp.

#include <string>

#include "stofm/core/compiled.hpp"
#include "stofm/io/h5ad_result.hpp"

namespace stofm::io {

/// Writes `output`: `input` and the results. Keys that are there already are replaced.
/// \param input an .h5ad file that read_h5ad accepts
/// \param output path; ignored with options.in_place
/// \throws UsageError the output exists (STOFM-3010), is the input (3011), may not be replaced (3016),
/// results do not fit the file (3542); FileError damage, in place: open in another process (3503), the input
/// changed since `result.input` (3543); ResourceError disk, processes, other bytes on the disk than were
/// written (5038). Then the output is as before and no temporary file is left. *Cost* one clone of the input,
/// one write and one read of the results; no copy of the results in memory.
STOFM_H5AD_INLINE void write_h5ad_result(const std::string& input, const std::string& output,
                                         const H5adResult& result, const H5adWriteOptions& options = {});

}  // namespace stofm::io

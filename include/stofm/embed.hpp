// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Load a model, read a slice, embed it, write the result:
///
///     const auto model = stofm::pipeline::load_model("stofm.safetensors");
///     const auto slice = stofm::io::read_h5ad("slice.h5ad");
///     const auto result = stofm::pipeline::embed_slice(slice, model);  // result.embeddings: [cells, width]
///
/// With `stofm::compiled` these are declarations over light types; header-only, the same names come with
/// their bodies. .h5ad is there with a stofm::compiled that has it, or where <hdf5.h> is found (link
/// stofm::hdf5).

#include "stofm/io/csv_writer.hpp"
#include "stofm/io/npy.hpp"
#include "stofm/pipeline/embed_slice.hpp"

#if !defined(STOFM_COMPILED)
#include "stofm/pipeline/embed.hpp"
#endif

#if defined(STOFM_COMPILED_H5AD)
#include "stofm/io/read_h5ad.hpp"
#include "stofm/io/write_h5ad.hpp"
#elif __has_include(<hdf5.h>)
#include "stofm/io/h5ad_reader.hpp"
#include "stofm/io/h5ad_writer.hpp"
#endif

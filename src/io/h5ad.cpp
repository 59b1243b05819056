// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp); only where libhdf5 is.
#include "stofm/io/h5ad_append.hpp"
#include "stofm/io/hdf5_process.hpp"
#include "stofm/io/in_place.hpp"
#include "stofm/io/output_file.hpp"
#include "stofm/io/write_h5ad.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/io/h5ad_reader.hpp"
#include "stofm/io/h5ad_writer.hpp"
#include "stofm/io/import/h5ad_import.hpp"

// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp); only where libhdf5 is.
#include "stofm/core/compiled.hpp"
#include "stofm/io/file_identity.hpp"
#include "stofm/io/hdf5_handle.hpp"
#include "stofm/io/hdf5_superblock.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/io/hdf5_object.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/io/h5ad_new_file.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/io/h5ad_new_writer.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/io/h5ad_reader.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/io/h5ad_info.hpp"
#include "stofm/io/h5ad_tables.hpp"

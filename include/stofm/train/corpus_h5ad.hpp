// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Slices of a corpus from .h5ad files. Needs libhdf5 (target stofm::hdf5).

#include <string>

#include "stofm/io/h5ad_reader.hpp"
#include "stofm/train/corpus.hpp"

namespace stofm::train {

/// Reads .h5ad files with these options. \throws (when called) as io::read_h5ad.
/// With `coordinates` in the options the slices can not be told apart by their files: give none.
inline SliceReader h5ad_reader(const io::H5adReadOptions& options = {}) {
  if (options.coordinates)
    throw UsageError({"STOFM-4555", "", "coordinates", "coordinates from elsewhere", "those of each file",
                      "Write them into the files."});
  SliceReader reader;
  reader.open = [options](const std::filesystem::path& path) {
    return io::read_h5ad(path.string(), options);
  };
  reader.identity = concat("h5ad ", stofm::quoted(options.layer), " ", options.use_raw, " ",
                           stofm::quoted(options.spatial_key), " ", stofm::quoted(options.x_column), " ",
                           stofm::quoted(options.y_column), " ", stofm::quoted(options.gene_key), " ",
                           stofm::quoted(options.symbol_key), " ", stofm::quoted(options.library_key), " ",
                           options.drop_bad_coords, " ", options.accept_noninteger);
  if (options.counts_scale !=
      io::CountsScale::automatic)  // which leaves the keys of older caches as they are
    reader.identity += " " + io::to_string(options.counts_scale);
  // Said only where they are used, so that prepared slices of before are found again.
  if (!options.only.empty()) reader.identity += concat(" only ", stofm::quoted(options.only));
  if (options.overlay) reader.identity += " overlay";
  if (options.drop_no_library) reader.identity += " drop no library";
  if (!options.positions_required) reader.identity += " no positions";
  return reader;
}

}  // namespace stofm::train

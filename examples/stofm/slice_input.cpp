// SPDX-License-Identifier: MIT
#include "slice_input.hpp"

#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_reader.hpp"
#include "stofm/io/spatial_csv.hpp"
#endif

namespace stofm::program {

#if defined(STOFM_WITH_HDF5)
namespace {

/// Names of all cells of a file, read in a child process as everything of HDF5 is.
std::vector<std::string> cell_names_of(const std::string& path) {
  io::Hdf5Process process(path, 60, [&](io::Channel& channel) {
    const io::Hdf5Quiet quiet;
    const io::Hdf5File file = io::open_hdf5_file(path);
    const io::H5adFrame obs(file, "obs", std::int64_t{1} << 40);
    io::ByteSink sink;
    sink.put(obs.strings(obs.index()));
    (void)channel.send(io::Channel::Kind::data, sink.take());
  });
  io::ByteSource answer(process.receive());
  std::vector<std::string> names;
  answer.get(names);
  return names;
}

}  // namespace

io::Slice open_slice(const std::string& path, const SliceArguments& a, std::int64_t memory_limit,
                     bool cell_names, std::int64_t label_columns, bool positions) {
  io::H5adReadOptions options;
  options.layer = a.layer;
  options.use_raw = a.use_raw;
  options.spatial_key = a.spatial_key;
  options.x_column = a.x;
  options.y_column = a.y;
  options.gene_key = a.gene_key;
  options.library_key = a.library_key;
  options.only = a.only;
  options.overlay = a.overlay;
  options.drop_no_library = a.drop_no_library;
  options.positions_required = positions;
  options.drop_bad_coords = a.drop_bad_coords;
  options.accept_noninteger = a.accept_noninteger;
  options.counts_scale = io::parse_counts_scale(a.counts_scale);
  options.memory_limit = memory_limit;
  options.cell_names = cell_names;
  options.label_columns = label_columns;
  Notices joined;
  std::string table;
  if (!a.spatial_csv.empty()) {
    io::SpatialCsvResult csv =
        io::read_spatial_csv(a.spatial_csv, cell_names_of(path), {.x_column = a.x, .y_column = a.y});
    options.coordinates = std::move(csv.coordinates);
    options.x_column.clear();
    options.y_column.clear();
    joined = std::move(csv.notices);
    table = a.spatial_csv + " (" + csv.columns + ")";
  }
  io::Slice slice = io::read_h5ad(path, options);
  if (!table.empty()) slice.coordinates_source = table;
  slice.notices.insert(slice.notices.end(), joined.begin(), joined.end());
  return slice;
}
#else
io::Slice open_slice(const std::string& path, const SliceArguments&, std::int64_t, bool, std::int64_t, bool) {
  throw FileError({"STOFM-2040", path, "input", "an .h5ad file", "a program built with HDF5",
                   "Install libhdf5-dev and build again."});
}
#endif

pipeline::GeneMappingOptions gene_options(const SliceArguments& a) {
  pipeline::GeneMappingOptions options;
  options.species = a.species == "human"   ? pipeline::Species::human
                    : a.species == "mouse" ? pipeline::Species::mouse
                                           : pipeline::Species::automatic;
  options.refuse_below = a.min_coverage;
  return options;
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#include "slice_input.hpp"

#if defined(STOFM_WITH_HDF5)
#include "stofm/io/h5ad_reader.hpp"
#include "stofm/io/h5ad_tables.hpp"
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

/// The options of the reader, and what joining a table of positions found.
struct ReadOptions {
  io::H5adReadOptions options;
  Notices joined;
  std::string table;
};

ReadOptions read_options(const std::string& path, const SliceArguments& a, std::int64_t memory_limit,
                         bool positions) {
  ReadOptions read;
  io::H5adReadOptions& options = read.options;
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
  if (!a.spatial_csv.empty()) {
    io::SpatialCsvResult csv =
        io::read_spatial_csv(a.spatial_csv, cell_names_of(path), {.x_column = a.x, .y_column = a.y});
    options.coordinates = std::move(csv.coordinates);
    options.x_column.clear();
    options.y_column.clear();
    read.joined = std::move(csv.notices);
    read.table = a.spatial_csv + " (" + csv.columns + ")";
  }
  return read;
}

}  // namespace

io::Slice open_slice(const std::string& path, const SliceArguments& a, std::int64_t memory_limit,
                     bool cell_names, std::int64_t label_columns, bool positions,
                     const std::vector<std::string>& obs_columns) {
  ReadOptions read = read_options(path, a, memory_limit, positions);
  read.options.cell_names = cell_names;
  read.options.label_columns = label_columns;
  read.options.obs_columns = obs_columns;
  io::Slice slice = io::read_h5ad(path, read.options);
  if (!read.table.empty()) slice.coordinates_source = read.table;
  slice.notices.insert(slice.notices.end(), read.joined.begin(), read.joined.end());
  return slice;
}

io::H5adTables open_tables(const std::string& path, const SliceArguments& a,
                           const io::H5adTablesRequest& request, const std::vector<std::string>& obs_columns,
                           std::int64_t memory_limit) {
  ReadOptions read = read_options(path, a, memory_limit, false);
  read.options.obs_columns = obs_columns;
  io::H5adTables tables = io::read_h5ad_tables(path, request, read.options);
  if (!read.table.empty()) tables.coordinates_source = read.table;
  tables.notices.insert(tables.notices.end(), read.joined.begin(), read.joined.end());
  return tables;
}
#else
io::Slice open_slice(const std::string& path, const SliceArguments&, std::int64_t, bool, std::int64_t, bool,
                     const std::vector<std::string>&) {
  throw FileError({"STOFM-2040", path, "input", "an .h5ad file", "a program built with HDF5",
                   "Install libhdf5-dev and build again."});
}
io::H5adTables open_tables(const std::string& path, const SliceArguments&, const io::H5adTablesRequest&,
                           const std::vector<std::string>&, std::int64_t) {
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

pipeline::EmbedOptions embed_options(const SliceArguments& slice, const GeometryArguments& g,
                                     std::int64_t max_memory) {
  pipeline::EmbedOptions options;
  options.genes = gene_options(slice);
  options.clustering =
      g.clustering == "kmeans" ? pipeline::ClusterMethod::kmeans : pipeline::ClusterMethod::leiden;
  options.clusters = g.clusters;
  options.alpha = g.alpha;
  options.resolution = g.resolution;
  options.seed = g.seed;
  options.split = g.split;
  options.merge_slivers = g.merge_slivers;
  options.geometry = g.geometry == "stable" ? pipeline::Geometry::stable : pipeline::Geometry::reference;
  options.max_memory = max_memory;
  return options;
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What an .h5ad file holds: places, shapes, types, encodings, compression. Reads no values. For `stofm info
/// FILE`.

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/h5ad_reader.hpp"

namespace stofm::io {

/// One object of the file.
struct H5adEntry {
  std::string path;      ///< "X", "layers/counts", "obsm/spatial", "obs"
  std::string shape;     ///< "1049 x 166", or the number of entries
  std::string type;      ///< element type, "f4"
  std::string encoding;  ///< "csr_matrix 0.1.0", "" if the file has none
  std::string storage;   ///< "csr, chunks of 3327, deflate (gzip)"
  std::string note;      ///< why it can not be used, or a list of columns
};

/// The file as a whole.
struct H5adInfo {
  std::int64_t file_bytes = 0;
  std::int64_t superblock = 0;  ///< HDF5 superblock version
  std::int64_t cells = -1;      ///< -1: not known
  std::int64_t genes = -1;
  std::string encoding;  ///< of the root: "anndata 0.1.0"
  std::vector<H5adEntry> entries;
};

namespace detail {

inline std::string encoding_text(const Hdf5File& file, const Hdf5Object& object) {
  std::string text = read_string_attribute(file, object, "encoding-type").value_or("");
  if (text.empty()) text = read_string_attribute(file, object, "h5sparse_format").value_or("");
  const std::string version = read_string_attribute(file, object, "encoding-version").value_or("");
  return version.empty() ? text : text + " " + version;
}

inline void describe_dataset(const Hdf5Dataset& data, H5adEntry& entry) {
  entry.type = to_string(data.type());
  if (entry.shape.empty())
    for (int i = 0; i < data.rank(); ++i) entry.shape += concat(i > 0 ? " x " : "", data.dim(i));
  entry.storage += (entry.storage.empty() ? "" : ", ");
  entry.storage += data.layout() == Hdf5Layout::compact      ? "compact"
                   : data.layout() == Hdf5Layout::contiguous ? "contiguous"
                                                             : "chunks of ";
  if (data.layout() == Hdf5Layout::chunked)
    for (int i = 0; i < data.rank(); ++i) entry.storage += concat(i > 0 ? " x " : "", data.chunk_dim(i));
  for (const Hdf5Filter& filter : data.filters()) entry.storage += ", " + hdf5_filter_name(filter.id);
}

inline H5adEntry describe_entry(const Hdf5File& file, const std::string& path) {
  H5adEntry entry;
  entry.path = path;
  try {
    Hdf5Object object = open_hdf5_object(file, path);
    if (object.kind == Hdf5Kind::absent) {
      entry.note = "nothing (None)";
      return entry;
    }
    entry.encoding = encoding_text(file, object);
    if (object.kind == Hdf5Kind::dataset) {
      describe_dataset(Hdf5Dataset(file, std::move(object)), entry);
      return entry;
    }
    if (open_hdf5_object(file, path + "/indptr").kind == Hdf5Kind::dataset) {
      auto shape = read_integer_list(file, object, "shape");
      if (!shape) shape = read_integer_list(file, object, "h5sparse_shape");
      if (shape && shape->size() == 2) entry.shape = concat((*shape)[0], " x ", (*shape)[1]);
      const Hdf5Dataset data = open_hdf5_dataset(file, path + "/data");
      describe_dataset(data, entry);
      entry.note = concat(data.elements(), " stored values");
      return entry;
    }
    entry.note = name_list(hdf5_names(file, object, 1000), 40);
  } catch (const Error& error) {
    entry.note = error.what();
  }
  return entry;
}

inline H5adEntry describe_frame(const Hdf5File& file, const std::string& path, std::int64_t& length) {
  H5adEntry entry;
  entry.path = path;
  try {
    entry.encoding = encoding_text(file, open_hdf5_object(file, path));
    const H5adFrame frame(file, path, std::int64_t{1} << 30);
    length = frame.length();
    entry.shape = concat(length);
    entry.type = "index " + stofm::quoted(frame.index(), 60);
    entry.note = name_list(frame.columns(), 40);
  } catch (const Error& error) {
    entry.note = error.what();
  }
  return entry;
}

inline H5adInfo describe_open_h5ad(const Hdf5File& file) {
  H5adInfo info;
  info.file_bytes = file.superblock.file_size;
  info.superblock = file.superblock.version;
  require_anndata(file);
  info.encoding = encoding_text(file, open_hdf5_object(file, "/"));
  info.entries.push_back(describe_frame(file, "obs", info.cells));
  info.entries.push_back(describe_frame(file, "var", info.genes));
  std::vector<std::string> paths;
  for (const char* path : {"X", "raw/X"})
    if (open_hdf5_object(file, path).kind != Hdf5Kind::absent) paths.push_back(path);
  for (const char* group : {"layers", "obsm", "obsp", "uns"}) {
    const Hdf5Object object = open_hdf5_object(file, group);
    if (object.kind != Hdf5Kind::group) continue;
    for (const auto& name : hdf5_names(file, object, 200)) paths.push_back(std::string(group) + "/" + name);
  }
  for (const auto& path : paths) info.entries.push_back(describe_entry(file, path));
  return info;
}

}  // namespace detail

/// Describes `path`, in a child process like read_h5ad. Parts that can not be used carry the reason as a
/// note. \throws FileError not an .h5ad file, or too damaged to list. *Cost* metadata only.
STOFM_H5AD_INLINE H5adInfo describe_h5ad(const std::string& path, const H5adReadOptions& options = {});

}  // namespace stofm::io

#if STOFM_H5AD_BODIES
namespace stofm {

STOFM_H5AD_INLINE auto io::describe_h5ad(const std::string& path, const H5adReadOptions& options)
    -> H5adInfo {
  const std::shared_ptr<InputLock> input_lock = InputLock::share(path);
  if (options.isolation == H5adIsolation::none) {
    const std::lock_guard lock(hdf5_mutex());
    const Hdf5Quiet quiet;
    return detail::describe_open_h5ad(open_hdf5_file(path));
  }
  std::unique_lock lock(hdf5_mutex());
  Hdf5Process process(path, options.silence_limit_s, [&path, &options](Channel& channel) {
    const Hdf5Quiet quiet;
    Hdf5File file = open_hdf5_file(path);
    file.progress = channel.ticker(options.busy_limit_s);
    const H5adInfo info = detail::describe_open_h5ad(file);
    ByteSink sink;
    for (const std::int64_t number : {info.file_bytes, info.superblock, info.cells, info.genes})
      sink.put(number);
    sink.put(info.encoding);
    sink.put(static_cast<std::uint64_t>(info.entries.size()));
    for (const H5adEntry& e : info.entries)
      for (const auto* text : {&e.path, &e.shape, &e.type, &e.encoding, &e.storage, &e.note}) sink.put(*text);
    channel.send(Channel::Kind::data, sink.take());
  });
  lock.unlock();
  ByteSource source(process.receive());
  H5adInfo info;
  for (std::int64_t* number : {&info.file_bytes, &info.superblock, &info.cells, &info.genes})
    source.get(*number);
  source.get(info.encoding);
  std::uint64_t count = 0;
  source.get(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    H5adEntry& e = info.entries.emplace_back();
    for (auto* text : {&e.path, &e.shape, &e.type, &e.encoding, &e.storage, &e.note}) source.get(*text);
  }
  return info;
}

}  // namespace stofm
#endif

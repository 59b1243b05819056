// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Walking an HDF5 file link by link: external links are refused, soft links followed at most 32 times, and
/// every object's kind is known before it is opened.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/io/file_identity.hpp"
#include "stofm/io/hdf5_handle.hpp"
#include "stofm/io/hdf5_memory.hpp"
#include "stofm/io/hdf5_superblock.hpp"

namespace stofm::io {

/// Deepest path, and longest chain of soft links.
inline constexpr int hdf5_depth_limit = 32;

/// An open file and what messages need. The holder has hdf5_mutex().
struct Hdf5File {
  std::string path;
  Hdf5Superblock superblock;
  Hdf5Handle handle;
  std::shared_ptr<detail::RawDescriptor> raw;  ///< the same file, for pread of data whose place is known
  std::function<void()> progress;              ///< called for every piece read, may be empty
  FileIdentity identity;                       ///< as it was opened
};

/// What a name in a group is.
enum class Hdf5Kind { absent, group, dataset, other };

/// Opens for reading, without a lock (io/input_lock.hpp has them): works on read-only file systems and when
/// opened twice. \throws FileError damage, or STOFM-3543 if another file took the name meanwhile
STOFM_H5AD_INLINE Hdf5File open_hdf5_file(const std::string& path);

/// libhdf5 reads zeros behind the end of a file: what it gave is good only if the file is still as long as it
/// was. \throws FileError (STOFM-3502) if it is shorter now. *Cost* one fstat.
inline void require_uncut(const Hdf5File& file, const std::string& where) {
  const FileIdentity now = detail::identity_of(file.raw->fd);
  if (now.bytes >= file.superblock.file_size) return;
  throw FileError({"STOFM-3502", file.path, where,
                   concat("a file cut to ", now.bytes, " bytes while it was read"),
                   concat("the ", file.superblock.file_size, " bytes it had when it was opened"),
                   "Download or copy the file again, then run again."});
}

/// Runs `read`; whatever goes wrong in a file that was cut meanwhile is told as that.
template <class Read>
auto reading_uncut(const Hdf5File& file, const std::string& where, Read&& read) {
  try {
    return read();
  } catch (const Error&) {
    require_uncut(file, where);
    throw;
  }
}

namespace detail {

[[noreturn]] inline void throw_link(const Hdf5File& file, const std::string& where,
                                    const std::string& found) {
  throw FileError({"STOFM-3517", file.path, where, found, "data inside this file",
                   "External links are refused: copy the data into the file (h5repack, h5copy)."});
}

[[noreturn]] inline void throw_depth(const Hdf5File& file, const std::string& where) {
  throw FileError({"STOFM-3520", file.path, where, "links nested or chained too deep (a loop?)",
                   concat("a depth of at most ", hdf5_depth_limit),
                   "Write the file again without the link."});
}

inline std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  }
  return parts;
}

/// What the object `name` of a group is. libhdf5 1.12 replaced the call and its struct.
inline H5O_type_t object_type(hid_t group, const std::string& name, const std::string& file,
                              const std::string& path) {
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info{};
  const herr_t status = H5Oget_info_by_name3(group, name.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT);
#else
  H5O_info_t info{};
  const herr_t status = H5Oget_info_by_name2(group, name.c_str(), &info, H5O_INFO_BASIC, H5P_DEFAULT);
#endif
  require_hdf5(status >= 0, file, path, "read an object header");
  return info.type;
}

}  // namespace detail

/// An open object, its kind and its path as asked for.
struct Hdf5Object {
  Hdf5Kind kind = Hdf5Kind::absent;
  Hdf5Handle handle;
  std::string path;
};

namespace detail {

/// Is this what anndata >= 0.12 writes for None: a data set of nothing with the encoding-type "null"?
inline bool is_anndata_null(hid_t object) {
  if (H5Aexists(object, "encoding-type") <= 0) return false;
  const Hdf5Handle attribute(H5Aopen(object, "encoding-type", H5P_DEFAULT), H5Aclose);
  const Hdf5Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const Hdf5Handle space(H5Aget_space(attribute.get()), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Sget_simple_extent_npoints(space.get()) != 1) return false;
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    const bool null = H5Aread(attribute.get(), type.get(), static_cast<void*>(&text)) >= 0 &&
                      text != nullptr && std::string_view(text) == "null";
    H5free_memory(text);
    return null;
  }
  std::array<char, 8> text{};
  return H5Tget_size(type.get()) < text.size() && H5Aread(attribute.get(), type.get(), text.data()) >= 0 &&
         std::string_view(text.data()) == "null";
}

}  // namespace detail

/// Opens `path` (absolute, '/' between names) without ever leaving the file. kind == absent if a name is
/// missing, or stands for None (anndata's encoding "null"). \throws FileError external or user-defined link,
/// soft links or names deeper than 32, damage.
inline Hdf5Object open_hdf5_object(const Hdf5File& file, const std::string& path) {
  const Hdf5MemoryBound bound(file.superblock.file_size);
  std::vector<std::string> todo = detail::split_path(path);
  Hdf5Object object{Hdf5Kind::group,
                    checked_handle(H5Gopen2(file.handle.get(), "/", H5P_DEFAULT), H5Gclose, file.path, "/",
                                   "open the root group"),
                    path};
  if (todo.size() > hdf5_depth_limit) detail::throw_depth(file, path);
  int hops = 0;
  std::vector<std::string> walked;
  for (std::size_t i = 0; i < todo.size(); ++i) {
    if (object.kind != Hdf5Kind::group) return {Hdf5Kind::absent, {}, path};
    const std::string name = todo[i];
    const htri_t exists = H5Lexists(object.handle.get(), name.c_str(), H5P_DEFAULT);
    require_hdf5(exists >= 0, file.path, path, "look up a link");
    if (exists == 0) return {Hdf5Kind::absent, {}, path};
    H5L_info_t link{};
    require_hdf5(H5Lget_info(object.handle.get(), name.c_str(), &link, H5P_DEFAULT) >= 0, file.path, path,
                 "read a link");
    if (link.type == H5L_TYPE_EXTERNAL) detail::throw_link(file, path, "an external link");
    if (link.type == H5L_TYPE_SOFT) {
      if (++hops > hdf5_depth_limit) detail::throw_depth(file, path);
      if (link.u.val_size > 4096) detail::throw_link(file, path, "a soft link with an endless target");
      std::string target(link.u.val_size, '\0');
      require_hdf5(
          H5Lget_val(object.handle.get(), name.c_str(), target.data(), target.size(), H5P_DEFAULT) >= 0,
          file.path, path, "read a soft link");
      target.resize(std::string_view(target.c_str()).size());
      std::vector<std::string> next = target.starts_with('/') ? std::vector<std::string>{} : walked;
      for (auto& part : detail::split_path(target)) next.push_back(std::move(part));
      next.insert(next.end(), todo.begin() + static_cast<std::ptrdiff_t>(i) + 1, todo.end());
      if (next.size() > hdf5_depth_limit) detail::throw_depth(file, path);
      todo = std::move(next);
      walked.clear();
      object = {Hdf5Kind::group,
                checked_handle(H5Gopen2(file.handle.get(), "/", H5P_DEFAULT), H5Gclose, file.path, "/",
                               "open the root group"),
                path};
      i = static_cast<std::size_t>(-1);
      continue;
    }
    if (link.type != H5L_TYPE_HARD) detail::throw_link(file, path, "a user-defined link");
    const H5O_type_t type = detail::object_type(object.handle.get(), name, file.path, path);
    const Hdf5Kind kind = type == H5O_TYPE_GROUP     ? Hdf5Kind::group
                          : type == H5O_TYPE_DATASET ? Hdf5Kind::dataset
                                                     : Hdf5Kind::other;
    Hdf5Handle next = checked_handle(H5Oopen(object.handle.get(), name.c_str(), H5P_DEFAULT), H5Oclose,
                                     file.path, path, "open an object");
    object.handle = std::move(next);
    object.kind = kind;
    walked.push_back(name);
  }
  if (object.kind == Hdf5Kind::dataset && detail::is_anndata_null(object.handle.get()))
    return {Hdf5Kind::absent, {}, path};
  return object;
}

/// Names in a group, at most `limit` (libhdf5's own order: by name).
inline std::vector<std::string> hdf5_names(const Hdf5File& file, const std::string& path, hid_t group,
                                           std::size_t limit = 100000) {
  struct State {
    std::vector<std::string> names;
    std::size_t limit = 0;
  } state{{}, limit};
  const auto visit = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
    auto* s = static_cast<State*>(data);
    if (s->names.size() >= s->limit) return 1;
    s->names.emplace_back(name);
    return 0;
  };
  hsize_t position = 0;
  const Hdf5MemoryBound bound(file.superblock.file_size);
  require_hdf5(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &position, visit, &state) >= 0, file.path, path,
               "list a group");
  return std::move(state.names);
}
inline std::vector<std::string> hdf5_names(const Hdf5File& file, const Hdf5Object& group,
                                           std::size_t limit = 100000) {
  return hdf5_names(file, group.path, group.handle.get(), limit);
}

}  // namespace stofm::io

#if STOFM_H5AD_BODIES
namespace stofm {

STOFM_H5AD_INLINE auto io::open_hdf5_file(const std::string& path) -> Hdf5File {
  Hdf5File file;
  file.path = path;
  file.raw = std::make_shared<detail::RawDescriptor>(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  file.superblock = check_superblock(path, *file.raw);
  file.identity = detail::identity_of(file.raw->fd);
  const Hdf5Handle access =
      checked_handle(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path, "", "create an access list");
  // The driver whatever the environment says: its descriptor is asked for below.
  require_hdf5(H5Pset_fapl_sec2(access.get()) >= 0, path, "", "choose a driver");
  require_hdf5(H5Pset_file_locking(access.get(), false, true) >= 0, path, "", "switch file locks off");
  const Hdf5MemoryBound bound(file.superblock.file_size);
  file.handle = checked_handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose, path, "",
                               "open the file");
  void* descriptor = nullptr;
  require_hdf5(H5Fget_vfd_handle(file.handle.get(), H5P_DEFAULT, &descriptor) >= 0, path, "",
               "ask for the open file");
  require_unchanged(path, file.identity, detail::identity_of(*static_cast<const int*>(descriptor)));
  return file;
}

}  // namespace stofm
#endif

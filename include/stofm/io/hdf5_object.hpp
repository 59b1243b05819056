// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Walking an HDF5 file link by link: external links are refused, soft links followed at most 32 times, and
/// every object's kind is known before it is opened.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/hdf5_handle.hpp"
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
};

/// What a name in a group is.
enum class Hdf5Kind { absent, group, dataset, other };

/// Opens for reading, without a lock: works on read-only file systems and when opened twice.
inline Hdf5File open_hdf5_file(const std::string& path) {
  Hdf5File file;
  file.path = path;
  file.superblock = check_superblock(path);
  file.raw = std::make_shared<detail::RawDescriptor>(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const Hdf5Handle access =
      checked_handle(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path, "", "create an access list");
  require_hdf5(H5Pset_file_locking(access.get(), false, true) >= 0, path, "", "switch file locks off");
  file.handle = checked_handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose, path, "",
                               "open the file");
  return file;
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

/// Opens `path` (absolute, '/' between names) without ever leaving the file. kind == absent if a name is
/// missing. \throws FileError external or user-defined link, soft links or names deeper than 32, damage.
inline Hdf5Object open_hdf5_object(const Hdf5File& file, const std::string& path) {
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
  return object;
}

/// Names in a group, at most `limit` (libhdf5's own order: by name).
inline std::vector<std::string> hdf5_names(const Hdf5File& file, const Hdf5Object& group,
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
  require_hdf5(H5Literate(group.handle.get(), H5_INDEX_NAME, H5_ITER_INC, &position, visit, &state) >= 0,
               file.path, group.path, "list a group");
  return std::move(state.names);
}

}  // namespace stofm::io

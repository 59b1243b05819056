// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Hostile and odd .h5ad files for tests: a copy of a small good file, changed with libhdf5's C API.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "stofm/io/h5ad_reader.hpp"
#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"

namespace stofm::test {

inline std::filesystem::path zoo(const std::string& name) {
  return source_dir() / "tests" / "data" / "formats" / (name + ".h5ad");
}

template <class T>
hid_t hdf5_type_of() {
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
  return H5T_NATIVE_INT8;
}

/// Opens without a lock: a test may edit what a slice of its own still holds (io/input_lock.hpp).
inline io::Hdf5Handle open_without_lock(const std::string& path) {
  const io::Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access.get(), false, true);
  return io::Hdf5Handle(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose);
}

/// An open copy; closes (and so writes) with the object.
class H5Edit {
 public:
  explicit H5Edit(const std::string& path) : file_(open_without_lock(path)) {
    REQUIRE(static_cast<bool>(file_));
  }
  hid_t id() const { return file_.get(); }
  void remove(const std::string& name) { REQUIRE(H5Ldelete(id(), name.c_str(), H5P_DEFAULT) >= 0); }
  bool has(const std::string& name) { return H5Lexists(id(), name.c_str(), H5P_DEFAULT) > 0; }
  void group(const std::string& name) {
    io::Hdf5Handle(H5Gcreate2(id(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  }

  /// All values of a data set.
  template <class T>
  std::vector<T> get(const std::string& name) {
    const io::Hdf5Handle data(H5Dopen2(id(), name.c_str(), H5P_DEFAULT), H5Dclose);
    const io::Hdf5Handle space(H5Dget_space(data.get()), H5Sclose);
    std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())));
    REQUIRE(H5Dread(data.get(), hdf5_type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
    return values;
  }

  /// Makes or replaces a data set (attributes of the old one are lost). `list`: creation properties.
  io::Hdf5Handle make(const std::string& name, hid_t type, const std::vector<hsize_t>& dims,
                      hid_t list = H5P_DEFAULT) {
    if (has(name)) remove(name);
    const io::Hdf5Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                               H5Sclose);
    io::Hdf5Handle data(H5Dcreate2(id(), name.c_str(), type, space.get(), H5P_DEFAULT, list, H5P_DEFAULT),
                        H5Dclose);
    REQUIRE(static_cast<bool>(data));
    return data;
  }
  template <class T>
  void put(const std::string& name, const std::vector<T>& values, hid_t type = -1,
           std::vector<hsize_t> dims = {}, hid_t list = H5P_DEFAULT) {
    if (dims.empty()) dims = {values.size()};
    const io::Hdf5Handle data = make(name, type < 0 ? hdf5_type_of<T>() : type, dims, list);
    if (!values.empty())
      REQUIRE(H5Dwrite(data.get(), hdf5_type_of<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
  }
  void put_strings(const std::string& name, const std::vector<std::string>& values) {
    const io::Hdf5Handle type = string_type();
    std::vector<const char*> pointers;
    for (const auto& value : values) pointers.push_back(value.c_str());
    const io::Hdf5Handle data = make(name, type.get(), {values.size()});
    REQUIRE(H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()) >= 0);
  }
  /// Fixed strings of `width` bytes each, as they are.
  void put_fixed(const std::string& name, const std::string& raw, std::size_t width, H5T_str_t padding,
                 std::vector<hsize_t> dims = {}) {
    const io::Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type.get(), width);
    H5Tset_strpad(type.get(), padding);
    if (dims.empty()) dims = {raw.size() / width};
    const io::Hdf5Handle data = make(name, type.get(), dims);
    REQUIRE(H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) >= 0);
  }
  void attribute(const std::string& object, const std::string& name, const std::string& value) {
    const io::Hdf5Handle type = string_type();
    const io::Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const char* pointer = value.c_str();
    put_attribute(object, name, type.get(), space.get(), static_cast<const void*>(&pointer));
  }
  void attribute(const std::string& object, const std::string& name,
                 const std::vector<std::int64_t>& values) {
    const hsize_t count = values.size();
    const io::Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    put_attribute(object, name, H5T_NATIVE_INT64, space.get(), values.data());
  }
  void remove_attribute(const std::string& object, const std::string& name) {
    REQUIRE(H5Adelete_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT) >= 0);
  }
  static io::Hdf5Handle string_type() {
    io::Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type.get(), H5T_VARIABLE);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    return type;
  }

 private:
  void put_attribute(const std::string& object, const std::string& name, hid_t type, hid_t space,
                     const void* value) {
    if (H5Aexists_by_name(id(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0)
      remove_attribute(object, name);
    const io::Hdf5Handle attribute(H5Acreate_by_name(id(), object.c_str(), name.c_str(), type, space,
                                                     H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                                   H5Aclose);
    REQUIRE(H5Awrite(attribute.get(), type, value) >= 0);
  }
  io::Hdf5Handle file_;
};

/// Properties of a chunked data set.
inline io::Hdf5Handle chunked(const std::vector<hsize_t>& chunk) {
  io::Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  REQUIRE(H5Pset_chunk(list.get(), static_cast<int>(chunk.size()), chunk.data()) >= 0);
  return list;
}

/// A scratch copy of a zoo file to break.
struct H5Case {
  ScratchDir scratch;
  std::string path;
  explicit H5Case(const std::string& name = "csr_f32_gzip") : path((scratch / "case.h5ad").string()) {
    std::filesystem::copy_file(zoo(name), path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  H5Edit edit() const { return H5Edit(path); }
};

/// All that a slice holds, for comparisons.
struct Read {
  io::Slice slice;
  std::vector<double> dense;  ///< [cells, genes]
};

inline Read read_all(const std::string& path, const io::H5adReadOptions& options = {}) {
  Read read;
  read.slice = io::read_h5ad(path, options);
  const std::int64_t genes = read.slice.genes();
  read.dense.assign(static_cast<std::size_t>(read.slice.cells * genes), 0.0);
  for (std::int64_t begin = 0; begin < read.slice.cells; begin += 23) {
    const io::CountRows rows = read.slice.read_counts(begin, std::min(read.slice.cells, begin + 23));
    for (std::int64_t r = 0; r < rows.rows(); ++r)
      for (auto k = static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(r)]);
           k < static_cast<std::size_t>(rows.offsets[static_cast<std::size_t>(r) + 1]); ++k)
        read.dense[static_cast<std::size_t>((begin + r) * genes + rows.columns[k])] += rows.values[k];
  }
  return read;
}

inline bool has_notice(const Notices& notices, const std::string& code) {
  return std::any_of(notices.begin(), notices.end(), [&](const Notice& n) { return n.code == code; });
}

/// The file is refused: code, kind, file name, a word of `where`, a word of the remedy; and nothing is left
/// beside it.
inline void check_refused(const std::string& path, const std::string& code, ErrorKind kind,
                          const std::string& where, const std::string& remedy,
                          const io::H5adReadOptions& options = {}) {
  const auto listing = [&path] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(path).parent_path()))
      names.insert(entry.path().string());
    return names;
  };
  const std::set<std::string> before = listing();
  bool refused = false;
  try {
    read_all(path, options);
  } catch (const Error& error) {
    refused = true;
    const std::string text = error.what();
    CAPTURE(text);
    CHECK(error.code() == code);
    CHECK(error.kind() == kind);
    CHECK(error.file() == path);
    CHECK((error.where() + " " + error.found()).find(where) != std::string::npos);
    CHECK((error.expected() + " " + error.remedy()).find(remedy) != std::string::npos);
  }
  CHECK_MESSAGE(refused, "accepted, but " << code << " was due");
  CHECK(listing() == before);
}

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Writing small HDF5 things the way h5py and anndata do: groups, attributes, arrays, strings.
/// The caller holds hdf5_mutex() and a Hdf5Quiet.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/hdf5_object.hpp"

namespace stofm::io {

/// A file open for writing, and the names of what is being written. Small arrays wait in libhdf5's buffers
/// until their data set is closed: what was written is closed through close(), which says what went wrong.
class Hdf5Writer {
 public:
  /// \param output what messages about the disk call the file; `file.path` is the input whose copy it is
  Hdf5Writer(const Hdf5File& file, std::string output) : file_(&file), output_(std::move(output)) {}

  /// UTF-8, variable length: h5py's str.
  static Hdf5Handle string_type() {
    Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type.get(), H5T_VARIABLE);
    H5Tset_cset(type.get(), H5T_CSET_UTF8);
    return type;
  }
  /// h5py's bool: an enumeration over i8.
  static Hdf5Handle bool_type() {
    Hdf5Handle type(H5Tenum_create(H5T_STD_I8LE), H5Tclose);
    std::int8_t value = 0;
    H5Tenum_insert(type.get(), "FALSE", &value);
    value = 1;
    H5Tenum_insert(type.get(), "TRUE", &value);
    return type;
  }

  void require(bool success, const std::string& where, const char* action) const {
    if (success) return;
    const Hdf5Failure failure = hdf5_failure();
    if (failure.error != 0)
      detail::throw_errno(failure.error, output_, where.empty() ? action : concat(action, ": ", where));
    throw FileError(
        {"STOFM-3541", file_->path, where, concat("libhdf5 can not ", action, " (", failure.reason(), ")"),
         "a file that takes new parts", "The input may be damaged: write it again with anndata."});
  }

  /// Ends the writing of an object. \throws ResourceError if something of it could not be written
  void close(Hdf5Handle handle, const std::string& where) const {
    require(handle.close(), where, "write a data set");
  }

  Hdf5Handle create_group(hid_t parent, const std::string& name) const {
    Hdf5Handle group(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
    require(static_cast<bool>(group), name, "make a group");
    return group;
  }

  /// Makes the group `name` of `parent` anew, with the same links and attributes, in the form whose
  /// attributes may be larger than 64 KiB (an object header of version 2, HDF5 1.8 and later). Hard links to
  /// the old group from elsewhere keep the old one.
  Hdf5Handle rebuild_group_for_large_attributes(hid_t parent, const std::string& name) const {
    const std::string temporary = name + ".stofm-rebuilt";
    remove(parent, temporary);
    const Hdf5Handle old(H5Gopen2(parent, name.c_str(), H5P_DEFAULT), H5Gclose);
    const Hdf5Handle list(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
    require(static_cast<bool>(old) && static_cast<bool>(list) &&
                H5Pset_attr_creation_order(list.get(), H5P_CRT_ORDER_TRACKED) >= 0,
            name, "open a group");
    Hdf5Handle made(H5Gcreate2(parent, temporary.c_str(), H5P_DEFAULT, list.get(), H5P_DEFAULT), H5Gclose);
    require(static_cast<bool>(made), name, "make a group");
    for (const std::string& link : hdf5_names(*file_, name, old.get(), std::size_t{1} << 24))
      require(H5Lmove(old.get(), link.c_str(), made.get(), link.c_str(), H5P_DEFAULT, H5P_DEFAULT) >= 0,
              name + "/" + link, "move a link");
    copy_attributes(old.get(), made.get(), name);
    remove(parent, name);
    require(H5Lmove(parent, temporary.c_str(), parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT) >= 0, name,
            "move a link");
    return made;
  }

  /// Removes a link of the group if it is there (the space in the file is not given back).
  void remove(hid_t parent, const std::string& name) const {
    const htri_t exists = H5Lexists(parent, name.c_str(), H5P_DEFAULT);
    require(exists >= 0, name, "look up a link");
    if (exists > 0) require(H5Ldelete(parent, name.c_str(), H5P_DEFAULT) >= 0, name, "remove a link");
  }

  /// One string. An attribute that is there already is replaced.
  void set_attribute(hid_t object, const char* name, const std::string& text) const {
    const char* value = text.c_str();
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    put_attribute(object, name, string_type(), space, static_cast<const void*>(&value));
  }
  void set_attribute(hid_t object, const char* name, bool value) const {
    const std::int8_t byte = value ? 1 : 0;
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    put_attribute(object, name, bool_type(), space, &byte);
  }
  void set_attribute(hid_t object, const char* name, const std::vector<std::string>& texts) const {
    std::vector<const char*> values;
    for (const std::string& text : texts) values.push_back(text.c_str());
    const hsize_t count = values.size();
    const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    put_attribute(object, name, string_type(), space, static_cast<const void*>(values.data()));
  }
  void set_attribute(hid_t object, const char* name, const std::vector<std::int64_t>& numbers) const {
    const hsize_t count = numbers.size();
    const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    put_attribute(object, name, Hdf5Handle(H5Tcopy(H5T_STD_I64LE), H5Tclose), space, numbers.data());
  }
  /// A list of texts that may be larger than 64 KiB. \return false if the object's header is of the old
  /// form, which has no room for it; an attribute of this name is gone then
  bool try_attribute(hid_t object, const char* name, const std::vector<std::string>& texts) const {
    if (H5Aexists(object, name) > 0) require(H5Adelete(object, name) >= 0, name, "remove an attribute");
    const Hdf5Handle type = string_type();
    const hsize_t count = texts.size();
    const Hdf5Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
    {
      const Hdf5Handle probe(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
                             H5Aclose);
      if (!probe) {
        const Hdf5Failure failure = hdf5_failure();
        if (failure.error != 0)
          detail::throw_errno(failure.error, output_, concat("make an attribute: ", name));
        return false;
      }
    }
    set_attribute(object, name, texts);
    return true;
  }
  void set_encoding(hid_t object, const char* type, const char* version) const {
    set_attribute(object, "encoding-type", std::string(type));
    set_attribute(object, "encoding-version", std::string(version));
  }

  /// A contiguous data set of the given shape, nothing written yet.
  Hdf5Handle create_dataset(hid_t parent, const std::string& name, hid_t type,
                            const std::vector<hsize_t>& dims) const {
    const Hdf5Handle space(dims.empty()
                               ? H5Screate(H5S_SCALAR)
                               : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr),
                           H5Sclose);
    // No times in the file: the same run gives the same bytes.
    const Hdf5Handle plist(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    require(static_cast<bool>(plist) && H5Pset_obj_track_times(plist.get(), false) >= 0, name,
            "create a property list");
    Hdf5Handle data(
        H5Dcreate2(parent, name.c_str(), type, space.get(), H5P_DEFAULT, plist.get(), H5P_DEFAULT), H5Dclose);
    require(static_cast<bool>(data), name, "make a data set");
    return data;
  }
  /// A whole data set at once. `memory_type` describes `values`, `type` the file.
  Hdf5Handle write_dataset(hid_t parent, const std::string& name, hid_t type, hid_t memory_type,
                           const std::vector<hsize_t>& dims, const void* values) const {
    Hdf5Handle data = create_dataset(parent, name, type, dims);
    hsize_t count = 1;
    for (const hsize_t d : dims) count *= d;
    if (count > 0)
      require(H5Dwrite(data.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0, name,
              "write a data set");
    return data;
  }
  Hdf5Handle write_strings(hid_t parent, const std::string& name,
                           const std::vector<std::string>& texts) const {
    std::vector<const char*> values;
    for (const std::string& text : texts) values.push_back(text.c_str());
    const Hdf5Handle type = string_type();
    return write_dataset(parent, name, type.get(), type.get(), {values.size()}, values.data());
  }

 private:
  void copy_attributes(hid_t from, hid_t to, const std::string& where) const {
    struct State {
      hid_t to;
      bool good;
    } state{to, true};
    const auto copy = [](hid_t object, const char* name, const H5A_info_t*, void* data) -> herr_t {
      auto* s = static_cast<State*>(data);
      const Hdf5Handle source(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
      const Hdf5Handle type(H5Aget_type(source.get()), H5Tclose);
      const Hdf5Handle space(H5Aget_space(source.get()), H5Sclose);
      const Hdf5Handle target(H5Acreate2(s->to, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
                              H5Aclose);
      s->good = static_cast<bool>(target);
      if (!s->good || H5Sget_simple_extent_npoints(space.get()) <= 0) return s->good ? 0 : -1;
      std::vector<char> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())) *
                               H5Tget_size(type.get()));
      s->good = H5Aread(source.get(), type.get(), values.data()) >= 0 &&
                H5Awrite(target.get(), type.get(), values.data()) >= 0;
      H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, values.data());
      return s->good ? 0 : -1;
    };
    hsize_t position = 0;
    require(H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_INC, &position, copy, &state) >= 0 && state.good, where,
            "copy attributes");
  }

  void put_attribute(hid_t object, const char* name, const Hdf5Handle& type, const Hdf5Handle& space,
                     const void* value) const {
    if (H5Aexists(object, name) > 0) require(H5Adelete(object, name) >= 0, name, "remove an attribute");
    const Hdf5Handle attribute(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
                               H5Aclose);
    require(static_cast<bool>(attribute), name, "make an attribute");
    if (H5Sget_simple_extent_npoints(space.get()) == 0) return;  // libhdf5 wants a buffer even for nothing
    require(H5Awrite(attribute.get(), type.get(), value) >= 0, name, "write an attribute");
  }

  const Hdf5File* file_;
  std::string output_;
};

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attributes of HDF5 objects: short strings and integers, nothing else.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stofm/io/hdf5_object.hpp"
#include "stofm/io/hdf5_type.hpp"

namespace stofm::io {

namespace detail {

struct OpenAttribute {
  Hdf5Handle handle;
  Hdf5Handle type_handle;
  Hdf5Type type;
  std::int64_t count = 0;
};

inline std::optional<OpenAttribute> open_attribute(const Hdf5File& file, const Hdf5Object& object,
                                                   const char* name) {
  const std::string where = object.path + "@" + name;
  const htri_t exists = H5Aexists(object.handle.get(), name);
  require_hdf5(exists >= 0, file.path, where, "look up an attribute");
  if (exists == 0) return std::nullopt;
  OpenAttribute attribute;
  attribute.handle = checked_handle(H5Aopen(object.handle.get(), name, H5P_DEFAULT), H5Aclose, file.path,
                                    where, "open an attribute");
  attribute.type_handle =
      checked_handle(H5Aget_type(attribute.handle.get()), H5Tclose, file.path, where, "read a type");
  const Hdf5Handle space =
      checked_handle(H5Aget_space(attribute.handle.get()), H5Sclose, file.path, where, "read a shape");
  attribute.type = describe_hdf5_type(attribute.type_handle.get());
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  require_hdf5(count >= 0, file.path, where, "read a shape");
  constexpr std::int64_t limit = 1 << 20;
  const auto width = static_cast<std::int64_t>(H5Tget_size(attribute.type_handle.get()));
  if (count > limit || width > limit || count * width > limit)
    throw FileError({"STOFM-3515", file.path, where,
                     concat("an attribute of ", count, " x ", width, " bytes"), "at most 1 MiB",
                     "The file is damaged: write it again."});
  attribute.count = count;
  return attribute;
}

}  // namespace detail

/// The attribute's strings, or nothing if it is absent or not of strings.
inline std::optional<std::vector<std::string>> read_string_list(const Hdf5File& file,
                                                                const Hdf5Object& object, const char* name) {
  const Hdf5MemoryBound bound(file.superblock.file_size);
  auto attribute = detail::open_attribute(file, object, name);
  if (!attribute || !attribute->type.is_string()) return std::nullopt;
  const std::string where = object.path + "@" + name;
  const auto count = static_cast<std::size_t>(attribute->count);
  std::vector<std::string> strings(count);
  if (count == 0) return strings;
  const hid_t id = attribute->handle.get();
  const hid_t type = attribute->type_handle.get();
  if (attribute->type.kind == Hdf5Type::Kind::variable_string) {
    std::vector<char*> raw(count, nullptr);
    const bool good = H5Aread(id, type, raw.data()) >= 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (raw[i] == nullptr) continue;
      strings[i] = raw[i];
      H5free_memory(raw[i]);
    }
    require_hdf5(good, file.path, where, "read an attribute");
    return strings;
  }
  const std::size_t width = attribute->type.size;
  std::string raw(count * width, '\0');
  require_hdf5(H5Aread(id, type, raw.data()) >= 0, file.path, where, "read an attribute");
  for (std::size_t i = 0; i < count; ++i) {
    strings[i] = raw.substr(i * width, width);
    strings[i].resize(std::string_view(strings[i].c_str()).size());
    if (attribute->type.space_padded) strings[i].resize(strings[i].find_last_not_of(' ') + 1);
  }
  return strings;
}

/// A scalar string attribute (the first string of a list).
inline std::optional<std::string> read_string_attribute(const Hdf5File& file, const Hdf5Object& object,
                                                        const char* name) {
  const auto strings = read_string_list(file, object, name);
  if (!strings || strings->empty()) return std::nullopt;
  return strings->front();
}

/// An attribute of integers, or nothing.
inline std::optional<std::vector<std::int64_t>> read_integer_list(const Hdf5File& file,
                                                                  const Hdf5Object& object,
                                                                  const char* name) {
  const Hdf5MemoryBound bound(file.superblock.file_size);
  auto attribute = detail::open_attribute(file, object, name);
  if (!attribute || !attribute->type.is_integer()) return std::nullopt;
  const auto count = static_cast<std::size_t>(attribute->count);
  std::vector<std::byte> raw(count * attribute->type.size);
  std::vector<std::int64_t> values(count);
  if (count == 0) return values;
  require_hdf5(H5Aread(attribute->handle.get(), attribute->type_handle.get(), raw.data()) >= 0, file.path,
               object.path + "@" + name, "read an attribute");
  convert_to_int64(attribute->type, raw.data(), values);
  return values;
}

}  // namespace stofm::io

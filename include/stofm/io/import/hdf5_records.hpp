// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Data sets of records (HDF5 compound types) read in blocks: members by name, numbers and texts. The caller
/// holds hdf5_mutex() and a Hdf5Quiet.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/io/hdf5_strings.hpp"
#include "stofm/io/import/text_lines.hpp"

namespace stofm::io {

class Hdf5Records {
 public:
  Hdf5Records(const Hdf5File& file, const std::string& path) : data_(open_hdf5_dataset(file, path)) {
    if (data_.rank() != 1 || data_.type().kind != Hdf5Type::Kind::compound)
      fail(concat(to_string(data_.type()), " of rank ", data_.rank()), "a list of records");
    data_.require_stored(std::int64_t{16} << 20);
  }

  std::int64_t size() const { return data_.elements(); }

  /// A member: where it lies in a record and what it is.
  struct Member {
    std::size_t offset = 0;
    Hdf5Type type{};
  };
  /// Which of these names there is first; "" if none.
  std::string find(std::initializer_list<const char*> names) const {
    for (const char* name : names)
      if (H5Tget_member_index(data_.type_id(), name) >= 0) return name;
    return {};
  }
  Member number(std::initializer_list<const char*> names) const {
    Member found = member(names);
    if (!found.type.is_integer()) fail(to_string(found.type) + " as " + *names.begin(), "an integer");
    return found;
  }
  Member text(std::initializer_list<const char*> names) const {
    Member found = member(names);
    if (found.type.kind != Hdf5Type::Kind::fixed_string)
      fail(to_string(found.type) + " as " + *names.begin(), "a text of fixed length");
    return found;
  }

  /// visit(record bytes, index) for all records in order.
  template <class Visit>
  void each(const ReadingProgress& progress, Visit&& visit) {
    const auto width = static_cast<std::size_t>(data_.element_size());
    const std::int64_t block = (std::max<std::int64_t>)(1, (std::int64_t{8} << 20) / data_.element_size());
    std::vector<std::byte> raw;
    for (std::int64_t at = 0; at < size(); at += block) {
      if (progress) progress(at, size());
      const std::int64_t end = (std::min)(size(), at + block);
      raw.resize(static_cast<std::size_t>(end - at) * width);
      data_.read_rows(at, end, raw);
      for (std::int64_t i = at; i < end; ++i) visit(raw.data() + static_cast<std::size_t>(i - at) * width, i);
    }
  }
  static std::int64_t number_at(const std::byte* record, const Member& member) {
    std::int64_t value = 0;
    convert_to_int64(member.type, record + member.offset, std::span<std::int64_t>(&value, 1));
    return value;
  }
  std::string text_at(const std::byte* record, const Member& member, std::int64_t row) const {
    std::string_view text(reinterpret_cast<const char*>(record + member.offset), member.type.size);
    text = text.substr(0, text.find('\0'));
    detail::check_string(data_, row, text);
    return std::string(text);
  }
  [[noreturn]] void fail(std::string found, std::string expected) const {
    data_.fail("STOFM-3913", std::move(found), std::move(expected),
               "The file is damaged, or of another kind.");
  }

 private:
  Member member(std::initializer_list<const char*> names) const {
    const std::string name = find(names);
    if (name.empty()) fail(concat("records without ", *names.begin()), concat("a member ", *names.begin()));
    const auto index = static_cast<unsigned>(H5Tget_member_index(data_.type_id(), name.c_str()));
    Member found;
    found.offset = H5Tget_member_offset(data_.type_id(), index);
    const Hdf5Handle type = checked_handle(H5Tget_member_type(data_.type_id(), index), H5Tclose,
                                           data_.file().path, data_.where(), "read a type");
    found.type = describe_hdf5_type(type.get());
    if (found.offset + found.type.size > static_cast<std::size_t>(data_.element_size()))
      fail("a member outside of its record", "members inside");
    return found;
  }

  Hdf5Dataset data_;
};

}  // namespace stofm::io

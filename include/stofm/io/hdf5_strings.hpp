// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Strings and numbers of one-dimensional data sets as vectors.
///
/// Variable strings are references into global heap collections, which are parsed here: "GCOL", version 1,
/// three zero bytes, size of the collection, then objects {index u16, uses u16, four zero bytes, size, data
/// padded to 8}. So the true length is known (a NUL inside shows), sums are bounded by the file, and a
/// dangling reference is an error. *Source* HDF5 File Format Specification 3.0, section III.E.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/hdf5_dataset.hpp"

namespace stofm::io {

inline constexpr std::int64_t hdf5_string_limit = std::int64_t{1} << 20;  ///< bytes of one string

/// The first byte that is not part of well-formed UTF-8 (no surrogates, nothing overlong), or npos.
inline std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto at = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
    const unsigned char lead = at(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || i + length > text.size()) return i;
    for (std::size_t k = 1; k < length; ++k)
      if ((at(i + k) & 0xc0) != 0x80) return i;
    const unsigned char next = at(i + 1);
    if ((lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f) || (lead == 0xf0 && next < 0x90) ||
        (lead == 0xf4 && next > 0x8f))
      return i;
    i += length;
  }
  return std::string_view::npos;
}

namespace detail {

/// The heap objects that variable strings point to.
class GlobalHeap {
 public:
  explicit GlobalHeap(const Hdf5File& file) : file_(&file) {}

  /// The object, or "what is wrong" in `problem`.
  std::string_view find(std::uint64_t address, std::uint32_t index, std::string& problem) {
    auto hit = collections_.find(address);
    if (hit == collections_.end()) {
      if (held_ > (std::int64_t{64} << 20)) {
        collections_.clear();
        held_ = 0;
      }
      hit = collections_.emplace(address, load(address)).first;
      held_ += static_cast<std::int64_t>(hit->second.bytes.size());
    }
    const Collection& collection = hit->second;
    const auto object = collection.objects.find(index);
    if (object == collection.objects.end()) {
      problem = collection.problem.empty() ? concat("a dangling heap reference (object ", index, ")")
                                           : collection.problem;
      return {};
    }
    return std::string_view(collection.bytes).substr(object->second.first, object->second.second);
  }

 private:
  struct Collection {
    std::string bytes;
    std::map<std::uint32_t, std::pair<std::size_t, std::size_t>> objects;  ///< index: offset, size
    std::string problem;
  };

  Collection load(std::uint64_t address) const {
    Collection heap;
    const Hdf5Superblock& block = file_->superblock;
    const std::size_t width = block.length_width;
    const auto size = static_cast<std::uint64_t>(block.file_size);
    const std::uint64_t at = address + static_cast<std::uint64_t>(block.base);
    heap.problem = "a dangling heap reference (no heap at its address)";
    if (address >= size || at + 8 + width > size) return heap;
    const std::string head = read_some(file_->raw->fd, static_cast<std::int64_t>(at), 8 + width);
    if (head.size() < 8 + width || head.compare(0, 4, "GCOL") != 0 || head[4] != 1) return heap;
    const std::uint64_t bytes = little_endian(head, 8, width);
    if (bytes < 8 + width || bytes > size - at || bytes > (std::uint64_t{256} << 20)) return heap;
    heap.bytes = read_some(file_->raw->fd, static_cast<std::int64_t>(at), static_cast<std::size_t>(bytes));
    const std::string& all = heap.bytes;
    for (std::size_t o = 8 + width; o + 8 + width <= all.size();) {
      const auto index = static_cast<std::uint32_t>(little_endian(all, o, 2));
      const std::uint64_t length = little_endian(all, o + 8, width);
      if (index == 0) break;  // free space up to the end
      const std::size_t data = o + 8 + width;
      if (length > all.size() - data) break;
      heap.objects.emplace(index, std::pair{data, static_cast<std::size_t>(length)});
      o = data + (static_cast<std::size_t>(length) + 7) / 8 * 8;
    }
    heap.problem.clear();
    return heap;
  }

  const Hdf5File* file_;
  std::map<std::uint64_t, Collection> collections_;
  std::int64_t held_ = 0;
};

[[noreturn]] inline void throw_string(const Hdf5Dataset& data, std::int64_t row, const std::string& found) {
  throw FileError({"STOFM-3523", data.file().path, concat(data.where(), ", row ", row), found,
                   "a UTF-8 string of at most 1 MiB", "Mend the entry and write the file again."});
}

inline void check_string(const Hdf5Dataset& data, std::int64_t row, std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    throw_string(data, row, concat("a NUL inside ", stofm::quoted(text, 40)));
  if (const std::size_t at = find_invalid_utf8(text); at != std::string_view::npos)
    throw_string(data, row, concat("invalid UTF-8 at byte ", at, " of ", stofm::quoted(text, 40)));
}

/// Compact data sets lie in the object header: libhdf5 follows the references. At most 4,096 strings.
inline std::vector<std::string> read_compact_strings(const Hdf5Dataset& data) {
  const auto count = static_cast<std::size_t>(data.elements());
  std::vector<char*> raw(count, nullptr);
  const Hdf5MemoryBound bound(data.file().superblock.file_size);
  const bool good = H5Dread(data.id(), data.type_id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) >= 0;
  std::vector<std::string> strings(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (raw[i] != nullptr) strings[i] = raw[i];
    H5free_memory(raw[i]);
  }
  require_hdf5(good, data.file().path, data.where(), "read strings");
  return strings;
}

}  // namespace detail

/// All strings of a data set, valid UTF-8 without NUL; padding is taken off. `rank`: 1, or 2 for a table,
/// which is read row-major (a bad string is then named by its element).
/// \throws FileError not strings, a bad string (with its row). *Cost* O(bytes).
inline std::vector<std::string> read_strings(Hdf5Dataset& data, std::int64_t memory_limit, int rank = 1) {
  if (data.rank() != rank || !data.type().is_string())
    data.fail("STOFM-3523", concat(to_string(data.type()), " of rank ", data.rank()),
              rank == 1 ? "a list of strings" : "a table of strings", "Write the file again with anndata.");
  data.require_holdable(data.element_size() + 32, memory_limit);
  const std::int64_t count = data.elements();
  std::vector<std::string> strings;
  const bool variable = data.type().kind == Hdf5Type::Kind::variable_string;
  if (variable && data.layout() == Hdf5Layout::compact && count > 0) {
    strings = detail::read_compact_strings(data);
    for (std::int64_t i = 0; i < count; ++i)
      detail::check_string(data, i, strings[static_cast<std::size_t>(i)]);
    return strings;
  }
  strings.reserve(static_cast<std::size_t>(count));
  detail::GlobalHeap heap(data.file());
  const std::size_t width = static_cast<std::size_t>(data.element_size());
  const std::size_t address_width = data.file().superblock.address_width;
  if (!variable && data.element_size() > hdf5_string_limit)
    data.fail("STOFM-3523", concat("strings of ", width, " bytes"), "at most 1 MiB", "Write the file again.");
  std::int64_t total = 0;
  const std::int64_t columns = rank == 2 ? data.dim(1) : 1;
  const std::int64_t step =
      (std::max<std::int64_t>)(1, (std::int64_t{4} << 20) /
                                      (std::max<std::int64_t>)(1, columns * data.element_size()));
  std::string raw;
  for (std::int64_t begin = 0; begin < count; begin += step * columns) {
    const std::int64_t end = (std::min)(count, begin + step * columns);
    raw.resize(static_cast<std::size_t>(end - begin) * width);
    data.read_rows(begin / columns, end / columns, std::as_writable_bytes(std::span(raw)));
    for (std::int64_t row = begin; row < end; ++row) {
      std::string_view text =
          std::string_view(raw).substr(static_cast<std::size_t>(row - begin) * width, width);
      if (variable) {
        const std::uint64_t length = detail::little_endian(text, 0, 4);
        const std::uint64_t address = detail::little_endian(text, 4, address_width);
        const auto index = static_cast<std::uint32_t>(detail::little_endian(text, 4 + address_width, 4));
        text = {};
        if (length > 0) {
          if (length > static_cast<std::uint64_t>(hdf5_string_limit))
            detail::throw_string(data, row, concat("a string of ", length, " bytes"));
          std::string problem;
          text = heap.find(address, index, problem);
          if (problem.empty() && text.size() < length) problem = "a heap object shorter than the string";
          if (!problem.empty()) {
            require_uncut(data.file(), data.where());
            detail::throw_string(data, row, problem);
          }
          text = text.substr(0, static_cast<std::size_t>(length));
          if (text.back() == '\0') text.remove_suffix(1);  // some writers count the terminator
        }
        total += static_cast<std::int64_t>(length);
        if (total > data.file().superblock.file_size)
          data.fail("STOFM-3515", "strings that together are longer than the file", "each stored once",
                    "The file is damaged or hostile: write it again.");
      } else if (data.type().space_padded) {
        text = text.substr(0, text.find_last_not_of(std::string_view(" \0", 2)) + 1);
      } else {
        text = text.substr(0, text.find_last_not_of('\0') + 1);
      }
      detail::check_string(data, row, text);
      strings.emplace_back(text);
    }
  }
  return strings;
}

/// All numbers of a data set (any rank up to 2, row-major) as double.
inline std::vector<double> read_doubles(Hdf5Dataset& data, std::int64_t memory_limit) {
  if (!data.type().is_number())
    data.fail("STOFM-3511", to_string(data.type()), "numbers", "Write the values as integers or floats.");
  data.require_holdable(8, memory_limit);
  std::vector<double> values(static_cast<std::size_t>(data.elements()));
  if (values.empty()) return values;
  std::vector<std::byte> raw(values.size() * data.type().size);
  data.read_rows(0, data.dim(0), raw);
  convert_to_double(data.type(), raw.data(), values);
  return values;
}

/// All integers of a data set as int64. \throws FileError not integers
inline std::vector<std::int64_t> read_integers(Hdf5Dataset& data, std::int64_t memory_limit) {
  if (!data.type().is_integer())
    data.fail("STOFM-3511", to_string(data.type()), "integers", "Write the file again with anndata.");
  data.require_holdable(8, memory_limit);
  std::vector<std::int64_t> values(static_cast<std::size_t>(data.elements()));
  if (values.empty()) return values;
  std::vector<std::byte> raw(values.size() * data.type().size);
  data.read_rows(0, data.dim(0), raw);
  convert_to_int64(data.type(), raw.data(), values);
  return values;
}

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The header of a safetensors file: 8 bytes of length, JSON `{"name": {"dtype", "shape", "data_offsets"},
/// ...}`, data.
///
/// Strict, because the file comes from anywhere: every key once, ranges in the order of the data without
/// holes, overlaps or anything behind them, sizes that multiply out. Nothing is allocated from a declared
/// size. *Source* https://github.com/huggingface/safetensors (format), rows S01 to S26 of the reliability
/// sheet.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/json_scanner.hpp"
#include "stofm/io/safetensors_layout.hpp"
#include "stofm/io/safetensors_types.hpp"

namespace stofm::io {

namespace detail {

/// Collects the entries from the events of a header that is already known to be valid JSON.
class SafetensorsHeaderReader {
 public:
  SafetensorsHeaderReader(const std::string& file, const SafetensorsLimits& limits, SafetensorsHeader& header)
      : file_(file), limits_(limits), header_(header) {}

  void begin_object(std::int64_t) {
    if (++depth_ == 1 || ignored_ > 0 || (depth_ == 2 && entry_ == Entry::named)) {
      ignored_ += ignored_ > 0 ? 1 : 0;
      return;
    }
    nested("an object");
  }
  void end_object() {
    --depth_;
    if (ignored_ > 0) {
      close_ignored();
    } else if (depth_ == 1) {
      finish_entry();
    }
  }
  void begin_array(std::int64_t) {
    ++depth_;
    if (ignored_ > 0) {
      ++ignored_;
    } else if (depth_ == 1) {
      refuse("STOFM-3105", "header", "an array", "a JSON object");
    } else if (depth_ == 3 && (field_ == Field::shape || field_ == Field::offsets) && !numbers_seen()) {
      (field_ == Field::shape ? has_shape_ : has_offsets_) = true;
    } else {
      nested("an array");
    }
  }
  void end_array() {
    --depth_;
    if (ignored_ > 0)
      close_ignored();
    else
      field_ = Field::none;
  }
  void key(std::string_view name, std::int64_t) {
    if (ignored_ > 0) return;
    if (depth_ == 1) {
      start_entry(name);
    } else if (is_metadata_) {
      metadata_key_ = name;
    } else {
      field_ = name == "dtype"          ? Field::dtype
               : name == "shape"        ? Field::shape
               : name == "data_offsets" ? Field::offsets
                                        : Field::unknown;
      if (field_ == Field::unknown && ++unknown_fields_ == 1)
        first_unknown_ = stofm::quoted(name, 40) + " of " + place();
    }
  }
  void string(std::string_view value, std::int64_t) {
    if (skips_scalar()) return;
    if (is_metadata_ && depth_ == 2) {
      header_.metadata.emplace(metadata_key_, value);
    } else if (depth_ == 2 && field_ == Field::dtype) {
      read_dtype(value);
      field_ = Field::none;
    } else {
      scalar("the string " + stofm::quoted(value, 40));
    }
  }
  void integer(std::int64_t value, std::int64_t) {
    if (skips_scalar()) return;
    if (depth_ != 3) scalar("the number " + std::to_string(value));
    if (field_ == Field::shape) {
      if (sizes_.size() == static_cast<std::size_t>(max_rank))
        refuse("STOFM-3112", place(), concat("a rank above ", max_rank),
               concat("at most ", max_rank, " dimensions"));
      if (value < 0 || value > limits_.max_dimension)
        refuse("STOFM-3112", place(), concat("dimension ", sizes_.size(), " of ", value),
               concat("a dimension from 0 to the cap of ", limits_.max_dimension));
      sizes_.push_back(value);
    } else {
      if (offset_count_ == 2 || value < 0)
        refuse("STOFM-3111", place(),
               value < 0 ? concat("the data offset ", value) : std::string("more than two data offsets"),
               "[begin, end] with 0 <= begin <= end");
      (offset_count_++ == 0 ? info_.begin : info_.end) = value;
    }
  }
  void large_integer(std::uint64_t value, std::int64_t) { number(std::to_string(value)); }
  void real(double value, std::int64_t) { number(concat(value)); }
  void boolean(bool value, std::int64_t) {
    if (!skips_scalar()) scalar(value ? "true" : "false");
  }
  void null(std::int64_t) {
    if (!skips_scalar()) scalar("null");
  }

  /// Extra fields of entries, said once.
  void finish() {
    if (unknown_fields_ > 0)
      header_.notices.push_back(
          {"STOFM-W3101",
           concat(unknown_fields_, " unknown field(s) in the header are ignored, the first is ",
                  first_unknown_),
           unknown_fields_});
  }

 private:
  enum class Entry { none, named };
  enum class Field { none, dtype, shape, offsets, unknown };

  [[noreturn]] void refuse(const char* code, std::string where, std::string found, std::string expected,
                           std::string remedy = "Write the file again with a safetensors library.") const {
    throw FileError(
        {code, file_, std::move(where), std::move(found), std::move(expected), std::move(remedy)});
  }
  std::string place() const { return is_metadata_ ? "__metadata__" : tensor_place(name_); }
  bool numbers_seen() const { return field_ == Field::shape ? has_shape_ : has_offsets_; }

  /// A scalar inside or as the value of an unknown field.
  bool skips_scalar() {
    if (ignored_ > 0) return true;
    if (!is_metadata_ && depth_ == 2 && field_ == Field::unknown) {
      field_ = Field::none;
      return true;
    }
    return false;
  }
  void nested(const char* what) {
    if (!is_metadata_ && depth_ == 3 && field_ == Field::unknown) {
      ignored_ = 1;
      return;
    }
    scalar(what);
  }
  void close_ignored() {
    if (--ignored_ == 0) field_ = Field::none;
  }
  /// Something stands where it may not.
  [[noreturn]] void scalar(const std::string& found) const {
    if (entry_ == Entry::none) refuse("STOFM-3105", "header", found, "a JSON object");
    if (is_metadata_)
      refuse("STOFM-3117", "__metadata__", found, "an object with string values",
             "Store metadata as strings.");
    if (field_ == Field::shape)
      refuse("STOFM-3112", place(), found + " in the shape", "an array of sizes, whole numbers from 0 on");
    if (field_ == Field::offsets)
      refuse("STOFM-3111", place(), found + " in data_offsets", "[begin, end], whole numbers from 0 on");
    if (field_ == Field::dtype) refuse("STOFM-3114", place(), found + " as dtype", "one of " + dtype_list());
    refuse("STOFM-3106", place(), found, "an object with dtype, shape and data_offsets");
  }
  void number(const std::string& value) {
    if (skips_scalar()) return;
    if (depth_ == 3 && field_ == Field::shape)
      refuse("STOFM-3112", place(), concat("dimension ", sizes_.size(), " of ", value),
             concat("a whole dimension from 0 to the cap of ", limits_.max_dimension));
    scalar("the number " + value);
  }

  void start_entry(std::string_view name) {
    entry_ = Entry::named;
    is_metadata_ = name == "__metadata__";
    name_ = name;
    field_ = Field::none;
    info_ = {};
    sizes_.clear();
    offset_count_ = 0;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    if (is_metadata_) return;
    if (name.empty() || static_cast<std::int64_t>(name.size()) > limits_.max_name_bytes)
      refuse("STOFM-3116", place(), concat("a name of ", name.size(), " bytes"),
             concat("a name of 1 to ", limits_.max_name_bytes, " bytes"), "Rename the tensor.");
    for (std::size_t i = 0; i < name.size(); ++i) {
      const auto byte = static_cast<unsigned char>(name[i]);
      const bool c1 = byte == 0xc2 && i + 1 < name.size() && static_cast<unsigned char>(name[i + 1]) < 0xa0;
      if (byte < 0x20 || byte == 0x7f || c1)
        refuse("STOFM-3116", place(), "a control character in the name", "printable text",
               "Rename the tensor.");
    }
    if (static_cast<std::int64_t>(header_.tensors.size()) >= limits_.max_tensors)
      refuse("STOFM-3119", "header", concat("more than ", limits_.max_tensors, " tensors"),
             concat("at most ", limits_.max_tensors, " (the cap)"), "Raise the cap if the file is right.");
  }
  void read_dtype(std::string_view name) {
    has_dtype_ = true;
    if (const auto dtype = dtype_from_name(name)) {
      info_.dtype = *dtype;
      return;
    }
    for (const std::string_view known : {"F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
                                         "F6_E2M3", "F6_E3M2", "F4", "F4_E2M1", "C64", "C128", "I4", "U4"})
      if (name == known)
        refuse("STOFM-3115", place(), "dtype " + stofm::quoted(name), "one of " + dtype_list(),
               "Such elements are not computed with: convert to F32/F16/BF16.");
    refuse("STOFM-3114", place(), "dtype " + stofm::quoted(name, 40), "one of " + dtype_list());
  }
  void finish_entry() {
    entry_ = Entry::none;
    if (is_metadata_) {
      is_metadata_ = false;
      return;
    }
    if (!has_dtype_) refuse("STOFM-3114", place(), "no dtype", "one of " + dtype_list());
    if (!has_shape_ || !has_offsets_)
      refuse("STOFM-3106", place(), has_shape_ ? "no data_offsets" : "no shape",
             "dtype, shape and data_offsets");
    if (offset_count_ != 2 || info_.begin > info_.end)
      refuse("STOFM-3111", place(),
             offset_count_ == 2 ? concat("data_offsets [", info_.begin, ", ", info_.end, "]")
                                : concat(offset_count_, " data offsets"),
             "[begin, end] with 0 <= begin <= end");
    std::int64_t elements = 1, bytes = 0;
    bool fits = true, empty = false;
    for (const std::int64_t size : sizes_) {  // a zero must not hide an absurd other size
      empty = empty || size == 0;
      fits = fits && !__builtin_mul_overflow(elements, size == 0 ? 1 : size, &elements);
    }
    fits = fits && !__builtin_mul_overflow(elements, dtype_bytes(info_.dtype), &bytes);
    if (!fits)
      refuse("STOFM-3112", place(), "a shape whose size overflows 63 bits", "a number of bytes below 2^63");
    if (empty) bytes = 0;
    info_.shape = Shape(std::span<const std::int64_t>(sizes_));
    if (bytes != info_.bytes())
      refuse("STOFM-3113", place(), concat(info_.bytes(), " bytes at [", info_.begin, ", ", info_.end, "]"),
             concat(bytes, " bytes for shape ", to_string(info_.shape), " of ", dtype_name(info_.dtype)));
    header_.tensors.emplace(name_, info_);
  }

  const std::string& file_;
  const SafetensorsLimits& limits_;
  SafetensorsHeader& header_;
  int depth_ = 0;
  std::int64_t ignored_ = 0;  // open brackets inside the value of an unknown field
  Entry entry_ = Entry::none;
  Field field_ = Field::none;
  bool is_metadata_ = false, has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  std::string name_, metadata_key_, first_unknown_;
  SafetensorsInfo info_;
  std::vector<std::int64_t> sizes_;
  int offset_count_ = 0;
  std::int64_t unknown_fields_ = 0;
};

}  // namespace detail

/// Parses and checks a whole header. `text` is the JSON (behind the 8-byte length), `data_bytes` what follows
/// it. *Cost* two passes over the header, n log n in the tensors; memory in proportion to the header. \throws
/// FileError STOFM-31xx (format) or 32xx (JSON), with byte positions of the file.
inline SafetensorsHeader parse_safetensors_header(std::string_view text, std::int64_t data_bytes,
                                                  const std::string& file,
                                                  const SafetensorsLimits& limits = {}) {
  if (!text.empty() && (text[0] == ' ' || text[0] == '\t' || text[0] == '\n' || text[0] == '\r'))
    throw FileError({"STOFM-3105", file, "header, byte 8", "a blank before the JSON object", "\"{\"",
                     "Write the file again with a safetensors library."});
  const JsonLimits json{.max_bytes = limits.max_header_bytes,
                        .max_depth = 64,
                        .max_values = 16 * limits.max_tensors,
                        .max_string_bytes = limits.max_header_bytes};
  const JsonSource source{file, "header", 8, "Write the file again with a safetensors library."};
  JsonNoHandler check;
  scan_json(text, check, source, json);
  SafetensorsHeader header;
  detail::SafetensorsHeaderReader reader(file, limits, header);
  scan_json(text, reader, source, json);
  reader.finish();
  if (header.tensors.empty() && !limits.allow_empty)
    throw FileError({"STOFM-3118", file, "header", "no weights (no tensor at all)", "at least one tensor",
                     "Check that it is the right file."});
  detail::check_safetensors_layout(header, data_bytes, file);
  return header;
}

}  // namespace stofm::io

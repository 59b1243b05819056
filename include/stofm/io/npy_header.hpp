// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The header of a .npy file (formats 1.0, 2.0, 3.0): magic, version, length, a Python dict with descr,
/// fortran_order and shape. The dict is read by a small strict parser, nothing of Python is evaluated.
///
/// *Source* https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/core/shape.hpp"
#include "stofm/io/dtype.hpp"

namespace stofm::io {

/// What a .npy file declares.
struct NpyHeader {
  Dtype dtype = Dtype::f32;
  bool big_endian = false;     ///< bytes of each element are swapped when read
  bool fortran_order = false;  ///< first index fastest
  Shape shape;
  std::int64_t data_begin = 0;  ///< position of the first element in the file
};

/// Longest header that is read. NumPy itself writes about 100 bytes.
inline constexpr std::int64_t npy_max_header_bytes = 64 * 1024;

namespace detail {

/// One pass over the dict, `text`, which starts at byte `first_byte` of the file.
class NpyDictParser {
 public:
  NpyDictParser(std::string_view text, std::int64_t first_byte, const std::string& file)
      : text_(text), first_byte_(first_byte), file_(file) {}

  NpyHeader parse() {
    expect('{');
    while (!take('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !has_descr_)
        has_descr_ = read_descr();
      else if (key == "fortran_order" && !has_order_)
        has_order_ = read_order();
      else if (key == "shape" && !has_shape_)
        has_shape_ = read_shape();
      else
        refuse("the key " + stofm::quoted(key, 40), "descr, fortran_order and shape, each once");
      if (!take(',') && peek() != '}') refuse(here(), "\",\" or \"}\"");
    }
    skip_blanks();
    if (at_ < text_.size()) refuse("more text behind the dict: " + here(), "blanks up to the data");
    if (!has_descr_ || !has_order_ || !has_shape_)
      refuse(!has_descr_   ? "no descr"
             : !has_order_ ? "no fortran_order"
                           : "no shape",
             "descr, fortran_order and shape");
    return header_;
  }

 private:
  [[noreturn]] void refuse(std::string found, std::string expected, const char* code = "STOFM-3304",
                           std::string remedy = "Write the array again with numpy.save.") const {
    throw FileError({code, file_, concat("header, byte ", first_byte_ + static_cast<std::int64_t>(at_)),
                     std::move(found), std::move(expected), std::move(remedy)});
  }
  std::string here() const {
    return at_ < text_.size() ? stofm::quoted(text_.substr(at_, 20), 20) : "the end of the header";
  }
  char peek() {
    skip_blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse(here(), std::string("\"") + c + "\"");
  }
  std::string_view string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') refuse(here(), "a string in quotes");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) refuse("a string without end", "a closing quote");
    const std::string_view value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return value;
  }

  bool read_descr() {
    const std::string remedy = "Save a plain array of float32 (numpy.save(path, array.astype('<f4'))).";
    if (peek() == '[') refuse("a structured descr", "a number type such as '<f4'", "STOFM-3305", remedy);
    const std::size_t start = at_;
    std::string_view name = string();
    auto unsupported = [&](const std::string& what) {
      at_ = start;
      refuse(what, "a number type such as '<f4', '<f8', '<i4', '|u1'", "STOFM-3305", remedy);
    };
    if (name.size() < 2) unsupported("the descr " + stofm::quoted(name, 20));
    const char order = name.front();
    if (order == '<' || order == '>' || order == '|' || order == '=') name.remove_prefix(1);
    if (name.front() == 'O') unsupported("objects (a pickle)");
    struct Row {
      std::string_view code;
      Dtype dtype;
    };
    static constexpr std::array<Row, 12> rows = {{{"b1", Dtype::boolean},
                                                  {"u1", Dtype::u8},
                                                  {"i1", Dtype::i8},
                                                  {"u2", Dtype::u16},
                                                  {"i2", Dtype::i16},
                                                  {"u4", Dtype::u32},
                                                  {"i4", Dtype::i32},
                                                  {"u8", Dtype::u64},
                                                  {"i8", Dtype::i64},
                                                  {"f2", Dtype::f16},
                                                  {"f4", Dtype::f32},
                                                  {"f8", Dtype::f64}}};
    for (const Row& row : rows)
      if (row.code == name) {
        header_.dtype = row.dtype;
        header_.big_endian = order == '>' && dtype_bytes(row.dtype) > 1;
        if (order == '|' && dtype_bytes(row.dtype) > 1)
          unsupported("no byte order for " + stofm::quoted(name, 20));
        return true;
      }
    unsupported("the descr " + stofm::quoted(name, 20));
    return false;
  }
  bool read_order() {
    const bool yes = (skip_blanks(), text_.substr(at_, 4) == "True");
    if (!yes && text_.substr(at_, 5) != "False") refuse(here(), "True or False");
    header_.fortran_order = yes;
    at_ += yes ? 4 : 5;
    return true;
  }
  bool read_shape() {
    expect('(');
    std::vector<std::int64_t> sizes;
    std::int64_t elements = 1;
    bool comma = true;
    while (!take(')')) {
      if (!comma) refuse(here(), "\",\" or \")\" in the shape");
      std::int64_t size = 0;
      peek();
      const char* begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      constexpr std::int64_t cap = std::int64_t{1} << 40;
      if (error == std::errc::result_out_of_range || (error == std::errc{} && (size < 0 || size > cap)))
        refuse("a dimension " + here(), concat("a dimension from 0 to the cap of ", cap), "STOFM-3306");
      if (error != std::errc{}) refuse(here(), "a size");
      if (sizes.size() == static_cast<std::size_t>(max_rank))
        refuse(concat("a rank above ", max_rank), concat("at most ", max_rank, " dimensions"), "STOFM-3306");
      if (__builtin_mul_overflow(elements, size == 0 ? 1 : size, &elements) || elements > INT64_MAX / 8)
        refuse("a shape whose size overflows 63 bits", "fewer elements", "STOFM-3306");
      at_ += static_cast<std::size_t>(end - begin);
      sizes.push_back(size);
      comma = take(',');
    }
    if (sizes.size() == 1 && !comma) refuse("a number in brackets", "a tuple such as (3,)");
    if (sizes.empty() && text_[at_ - 2] == ',') refuse("\"(,)\"", "a tuple");
    header_.shape = Shape(std::span<const std::int64_t>(sizes));
    return true;
  }

  std::string_view text_;
  std::int64_t first_byte_;
  const std::string& file_;
  std::size_t at_ = 0;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
  NpyHeader header_;
};

}  // namespace detail

/// Parses the start of a .npy file. `start` holds its first bytes: all of the file, or at least
/// 12 + npy_max_header_bytes of it; `file_bytes` is the size of the file.
/// \throws FileError STOFM-3301 not a .npy file, 3302 version, 3303 header length, 3304 syntax, 3305 element
/// type, 3306 shape, 3307 data cut short, 3308 bytes behind the data.
inline NpyHeader parse_npy_header(std::string_view start, std::int64_t file_bytes, const std::string& file) {
  auto refuse = [&](const char* code, const char* where, std::string found, std::string expected,
                    const char* remedy = "Write the array again with numpy.save.") {
    throw FileError({code, file, where, std::move(found), std::move(expected), remedy});
  };
  static constexpr std::string_view magic = "\x93NUMPY";
  if (start.substr(0, 2) == "PK")
    refuse("STOFM-3301", "byte 0", "a zip archive (.npz?)", "a .npy file",
           "Save one array with numpy.save instead of numpy.savez.");
  if (start.substr(0, magic.size()) != magic || start.size() < 10)
    refuse("STOFM-3301", "byte 0", start.empty() ? "an empty file" : stofm::quoted(start.substr(0, 8)),
           "the magic \\x93NUMPY of a .npy file");
  const auto major = static_cast<unsigned char>(start[6]), minor = static_cast<unsigned char>(start[7]);
  if (major < 1 || major > 3 || minor != 0)
    refuse("STOFM-3302", "byte 6", concat("version ", int{major}, ".", int{minor}),
           "version 1.0, 2.0 or 3.0");
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  if (start.size() < 8 + length_bytes)
    refuse("STOFM-3303", "byte 8", "the end of the file", "a header length");
  std::int64_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<std::int64_t>(static_cast<unsigned char>(start[8 + i])) << (8 * i);
  const auto begin = static_cast<std::int64_t>(8 + length_bytes);
  if (length > npy_max_header_bytes)
    refuse("STOFM-3303", "byte 8", concat("a header of ", length, " bytes"),
           concat("at most the cap of ", npy_max_header_bytes));
  if (begin + length > static_cast<std::int64_t>(start.size()) || begin + length > file_bytes)
    refuse("STOFM-3303", "byte 8", concat("a header of ", length, " bytes in a file of ", file_bytes),
           "a header that ends within the file", "truncated? Get the file again.");
  NpyHeader header =
      detail::NpyDictParser(start.substr(8 + length_bytes, static_cast<std::size_t>(length)), begin, file)
          .parse();
  header.data_begin = begin + length;
  const std::int64_t data = file_bytes - header.data_begin,
                     needed = header.shape.numel() * dtype_bytes(header.dtype);
  if (data < needed)
    refuse("STOFM-3307", "data", concat(data, " bytes"),
           concat(needed, " bytes for shape ", to_string(header.shape), " of ", dtype_name(header.dtype)),
           "truncated? Get the file again.");
  if (data > needed)
    refuse("STOFM-3308", "data", concat(data - needed, " bytes behind the array"),
           concat("the end of the file after ", needed, " bytes of data"));
  return header;
}

}  // namespace stofm::io

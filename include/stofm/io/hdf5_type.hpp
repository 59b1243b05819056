// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Element types of HDF5 data sets, as far as .h5ad uses them, and their conversion to double and int64.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "stofm/io/hdf5_handle.hpp"

namespace stofm::io {

/// What one element is. Enumerations over integers (h5py's bool) count as their integer.
struct Hdf5Type {
  enum class Kind {
    signed_integer,
    unsigned_integer,
    floating,
    fixed_string,
    variable_string,
    compound,
    other
  };
  Kind kind = Kind::other;
  std::size_t size = 0;  ///< bytes in the file
  bool big_endian = false;
  bool space_padded = false;  ///< fixed strings
  bool boolean = false;
  bool is_number() const {
    return kind == Kind::signed_integer || kind == Kind::unsigned_integer || kind == Kind::floating;
  }
  bool is_integer() const { return kind == Kind::signed_integer || kind == Kind::unsigned_integer; }
  bool is_string() const { return kind == Kind::fixed_string || kind == Kind::variable_string; }
};

/// "f4", "i8", "u2 (big-endian)", "bool", "string", ...
inline std::string to_string(const Hdf5Type& type) {
  const std::string tail = type.big_endian ? " (big-endian)" : "";
  switch (type.kind) {
    case Hdf5Type::Kind::signed_integer:
      return (type.boolean ? "bool" : concat("i", type.size)) + tail;
    case Hdf5Type::Kind::unsigned_integer:
      return concat("u", type.size) + tail;
    case Hdf5Type::Kind::floating:
      return concat("f", type.size) + tail;
    case Hdf5Type::Kind::fixed_string:
      return concat("string of ", type.size, " bytes");
    case Hdf5Type::Kind::variable_string:
      return "string";
    case Hdf5Type::Kind::compound:
      return "compound";
    case Hdf5Type::Kind::other:
      break;
  }
  return "another type";
}

namespace detail {

inline bool float_layout_is(hid_t id, std::size_t sign, std::size_t exponent, std::size_t exponent_bits,
                            std::size_t mantissa_bits, std::size_t bias) {
  std::size_t spos = 0, epos = 0, esize = 0, mpos = 0, msize = 0;
  return H5Tget_fields(id, &spos, &epos, &esize, &mpos, &msize) >= 0 && spos == sign && epos == exponent &&
         esize == exponent_bits && mpos == 0 && msize == mantissa_bits && H5Tget_ebias(id) == bias &&
         H5Tget_norm(id) == H5T_NORM_IMPLIED;
}

}  // namespace detail

/// Describes a libhdf5 type; anything that is not plain (odd precision, VAX order, other float layouts) is
/// `other`.
inline Hdf5Type describe_hdf5_type(hid_t id) {
  Hdf5Type type;
  const H5T_class_t kind = H5Tget_class(id);
  type.size = H5Tget_size(id);
  if (kind == H5T_STRING) {
    const htri_t variable = H5Tis_variable_str(id);
    if (variable < 0 || type.size == 0) return type;
    type.kind = variable > 0 ? Hdf5Type::Kind::variable_string : Hdf5Type::Kind::fixed_string;
    if (variable > 0) type.size = 0;
    type.space_padded = H5Tget_strpad(id) == H5T_STR_SPACEPAD;
    return type;
  }
  if (kind == H5T_COMPOUND) {
    type.kind = Hdf5Type::Kind::compound;
    return type;
  }
  if (kind == H5T_ENUM) {
    const Hdf5Handle base(H5Tget_super(id), H5Tclose);
    if (!base || H5Tget_class(base.get()) != H5T_INTEGER) return type;
    type = describe_hdf5_type(base.get());
    type.boolean = type.size == 1;
    return type;
  }
  if (kind != H5T_INTEGER && kind != H5T_FLOAT) return type;
  const H5T_order_t order = H5Tget_order(id);
  if (order != H5T_ORDER_LE && order != H5T_ORDER_BE) return type;
  type.big_endian = order == H5T_ORDER_BE && type.size > 1;
  if (H5Tget_precision(id) != 8 * type.size || H5Tget_offset(id) != 0) return type;
  if (kind == H5T_INTEGER) {
    const H5T_sign_t sign = H5Tget_sign(id);
    if ((type.size == 1 || type.size == 2 || type.size == 4 || type.size == 8) && sign != H5T_SGN_ERROR)
      type.kind = sign == H5T_SGN_NONE ? Hdf5Type::Kind::unsigned_integer : Hdf5Type::Kind::signed_integer;
    return type;
  }
  const bool plain = (type.size == 8 && detail::float_layout_is(id, 63, 52, 11, 52, 1023)) ||
                     (type.size == 4 && detail::float_layout_is(id, 31, 23, 8, 23, 127)) ||
                     (type.size == 2 && detail::float_layout_is(id, 15, 10, 5, 10, 15));
  if (plain) type.kind = Hdf5Type::Kind::floating;
  return type;
}

namespace detail {

/// IEEE binary16 to double, exact.
inline double half_to_double(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double fraction = bits & 1023;
  double value = 0;
  if (exponent == 31) {
    value = fraction == 0 ? HUGE_VAL : std::nan("");
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(fraction + 1024, exponent - 25);
  }
  return (bits & 0x8000U) != 0 ? -value : value;
}

template <class Word>
Word load_word(const std::byte* at, bool big_endian) {
  Word word{};
  std::memcpy(&word, at, sizeof(Word));
  if constexpr (sizeof(Word) == 2) {
    if (big_endian) word = static_cast<Word>(__builtin_bswap16(word));
  } else if constexpr (sizeof(Word) == 4) {
    if (big_endian) word = __builtin_bswap32(word);
  } else if constexpr (sizeof(Word) == 8) {
    if (big_endian) word = __builtin_bswap64(word);
  }
  return word;
}

template <class Word, class As, class Out>
void convert_words(const std::byte* raw, std::span<Out> out, bool big_endian) {
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<Out>(std::bit_cast<As>(load_word<Word>(raw + i * sizeof(Word), big_endian)));
}

template <class Out>
void convert_integers(const Hdf5Type& type, const std::byte* raw, std::span<Out> out) {
  const bool is_signed = type.kind == Hdf5Type::Kind::signed_integer;
  const bool big = type.big_endian;
  switch (type.size) {
    case 1:
      return is_signed ? convert_words<std::uint8_t, std::int8_t>(raw, out, big)
                       : convert_words<std::uint8_t, std::uint8_t>(raw, out, big);
    case 2:
      return is_signed ? convert_words<std::uint16_t, std::int16_t>(raw, out, big)
                       : convert_words<std::uint16_t, std::uint16_t>(raw, out, big);
    case 4:
      return is_signed ? convert_words<std::uint32_t, std::int32_t>(raw, out, big)
                       : convert_words<std::uint32_t, std::uint32_t>(raw, out, big);
    default:
      return is_signed ? convert_words<std::uint64_t, std::int64_t>(raw, out, big)
                       : convert_words<std::uint64_t, std::uint64_t>(raw, out, big);
  }
}

}  // namespace detail

/// Converts `out.size()` elements of a number type. raw: out.size() * type.size bytes, any alignment.
inline void convert_to_double(const Hdf5Type& type, const std::byte* raw, std::span<double> out) {
  if (type.is_integer()) return detail::convert_integers(type, raw, out);
  if (type.size == 8) return detail::convert_words<std::uint64_t, double>(raw, out, type.big_endian);
  if (type.size == 4) return detail::convert_words<std::uint32_t, float>(raw, out, type.big_endian);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = detail::half_to_double(detail::load_word<std::uint16_t>(raw + i * 2, type.big_endian));
}

/// As convert_to_double for integer types; a u8 value above 2^63 - 1 comes out negative, which every user
/// refuses.
inline void convert_to_int64(const Hdf5Type& type, const std::byte* raw, std::span<std::int64_t> out) {
  detail::convert_integers(type, raw, out);
}

}  // namespace stofm::io

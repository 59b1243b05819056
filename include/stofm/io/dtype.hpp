// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Element types of tensors in files, and their conversion to the scalars of the library. Little endian.
///
/// Real targets (float, double, bfloat16) take F16, BF16, F32, F64; integer targets take every integer type
/// and BOOL, as long as each value fits. Bytes may lie at any address (they are copied, not cast).

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "stofm/core/scalar.hpp"

static_assert(std::endian::native == std::endian::little,
              "stofm reads and writes little-endian files directly");

namespace stofm::io {

/// Names as safetensors writes them, in lower case.
enum class Dtype { boolean, u8, i8, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64 };

namespace detail {
struct DtypeRow {
  std::string_view name;
  std::int64_t bytes;
};
inline constexpr std::array<DtypeRow, 13> dtype_rows = {{{"BOOL", 1},
                                                         {"U8", 1},
                                                         {"I8", 1},
                                                         {"U16", 2},
                                                         {"I16", 2},
                                                         {"F16", 2},
                                                         {"BF16", 2},
                                                         {"U32", 4},
                                                         {"I32", 4},
                                                         {"F32", 4},
                                                         {"U64", 8},
                                                         {"I64", 8},
                                                         {"F64", 8}}};
}  // namespace detail

/// "F32".
inline std::string_view dtype_name(Dtype dtype) {
  return detail::dtype_rows[static_cast<std::size_t>(dtype)].name;
}
/// Bytes of one element.
inline std::int64_t dtype_bytes(Dtype dtype) {
  return detail::dtype_rows[static_cast<std::size_t>(dtype)].bytes;
}
/// The type called `name` (exactly), or nothing.
inline std::optional<Dtype> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < detail::dtype_rows.size(); ++i)
    if (detail::dtype_rows[i].name == name) return static_cast<Dtype>(i);
  return std::nullopt;
}
/// "BOOL, U8, ..., F64", for messages.
inline std::string dtype_list() {
  std::string list;
  for (const detail::DtypeRow& row : detail::dtype_rows)
    list.append(list.empty() ? "" : ", ").append(row.name);
  return list;
}
inline bool is_real(Dtype dtype) {
  return dtype == Dtype::f16 || dtype == Dtype::bf16 || dtype == Dtype::f32 || dtype == Dtype::f64;
}

/// The file type of a scalar: float -> F32.
template <Scalar T>
constexpr Dtype dtype_of() {
  if constexpr (std::same_as<T, float>) return Dtype::f32;
  if constexpr (std::same_as<T, double>) return Dtype::f64;
  if constexpr (std::same_as<T, bfloat16>) return Dtype::bf16;
  if constexpr (std::same_as<T, std::int8_t>) return Dtype::i8;
  if constexpr (std::same_as<T, std::uint8_t>) return Dtype::u8;
  if constexpr (std::same_as<T, std::int16_t>) return Dtype::i16;
  if constexpr (std::same_as<T, std::uint16_t>) return Dtype::u16;
  if constexpr (std::same_as<T, std::int32_t>) return Dtype::i32;
  if constexpr (std::same_as<T, std::uint32_t>) return Dtype::u32;
  if constexpr (std::same_as<T, std::int64_t>) return Dtype::i64;
  if constexpr (std::same_as<T, std::uint64_t>) return Dtype::u64;
}

/// IEEE binary16 (as bits) to float, exact; NaN keeps its payload.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 31U, mantissa = half & 0x3ffU;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float value = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  const std::uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

/// Whether elements of `dtype` can be read as T at all.
template <Scalar T>
bool can_decode(Dtype dtype) {
  return is_real(dtype) == Real<T>;
}

namespace detail {
/// Copies `count` elements stored as `Stored` to `out`. Returns the index of the first one that T can not
/// hold, or -1.
template <class Stored, class T>
std::int64_t decode_as(const void* bytes, std::int64_t count, T* out) {
  const auto* from = static_cast<const unsigned char*>(bytes);
  for (std::int64_t i = 0; i < count; ++i) {
    Stored stored;
    std::memcpy(&stored, from + i * static_cast<std::int64_t>(sizeof(Stored)), sizeof(Stored));
    if constexpr (std::is_integral_v<T>) {
      if (!std::in_range<T>(stored)) return i;
      out[i] = static_cast<T>(stored);
    } else if constexpr (std::same_as<Stored, double> && !std::same_as<T, double>) {
      out[i] = static_cast<T>(static_cast<float>(stored));
      if (std::isinf(static_cast<float>(out[i])) && !std::isinf(stored)) return i;
    } else if constexpr (std::same_as<T, double>) {
      out[i] = static_cast<double>(static_cast<float>(stored));
      if constexpr (std::same_as<Stored, double>) out[i] = stored;
    } else {
      out[i] = static_cast<T>(static_cast<float>(stored));
    }
  }
  return -1;
}
/// binary16 bits with the conversion that decode_as expects.
struct HalfBits {
  std::uint16_t bits;
  explicit operator float() const { return half_to_float(bits); }
};
}  // namespace detail

/// Decodes `count` elements of a file. Returns the index of the first one that does not fit T (an integer out
/// of range, a finite F64 beyond float), or -1. Requires can_decode<T>(dtype).
template <Scalar T>
std::int64_t decode_elements(Dtype dtype, const void* bytes, std::int64_t count, T* out) {
  if (dtype == dtype_of<T>()) {
    if (count > 0) std::memcpy(static_cast<void*>(out), bytes, static_cast<std::size_t>(count) * sizeof(T));
    return -1;
  }
  if constexpr (Real<T>) {
    switch (dtype) {
      case Dtype::f16:
        return detail::decode_as<detail::HalfBits>(bytes, count, out);
      case Dtype::bf16:
        return detail::decode_as<bfloat16>(bytes, count, out);
      case Dtype::f32:
        return detail::decode_as<float>(bytes, count, out);
      case Dtype::f64:
        return detail::decode_as<double>(bytes, count, out);
      default:
        return 0;
    }
  } else {
    switch (dtype) {
      case Dtype::boolean:
      case Dtype::u8:
        return detail::decode_as<std::uint8_t>(bytes, count, out);
      case Dtype::i8:
        return detail::decode_as<std::int8_t>(bytes, count, out);
      case Dtype::u16:
        return detail::decode_as<std::uint16_t>(bytes, count, out);
      case Dtype::i16:
        return detail::decode_as<std::int16_t>(bytes, count, out);
      case Dtype::u32:
        return detail::decode_as<std::uint32_t>(bytes, count, out);
      case Dtype::i32:
        return detail::decode_as<std::int32_t>(bytes, count, out);
      case Dtype::u64:
        return detail::decode_as<std::uint64_t>(bytes, count, out);
      case Dtype::i64:
        return detail::decode_as<std::int64_t>(bytes, count, out);
      default:
        return 0;
    }
  }
}

}  // namespace stofm::io

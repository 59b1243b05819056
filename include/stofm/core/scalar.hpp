// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The scalar types of tensors: float, double, bfloat16 and plain integers.

#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

namespace stofm {

/// Brain floating point: the upper half of an IEEE binary32. A storage type: arithmetic happens in float.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; NaN stays NaN (quiet).
  explicit bfloat16(float value) {
    const auto raw = std::bit_cast<std::uint32_t>(value);
    if ((raw & 0x7fffffffU) > 0x7f800000U) {
      bits = static_cast<std::uint16_t>((raw >> 16) | 0x0040U);
    } else {
      bits = static_cast<std::uint16_t>((raw + 0x7fffU + ((raw >> 16) & 1U)) >> 16);
    }
  }
  /// Exact.
  operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }
};
static_assert(sizeof(bfloat16) == 2 && std::is_trivially_copyable_v<bfloat16>);

/// Real scalars that ops compute with (bfloat16 is stored, float is computed).
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bfloat16>;

/// Every scalar a tensor may hold.
template <class T>
concept Scalar = Real<T> || std::same_as<T, std::int8_t> || std::same_as<T, std::uint8_t> ||
    std::same_as<T, std::int16_t> || std::same_as<T, std::uint16_t> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::uint32_t> || std::same_as<T, std::int64_t> || std::same_as<T, std::uint64_t>;

/// Type in which a scalar is accumulated: float for bfloat16 and float, double for double.
template <Real T>
using accumulator_t = std::conditional_t<std::same_as<T, double>, double, float>;

}  // namespace stofm

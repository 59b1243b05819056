// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Integer arithmetic that refuses to wrap. Every size, offset and index of the library is `std::int64_t`
/// and every product of sizes goes through here before memory is asked for.

#include <cstdint>
#include <limits>
#include <string>

#include "stofm/core/error.hpp"

namespace stofm {

/// a * b for sizes; \throws ShapeError if either is negative or the product exceeds 2^63 - 1.
inline std::int64_t checked_mul(std::int64_t a, std::int64_t b, const char* what = "size") {
  std::int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
    throw ShapeError({"STOFM-1001", "", what, concat(a, " x ", b),
                      "a product of non-negative sizes below 2^63", "Check the shape."});
  return product;
}

/// a + b for sizes; \throws ShapeError as checked_mul.
inline std::int64_t checked_add(std::int64_t a, std::int64_t b, const char* what = "size") {
  std::int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum))
    throw ShapeError({"STOFM-1002", "", what, concat(a, " + ", b), "a sum of non-negative sizes below 2^63",
                      "Check the shape."});
  return sum;
}

/// Converts between integer types; \throws ShapeError if the value does not survive.
template <class To, class From>
constexpr To narrow(From value, const char* what = "integer") {
  const To result = static_cast<To>(value);
  if (static_cast<From>(result) != value || ((result < To{}) != (value < From{})))
    throw ShapeError({"STOFM-1003", "", what, std::to_string(value),
                      "a value that fits the narrower integer type", "Check the size."});
  return result;
}

}  // namespace stofm

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Shape and strides of a tensor: up to eight dimensions of 64-bit sizes, no heap memory.

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "stofm/core/checked.hpp"

namespace stofm {

/// Most dimensions a tensor can have.
inline constexpr int max_rank = 8;

/// Sizes of a tensor, outermost first. Rank 0 is a scalar with one element.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes)
      : Shape(std::span<const std::int64_t>(sizes.begin(), sizes.size())) {}
  /// \throws ShapeError for more than eight dimensions, a negative size, or a product that overflows 63 bits.
  explicit Shape(std::span<const std::int64_t> sizes) {
    if (sizes.size() > static_cast<std::size_t>(max_rank))
      throw ShapeError({"STOFM-1004", "", "shape", concat(sizes.size(), " dimensions"),
                        concat("at most ", max_rank), "Merge dimensions."});
    rank_ = static_cast<int>(sizes.size());
    std::int64_t nonzero_product = 1;  // a zero size must not hide an absurd other one
    for (int i = 0; i < rank_; ++i) {
      const std::int64_t size = sizes[static_cast<std::size_t>(i)];
      if (size < 0)
        throw ShapeError({"STOFM-1005", "", concat("shape, dimension ", i), std::to_string(size),
                          "a size >= 0", "Check the shape."});
      sizes_[static_cast<std::size_t>(i)] = size;
      nonzero_product = checked_mul(nonzero_product, size == 0 ? 1 : size, "shape");
    }
  }

  int rank() const { return rank_; }
  std::int64_t operator[](int i) const { return sizes_[static_cast<std::size_t>(i)]; }
  /// Number of elements.
  std::int64_t numel() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank_; ++i) product *= (*this)[i];
    return product;
  }
  std::span<const std::int64_t> sizes() const { return {sizes_.data(), static_cast<std::size_t>(rank_)}; }
  /// Strides in elements of a dense row-major tensor of this shape.
  std::array<std::int64_t, max_rank> row_major_strides() const {
    std::array<std::int64_t, max_rank> strides{};
    std::int64_t step = 1;
    for (int i = rank_ - 1; i >= 0; --i) {
      strides[static_cast<std::size_t>(i)] = step;
      step *= (std::max<std::int64_t>)((*this)[i], 1);
    }
    return strides;
  }
  bool operator==(const Shape& other) const {
    const auto mine = sizes(), theirs = other.sizes();
    return std::equal(mine.begin(), mine.end(), theirs.begin(), theirs.end());
  }

 private:
  std::array<std::int64_t, max_rank> sizes_{};
  int rank_ = 0;
};

/// "[2, 3]", for messages.
inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace stofm

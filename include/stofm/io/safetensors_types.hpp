// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a safetensors file declares, and how much it may declare.

#include <cstdint>
#include <map>
#include <string>

#include "stofm/core/notice.hpp"
#include "stofm/core/shape.hpp"
#include "stofm/io/dtype.hpp"

namespace stofm::io {

/// Bounds on what a file may declare.
struct SafetensorsLimits {
  std::int64_t max_header_bytes = std::int64_t{16} << 20;
  std::int64_t max_tensors = 65'536;
  std::int64_t max_name_bytes = 512;
  std::int64_t max_dimension = std::int64_t{1} << 40;  ///< of one dimension; the rank is capped at 8
  bool allow_empty = false;                            ///< accept a file without tensors
};

/// One tensor as declared.
struct SafetensorsInfo {
  Dtype dtype = Dtype::u8;
  Shape shape;
  std::int64_t begin = 0, end = 0;  ///< bytes, from the start of the data section

  std::int64_t bytes() const { return end - begin; }
};

/// A header that has been checked as a whole.
struct SafetensorsHeader {
  std::map<std::string, SafetensorsInfo, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> metadata;
  Notices notices;  ///< STOFM-W3101: fields that the format does not have
};

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A column of obs or var as groups. No libhdf5 here.

#include <cstdint>
#include <string>
#include <vector>

namespace stofm::io {

/// Codes and their names. -1: missing.
struct H5adCategorical {
  std::vector<std::int64_t> codes;
  std::vector<std::string> categories;
};

}  // namespace stofm::io

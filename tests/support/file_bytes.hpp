// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Whole files in tests.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace stofm::test {

/// All bytes of a file; of one that is not there, none.
inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Makes the file, or writes it anew.
inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace stofm::test

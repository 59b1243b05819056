// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Bytes as a zlib stream (RFC 1950): for figures and reports. Without zlib (a build without HDF5) the blocks
/// are stored as they are, which every reader takes as well.

#include <cstdint>
#include <string>
#include <string_view>

namespace stofm::program {

std::string deflated(std::string_view bytes);

/// CRC of PNG chunks (ISO 3309).
std::uint32_t crc32_of(std::string_view bytes);

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A digest of everything a test fetched from the device: two runs must print the same.

#include <cstddef>
#include <cstdint>

namespace stofm::test {

/// FNV-1a over all bytes given so far.
inline std::uint64_t& device_digest() {
  static std::uint64_t digest = 1469598103934665603ULL;
  return digest;
}
inline void add_to_device_digest(const void* data, std::size_t bytes) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) device_digest() = (device_digest() ^ p[i]) * 1099511628211ULL;
}

}  // namespace stofm::test

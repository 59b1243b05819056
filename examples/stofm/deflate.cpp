// SPDX-License-Identifier: MIT
#include "deflate.hpp"

#include <algorithm>
#include <array>

#ifdef STOFM_WITH_HDF5
#include <zlib.h>

#include "stofm/core/error.hpp"
#endif

namespace stofm::program {

#ifdef STOFM_WITH_HDF5
std::string deflated(std::string_view bytes) {
  uLongf size = compressBound(static_cast<uLong>(bytes.size()));
  std::string out(size, '\0');
  const int code =
      compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                static_cast<uLong>(bytes.size()), 5);
  if (code != Z_OK)
    throw ResourceError({"STOFM-5001", "", "compressing a report", "no memory", "memory for its arrays",
                         "Give fewer slices, or leave out --report and --figures."});
  out.resize(size);
  return out;
}
#else
std::string deflated(std::string_view bytes) {
  std::string out = "\x78\x01";
  std::uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  std::size_t at = 0;
  do {
    const std::size_t size = std::min<std::size_t>(65535, bytes.size() - at);
    out += static_cast<char>(at + size == bytes.size());
    for (const std::size_t half : {size, size ^ 65535U}) {
      out += static_cast<char>(half & 255U);
      out += static_cast<char>(half >> 8U);
    }
    out.append(bytes.substr(at, size));
    at += size;
  } while (at < bytes.size());
  for (const std::uint32_t part : {b >> 8U, b, a >> 8U, a}) out += static_cast<char>(part & 255U);
  return out;
}
#endif

std::uint32_t crc32_of(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      entries[i] = i;
      for (int bit = 0; bit < 8; ++bit)
        entries[i] = (entries[i] & 1U) != 0 ? 0xedb88320U ^ entries[i] >> 1U : entries[i] >> 1U;
    }
    return entries;
  }();
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 255U] ^ crc >> 8U;
  return ~crc;
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#include "tasks/task_raster.hpp"

#include "deflate.hpp"

namespace stofm::program {

std::string png_file(const std::vector<std::uint8_t>& pixels, std::size_t width, std::size_t height,
                     std::size_t channels) {
  const auto big = [](std::uint32_t value) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 255U);
    return text;
  };
  std::string png = "\x89PNG\r\n\x1a\n";
  const auto chunk = [&](const char* kind, const std::string& bytes) {
    const std::string body = kind + bytes;
    png += big(static_cast<std::uint32_t>(bytes.size())) + body + big(crc32_of(body));
  };
  chunk("IHDR", big(static_cast<std::uint32_t>(width)) + big(static_cast<std::uint32_t>(height)) +
                    std::string{8, static_cast<char>(channels == 4 ? 6 : 2), 0, 0, 0});
  std::string rows;
  rows.reserve(height * (width * channels + 1));
  for (std::size_t y = 0; y < height; ++y) {
    rows += '\0';  // no filter: figures are flat colours
    const auto* row = reinterpret_cast<const char*>(pixels.data()) + y * width * channels;
    rows.append(row, width * channels);
  }
  chunk("IDAT", deflated(rows));
  chunk("IEND", "");
  return png;
}

}  // namespace stofm::program

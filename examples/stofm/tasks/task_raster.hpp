// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Pixels that figures are painted on.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stofm::program {

/// Pixels [height * width], 8-bit RGB (or RGBA) -> PNG file.
std::string png_file(const std::vector<std::uint8_t>& pixels, std::size_t width, std::size_t height,
                     std::size_t channels);

/// Pixels that shapes are blended into by how much of each they cover.
class Raster {
 public:
  Raster(double x, double y, double width, double height, double scale, bool clear)
      : scale_(scale),
        x_(x),
        y_(y),
        columns_(std::max(1, static_cast<int>(std::lround(width * scale)))),
        rows_(std::max(1, static_cast<int>(std::lround(height * scale)))),
        clear_(clear),
        pixels_(static_cast<std::size_t>(columns_) * static_cast<std::size_t>(rows_) * 4, clear ? 0 : 255) {}

  double px(double x) const { return (x - x_) * scale_; }
  double py(double y) const { return (y - y_) * scale_; }
  double scale() const { return scale_; }
  void clip(double x, double y, double width, double height) {
    left_ = std::max(0, static_cast<int>(std::floor(px(x))));
    top_ = std::max(0, static_cast<int>(std::floor(py(y))));
    right_ = std::min(columns_, static_cast<int>(std::ceil(px(x + width))));
    bottom_ = std::min(rows_, static_cast<int>(std::ceil(py(y + height))));
  }
  void no_clip() { left_ = top_ = 0, right_ = columns_, bottom_ = rows_; }

  /// Blends every pixel of a rectangle by `cover(x, y)` of its middle: 0 none, 1 all.
  template <class Cover>
  void blend(double x0, double y0, double x1, double y1, std::uint32_t colour, Cover&& cover) {
    const int from = std::max(left_, static_cast<int>(std::floor(x0)));
    const int to = std::min(right_, static_cast<int>(std::ceil(x1)));
    const int first = std::max(top_, static_cast<int>(std::floor(y0)));
    const int last = std::min(bottom_, static_cast<int>(std::ceil(y1)));
    for (int y = first; y < last; ++y)
      for (int x = from; x < to; ++x) {
        const double part = std::clamp(cover(x + .5, y + .5), 0.0, 1.0);
        if (part <= 0) continue;
        std::uint8_t* p = &pixels_[(static_cast<std::size_t>(y) * static_cast<std::size_t>(columns_) +
                                    static_cast<std::size_t>(x)) *
                                   4];
        if (part >= 1) {
          for (int c = 0; c < 3; ++c) p[c] = static_cast<std::uint8_t>(colour >> (16 - 8 * c) & 255U);
          p[3] = 255;
          continue;
        }
        const double under = p[3] / 255.0 * (1 - part), all = part + under;
        for (int c = 0; c < 3; ++c) {
          const auto ink = static_cast<double>(colour >> (16 - 8 * c) & 255U);
          p[c] = static_cast<std::uint8_t>((ink * part + p[c] * under) / all + .5);
        }
        p[3] = static_cast<std::uint8_t>(all * 255 + .5);
      }
  }
  static double length(double x, double y) { return std::sqrt(x * x + y * y); }

  /// A line with round ends; in pixels.
  void stroke(double x0, double y0, double x1, double y1, double half, std::uint32_t colour) {
    const double dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
    blend(std::min(x0, x1) - half - 1, std::min(y0, y1) - half - 1, std::max(x0, x1) + half + 1,
          std::max(y0, y1) + half + 1, colour, [&](double x, double y) {
            const double t =
                square > 0 ? std::clamp(((x - x0) * dx + (y - y0) * dy) / square, 0.0, 1.0) : 0.0;
            return (half + .5 - length(x - x0 - t * dx, y - y0 - t * dy)) * std::min(1.0, 2 * half);
          });
  }
  std::string png() const {
    const auto columns = static_cast<std::size_t>(columns_), rows = static_cast<std::size_t>(rows_);
    if (clear_) return png_file(pixels_, columns, rows, 4);
    std::vector<std::uint8_t> opaque(columns * rows * 3);
    for (std::size_t i = 0; i < columns * rows; ++i)
      for (std::size_t c = 0; c < 3; ++c) opaque[3 * i + c] = pixels_[4 * i + c];
    return png_file(opaque, columns, rows, 3);
  }

 private:
  double scale_, x_, y_;
  int columns_, rows_;
  int left_ = 0, top_ = 0, right_ = columns_, bottom_ = rows_;
  bool clear_;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A figure as a list of shapes, written as SVG (text stays text) or rasterised into a PNG.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stofm::program {

class Raster;  // task_raster.hpp

enum class Anchor { start, middle, end };

/// Width of a text of this size in the units of the drawing (Helvetica).
double text_width(const std::string& text, double size);

/// The text cut to a width, with "..." where it was longer.
std::string fitted(const std::string& text, double size, double width);

/// Lengths in CSS pixels, y down; colours "#rrggbb".
class Drawing {
 public:
  Drawing(double width, double height) : width_(width), height_(height) {}

  double width() const { return width_; }
  void set_height(double height) { height_ = height; }

  void box(double x, double y, double width, double height, const std::string& colour);
  void line(double x0, double y0, double x1, double y1, const std::string& colour, double width);
  void disc(double x, double y, double radius, const std::string& colour);
  /// Part of a disc: shares of the turn, clockwise from the top.
  void wedge(double x, double y, double radius, double from, double to, const std::string& colour);
  /// \param turned reads upwards, as the title of a vertical axis
  void text(double x, double y, double size, const std::string& text, Anchor anchor = Anchor::start,
            bool bold = false, bool turned = false, const std::string& colour = "#1b2230");
  /// Cells inside a frame: more than 20,000 become an image in the SVG.
  void begin_dots(double x, double y, double width, double height);
  void end_dots();

  std::string svg() const;
  std::string png(double scale = 2) const;  ///< pixels a CSS pixel

 private:
  enum class Kind { box, line, disc, wedge, text, begin_dots, end_dots };
  struct Shape {
    Kind kind = Kind::box;
    double a = 0, b = 0, c = 0, d = 0, e = 0;
    std::uint32_t colour = 0;
    std::string text = {};
    Anchor anchor = Anchor::start;
    bool bold = false, turned = false;
  };

  std::size_t dots_end(std::size_t begin) const;
  std::string svg_shape(const Shape& shape) const;
  void paint(Raster& raster, std::size_t begin, std::size_t end) const;

  double width_, height_;
  std::vector<Shape> shapes_;
};

}  // namespace stofm::program

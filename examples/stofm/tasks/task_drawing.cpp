// SPDX-License-Identifier: MIT
#include "tasks/task_drawing.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "deflate.hpp"
#include "report_json.hpp"
#include "stofm/core/printable.hpp"
#include "tasks/task_font.hpp"

namespace stofm::program {
namespace {

constexpr std::size_t most_circles = 20000;  // beyond these an SVG opens slowly in every editor
constexpr double two_pi = 6.283185307179586;

/// Letters of a text: ASCII as it is, common others as what is nearest, the rest as a box (0).
std::vector<char> glyphs_of(const std::string& text) {
  std::vector<char> glyphs;
  for (std::size_t i = 0; i < text.size();) {
    const auto [value, length] = stofm::detail::code_point_at(text, i);
    i += std::max<std::size_t>(1, length);
    if (length == 1 && value >= 0x20 && value < 0x7f) {
      glyphs.push_back(static_cast<char>(value));
    } else if (value >= 0xc0 && value < 0x100) {  // Latin letters with marks
      static constexpr char latin[] = "AAAAAAACEEEEIIIIDNOOOOOxOUUUUYPsaaaaaaaceeeeiiiidnooooo/ouuuuypy";
      glyphs.push_back(latin[value - 0xc0]);
    } else if (value >= 0x391 && value <= 0x3c9) {  // Greek letters
      static constexpr char greek[] = "ABGDEZHQIKLMNXOPR?STUFCYW???????abgdezhqiklmnxoprsstufcyw";
      glyphs.push_back(greek[value - 0x391]);
    } else if (value == 0xb5) {
      glyphs.push_back('u');
    } else if (value == 0x2010 || value == 0x2011 || value == 0x2012 || value == 0x2013 || value == 0x2212) {
      glyphs.push_back('-');
    } else {
      glyphs.push_back('\0');
    }
  }
  return glyphs;
}

const TaskGlyph& glyph(char letter) {
  return letter == '\0' ? task_font_other : task_font[static_cast<std::size_t>(letter - ' ')];
}

std::uint32_t rgb(const std::string& colour) {
  return colour.size() == 7 ? static_cast<std::uint32_t>(std::strtoul(colour.c_str() + 1, nullptr, 16)) : 0;
}

std::string hex_colour(std::uint32_t colour) {
  char text[8];
  std::snprintf(text, sizeof text, "#%06x", colour & 0xffffffU);
  return text;
}

/// Short, with a point whatever the locale is.
std::string length_text(double value) {
  std::string text;
  const auto hundredths = std::llround(value * 100);
  if (hundredths < 0) text = "-";
  const auto size = std::llabs(hundredths);
  text += std::to_string(size / 100);
  if (size % 100 != 0) {
    text += size % 100 < 10 ? ".0" : ".";
    text += std::to_string(size % 10 == 0 ? size % 100 / 10 : size % 100);
  }
  return text;
}

std::string xml_text(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  // What XML 1.0 forbids beyond control characters: U+FFFE and U+FFFF.
  for (const char* never : {"\xef\xbf\xbe", "\xef\xbf\xbf"})
    for (std::size_t at; (at = out.find(never)) != std::string::npos;) out.replace(at, 3, "?");
  return out;
}

}  // namespace

double text_width(const std::string& text, double size) {
  double width = 0;
  for (const char letter : glyphs_of(text)) width += glyph(letter).width;
  return width * size / 1000;
}

std::string fitted(const std::string& text, double size, double width) {
  std::string whole = printable(text);
  if (text_width(whole, size) <= width) return whole;
  while (!whole.empty() && text_width(whole + "...", size) > width) {
    whole.pop_back();
    while (!whole.empty() && (static_cast<unsigned char>(whole.back()) & 0xC0U) == 0x80U) whole.pop_back();
    if (!whole.empty() && static_cast<unsigned char>(whole.back()) >= 0xC0U) whole.pop_back();
  }
  return whole + "...";
}

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

/// Pixels that shapes are blended into by how much of each they cover.
class Drawing::Raster {
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

void Drawing::box(double x, double y, double width, double height, const std::string& colour) {
  shapes_.push_back({.kind = Kind::box, .a = x, .b = y, .c = width, .d = height, .colour = rgb(colour)});
}
void Drawing::line(double x0, double y0, double x1, double y1, const std::string& colour, double width) {
  shapes_.push_back(
      {.kind = Kind::line, .a = x0, .b = y0, .c = x1, .d = y1, .e = width, .colour = rgb(colour)});
}
void Drawing::disc(double x, double y, double radius, const std::string& colour) {
  shapes_.push_back({.kind = Kind::disc, .a = x, .b = y, .c = radius, .colour = rgb(colour)});
}
void Drawing::wedge(double x, double y, double radius, double from, double to, const std::string& colour) {
  if (to - from >= .999) return disc(x, y, radius, colour);
  shapes_.push_back(
      {.kind = Kind::wedge, .a = x, .b = y, .c = radius, .d = from, .e = to, .colour = rgb(colour)});
}
void Drawing::text(double x, double y, double size, const std::string& text, Anchor anchor, bool bold,
                   bool turned, const std::string& colour) {
  shapes_.push_back({.kind = Kind::text,
                     .a = x,
                     .b = y,
                     .c = size,
                     .colour = rgb(colour),
                     .text = printable(text),
                     .anchor = anchor,
                     .bold = bold,
                     .turned = turned});
}
void Drawing::begin_dots(double x, double y, double width, double height) {
  shapes_.push_back({.kind = Kind::begin_dots, .a = x, .b = y, .c = width, .d = height});
}
void Drawing::end_dots() { shapes_.push_back({.kind = Kind::end_dots}); }

std::size_t Drawing::dots_end(std::size_t begin) const {
  std::size_t end = begin;
  while (end < shapes_.size() && shapes_[end].kind != Kind::end_dots) ++end;
  return end;
}

std::string Drawing::svg_shape(const Shape& s) const {
  const std::string fill = concat(" fill=\"", hex_colour(s.colour), "\"");
  const auto at = [](double x, double y) { return concat(length_text(x), " ", length_text(y)); };
  switch (s.kind) {
    case Kind::box:
      return concat("<rect x=\"", length_text(s.a), "\" y=\"", length_text(s.b), "\" width=\"",
                    length_text(s.c), "\" height=\"", length_text(s.d), "\"", fill, "/>\n");
    case Kind::line:
      return concat("<path d=\"M", at(s.a, s.b), "L", at(s.c, s.d), "\" stroke=\"", hex_colour(s.colour),
                    "\" stroke-width=\"", length_text(s.e), "\" stroke-linecap=\"round\"/>\n");
    case Kind::disc:
      return concat("<circle cx=\"", length_text(s.a), "\" cy=\"", length_text(s.b), "\" r=\"",
                    length_text(s.c), "\"", fill, "/>\n");
    case Kind::wedge: {
      const auto rim = [&](double turn) {
        return at(s.a + s.c * std::sin(turn * two_pi), s.b - s.c * std::cos(turn * two_pi));
      };
      return concat("<path d=\"M", at(s.a, s.b), "L", rim(s.d), "A", at(s.c, s.c), " 0 ",
                    s.e - s.d > .5 ? 1 : 0, " 1 ", rim(s.e), "Z\"", fill, "/>\n");
    }
    case Kind::text: {
      const char* anchor = s.anchor == Anchor::middle ? " text-anchor=\"middle\""
                           : s.anchor == Anchor::end  ? " text-anchor=\"end\""
                                                      : "";
      const std::string place = s.turned
                                    ? concat(" transform=\"translate(", at(s.a, s.b), ") rotate(-90)\"")
                                    : concat(" x=\"", length_text(s.a), "\" y=\"", length_text(s.b), "\"");
      return concat("<text", place, " font-size=\"", length_text(s.c), "\"", anchor,
                    s.bold ? " font-weight=\"bold\"" : "", fill, ">", xml_text(s.text), "</text>\n");
    }
    case Kind::begin_dots:
      return "<g>\n";
    case Kind::end_dots:
      return "</g>\n";
  }
  return {};
}

std::string Drawing::svg() const {
  std::string out = concat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", length_text(width_),
                           "\" height=\"", length_text(height_), "\" viewBox=\"0 0 ", length_text(width_),
                           " ", length_text(height_), "\" font-family=\"Helvetica,Arial,sans-serif\">\n",
                           "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    const Shape& s = shapes_[i];
    const std::size_t end = s.kind == Kind::begin_dots ? dots_end(i) : i;
    if (end - i <= most_circles) {
      out += svg_shape(s);
      continue;
    }
    Raster raster(s.a, s.b, s.c, s.d, 3, true);
    paint(raster, i + 1, end);
    const std::string png = raster.png();
    const std::string code = base64_text(png.data(), png.size());
    out += concat("<image x=\"", length_text(s.a), "\" y=\"", length_text(s.b), "\" width=\"",
                  length_text(s.c), "\" height=\"", length_text(s.d), "\" href=\"data:image/png;base64,",
                  code.substr(1, code.size() - 2), "\"/>\n");
    i = end;
  }
  return out + "</svg>\n";
}

void Drawing::paint(Raster& r, std::size_t begin, std::size_t end) const {
  const double k = r.scale();
  for (std::size_t i = begin; i < end; ++i) {
    const Shape& s = shapes_[i];
    const double x = r.px(s.a), y = r.py(s.b);
    switch (s.kind) {
      case Kind::box: {
        const double x1 = r.px(s.a + s.c), y1 = r.py(s.b + s.d);
        r.blend(x, y, x1, y1, s.colour, [&](double px, double py) {
          return std::clamp(std::min(px + .5, x1) - std::max(px - .5, x), 0.0, 1.0) *
                 std::clamp(std::min(py + .5, y1) - std::max(py - .5, y), 0.0, 1.0);
        });
        break;
      }
      case Kind::line:
        r.stroke(x, y, r.px(s.c), r.py(s.d), s.e * k / 2, s.colour);
        break;
      case Kind::disc:
        r.stroke(x, y, x, y, s.c * k, s.colour);
        break;
      case Kind::wedge: {
        const double radius = s.c * k;
        // Distances to the two straight edges: the part of the disc right of the first and left of the
        // second.
        const double fx = std::sin(s.d * two_pi), fy = -std::cos(s.d * two_pi);
        const double tx = std::sin(s.e * two_pi), ty = -std::cos(s.e * two_pi);
        const bool narrow = s.e - s.d <= .5;
        r.blend(x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1, s.colour,
                [&](double px, double py) {
                  const double dx = px - x, dy = py - y, rim = radius + .5 - Raster::length(dx, dy);
                  const double first = fx * dy - fy * dx, second = dx * ty - dy * tx;
                  const double side = narrow ? std::min(first, second) : std::max(first, second);
                  return std::clamp(rim, 0.0, 1.0) * std::clamp(side + .5, 0.0, 1.0);
                });
        break;
      }
      case Kind::text: {
        const double size = s.c * k, half = size * (s.bold ? .062 : .042);
        double along = s.anchor == Anchor::start ? 0 : -text_width(s.text, size);
        if (s.anchor == Anchor::middle) along /= 2;
        for (const char letter : glyphs_of(s.text)) {
          const TaskGlyph& g = glyph(letter);
          const double width = g.width * size / 1000;
          double px = 0, py = 0;
          bool pen = false;
          for (const char* p = g.strokes; *p != '\0';) {
            if (*p == ' ') {
              pen = false;
              ++p;
              continue;
            }
            const double u = along + width * (.14 + .18 * (p[0] - '0'));
            const double v = size * .12 * (p[1] - '6');
            const double nx = s.turned ? x + v : x + u, ny = s.turned ? y - u : y + v;
            if (pen) r.stroke(px, py, nx, ny, half, s.colour);
            px = nx, py = ny, pen = true, p += 2;
          }
          along += width;
        }
        break;
      }
      case Kind::begin_dots:
        r.clip(s.a, s.b, s.c, s.d);
        break;
      case Kind::end_dots:
        r.no_clip();
        break;
    }
  }
}

std::string Drawing::png(double scale) const {
  Raster raster(0, 0, width_, height_, scale, false);
  paint(raster, 0, shapes_.size());
  return raster.png();
}

}  // namespace stofm::program

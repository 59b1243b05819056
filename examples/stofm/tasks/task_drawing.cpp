// SPDX-License-Identifier: MIT
#include "tasks/task_drawing.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "report_json.hpp"
#include "stofm/core/printable.hpp"
#include "tasks/task_font.hpp"
#include "tasks/task_raster.hpp"

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

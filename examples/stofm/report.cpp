// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "console.hpp"
#include "report_html.hpp"
#include "report_script.hpp"

namespace stofm::program {
namespace {

/// Little-endian bytes of an array as base64, quoted.
template <class T>
std::string base64(const std::vector<T>& values) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  static_assert(sizeof(T) == 4);
  std::vector<unsigned char> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  std::string out = "\"";
  out.reserve(bytes.size() / 3 * 4 + 8);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const unsigned word = static_cast<unsigned>(bytes[i]) << 16 |
                          (left > 1 ? static_cast<unsigned>(bytes[i + 1]) << 8 : 0U) |
                          (left > 2 ? static_cast<unsigned>(bytes[i + 2]) : 0U);
    out += digits[word >> 18 & 63];
    out += digits[word >> 12 & 63];
    out += left > 1 ? digits[word >> 6 & 63] : '=';
    out += left > 2 ? digits[word & 63] : '=';
  }
  return out + '"';
}

std::string number(double value) {
  if (!std::isfinite(value)) return "0";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

template <class Values, class Text>
std::string list(const Values& values, Text&& text) {
  std::string out = "[";
  for (const auto& value : values) out.append(out.size() > 1 ? "," : "").append(text(value));
  return out + "]";
}

std::string pair_text(const std::pair<std::string, std::string>& pair) {
  return concat("[", json_text(pair.first), ",", json_text(pair.second), "]");
}
template <class Number>
std::string pair_number(const std::pair<std::string, Number>& pair) {
  return concat("[", json_text(pair.first), ",", number(static_cast<double>(pair.second)), "]");
}

}  // namespace

std::string report_html(const ReportData& d) {
  std::string html =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<meta name=\"generator\" content=\"stofm\"><title>stofm report</title>\n<style>";
  html.append(report_style).append("</style></head>\n<body>").append(report_body);
  html += "<script type=\"application/json\" id=\"data\">{";
  const auto member = [&](const char* key, const std::string& value) {
    if (html.back() != '{') html += ",\n";
    html.append("\"").append(key).append("\":").append(value);
  };
  member("title", json_text(d.title));
  member("created", json_text(d.created));
  member("version", json_text(d.version));
  member("limits", json_text(d.limits));
  member("macro_method", json_text(d.macro_method));
  member("cluster_method", json_text(d.cluster_method));
  member("explained", list(d.explained, number));
  member("facts", list(d.facts, pair_text));
  member("stages", list(d.stages, pair_number<double>));
  member("coverage", list(d.coverage, pair_number<std::int64_t>));
  member("unmatched", list(d.unmatched, json_text));
  member("notices", list(d.notices, json_text));
  member("options", list(d.options, pair_text));
  member("model", list(d.model, pair_text));
  member("grid", list(d.grid, [](const auto& square) { return list(square, number); }));
  html += ",\n\"arrays\":{";
  member("x", base64(d.x));
  member("y", base64(d.y));
  member("macro", base64(d.macro));
  member("cluster", base64(d.cluster));
  member("genes", base64(d.genes));
  member("piece", base64(d.piece));
  member("pc1", base64(d.pc1));
  member("pc2", base64(d.pc2));
  member("virtual_x", base64(d.virtual_x));
  member("virtual_y", base64(d.virtual_y));
  html.append("}}</script>\n<script>").append(report_script).append("</script>\n</body></html>\n");
  return html;
}

std::vector<std::array<double, 4>> split_grid(const std::vector<float>& x, const std::vector<float>& y,
                                              std::int64_t split) {
  const auto n = static_cast<std::int64_t>(x.size());
  if (n <= split || n == 0) return {};
  const auto [left, right] = std::minmax_element(x.begin(), x.end());
  const auto [low, high] = std::minmax_element(y.begin(), y.end());
  const double x0 = *left, y0 = *low, width = *right - x0, height = *high - y0;
  if (!(width > 0) || !(height > 0)) return {};
  const double side = std::sqrt(width * height / static_cast<double>(n / split + 1));
  const double columns = std::floor(width / side) + 1, rows = std::floor(height / side) + 1;
  if (columns * rows > 20000) return {};
  std::vector<std::array<double, 4>> squares;
  for (double i = 0; i < columns; ++i)
    for (double j = 0; j < rows; ++j)
      squares.push_back({x0 + i * side, y0 + j * side, x0 + (i + 1) * side, y0 + (j + 1) * side});
  return squares;
}

}  // namespace stofm::program

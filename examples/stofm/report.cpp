// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "console.hpp"
#include "report_html.hpp"
#include "report_json.hpp"
#include "report_script.hpp"

namespace stofm::program {
namespace {

/// Little-endian bytes of an array as base64, quoted.
template <class T>
std::string base64(const std::vector<T>& values) {
  static_assert(sizeof(T) == 4);
  return base64_text(values.data(), values.size() * sizeof(T));
}

/// Numbers of groups from -1 up, in as few bytes as hold them: ["u1", base64] of the number + 1.
std::string packed(const std::vector<std::int32_t>& values) {
  const std::int32_t most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  const int width = most < 255 ? 1 : most < 65535 ? 2 : 4;
  std::string bytes;
  bytes.reserve(values.size() * static_cast<std::size_t>(width));
  for (const std::int32_t value : values)
    for (int b = 0; b < width; ++b)
      bytes += static_cast<char>(static_cast<std::uint32_t>(value + 1) >> (8 * b) & 255U);
  return concat("[\"u", width, "\",", base64_text(bytes.data(), bytes.size()), "]");
}

template <class Number>
std::string pair_number(const std::pair<std::string, Number>& pair) {
  return concat("[", json_text(pair.first), ",", json_number(static_cast<double>(pair.second)), "]");
}

std::string group_text(const ReportGroups& groups) {
  return concat("{\"key\":", json_text(groups.key), ",\"label\":", json_text(groups.label),
                ",\"heading\":", json_text(groups.heading), ",\"note\":", json_text(groups.note),
                ",\"prefix\":", json_text(groups.prefix), ",\"names\":", json_list(groups.names, json_text),
                ",\"colours\":", json_list(groups.colours, json_text), "}");
}

}  // namespace

std::string report_html(const ReportData& d) {
  std::string html = report_page_start("stofm report", report_style).append(report_body);
  html += "<script type=\"application/json\" id=\"data\">{";
  const auto member = [&html](const char* key, const std::string& value) {
    add_json_member(html, key, value);
  };
  member("title", json_text(d.title));
  member("created", json_text(d.created));
  member("version", json_text(d.version));
  member("banner", json_list(d.banner, json_text));
  member("explained", json_list(d.explained, json_number));
  member("facts", json_list(d.facts, json_pair));
  member("source", json_list(d.source, json_pair));
  member("next", json_list(d.next, json_pair));
  member("stages", json_list(d.stages, pair_number<double>));
  member("coverage", json_list(d.coverage, pair_number<std::int64_t>));
  member("unmatched", json_list(d.unmatched, json_text));
  member("notices", json_list(d.notices, json_text));
  member("options", json_list(d.options, json_pair));
  member("model", json_list(d.model, json_pair));
  member("libraries", json_list(d.libraries, json_text));
  member("names", json_list(d.cell_names, json_text));
  member("palette", json_list(group_colours(256), json_text));
  member("groups", json_list(d.groups, group_text));
  member("grid", json_list(d.grid, [](const ReportSquare& square) {
           return concat("[", json_list(square.corners, json_number), ",", square.library, "]");
         }));
  html += ",\n\"arrays\":{";
  member("x", base64(d.x));
  member("y", base64(d.y));
  member("library", packed(d.library));
  member("virtual_library", packed(d.virtual_library));
  for (const ReportGroups& groups : d.groups) member(groups.key.c_str(), packed(groups.codes));
  member("rows", packed(d.rows));
  member("genes", packed(d.genes));
  member("pc1", base64(d.pc1));
  member("pc2", base64(d.pc2));
  member("virtual_x", base64(d.virtual_x));
  member("virtual_y", base64(d.virtual_y));
  html.append("}}</script>\n<script>")
      .append(report_base_script)
      .append(report_script)
      .append("</script>\n</body></html>\n");
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

// SPDX-License-Identifier: MIT
#include "tasks/task_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "deflate.hpp"
#include "report.hpp"
#include "report_html.hpp"
#include "report_json.hpp"
#include "report_script.hpp"
#include "stofm/core/printable.hpp"
#include "tasks/task_report_html.hpp"
#include "tasks/task_report_maps_script.hpp"
#include "tasks/task_report_parts_script.hpp"
#include "tasks/task_report_save_script.hpp"

namespace stofm::program {
namespace {

constexpr std::size_t most_fine_values = 4'000'000;  // scores beyond these have 8 bits

/// Text of files as JSON: control characters and what turns lines round are shown as \\xNN.
std::string shown_text(const std::string& text) { return json_text(printable(text, "\n\t")); }
std::string shown_pair(const std::pair<std::string, std::string>& pair) {
  return concat("[", shown_text(pair.first), ",", shown_text(pair.second), "]");
}

std::size_t cells_of(const TaskReportSlice& slice) {
  return std::max({slice.x.size(), slice.view_x.size(), slice.cell_names.size()});
}

/// Numbers as [width, count, base64 of the deflated bytes]; all low bytes first, then the next ones.
std::string packed_numbers(const std::vector<std::uint32_t>& values, std::size_t width) {
  std::string bytes(values.size() * width, '\0');
  for (std::size_t b = 0; b < width; ++b)
    for (std::size_t i = 0; i < values.size(); ++i)
      bytes[b * values.size() + i] = static_cast<char>(values[i] >> (8 * b) & 255U);
  const std::string small = deflated(bytes);
  return concat("[", width, ",", values.size(), ",", base64_text(small.data(), small.size()), "]");
}

std::string packed_codes(const std::vector<std::int32_t>& codes, std::size_t cells) {
  std::vector<std::uint32_t> values(cells, 0);
  for (std::size_t i = 0; i < std::min(cells, codes.size()); ++i)
    values[i] = codes[i] < 0 ? 0 : static_cast<std::uint32_t>(codes[i]) + 1;
  const std::uint32_t most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  return packed_numbers(values, most < 256 ? 1 : most < 65536 ? 2 : 4);
}

std::string packed_text(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(text.empty() ? "" : "\n").append(printable(line));
  const std::string small = deflated(text);
  return concat("[1,", text.size(), ",", base64_text(small.data(), small.size()), "]");
}

struct Range {
  double low = 0, high = 0;
  bool any = false;

  void add(double value) {
    if (!std::isfinite(value)) return;
    low = any ? std::min(low, value) : value;
    high = any ? std::max(high, value) : value;
    any = true;
  }
  double step(std::uint32_t top) const { return high > low ? (high - low) / (top - 1) : 1; }
};

/// Steps from `range.low` + 1; 0: missing.
std::string packed_steps(const std::vector<float>& values, std::size_t cells, std::size_t stride,
                         std::size_t offset, const Range& range, std::size_t width) {
  const std::uint32_t top = width == 1 ? 255 : 65535;
  const double step = range.step(top);
  std::vector<std::uint32_t> steps(cells, 0);
  for (std::size_t i = 0; i < cells && i * stride + offset < values.size(); ++i) {
    const double value = values[i * stride + offset];
    if (std::isfinite(value))
      steps[i] = 1 + std::min(top - 1, static_cast<std::uint32_t>(std::lround((value - range.low) / step)));
  }
  return packed_numbers(steps, width);
}

std::string axis_text(const std::vector<float>& values, std::size_t cells, const Range& range) {
  return concat("[", json_number(range.low), ",", json_number(range.step(65535)), ",",
                packed_steps(values, cells, 1, 0, range, 2), "]");
}

Range range_of(const std::vector<float>& values) {
  Range range;
  for (const float value : values) range.add(value);
  return range;
}

/// Several names for arrays of one length [members of a JSON object].
std::string slice_text(const TaskReportSlice& slice, const Range& view_x, const Range& view_y) {
  const std::size_t cells = cells_of(slice);
  std::string text = concat("{\"name\":", shown_text(slice.name), ",\"n\":", cells);
  if (!slice.x.empty())
    text += concat(",\"x\":", axis_text(slice.x, cells, range_of(slice.x)),
                   ",\"y\":", axis_text(slice.y, cells, range_of(slice.y)));
  if (!slice.view_x.empty())
    text += concat(",\"vx\":", axis_text(slice.view_x, cells, view_x),
                   ",\"vy\":", axis_text(slice.view_y, cells, view_y));
  if (!slice.cell_names.empty()) text += ",\"names\":" + packed_text(slice.cell_names);
  return text + "}";
}

template <class T>
const std::vector<T>& of_slice(const std::vector<std::vector<T>>& values, std::size_t slice) {
  static const std::vector<T> none;
  return slice < values.size() ? values[slice] : none;
}

std::string groups_text(const TaskReport& report, const TaskReportGroups& groups,
                        const std::vector<std::string>& colours) {
  std::string arrays;
  for (std::size_t s = 0; s < report.slices.size(); ++s)
    arrays += concat(s > 0 ? "," : "", packed_codes(of_slice(groups.codes, s), cells_of(report.slices[s])));
  return concat("{\"key\":", shown_text(groups.key), ",\"label\":", shown_text(groups.label),
                ",\"note\":", shown_text(groups.note), ",\"names\":", json_list(groups.names, shown_text),
                ",\"colours\":", json_list(colours, shown_text), ",\"codes\":[", arrays, "]}");
}

/// One score: values [cells * stride] of each slice, of which every `stride`-th counts.
std::string score_text(const TaskReport& report, const std::string& head,
                       const std::vector<std::vector<float>>& values, std::size_t stride, std::size_t offset,
                       std::size_t width) {
  Range range;
  for (const auto& slice : values)
    for (std::size_t i = offset; i < slice.size(); i += stride) range.add(slice[i]);
  std::string arrays;
  for (std::size_t s = 0; s < report.slices.size(); ++s)
    arrays += concat(s > 0 ? "," : "", packed_steps(of_slice(values, s), cells_of(report.slices[s]), stride,
                                                    offset, range, width));
  return concat("{", head, ",\"low\":", json_number(range.low),
                ",\"step\":", json_number(range.step(width == 1 ? 255 : 65535)), ",\"values\":[", arrays,
                "]}");
}

/// The groups whose counts are the matrix: [row groups, column groups], or empty keys.
std::pair<std::string, std::string> groups_of(const TaskReport& report, const TaskReportMatrix& matrix) {
  if (!matrix.row_groups.empty() || !matrix.column_groups.empty())
    return {matrix.row_groups, matrix.column_groups};
  const auto places = [](const std::vector<std::string>& names, const std::vector<std::string>& wanted) {
    std::vector<std::int32_t> place(names.size(), -1);
    bool any = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto found = std::find(wanted.begin(), wanted.end(), names[i]);
      if (found == wanted.end()) continue;
      place[i] = static_cast<std::int32_t>(found - wanted.begin());
      any = true;
    }
    return any ? place : std::vector<std::int32_t>{};
  };
  for (const TaskReportGroups& rows : report.groups) {
    const auto row_place = places(rows.names, matrix.rows);
    if (row_place.empty()) continue;
    for (const TaskReportGroups& columns : report.groups) {
      const auto column_place = places(columns.names, matrix.columns);
      if (&rows == &columns || column_place.empty()) continue;
      std::vector<double> counts(matrix.values.size(), 0);
      for (std::size_t s = 0; s < std::min(rows.codes.size(), columns.codes.size()); ++s)
        for (std::size_t i = 0; i < std::min(rows.codes[s].size(), columns.codes[s].size()); ++i) {
          const auto a = static_cast<std::size_t>(rows.codes[s][i]);
          const auto b = static_cast<std::size_t>(columns.codes[s][i]);
          if (a >= row_place.size() || b >= column_place.size() || row_place[a] < 0 || column_place[b] < 0)
            continue;
          const std::size_t at = static_cast<std::size_t>(row_place[a]) * matrix.columns.size() +
                                 static_cast<std::size_t>(column_place[b]);
          if (at < counts.size()) counts[at] += 1;
        }
      if (counts == matrix.values) return {rows.key, columns.key};
    }
  }
  return {};
}

std::string matrix_text(const TaskReport& report, const TaskReportMatrix& matrix) {
  const auto [rows, columns] = groups_of(report, matrix);
  return concat("{\"title\":", shown_text(matrix.title), ",\"row_title\":", shown_text(matrix.row_title),
                ",\"column_title\":", shown_text(matrix.column_title),
                ",\"rows\":", json_list(matrix.rows, shown_text),
                ",\"columns\":", json_list(matrix.columns, shown_text),
                ",\"values\":", json_list(matrix.values, json_number_or_null),
                ",\"row_groups\":", shown_text(rows), ",\"column_groups\":", shown_text(columns), "}");
}

std::string bars_text(const TaskReportBars& bars) {
  return concat("{\"title\":", shown_text(bars.title), ",\"unit\":", shown_text(bars.unit),
                ",\"names\":", json_list(bars.names, shown_text),
                ",\"values\":", json_list(bars.values, json_number_or_null),
                ",\"low\":", json_list(bars.low, json_number_or_null),
                ",\"high\":", json_list(bars.high, json_number_or_null), "}");
}

std::string curves_text(const TaskReportCurves& curves) {
  return concat("{\"title\":", shown_text(curves.title), ",\"x\":", shown_text(curves.x_label),
                ",\"y\":", shown_text(curves.y_label), ",\"curves\":",
                json_list(curves.curves,
                          [](const TaskReportCurve& curve) {
                            return concat("{\"name\":", shown_text(curve.name),
                                          ",\"x\":", json_list(curve.x, json_number_or_null),
                                          ",\"y\":", json_list(curve.y, json_number_or_null), "}");
                          }),
                "}");
}

std::string table_text(const TaskReportTable& table) {
  return concat(
      "{\"title\":", shown_text(table.title), ",\"columns\":", json_list(table.columns, shown_text),
      ",\"rows\":", json_list(table.rows, [](const auto& row) { return json_list(row, shown_text); }), "}");
}

bool is_colour(const std::string& text) {
  return text.size() == 7 && text[0] == '#' &&
         text.find_first_not_of("0123456789abcdefABCDEF", 1) == std::string::npos;
}

/// Colours of names: those given, those the name has already, else the next of the palette.
std::vector<std::string> colours_of(const std::vector<std::string>& names,
                                    const std::vector<std::string>& given,
                                    std::map<std::string, std::string>& known) {
  std::vector<std::string> colours(names.size());
  std::vector<std::string> taken;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i < given.size() && is_colour(given[i]))
      colours[i] = given[i];
    else if (const auto found = known.find(names[i]); found != known.end())
      colours[i] = found->second;
    taken.push_back(colours[i]);
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!colours[i].empty()) continue;
    while (next < 256 && std::find(taken.begin(), taken.end(), group_colour(next)) != taken.end()) ++next;
    colours[i] = group_colour(next++);
  }
  for (std::size_t i = 0; i < names.size(); ++i) known.emplace(names[i], colours[i]);
  return colours;
}

std::map<std::string, std::string> known_colours(const TaskReport& report,
                                                 std::vector<std::vector<std::string>>* all) {
  std::map<std::string, std::string> known;
  for (const TaskReportGroups& groups : report.groups) {
    auto colours = colours_of(groups.names, groups.colours, known);
    if (all != nullptr) all->push_back(std::move(colours));
  }
  return known;
}

}  // namespace

std::vector<std::vector<std::string>> task_report_colours(const TaskReport& report) {
  std::vector<std::vector<std::string>> all;
  (void)known_colours(report, &all);
  return all;
}

std::vector<std::string> task_report_type_colours(const TaskReport& report) {
  auto known = known_colours(report, nullptr);
  return colours_of(report.proportions.names, report.proportions.colours, known);
}

bool is_share_of_type(const TaskReport& report, const TaskReportScore& score) {
  const auto& types = report.proportions.names;
  return score.group == "proportions" && std::find(types.begin(), types.end(), score.label) != types.end();
}

std::string task_report_html(const TaskReport& d) {
  std::string html = report_page_start("stofm report", concat(report_style, task_report_style));
  html.append(task_report_body).append("<script type=\"application/json\" id=\"data\">{");
  const auto member = [&html](const char* key, const std::string& value) {
    add_json_member(html, key, value);
  };
  member("title", shown_text(d.title));
  member("created", shown_text(d.created));
  member("version", shown_text(d.version));
  member("command", shown_text(d.command));
  member("unit", shown_text(d.unit));
  member("beside", shown_text(d.beside));
  member("banner", json_list(d.banner, shown_text));
  member("facts", json_list(d.facts, shown_pair));
  Range view_x, view_y;
  std::size_t cells = 0;
  for (const TaskReportSlice& slice : d.slices) {
    for (const float value : slice.view_x) view_x.add(value);
    for (const float value : slice.view_y) view_y.add(value);
    cells += cells_of(slice);
  }
  member("slices", json_list(d.slices, [&](const auto& slice) { return slice_text(slice, view_x, view_y); }));
  const auto colours = task_report_colours(d);
  std::size_t g = 0;
  member("groups",
         json_list(d.groups, [&](const auto& groups) { return groups_text(d, groups, colours[g++]); }));
  const std::size_t width = (d.scores.size() + d.proportions.names.size()) * cells > most_fine_values ? 1 : 2;
  std::vector<TaskReportScore> scores;
  for (const TaskReportScore& score : d.scores)
    if (!is_share_of_type(d, score)) scores.push_back(score);
  member("scores", json_list(scores, [&](const TaskReportScore& score) {
           const std::string head =
               concat("\"key\":", shown_text(score.key), ",\"label\":", shown_text(score.label),
                      ",\"group\":", shown_text(score.group));
           return score_text(d, head, score.values, 1, 0, width);
         }));
  const std::size_t types = d.proportions.names.size();
  const auto type_colours = task_report_type_colours(d);
  std::size_t t = 0;
  member("types", json_list(d.proportions.names, [&](const std::string& name) {
           const std::string head =
               concat("\"name\":", shown_text(name), ",\"colour\":", shown_text(type_colours[t]));
           return score_text(d, head, d.proportions.values, types, t++, width);
         }));
  member("matrices", json_list(d.matrices, [&](const auto& matrix) { return matrix_text(d, matrix); }));
  member("bars", json_list(d.bars, bars_text));
  member("curves", json_list(d.curves, curves_text));
  member("tables", json_list(d.tables, table_text));
  member("notices", json_list(d.notices, shown_text));
  member("options", json_list(d.options, shown_pair));
  member("model", json_list(d.model, shown_pair));
  member("next", json_list(d.next, shown_pair));
  html.append("}</script>\n<script>").append(report_base_script).append(task_report_maps_script);
  html.append(task_report_parts_script).append(task_report_save_script).append("</script>\n</body></html>\n");
  return html;
}

}  // namespace stofm::program

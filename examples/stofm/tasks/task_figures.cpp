// SPDX-License-Identifier: MIT
/// \file
/// Which figures a report has, and those without cells: matrices, bars, curves. Maps are in task_map_figures.

#include <algorithm>
#include <cmath>
#include <set>

#include "console.hpp"
#include "report.hpp"
#include "tasks/task_drawing.hpp"
#include "tasks/task_map_figures.hpp"
#include "tasks/task_report.hpp"

namespace stofm::program {
namespace {

constexpr const char* soft = "#5a6475";
constexpr const char* grid_line = "#dde1e8";
constexpr const char* blue = "#0b62c4";
constexpr std::size_t most_score_figures = 60;  // more genes than a paper shows

/// Letters that every file system takes.
std::string file_stem(const std::string& text) {
  std::string stem;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    if (plain)
      stem += c;
    else if (!stem.empty() && stem.back() != '_')
      stem += '_';
  }
  while (!stem.empty() && stem.back() == '_') stem.pop_back();
  return stem.substr(0, 80);
}

std::vector<double> axis_ticks(double low, double high, int count) {
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw)));
  const double m = raw / power, step = (m > 5 ? 10 : m > 2 ? 5 : m > 1 ? 2 : 1) * power;
  std::vector<double> ticks;
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1)
    ticks.push_back(k == 0 ? 0 : k * step);
  return ticks;
}

/// White to blue.
std::string shade_of(double share) {
  const double t = std::clamp(std::sqrt(share) * .95, 0.0, 1.0);
  char text[8];
  const auto mix = [t](int from, int to) {
    return static_cast<unsigned>(std::lround(from + t * (to - from)));
  };
  std::snprintf(text, sizeof text, "#%02x%02x%02x", mix(0xf4, 0x0b), mix(0xf6, 0x62), mix(0xf9, 0xc4));
  return text;
}

Drawing matrix_figure(const TaskReportMatrix& m) {
  const std::size_t rows = m.rows.size(), columns = m.columns.size();
  const double cell = columns > 30 ? 16 : columns > 16 ? 22 : columns > 8 ? 30 : 40;
  const double font = cell > 25 ? 12 : 9.5;
  double side = 0, top = 0;
  for (const auto& name : m.rows) side = std::max(side, std::min(170.0, text_width(name, 12)));
  for (const auto& name : m.columns) top = std::max(top, std::min(150.0, text_width(name, 12)));
  const double one = side + static_cast<double>(columns) * cell + 34, x0 = 40;
  const double y0 = 70 + top, height = y0 + static_cast<double>(rows) * cell + 46;
  Drawing d(x0 + 2 * one + 24, height);
  d.text(16, 26, 15, m.title, Anchor::start, true);
  double most = 1e-9;
  for (const double v : m.values)
    if (std::isfinite(v)) most = std::max(most, v);
  for (int shares = 0; shares < 2; ++shares) {
    const double left = x0 + shares * one + side + 8;
    d.text(left, 48, 12.5, shares != 0 ? "share of each row, %" : "counts", Anchor::start, false, false,
           soft);
    for (std::size_t j = 0; j < columns; ++j)
      d.text(left + (static_cast<double>(j) + .5) * cell + 4, y0 - 7, 12, fitted(m.columns[j], 12, 150),
             Anchor::start, false, true);
    for (std::size_t i = 0; i < rows; ++i) {
      const double y = y0 + static_cast<double>(i) * cell;
      d.text(left - 8, y + cell / 2 + 4, 12, fitted(m.rows[i], 12, 170), Anchor::end);
      double sum = 0;
      for (std::size_t j = 0; j < columns; ++j)
        if (std::isfinite(m.values[i * columns + j])) sum += m.values[i * columns + j];
      for (std::size_t j = 0; j < columns; ++j) {
        const double v = m.values[i * columns + j];
        if (!std::isfinite(v)) continue;
        const double share = shares != 0 ? (sum > 0 ? v / sum : 0) : v / most;
        const double x = left + static_cast<double>(j) * cell;
        d.box(x + .5, y + .5, cell - 1, cell - 1, shade_of(share));
        if (v == 0 || cell < 20) continue;
        const std::string text = shares == 0    ? format_number(v, 4)
                                 : share < .005 ? "<1"
                                                : std::to_string(std::lround(100 * share));
        const double size = std::min(font, font * (cell - 3) / text_width(text, font));
        d.text(x + cell / 2, y + cell / 2 + size * .36, size, text, Anchor::middle, false, false,
               share > .3 ? "#ffffff" : "#1b2230");
      }
    }
    d.text(left + static_cast<double>(columns) * cell / 2, height - 16, 12.5, m.column_title, Anchor::middle,
           false, false, soft);
  }
  d.text(22, y0 + static_cast<double>(rows) * cell / 2, 12.5, m.row_title, Anchor::middle, false, true, soft);
  return d;
}

Drawing bars_figure(const TaskReportBars& b) {
  double low = 0, high = 0, side = 0;
  for (const auto* values : {&b.values, &b.low, &b.high})
    for (const double v : *values)
      if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  if (low >= -1 && high <= 1 && high > .2) high = 1;
  if (high - low < 1e-12) high = low + 1;
  for (const auto& name : b.names) side = std::max(side, std::min(220.0, text_width(name, 13)));
  const double left = 26 + side, width = 420, row = 24, top = 44;
  const double bottom = top + row * static_cast<double>(b.names.size());
  Drawing d(left + width + 70, bottom + 54);
  const auto at = [&](double v) { return left + width * (v - low) / (high - low); };
  d.text(16, 26, 15, b.title, Anchor::start, true);
  for (const double t : axis_ticks(low, high, 5)) {
    d.line(at(t), top, at(t), bottom, grid_line, 1);
    d.text(at(t), bottom + 18, 12, format_number(t, 4), Anchor::middle, false, false, soft);
  }
  for (std::size_t i = 0; i < b.names.size(); ++i) {
    const double y = top + row * static_cast<double>(i);
    d.text(left - 8, y + 16, 13, fitted(b.names[i], 13, 220), Anchor::end);
    if (i >= b.values.size() || !std::isfinite(b.values[i])) {
      d.text(at(0) + 5, y + 16, 12, "not measured", Anchor::start, false, false, soft);
      continue;
    }
    const double v = b.values[i];
    d.box(std::min(at(0), at(v)), y + 5, std::abs(at(v) - at(0)), row - 10, blue);
    double end = at(std::max(0.0, v));
    if (i < b.low.size() && i < b.high.size() && std::isfinite(b.low[i]) && std::isfinite(b.high[i])) {
      const double middle = y + row / 2;
      d.line(at(b.low[i]), middle, at(b.high[i]), middle, "#1b2230", 1.5);
      for (const double e : {b.low[i], b.high[i]})
        d.line(at(e), middle - 4, at(e), middle + 4, "#1b2230", 1.5);
      end = std::max(end, at(b.high[i]));
    }
    d.text(end + 7, y + 16, 12, format_number(v, 3), Anchor::start, false, false, soft);
  }
  d.line(at(0), top, at(0), bottom, soft, 1);
  d.text(left + width / 2, bottom + 40, 12.5, b.unit, Anchor::middle, false, false, soft);
  return d;
}

Drawing curves_figure(const TaskReportCurves& c) {
  double x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
  const auto shown = [](const TaskReportCurve& curve, std::size_t i) {
    return i < curve.y.size() && std::isfinite(curve.x[i]) && std::isfinite(curve.y[i]);
  };
  for (const auto& curve : c.curves)
    for (std::size_t i = 0; i < curve.x.size(); ++i)
      if (shown(curve, i)) {
        x0 = std::min(x0, curve.x[i]), x1 = std::max(x1, curve.x[i]);
        y0 = std::min(y0, curve.y[i]), y1 = std::max(y1, curve.y[i]);
      }
  if (!(x0 <= x1)) x0 = y0 = 0, x1 = y1 = 1;
  if (x1 - x0 < 1e-12) x0 -= .5, x1 += .5;
  if (y1 - y0 < 1e-12) y0 -= .5, y1 += .5;
  const double pad = .05 * (y1 - y0), left = 76, right = 580, top = 44, bottom = 330;
  y0 -= pad, y1 += pad;
  Drawing d(600, 380);
  const auto px = [&](double v) { return left + (right - left) * (v - x0) / (x1 - x0); };
  const auto py = [&](double v) { return bottom - (bottom - top) * (v - y0) / (y1 - y0); };
  d.text(16, 26, 15, c.title, Anchor::start, true);
  for (const double t : axis_ticks(y0, y1, 5)) {
    d.line(left, py(t), right, py(t), grid_line, 1);
    d.text(left - 8, py(t) + 4, 12, format_number(t, 4), Anchor::end, false, false, soft);
  }
  for (const double t : axis_ticks(x0, x1, 6))
    d.text(px(t), bottom + 18, 12, format_number(t, 6), Anchor::middle, false, false, soft);
  d.text((left + right) / 2, bottom + 38, 12.5, c.x_label, Anchor::middle, false, false, soft);
  d.text(20, (top + bottom) / 2, 12.5, fitted(c.y_label, 12.5, bottom - top), Anchor::middle, false, true,
         soft);
  double y = bottom + 62, x = left;
  for (std::size_t k = 0; k < c.curves.size(); ++k) {
    const TaskReportCurve& curve = c.curves[k];
    const std::string colour = group_colour(k);
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      if (i > 0 && shown(curve, i) && shown(curve, i - 1))
        d.line(px(curve.x[i - 1]), py(curve.y[i - 1]), px(curve.x[i]), py(curve.y[i]), colour, 2);
      if (curve.x.size() <= 40 && shown(curve, i)) d.disc(px(curve.x[i]), py(curve.y[i]), 3, colour);
    }
    const std::string name = fitted(curve.name, 12, 300);
    const double wide = 34 + text_width(name, 12) + 16;
    if (x > left && x + wide > right) x = left, y += 20;
    d.line(x, y - 4, x + 22, y - 4, colour, 3);
    d.text(x + 30, y, 12, name);
    x += wide;
  }
  d.set_height(y + 18);
  return d;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> task_figures(const TaskReport& report) {
  std::vector<std::pair<std::string, std::string>> figures;
  std::set<std::string> taken;
  const auto add = [&](std::string name, const Drawing& drawing) {
    if (name.empty()) name = "figure";
    std::string stem = name;
    for (int k = 2; !taken.insert(stem).second; ++k) stem = concat(name, "_", k);
    figures.emplace_back(stem + ".svg", drawing.svg());
    figures.emplace_back(stem + ".png", drawing.png());
  };
  for (const MapFigure& figure : map_figures(report, most_score_figures))
    add(concat(figure.kind, figure.key.empty() ? "" : "_", file_stem(figure.key)), figure.drawing);
  for (std::size_t i = 0; i < report.matrices.size(); ++i)
    if (!report.matrices[i].rows.empty() && !report.matrices[i].columns.empty() &&
        report.matrices[i].values.size() ==
            report.matrices[i].rows.size() * report.matrices[i].columns.size())
      add(i == 0 ? "confusion" : "confusion_" + file_stem(report.matrices[i].title),
          matrix_figure(report.matrices[i]));
  for (const TaskReportBars& bars : report.bars)
    if (!bars.names.empty()) add("bars_" + file_stem(bars.title), bars_figure(bars));
  for (const TaskReportCurves& curves : report.curves)
    if (!curves.curves.empty()) add("curves_" + file_stem(curves.title), curves_figure(curves));
  return figures;
}

}  // namespace stofm::program

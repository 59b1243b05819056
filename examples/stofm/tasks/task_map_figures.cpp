// SPDX-License-Identifier: MIT
#include "tasks/task_map_figures.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "console.hpp"
#include "tasks/task_map_colours.hpp"
#include "tasks/task_map_places.hpp"

namespace stofm::program {
namespace {

/// Cells in an order where any group may come last; numbers from missing to high.
std::vector<std::size_t> drawing_order(const Colouring& c, std::size_t slice, std::size_t cells) {
  std::vector<std::size_t> order(cells);
  std::size_t step = cells * 618 / 1000 | 1U;
  while (cells > 0 && std::gcd(step, cells) > 1) step += 2;
  for (std::size_t j = 0, i = 0; j < cells; ++j, i = (i + step) % cells) order[j] = i;
  if (c.ordered && slice < c.of.size()) {
    const auto& of = c.of[slice];
    const auto rank = [&](std::size_t i) { return i < of.size() && of[i] < colour_steps ? of[i] : -1; };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return rank(a) < rank(b); });
  }
  return order;
}

const std::string& colour_at(const Colouring& c, std::size_t slice, std::size_t i) {
  const bool known = slice < c.of.size() && i < c.of[slice].size();
  return c.colours[known ? static_cast<std::size_t>(c.of[slice][i]) : c.colours.size() - 1];
}

void draw_names(Drawing& d, const TaskReport& report, const Places& places, double left, double top,
                double size) {
  if (places.panels.size() < 2) return;
  for (const Panel& p : places.panels)
    d.text(left + p.left, top + p.top - 7, size,
           fitted(report.slices[p.slice].name, size, (p.x1 - p.x0) * p.scale + 10), Anchor::start, true);
}

void draw_map(Drawing& d, const TaskReport& report, const Places& places, const Colouring& c, double left,
              double top) {
  const double r = places.radius;
  d.begin_dots(left - r, top - r, places.width + 2 * r, places.height + 2 * r);
  for (const Panel& p : places.panels) {
    const TaskReportSlice& slice = report.slices[p.slice];
    for (const std::size_t i : drawing_order(c, p.slice, std::min(slice.x.size(), slice.y.size())))
      if (std::isfinite(slice.x[i]) && std::isfinite(slice.y[i]))
        d.disc(left + p.left + (slice.x[i] - p.x0) * p.scale, top + p.top + (slice.y[i] - p.y0) * p.scale, r,
               colour_at(c, p.slice, i));
  }
  d.end_dots();
}

/// \return the height that was needed
double draw_legend(Drawing& d, const Colouring& c, double left, double top, double width) {
  if (c.names.empty()) {
    for (int i = 0; i < colour_steps; ++i)
      d.box(left + i * 3, top, 3.2, 12, c.colours[static_cast<std::size_t>(i)]);
    const std::string high = concat(format_number(c.high, 3), c.most > c.high ? " and more" : "");
    d.text(left, top + 28, 12, std::abs(c.low) < .005 * std::abs(c.high) ? "0" : format_number(c.low, 3));
    d.text(left + colour_steps * 3, top + 28, 12, high, Anchor::end);
    return 36;
  }
  double x = left, y = top;
  for (std::size_t i = 0; i < c.names.size() && i < c.colours.size(); ++i) {
    const std::string name = fitted(c.names[i], 12, std::min(260.0, width - 24));
    const double wide = 17 + text_width(name, 12) + 18;
    if (x > left && x + wide > left + width) x = left, y += 19;
    d.box(x, y, 11, 11, c.colours[i]);
    d.text(x + 17, y + 10, 12, name);
    x += wide;
  }
  return y - top + 19;
}

std::string whole_title(const Colouring& c) {
  return c.heading.empty() ? c.title : concat(c.title, " (", c.heading, ")");
}

Drawing map_figure(const TaskReport& report, const Colouring& c) {
  const Places places = arranged(report, 720, 720);
  Drawing d(752, 400);
  d.text(16, 26, 15, fitted(whole_title(c), 15, 720), Anchor::start, true);
  const double top = 40 + places.radius;
  draw_map(d, report, places, c, 16, top);
  draw_names(d, report, places, 16, top, 13);
  const double y = top + places.height + places.radius + 12;
  d.set_height(y + draw_legend(d, c, 16, y, 720) + 10);
  return d;
}

Drawing beside_figure(const TaskReport& report, const Colouring& a, const Colouring& b) {
  const Places places = arranged(report, 500, 700);
  Drawing d(1056, 400);
  const bool same = a.names == b.names && a.colours == b.colours;
  const double top = 40 + places.radius, y = top + places.height + places.radius + 12;
  double height = 0;
  for (int k = 0; k < 2; ++k) {
    const Colouring& c = k == 0 ? a : b;
    const double left = 16 + k * 524;
    d.text(left, 26, 15, fitted(whole_title(c), 15, 500), Anchor::start, true);
    draw_map(d, report, places, c, left, top);
    draw_names(d, report, places, left, top, 13);
    if (!same) height = std::max(height, draw_legend(d, c, left, y, 500));
  }
  if (same) height = draw_legend(d, a, 16, y, 1024);
  d.set_height(y + height + 10);
  return d;
}

bool has_view(const TaskReport& report) {
  return std::any_of(report.slices.begin(), report.slices.end(),
                     [](const auto& slice) { return !slice.view_x.empty(); });
}

Drawing view_figure(const TaskReport& report, const Colouring& c) {
  Panel p{.x0 = INFINITY, .y0 = INFINITY, .x1 = -INFINITY, .y1 = -INFINITY};
  std::size_t cells = 0;
  for (const auto& slice : report.slices)
    for (std::size_t i = 0; i < std::min(slice.view_x.size(), slice.view_y.size()); ++i) {
      const double x = slice.view_x[i], y = slice.view_y[i];
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      p.x0 = std::min(p.x0, x), p.x1 = std::max(p.x1, x), p.y0 = std::min(p.y0, y), p.y1 = std::max(p.y1, y);
      ++cells;
    }
  Drawing d(612, 400);
  if (cells == 0) return d;
  const double k = std::min(570 / std::max(p.x1 - p.x0, 1e-9), 570 / std::max(p.y1 - p.y0, 1e-9));
  const double height = (p.y1 - p.y0) * k;
  const double r = std::clamp(110 / std::sqrt(static_cast<double>(cells)), .5, 4.0);
  d.text(16, 26, 15, fitted(whole_title(c) + ", 2-D view", 15, 580), Anchor::start, true);
  d.begin_dots(12, 40, 588, height + 16);
  for (std::size_t s = 0; s < report.slices.size(); ++s) {
    const auto& slice = report.slices[s];
    for (const std::size_t i : drawing_order(c, s, std::min(slice.view_x.size(), slice.view_y.size())))
      if (std::isfinite(slice.view_x[i]) && std::isfinite(slice.view_y[i]))
        d.disc(306 + (slice.view_x[i] - (p.x0 + p.x1) / 2) * k, 48 + (p.y1 - slice.view_y[i]) * k, r,
               colour_at(c, s, i));
  }
  d.end_dots();
  const double y = 48 + height + 24;
  d.set_height(y + draw_legend(d, c, 16, y, 580) + 10);
  return d;
}

Drawing pie_figure(const TaskReport& report) {
  const std::size_t types = report.proportions.names.size();
  const Colouring c{.title = "Proportions",
                    .heading = {},
                    .of = {},
                    .colours = task_report_type_colours(report),
                    .names = report.proportions.names};
  const Places places = arranged(report, 784, 784);
  Drawing d(852, 400);
  d.text(16, 26, 15, c.title, Anchor::start, true);
  const double r = places.radius, left = 34, top = 44 + r;
  d.begin_dots(left - r, top - r, places.width + 2 * r, places.height + 2 * r);
  for (const Panel& p : places.panels) {
    const TaskReportSlice& slice = report.slices[p.slice];
    if (p.slice >= report.proportions.values.size()) continue;
    const auto& values = report.proportions.values[p.slice];
    for (std::size_t i = 0; i < std::min(slice.x.size(), slice.y.size()) && (i + 1) * types <= values.size();
         ++i) {
      if (!std::isfinite(slice.x[i]) || !std::isfinite(slice.y[i])) continue;
      const double x = left + p.left + (slice.x[i] - p.x0) * p.scale,
                   y = top + p.top + (slice.y[i] - p.y0) * p.scale;
      double sum = 0;
      std::size_t most = 0;
      const auto share = [&](std::size_t t) {
        const double v = values[i * types + t];
        return std::isfinite(v) ? std::max(0.0, v) : 0.0;
      };
      for (std::size_t t = 0; t < types; ++t) {
        sum += share(t);
        if (share(t) > share(most)) most = t;
      }
      d.disc(x, y, r,
             sum > 0 ? c.colours[most] : missing_colour);  // under the pie: no gaps between its parts
      if (sum <= 0 || r < 2) continue;
      double at = 0;
      for (std::size_t t = 0; t < types; ++t) {
        const double part = share(t) / sum;
        if (part > .002 && t != most) d.wedge(x, y, r, at, at + part, c.colours[t]);
        at += part;
      }
    }
  }
  d.end_dots();
  draw_names(d, report, places, left, top, 13);
  const double y = top + places.height + r + 14;
  d.set_height(y + draw_legend(d, c, 16, y, 820) + 10);
  return d;
}

/// One small map a type.
Drawing type_figure(const TaskReport& report) {
  const std::size_t types = report.proportions.names.size(), columns = std::min<std::size_t>(4, types);
  const Places places = arranged(report, 240, 240);
  const double wide = 264, high = places.height + 84;
  const std::size_t rows = (types + columns - 1) / columns;
  Drawing d(wide * static_cast<double>(columns) + 16, high * static_cast<double>(rows) + 10);
  for (std::size_t t = 0; t < types; ++t) {
    const Colouring c = by_values(report.proportions.names[t], "", report.proportions.values, types, t);
    const double left = 16 + wide * static_cast<double>(t % columns);
    const double top = 10 + high * static_cast<double>(t / columns);
    d.text(left, top + 16, 13, fitted(c.title, 13, 240), Anchor::start, true);
    draw_map(d, report, places, c, left, top + 28);
    draw_legend(d, c, left, top + 28 + places.height + 12, 240);
  }
  return d;
}

}  // namespace

std::vector<MapFigure> map_figures(const TaskReport& report, std::size_t most_scores) {
  std::vector<MapFigure> figures;
  const bool maps = !arranged(report, 100, 100).panels.empty(), views = has_view(report);
  const auto add = [&](const std::string& key, const Colouring& c, bool view) {
    if (maps) figures.push_back({"map", key, map_figure(report, c)});
    if (views && view) figures.push_back({"view", key, view_figure(report, c)});
  };
  const auto colours = task_report_colours(report);
  for (std::size_t g = 0; g < report.groups.size(); ++g)
    add(report.groups[g].key, by_groups(report.groups[g], colours[g]), true);
  if (maps && !report.beside.empty())
    for (std::size_t g = 1; g < report.groups.size(); ++g)
      if (report.groups[g].key == report.beside)
        figures.push_back({"maps", concat(report.groups[0].key, "_and_", report.beside),
                           beside_figure(report, by_groups(report.groups[0], colours[0]),
                                         by_groups(report.groups[g], colours[g]))});
  if (maps && !report.proportions.names.empty()) {
    figures.push_back({"proportions", "", pie_figure(report)});
    figures.push_back({"proportions", "by_type", type_figure(report)});
  }
  for (std::size_t s = 0; s < std::min(most_scores, report.scores.size()); ++s) {
    const TaskReportScore& score = report.scores[s];
    if (is_share_of_type(report, score)) continue;
    add(score.key, by_values(score.label.empty() ? score.key : score.label, score.group, score.values, 1, 0),
        false);
  }
  return figures;
}

}  // namespace stofm::program

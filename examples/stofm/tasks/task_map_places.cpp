// SPDX-License-Identifier: MIT
#include "tasks/task_map_places.hpp"

#include <algorithm>
#include <cmath>

namespace stofm::program {
namespace {

/// Distance of neighbours: from the share of squares that hold cells.
double spacing_of(const std::vector<float>& x, const std::vector<float>& y, const Panel& p) {
  const auto cells = static_cast<double>(x.size());
  if (p.x1 <= p.x0 || p.y1 <= p.y0) return std::max(p.x1 - p.x0, p.y1 - p.y0) / cells;  // on a line
  const auto side = static_cast<std::size_t>(std::max(1.0, std::ceil(std::sqrt(cells / 4))));
  const double w = (p.x1 - p.x0) / static_cast<double>(side), h = (p.y1 - p.y0) / static_cast<double>(side);
  std::vector<bool> used(side * side, false);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) continue;
    const auto place = [side](double value, double step) {
      return step > 0 ? std::min(side - 1, static_cast<std::size_t>(value / step)) : 0;
    };
    used[place(x[i] - p.x0, w) * side + place(y[i] - p.y0, h)] = true;
  }
  const auto squares = static_cast<double>(std::count(used.begin(), used.end(), true));
  return std::sqrt(squares * w * h / cells);
}

}  // namespace

Places arranged(const TaskReport& report, double width, double most_height) {
  Places places;
  double w = 0, h = 0, largest = 0, smallest = INFINITY;
  for (std::size_t s = 0; s < report.slices.size(); ++s) {
    const TaskReportSlice& slice = report.slices[s];
    Panel p{.slice = s, .x0 = INFINITY, .y0 = INFINITY, .x1 = -INFINITY, .y1 = -INFINITY};
    for (std::size_t i = 0; i < std::min(slice.x.size(), slice.y.size()); ++i) {
      const double x = slice.x[i], y = slice.y[i];
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      p.x0 = std::min(p.x0, x), p.x1 = std::max(p.x1, x), p.y0 = std::min(p.y0, y), p.y1 = std::max(p.y1, y);
    }
    if (!(p.x0 <= p.x1)) continue;
    const double size = std::max({p.x1 - p.x0, p.y1 - p.y0, 1e-9});
    largest = std::max(largest, size), smallest = std::min(smallest, size);
    places.panels.push_back(p);
  }
  if (places.panels.empty()) return places;
  const bool apart = largest > 3 * smallest;
  for (Panel& p : places.panels) {
    p.scale = apart ? 1 / std::max({p.x1 - p.x0, p.y1 - p.y0, 1e-9}) : 1;
    w = std::max(w, (p.x1 - p.x0) * p.scale), h = std::max(h, (p.y1 - p.y0) * p.scale);
  }
  if (w <= 0) w = h > 0 ? h : 1;
  if (h <= 0) h = w;
  const bool several = places.panels.size() > 1;
  const double gap = 16, head = several ? 24 : 0;
  const auto count = static_cast<double>(places.panels.size());
  double best = 0, columns = 1;
  for (double c = count; c > 0; c -= 1) {
    const double rows = std::ceil(count / c);
    const double k = std::min((width - gap * (c - 1)) / (c * w), (most_height / rows - head - gap) / h);
    if (k > best * 1.02) best = k, columns = c;
  }
  const double k = best > 0 ? best : 1;
  places.width = width;
  double spacing = INFINITY;
  for (std::size_t i = 0; i < places.panels.size(); ++i) {
    Panel& p = places.panels[i];
    const double column = std::fmod(static_cast<double>(i), columns);
    const double row = std::floor(static_cast<double>(i) / columns);
    const double used = columns * w * k + gap * (columns - 1);
    p.scale *= k;
    p.left = (width - used) / 2 + column * (w * k + gap) + (w * k - (p.x1 - p.x0) * p.scale) / 2;
    p.top = row * (h * k + head + gap) + head;
    places.height = std::max(places.height, p.top + h * k);
    const TaskReportSlice& slice = report.slices[p.slice];
    spacing = std::min(spacing, p.scale * spacing_of(slice.x, slice.y, p));
  }
  places.radius = std::clamp(.52 * spacing, .5, 18.0);
  return places;
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the slices of a report stand on a figure.

#include <cstddef>
#include <vector>

#include "tasks/task_report.hpp"

namespace stofm::program {

/// One slice where it is drawn.
struct Panel {
  std::size_t slice = 0;
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;  ///< extent, in the unit of the file
  double left = 0, top = 0, scale = 1;    ///< place on the figure
};

/// All of them, and how large a cell is drawn.
struct Places {
  std::vector<Panel> panels;
  double width = 0, height = 0, radius = 1;
};

/// Slices side by side in `width`, all at one scale unless their extents are very unlike.
Places arranged(const TaskReport& report, double width, double most_height);

}  // namespace stofm::program

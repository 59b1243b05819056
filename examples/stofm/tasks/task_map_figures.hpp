// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Figures with cells: maps, the 2-D view, proportions.

#include <cstddef>
#include <string>
#include <vector>

#include "tasks/task_drawing.hpp"
#include "tasks/task_report.hpp"

namespace stofm::program {

struct MapFigure {
  std::string kind, key;  ///< name of the file: "map", "stofm_region"
  Drawing drawing;
};

/// A map and a view for each groups and each of the first scores, prediction beside truth, proportions as
/// pies and as one map a type.
std::vector<MapFigure> map_figures(const TaskReport& report, std::size_t most_scores);

}  // namespace stofm::program

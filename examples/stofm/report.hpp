// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The report of one slice: a single HTML file with the data in it, no network, no other file.

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "stofm/tasks/group_colours.hpp"

namespace stofm::program {

/// One choice of the menu "Colour by": groups of cells.
struct ReportGroups {
  std::string key;                   ///< of the choice, for links: "cluster", "label0", "piece"
  std::string label;                 ///< in the menu
  std::string heading;               ///< under which it stands there
  std::string note;                  ///< one sentence on what these groups are and are not
  std::vector<std::int32_t> codes;   ///< [cells], -1: missing
  std::vector<std::string> names;    ///< of the groups; empty: `prefix` and the number
  std::string prefix;                ///< "cluster"
  std::vector<std::string> colours;  ///< "#rrggbb" of each; empty: palette
};

/// A square of the split, in the unit of the file.
struct ReportSquare {
  std::array<double, 4> corners{};  ///< x0, y0, x1, y1
  std::int32_t library = 0;
};

/// What the report shows. Vectors of cells are in the order of the slice; an empty one leaves its view out.
struct ReportData {
  std::string title;                          ///< name of the slice
  std::string created, version;               ///< time (UTC), program version
  std::vector<std::string> banner;            ///< said at the top: what the weights are good for
  std::vector<float> x, y;                    ///< [cells] positions in the unit of the file
  std::vector<std::int32_t> library;          ///< [cells] index in `libraries`; empty: one
  std::vector<std::string> libraries;         ///< drawn side by side
  std::vector<std::string> cell_names;        ///< [cells], or empty: many cells
  std::vector<std::int32_t> rows;             ///< [cells] rows of the file; empty: all, in order
  std::vector<ReportGroups> groups;           ///< the first is shown first
  std::vector<std::int32_t> genes;            ///< [cells] genes counted in the vocabulary
  std::vector<float> pc1, pc2;                ///< [cells] first two principal components of the embeddings
  std::array<double, 2> explained{};          ///< their shares of the variance
  std::vector<float> virtual_x, virtual_y;    ///< places of the virtual cells
  std::vector<std::int32_t> virtual_library;  ///< of each
  std::vector<ReportSquare> grid;             ///< squares of the split
  std::vector<std::pair<std::string, std::string>> facts;      ///< figures at the top: label, value
  std::vector<std::pair<std::string, std::string>> source;     ///< what was read from where
  std::vector<std::pair<std::string, std::string>> next;       ///< what to do next: language, lines
  std::vector<std::pair<std::string, double>> stages;          ///< stage, seconds
  std::vector<std::pair<std::string, std::int64_t>> coverage;  ///< genes: known, renamed, unknown, ...
  std::vector<std::string> unmatched;                          ///< first genes that were not found
  std::vector<std::string> notices;
  std::vector<std::pair<std::string, std::string>> options;  ///< option, value
  std::vector<std::pair<std::string, std::string>> model;    ///< model card: field, value
};

/// The whole file as text. Cost: about 30 bytes a cell, and its name.
std::string report_html(const ReportData& data);

/// The squares a slice of `cells` cells is cut into by `split` (SPEC section 4), in the coordinates given.
/// Empty if the slice is one piece.
std::vector<std::array<double, 4>> split_grid(const std::vector<float>& x, const std::vector<float>& y,
                                              std::int64_t split);

/// Colours of groups, "#rrggbb": the report and uns["stofm_cluster_colors"] have the same.
using tasks::group_colour;
using tasks::group_colours;

}  // namespace stofm::program

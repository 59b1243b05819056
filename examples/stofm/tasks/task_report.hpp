// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The report of a downstream task as data: what any of the verbs has to show, one HTML file made of it, and
/// figures for papers. It knows nothing of the tasks themselves.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stofm::program {

/// Cells of one slice. All vectors have one entry a cell.
struct TaskReportSlice {
  std::string name;
  std::vector<float> x, y;                   ///< positions in the unit of the file
  std::vector<float> view_x, view_y;         ///< 2-D view of the embedding (UMAP); empty: none
  std::vector<std::string> cell_names = {};  ///< shown on hover and in saved selections; empty: numbers
};

/// Groups of cells: regions, cell types, clusters, truth or prediction.
struct TaskReportGroups {
  std::string key, label;            ///< "stofm_region", "predicted region"
  std::string note;                  ///< one sentence on what these groups are and are not; may be empty
  std::vector<std::string> names;    ///< of the groups
  std::vector<std::string> colours;  ///< "#rrggbb" of each; empty: palette
  std::vector<std::vector<std::int32_t>> codes;  ///< by slice: [cells], -1: missing
};

/// A number for each cell: probability, expression of a gene, entropy, a proportion.
struct TaskReportScore {
  std::string key, label;
  std::string group;  ///< heading in the search box: "genes", "probabilities", "proportions"
  std::vector<std::vector<float>> values;  ///< by slice: [cells], NaN: missing
};

/// Shares of each spot, shown as pies or as one map per type.
struct TaskReportProportions {
  std::vector<std::string> names, colours;  ///< of the types
  std::vector<std::vector<float>> values;   ///< by slice: [spots * types], row by row, NaN: missing
};

/// Counts of rows (truth) by columns (prediction).
struct TaskReportMatrix {
  std::string title, row_title = "truth", column_title = "predicted";
  std::vector<std::string> rows, columns;
  std::vector<double> values;  ///< [rows * columns]
  /// Keys of the groups that rows and columns are, so that a click shows the cells; empty: the pair of groups
  /// whose own counts are these, if there is one.
  std::string row_groups = {}, column_groups = {};
};

struct TaskReportBars {
  std::string title, unit;  ///< "F1 per region", "F1"
  std::vector<std::string> names;
  std::vector<double> values;
  std::vector<double> low, high;  ///< interval of each; empty: none
};

struct TaskReportCurve {
  std::string name;
  std::vector<double> x, y;
};
struct TaskReportCurves {
  std::string title, x_label, y_label;
  std::vector<TaskReportCurve> curves;
};

struct TaskReportTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

struct TaskReport {
  std::string title;                                       ///< "Regions of slice.h5ad"
  std::string created, version;                            ///< time (UTC), program version
  std::string command;                                     ///< as given
  std::vector<std::string> banner;                         ///< said at the top: what the weights are good for
  std::vector<std::pair<std::string, std::string>> facts;  ///< figures at the top: label, value
  std::vector<TaskReportSlice> slices;
  std::vector<TaskReportGroups> groups;  ///< the first is shown first
  std::string beside =
      {};  ///< key of the groups shown beside the first from the start (the truth); empty: none
  std::string unit = "unit of the file";  ///< of the positions
  std::vector<TaskReportScore> scores;
  TaskReportProportions proportions;  ///< no names: none
  std::vector<TaskReportMatrix> matrices;
  std::vector<TaskReportBars> bars;
  std::vector<TaskReportCurves> curves;
  std::vector<TaskReportTable> tables;
  std::vector<std::string> notices;
  std::vector<std::pair<std::string, std::string>> options, model;  ///< field, value
  std::vector<std::pair<std::string, std::string>> next;            ///< what to do next: language, lines
};

/// Colours of all groups: those given, else one palette; the same name has the same colour everywhere.
std::vector<std::vector<std::string>> task_report_colours(const TaskReport& report);

/// The same for the types of the proportions.
std::vector<std::string> task_report_type_colours(const TaskReport& report);

/// Whether a score is the share of a type that is in `proportions` too: shown once, as that.
bool is_share_of_type(const TaskReport& report, const TaskReportScore& score);

/// The whole file as text, no network needed. Positions have 16 bits, scores 16 (8 beyond four million
/// values), all are deflated. Cost: 12 bytes a cell, and 1 to 3 for each score.
std::string task_report_html(const TaskReport& report);

/// Figures for papers: names ("map_stofm_region.svg", "confusion.png", ...) and bytes.
std::vector<std::pair<std::string, std::string>> task_figures(const TaskReport& report);

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The report of one slice: a single HTML file with the data in it, no network, no other file.

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stofm::program {

/// What the report shows. Vectors of cells are in the order of the file; an empty one leaves its view out.
struct ReportData {
  std::string title;                         ///< name of the slice
  std::string created, version;              ///< time (UTC), program version
  std::string limits;                        ///< of the weights: said at the top
  std::vector<float> x, y;                   ///< [cells] positions in the unit of the file
  std::vector<std::int32_t> macro;           ///< [cells] virtual cell (macro cluster)
  std::vector<std::int32_t> cluster;         ///< [cells] clusters of the embeddings
  std::vector<std::int32_t> genes;           ///< [cells] genes counted in the vocabulary
  std::vector<std::int32_t> piece;           ///< [cells] sub-slice
  std::vector<float> pc1, pc2;               ///< [cells] first two principal components of the embeddings
  std::array<double, 2> explained{};         ///< their shares of the variance
  std::vector<float> virtual_x, virtual_y;   ///< [clusters] places of the virtual cells
  std::vector<std::array<double, 4>> grid;   ///< squares of the split: x0, y0, x1, y1
  std::string macro_method, cluster_method;  ///< "leiden, resolution 1", "k-means, k = 12"
  std::vector<std::pair<std::string, std::string>> facts;      ///< figures at the top: label, value
  std::vector<std::pair<std::string, double>> stages;          ///< stage, seconds
  std::vector<std::pair<std::string, std::int64_t>> coverage;  ///< genes: known, renamed, unknown, ...
  std::vector<std::string> unmatched;                          ///< first genes that were not found
  std::vector<std::string> notices;
  std::vector<std::pair<std::string, std::string>> options;  ///< option, value
  std::vector<std::pair<std::string, std::string>> model;    ///< model card: field, value
};

/// The whole file as text. Cost: about 30 bytes a cell.
std::string report_html(const ReportData& data);

/// The squares a slice of `cells` cells is cut into by `split` (SPEC section 4), in the coordinates given.
/// Empty if the slice is one piece.
std::vector<std::array<double, 4>> split_grid(const std::vector<float>& x, const std::vector<float>& y,
                                              std::int64_t split);

}  // namespace stofm::program

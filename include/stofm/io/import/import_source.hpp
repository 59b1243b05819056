// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What an importer makes of the files of an instrument: cells, features and positions, held; counts, to be
/// streamed. A plain struct; import_slice.hpp writes it.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/io/h5ad_result.hpp"
#include "stofm/io/import/text_lines.hpp"

namespace stofm::io {

class CountSink;

/// Columns of a matrix of counts as the files name them. `ids` and `types` may be empty.
struct ImportFeatures {
  std::vector<std::string> ids;    ///< "ENSG..."
  std::vector<std::string> names;  ///< symbols
  std::vector<std::string> types;  ///< "Gene Expression", "Negative Control Probe", ...
  std::size_t size() const { return names.size(); }
};

struct ImportSource {
  std::string format;                ///< "xenium"
  std::vector<std::string> files{};  ///< that were read
  std::vector<std::string> cells{};  ///< names, each once
  std::vector<double> xy{};          ///< [cells, 2]
  std::vector<H5adColumn> obs{};     ///< [cells] each
  ImportFeatures features{};
  std::string unit = "unknown";  ///< of xy: "um", "px of the full image", ...
  std::string grain{};           ///< what a cell is where the format has several: "squares of 8 um"
  std::string library_key{};     ///< column of obs that tells sections apart; empty: one section
  std::map<std::string, H5adValue> facts{};  ///< more for uns: the bin size, ...
  /// Gives every count to the sink as (cell, feature, value), from the beginning each time it is called.
  std::function<void(CountSink&)> stream{};
  /// True if the cells of the counts are known only when they were streamed: those that the sink was not told
  /// of are left out.
  bool cells_by_stream = false;
  std::string background = "records of no cell";  ///< what the sink was told to skip as such
  /// True if counts come gene by gene, or in no order.
  bool unordered = false;
  Notices notices{};
};

/// What an importer is told, and who listens while it works.
struct ImportContext {
  std::function<void(std::string_view stage, std::int64_t done, std::int64_t total)> progress = {};
  /// For TextLines and loops.
  ReadingProgress reading(std::string stage) const {
    if (!progress) return {};
    return [report = progress, name = std::move(stage)](std::int64_t done, std::int64_t total) {
      report(name, done, total);
    };
  }
};

}  // namespace stofm::io

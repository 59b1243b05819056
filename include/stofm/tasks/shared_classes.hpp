// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One list of classes for several slices, whose files number and colour them each in its own way.

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/slice.hpp"

namespace stofm::tasks {

/// Classes of several slices by name.
struct SharedClasses {
  std::vector<std::string> names;    ///< in the order of the first slice, then what the others add
  std::vector<std::string> colours;  ///< "#rrggbb" of each where a file has one, else empty text
  std::vector<std::vector<std::int32_t>> codes;  ///< by slice: [cells] index into `names`, -1: none
  std::vector<std::int64_t> unlabelled;          ///< by slice: cells without a label
  /// by slice: [classes] cells
  std::vector<std::vector<std::int64_t>> cells;
};

/// Words that stand for "no label" in public files; "" and missing values always do.
inline const std::vector<std::string>& words_for_no_label() {
  static const std::vector<std::string> words{"NA",   "N/A",  "na",         "nan",       "NaN",       "None",
                                              "none", "null", "unlabelled", "unlabeled", "unassigned"};
  return words;
}

/// Joins the labels of several slices (null: a slice without the column, of `cells` cells). Cells whose label
/// is in `no_label` count as unlabelled. The first file with a colour of a class gives it. Categories without
/// a cell are left out. `first`: classes that come first whether or not they have cells (those of a head).
/// *Cost* O(cells + classes).
inline SharedClasses share_classes(std::span<const io::SliceLabels* const> labels,
                                   std::span<const std::int64_t> cells,
                                   std::span<const std::string> no_label = words_for_no_label(),
                                   const std::vector<std::string>& first = {}) {
  SharedClasses shared;
  std::map<std::string, std::int32_t> number;
  for (const std::string& name : first)
    if (number.emplace(name, static_cast<std::int32_t>(shared.names.size())).second) {
      shared.names.push_back(name);
      shared.colours.emplace_back();
    }
  for (std::size_t s = 0; s < labels.size(); ++s) {
    shared.codes.emplace_back(static_cast<std::size_t>(cells[s]), -1);
    if (labels[s] == nullptr) continue;
    const io::SliceLabels& of = *labels[s];
    std::vector<bool> used(of.categories.size(), false);
    for (const std::int32_t code : of.codes)
      if (code >= 0) used[static_cast<std::size_t>(code)] = true;
    std::vector<std::int32_t> code_of(of.categories.size(), -1);
    for (std::size_t c = 0; c < of.categories.size(); ++c) {
      const std::string& name = of.categories[c];
      if (!used[c] || name.empty() || std::find(no_label.begin(), no_label.end(), name) != no_label.end())
        continue;
      const auto [place, fresh] = number.emplace(name, static_cast<std::int32_t>(shared.names.size()));
      if (fresh) {
        shared.names.push_back(name);
        shared.colours.emplace_back();
      }
      code_of[c] = place->second;
      std::string& colour = shared.colours[static_cast<std::size_t>(place->second)];
      if (colour.empty() && c < of.colours.size()) colour = of.colours[c];
    }
    for (std::size_t i = 0; i < of.codes.size() && i < shared.codes[s].size(); ++i)
      if (of.codes[i] >= 0) shared.codes[s][i] = code_of[static_cast<std::size_t>(of.codes[i])];
  }
  for (const auto& codes : shared.codes) {
    std::vector<std::int64_t> count(shared.names.size(), 0);
    std::int64_t none = 0;
    for (const std::int32_t code : codes) code >= 0 ? ++count[static_cast<std::size_t>(code)] : ++none;
    shared.cells.push_back(std::move(count));
    shared.unlabelled.push_back(none);
  }
  return shared;
}

}  // namespace stofm::tasks

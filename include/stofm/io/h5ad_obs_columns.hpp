// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Columns of obs that a caller asks for by name: labels to learn from, to compare or to keep. Unlike the
/// labels of h5ad_labels.hpp they must be there, and what can not be read is an error.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/nearest_name.hpp"
#include "stofm/io/h5ad_labels.hpp"
#include "stofm/io/h5ad_rows.hpp"

namespace stofm::io::detail {

/// More groups than this are names of cells, or numbers, and no labels.
inline constexpr std::int64_t most_asked_groups = 10000;

/// \throws UsageError (STOFM-3552) no such column; it lists the columns there are, the likely one first
inline void require_column(const Hdf5File& file, const H5adFrame& frame, const std::string& name,
                           const std::string& remedy) {
  if (frame.has(name)) return;
  throw UsageError(
      {"STOFM-3552", file.path, concat(frame.path(), "[", stofm::quoted(name, 60), "]"),
       concat("nothing; ", frame.path(), " has ", name_list(nearest_first(name, frame.columns()), 40)),
       "a column of that name", remedy});
}

/// What the numbers of a column are called as labels: "3", or "False" and "True".
inline std::vector<std::string> texts_of_whole_numbers(const Hdf5File& file, const H5adFrame& obs,
                                                       const std::string& name, bool boolean) {
  std::vector<std::string> texts;
  for (const double value : obs.numbers(name)) {
    if (std::isnan(value)) {
      texts.emplace_back();
    } else if (value != std::floor(value) || std::abs(value) > 9007199254740992.0) {
      throw UsageError({"STOFM-3553", file.path, concat(obs.path(), "/", name),
                        concat("real numbers (", value, ")"), "labels: texts, categories, integers or bools",
                        "Name a column of labels."});
    } else {
      texts.push_back(boolean ? (value == 0 ? "False" : "True") : concat(static_cast<std::int64_t>(value)));
    }
  }
  return texts;
}

/// Distinct texts in order, numbers by their value.
inline H5adCategorical sorted_groups(const std::vector<std::string>& texts) {
  std::map<std::string, std::int64_t> code_of;
  for (const std::string& text : texts) {
    code_of.emplace(text, 0);
    if (static_cast<std::int64_t>(code_of.size()) > most_asked_groups + 64) break;  // refused by the caller
  }
  H5adCategorical groups;
  bool numbers = true;
  for (const auto& [text, code] : code_of) {
    groups.categories.push_back(text);
    double value = 0;
    numbers = numbers && (is_missing_label(text) || parse_number(text, value));
  }
  if (numbers)
    std::stable_sort(groups.categories.begin(), groups.categories.end(),
                     [](const std::string& a, const std::string& b) {
                       double x = 0, y = 0;
                       const bool has_x = !is_missing_label(a) && parse_number(a, x);
                       const bool has_y = !is_missing_label(b) && parse_number(b, y);
                       return has_x != has_y ? has_x : has_x && x < y;
                     });
  for (std::size_t c = 0; c < groups.categories.size(); ++c)
    code_of[groups.categories[c]] = static_cast<std::int64_t>(c);
  groups.codes.reserve(texts.size());
  for (const std::string& text : texts) {
    const auto place = code_of.find(text);
    groups.codes.push_back(place == code_of.end() ? -1 : place->second);
  }
  return groups;
}

/// Takes categories without a cell out. What stays keeps its order and its colour.
inline void drop_empty_groups(SliceLabels& labels) {
  std::vector<std::int32_t> number(labels.categories.size(), -1);
  for (const std::int32_t code : labels.codes)
    if (code >= 0) number[static_cast<std::size_t>(code)] = 0;
  SliceLabels kept;
  std::int32_t next = 0;
  for (std::size_t c = 0; c < number.size(); ++c) {
    if (number[c] < 0) continue;
    number[c] = next++;
    kept.categories.push_back(std::move(labels.categories[c]));
    if (!labels.colours.empty()) kept.colours.push_back(std::move(labels.colours[c]));
  }
  for (std::int32_t& code : labels.codes)
    if (code >= 0) code = number[static_cast<std::size_t>(code)];
  labels.categories = std::move(kept.categories);
  labels.colours = std::move(kept.colours);
}

/// One column as labels, whatever it holds: categories in their order, distinct texts and integers sorted,
/// bools as "False" and "True". Missing (-1): empty, nan, None, NA, <NA>, null, and reals that are NaN (whole
/// numbers with gaps, as pandas stores them). Categories without a cell are kept for now.
/// \throws UsageError absent (STOFM-3552), real numbers or more than 10,000 groups (3553); FileError damage
inline SliceLabels read_asked_column(const Hdf5File& file, const H5adFrame& obs, const std::string& name) {
  require_column(file, obs, name, "Name a column that is there.");
  const std::string path = obs.path() + "/" + name;
  const Hdf5Object object = open_hdf5_object(file, path);
  const std::string encoding = read_encoding(file, object);
  const bool categories =
      object.kind == Hdf5Kind::group
          ? encoding == "categorical"
          : name != obs.index() &&
                open_hdf5_object(file, obs.path() + "/__categories/" + name).kind == Hdf5Kind::dataset;
  H5adCategorical groups;
  if (categories) {
    groups = obs.categorical(name);
  } else {
    const Hdf5Type type =
        open_hdf5_dataset(file, object.kind == Hdf5Kind::group ? path + "/values" : path).type();
    groups = sorted_groups(type.is_number() ? texts_of_whole_numbers(file, obs, name, type.boolean)
                                            : obs.strings(name));
  }
  if (static_cast<std::int64_t>(groups.categories.size()) > most_asked_groups)
    throw UsageError({"STOFM-3553", file.path, path,
                      concat("more than ", most_asked_groups, " different values"),
                      "labels of groups of cells", "Name a column of labels."});
  SliceLabels labels;
  labels.name = name;
  labels.colours = label_colours(file, name, groups.categories.size());
  std::vector<char> missing(groups.categories.size());
  for (std::size_t c = 0; c < missing.size(); ++c) missing[c] = is_missing_label(groups.categories[c]);
  labels.codes.reserve(groups.codes.size());
  for (const std::int64_t code : groups.codes)
    labels.codes.push_back(
        code < 0 || missing[static_cast<std::size_t>(code)] != 0 ? -1 : static_cast<std::int32_t>(code));
  labels.categories = std::move(groups.categories);
  return labels;
}

/// To be called once cells that are left out are gone: categories without a cell go, missing ones are
/// counted.
inline void finish_asked_column(SliceLabels& labels, Notices& notices) {
  drop_empty_groups(labels);
  labels.missing = std::count(labels.codes.begin(), labels.codes.end(), -1);
  if (labels.missing == 0) return;
  notices.push_back(
      {"STOFM-W3525",
       concat(labels.missing, " of ", labels.codes.size(), " cells have no value in obs[",
              stofm::quoted(labels.name, 60), "] (empty, nan, None or NA) and count as unlabelled"),
       labels.missing});
}

}  // namespace stofm::io::detail

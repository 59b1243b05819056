// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The labels that a file brings along: columns of obs that put cells into a few groups (cell types, regions,
/// clusters of earlier work), with the colours that scanpy keeps for them in uns. For pictures; nothing that
/// is computed depends on them, so a column that can not be read is left out without a word.

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_coordinates.hpp"
#include "stofm/io/slice.hpp"

namespace stofm::io::detail {

inline constexpr std::int64_t most_label_groups = 60;

/// How much a name looks like that of labels people made: 0 the most, 5 not at all.
inline int label_rank(std::string name) {
  name = lower_case(name);
  static constexpr std::array<std::array<std::string_view, 6>, 5> words{{
      {"cell_type", "celltype", "cell type", "annotation", "annot", "ground_truth"},
      {"region", "layer", "domain", "niche", "tissue", "anatom"},
      {"label", "subclass", "class", "subtype", "type", "state"},
      {"leiden", "louvain", "cluster", "seurat_clusters", "community", "group"},
      {"library", "sample", "slice", "section", "batch", "condition"},
  }};
  for (std::size_t rank = 0; rank < words.size(); ++rank)
    for (const std::string_view word : words[rank])
      if (name.find(word) != std::string::npos) return static_cast<int>(rank);
  return 5;
}

/// "#1f77b4" of "#1F77B4" or "#1f77b4ff"; empty for anything else.
inline std::string hex_colour(const std::string& text) {
  if ((text.size() != 7 && text.size() != 9) || text[0] != '#') return {};
  std::string colour = text.substr(0, 7);
  for (std::size_t i = 1; i < colour.size(); ++i) {
    const auto c = static_cast<unsigned char>(colour[i]);
    if (std::isxdigit(c) == 0) return {};
    colour[i] = lower_case(colour[i]);
  }
  return colour;
}

/// uns["<column>_colors"] if it has a colour for every category, else nothing.
inline std::vector<std::string> label_colours(const Hdf5File& file, const std::string& column,
                                              std::size_t categories) {
  const std::string path = "uns/" + column + "_colors";
  if (open_hdf5_object(file, path).kind != Hdf5Kind::dataset) return {};
  Hdf5Dataset data = open_hdf5_dataset(file, path);
  if (data.rank() != 1 || !data.type().is_string() || data.elements() < 1 || data.elements() > 1000)
    return {};
  std::vector<std::string> colours = read_strings(data, std::int64_t{1} << 20);
  if (colours.size() < categories) return {};
  colours.resize(categories);
  for (std::string& colour : colours)
    if ((colour = hex_colour(colour)).empty()) return {};
  return colours;
}

/// A column that is no categorical: its distinct texts (or numbers) in order of appearance; no categories
/// where there are more than `most_label_groups`. Empty texts and NaN are missing.
inline H5adCategorical groups_of_values(const H5adFrame& obs, const std::string& name, bool text) {
  std::vector<std::string> values;
  if (text) {
    values = obs.strings(name);
  } else {
    for (const double value : obs.numbers(name))
      values.push_back(std::isfinite(value) ? concat(value) : std::string());
  }
  H5adCategorical groups;
  std::map<std::string, std::int64_t> seen;
  for (std::string& value : values) {
    if (value.empty()) {
      groups.codes.push_back(-1);
      continue;
    }
    const auto [place, fresh] = seen.emplace(std::move(value), static_cast<std::int64_t>(seen.size()));
    if (fresh && static_cast<std::int64_t>(seen.size()) > most_label_groups) return {};
    if (fresh) groups.categories.push_back(place->first);
    groups.codes.push_back(place->second);
  }
  return groups;
}

/// The groups of one column, those without a cell left out; no categories where it holds no labels: fewer
/// than 2 or more than 60 groups, or (unless its name says so) numbers.
inline SliceLabels read_label_column(const Hdf5File& file, const H5adFrame& obs, const std::string& name,
                                     std::int64_t memory_limit) {
  const std::string path = "obs/" + name;
  const Hdf5Object object = open_hdf5_object(file, path);
  const std::string encoding = read_encoding(file, object);
  H5adCategorical groups;
  if (object.kind == Hdf5Kind::group
          ? encoding == "categorical"
          : open_hdf5_object(file, "obs/__categories/" + name).kind == Hdf5Kind::dataset) {
    groups = obs.categorical(name);
  } else {
    const Hdf5Dataset data =
        open_hdf5_dataset(file, object.kind == Hdf5Kind::group ? path + "/values" : path);
    const bool text = data.type().is_string();
    if (data.rank() != 1 || (!text && (label_rank(name) > 3 || !data.type().is_integer()))) return {};
    if (data.elements() > memory_limit / 256) return {};  // texts are held while they are counted
    groups = groups_of_values(obs, name, text);
  }
  std::vector<std::int32_t> number(groups.categories.size(), -1);
  for (const std::int64_t code : groups.codes)
    if (code >= 0) number[static_cast<std::size_t>(code)] = 0;
  const auto used = std::count(number.begin(), number.end(), 0);
  if (used < 2 || used > most_label_groups) return {};
  std::vector<std::string> colours = label_colours(file, name, groups.categories.size());
  SliceLabels labels;
  labels.name = name;
  std::int32_t next = 0;
  for (std::size_t c = 0; c < number.size(); ++c) {
    if (number[c] < 0) continue;
    number[c] = next++;
    labels.categories.push_back(std::move(groups.categories[c]));
    if (!colours.empty()) labels.colours.push_back(std::move(colours[c]));
  }
  labels.codes.reserve(groups.codes.size());
  for (const std::int64_t code : groups.codes)
    labels.codes.push_back(code < 0 ? -1 : number[static_cast<std::size_t>(code)]);
  return labels;
}

/// Adds up to `most` columns to slice.labels (which may hold some already), those whose names look like
/// labels first, then in the order of the file. Our own columns (stofm_...) and the index are left out. At
/// most 60 columns are looked at.
inline void read_labels(const Hdf5File& file, const H5adFrame& obs, std::int64_t most,
                        std::int64_t memory_limit, Slice& slice) {
  if (most < 1) return;
  most += static_cast<std::int64_t>(slice.labels.size());
  std::vector<std::string> names;
  for (const std::string& name : obs.columns())
    if (!name.empty() && !name.starts_with("stofm_") && name != obs.index() && obs.has(name) &&
        std::none_of(slice.labels.begin(), slice.labels.end(),
                     [&name](const SliceLabels& known) { return known.name == name; }))
      names.push_back(name);
  std::stable_sort(names.begin(), names.end(),
                   [](const std::string& a, const std::string& b) { return label_rank(a) < label_rank(b); });
  if (names.size() > 60) names.resize(60);
  for (const std::string& name : names) {
    if (static_cast<std::int64_t>(slice.labels.size()) >= most) return;
    try {
      SliceLabels labels = read_label_column(file, obs, name, memory_limit);
      if (labels.categories.size() >= 2) slice.labels.push_back(std::move(labels));
    } catch (const Error&) {
      continue;  // an odd column is none of our business
    }
  }
}

}  // namespace stofm::io::detail

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A data frame in memory (obs, var), with columns as groups. It answers what H5adFrame answers.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/h5ad_library.hpp"

namespace stofm::io {

/// One column. A column of too many values to be groups (few_valued_column of h5ad_obs_groups.hpp) has a name
/// only.
struct MemoryColumn {
  std::string name;
  H5adCategorical groups{};  ///< codes: [rows], -1: missing
  bool text = false;         ///< its values are names, not numbers
};

class MemoryFrame {
 public:
  /// \param path "obs" or "var" \param index its name \param names of the rows; may be left empty for a frame
  /// that nobody asks for them
  MemoryFrame(std::string path, std::int64_t length, std::string index, std::vector<std::string> names,
              std::vector<MemoryColumn> columns)
      : path_(std::move(path)),
        length_(length),
        index_(std::move(index)),
        names_(std::move(names)),
        columns_(std::move(columns)) {}

  std::int64_t length() const { return length_; }
  const std::string& path() const { return path_; }
  const std::string& index() const { return index_; }
  bool has(const std::string& name) const { return name == index_ || find(name) != nullptr; }
  std::vector<std::string> columns() const {
    std::vector<std::string> list;
    for (const MemoryColumn& column : columns_) list.push_back(column.name);
    return list;
  }
  bool is_text(const std::string& name) const {
    const MemoryColumn* column = find(name);
    return name == index_ || (column != nullptr && column->text);
  }
  /// Missing entries are "". \throws UsageError (STOFM-3538) no such column
  std::vector<std::string> strings(const std::string& name) const {
    if (name == index_) return names_;
    const H5adCategorical groups = categorical(name);
    std::vector<std::string> texts(groups.codes.size());
    for (std::size_t i = 0; i < texts.size(); ++i)
      if (groups.codes[i] >= 0) texts[i] = groups.categories[static_cast<std::size_t>(groups.codes[i])];
    return texts;
  }
  /// \throws UsageError (STOFM-3538) no such column
  H5adCategorical categorical(const std::string& name) const {
    const MemoryColumn* column = find(name);
    if (column == nullptr)
      throw UsageError({"STOFM-3538", "", path_ + "/" + name,
                        "nothing; columns are " + detail::name_list(columns(), 20), "a column",
                        "Name a column that is there."});
    return column->groups;
  }
  /// Null if there is none, or the index is called so.
  const MemoryColumn* find(const std::string& name) const {
    for (const MemoryColumn& column : columns_)
      if (column.name == name) return &column;
    return nullptr;
  }

 private:
  std::string path_;
  std::int64_t length_;
  std::string index_;
  std::vector<std::string> names_;
  std::vector<MemoryColumn> columns_;
};

/// What stands in for the file in messages and in the search of h5ad_overlap.hpp.
struct MemorySource {
  std::string path;                              ///< what messages call it: "adata"
  std::vector<std::string> spatial_libraries{};  ///< keys of uns["spatial"]
  std::function<void()> progress{};              ///< called now and then by long looks; may throw
};

inline std::optional<detail::CellGroups> few_valued_column(const MemorySource&, const MemoryFrame& obs,
                                                           const std::string& name) {
  const MemoryColumn* column = obs.find(name);
  if (column == nullptr || column->groups.codes.empty()) return std::nullopt;
  detail::CellGroups groups = detail::groups_of(name, column->groups);
  if (groups.names.size() > 2000) return std::nullopt;
  groups.text = column->text;
  return groups;
}
inline std::vector<std::string> spatial_libraries(const MemorySource& source) {
  return source.spatial_libraries;
}
/// Other positions are not looked for in memory: its owner knows them.
inline std::vector<detail::OtherPlaces> other_places(const MemorySource&, const MemoryFrame&,
                                                     const std::string&, std::int64_t) {
  return {};
}

}  // namespace stofm::io

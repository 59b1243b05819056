// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which rows of an .h5ad file are cells of the slice: all of them, or those that a column of obs chooses
/// (spots on the tissue, one library). No libhdf5 here.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/core/lower_case.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/io/h5ad_categorical.hpp"
#include "stofm/io/name_list.hpp"

namespace stofm::io::detail {

/// Texts that stand for "no value" wherever a table went through pandas or R.
inline bool is_missing_label(std::string_view text) {
  for (const std::string_view word : {"", "nan", "-nan", "NaN", "NA", "<NA>", "None", "null"})
    if (text == word) return true;
  return false;
}

/// 1 and True, 1.0 and 1 are one value.
inline std::string plain_label(const std::string& text) {
  const std::string low = lower_case(text);
  if (low == "true") return "1";
  if (low == "false") return "0";
  return text.ends_with(".0") ? text.substr(0, text.size() - 2) : text;
}

/// The rows that `only` asks for, one flag each; empty: all. "COLUMN": its value is not missing, 0, False or
/// no; "COLUMN=VALUE": it is that. \throws UsageError (STOFM-3538) no such column; DataError (STOFM-3564) no
/// such row
template <class File, class Frame>
std::vector<char> rows_asked_for(const File& file, const Frame& obs, const std::string& only,
                                 Notices& notices) {
  if (only.empty()) return {};
  std::string column = only, value;
  const std::size_t sign = obs.has(only) ? std::string::npos : only.find('=');
  if (sign != std::string::npos) {
    column = only.substr(0, sign);
    value = plain_label(only.substr(sign + 1));
  }
  if (!obs.has(column))
    throw UsageError({"STOFM-3538", file.path, "obs/" + column,
                      "nothing; obs has " + name_list(obs.columns(), 20),
                      "the column of H5adReadOptions::only",
                      "Name a column of obs with H5adReadOptions::only = COLUMN or H5adReadOptions::only = "
                      "COLUMN=VALUE."});
  const H5adCategorical groups = obs.categorical(column);
  std::vector<char> wanted(groups.categories.size(), 0);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::string& label = groups.categories[i];
    const std::string plain = plain_label(label);
    wanted[i] = sign != std::string::npos
                    ? plain == value
                    : !is_missing_label(label) && plain != "0" && lower_case(plain) != "no";
  }
  std::vector<char> kept(groups.codes.size(), 0);
  std::int64_t out = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    kept[i] = groups.codes[i] >= 0 && wanted[static_cast<std::size_t>(groups.codes[i])] != 0;
    out += kept[i] == 0;
  }
  if (out == static_cast<std::int64_t>(kept.size()))
    throw DataError({"STOFM-3564", file.path, "obs/" + column,
                     "no cell that H5adReadOptions::only = " + only + " would keep; its values are " +
                         name_list(groups.categories, 10),
                     "at least one", "Give H5adReadOptions::only = COLUMN=VALUE with one of these values."});
  if (out == 0) return {};
  notices.push_back(
      {"STOFM-W3521",
       concat("left out: ", out, " of ", kept.size(), " cells, which are not H5adReadOptions::only = ", only,
              "; their rows of the result are NaN, obs[\"stofm_embedded\"] marks the others"),
       out});
  return kept;
}

/// Spots beside the tissue are cells unless they are left out: says how many there are.
template <class Frame>
void say_off_tissue(const Frame& obs, const std::vector<char>& kept, Notices& notices) {
  if (!obs.has("in_tissue")) return;
  H5adCategorical groups;
  try {
    groups = obs.categorical("in_tissue");
  } catch (const Error&) {
    return;  // not asked for: an odd column is none of our business
  }
  std::int64_t off = 0, all = 0;
  for (std::size_t i = 0; i < groups.codes.size(); ++i) {
    if (!kept.empty() && kept[i] == 0) continue;
    ++all;
    off += groups.codes[i] >= 0 &&
           plain_label(groups.categories[static_cast<std::size_t>(groups.codes[i])]) == "0";
  }
  if (off > 0)
    notices.push_back({"STOFM-W3522",
                       concat(off, " of ", all,
                              " spots have obs[\"in_tissue\"] = 0 and count as cells; H5adReadOptions::only "
                              "= in_tissue leaves "
                              "them out"),
                       off});
}

/// What is left of a list with an entry for each row of the file. `rows` empty: all of it.
template <class T>
void keep_rows(std::vector<T>& list, const std::vector<std::int64_t>& rows, std::size_t width = 1) {
  if (rows.empty() || list.empty()) return;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto from = static_cast<std::size_t>(rows[i]) * width;
    if (from == i * width) continue;
    for (std::size_t c = 0; c < width; ++c) list[i * width + c] = std::move(list[from + c]);
  }
  list.resize(rows.size() * width);
}

}  // namespace stofm::io::detail

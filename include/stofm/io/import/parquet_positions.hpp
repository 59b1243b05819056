// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tables of positions in Parquet, through the reader that a program with Apache Arrow gives.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/import/import_positions.hpp"

namespace stofm::io {

/// Which columns a table of positions has; all must be there.
struct ParquetColumns {
  std::string id, x, y;
  std::vector<std::string> obs{};  ///< whole numbers from 0
};

/// The same as read_positions of the same table as text, in every bit. \param as_text the name that a .csv of
/// it has \throws FileError STOFM-3917 the program has no reader, 3908 an entry that is no number, and as the
/// reader
inline PositionTable read_parquet_positions(const std::filesystem::path& file, const char* as_text,
                                            const ParquetColumns& columns, const ParquetReader& parquet) {
  if (!parquet)
    throw FileError({"STOFM-3917", file.string(), "", "a Parquet file, which this program was built without",
                     concat("Apache Arrow when it is built, or ", as_text),
                     concat("Convert it: python -c \"import pandas; pandas.read_parquet('",
                            file.filename().string(), "').to_csv('", as_text,
                            "', index=False)\" in its folder, or build again with Apache Arrow for C++ "
                            "(libarrow-dev and libparquet-dev).")});
  PositionTable positions;
  positions.file = file.string();
  std::vector<std::string> names{columns.id, columns.x, columns.y};
  for (const std::string& name : columns.obs) {
    names.push_back(name);
    positions.obs.emplace_back().name = name;
  }
  std::int64_t row = 0;
  const auto refuse = [&](std::size_t column, const std::string& found, const char* expected) {
    throw FileError({"STOFM-3908", file.string(), concat("row ", row, ", column ", names[column]),
                     stofm::quoted(found, 40), expected, "Get the file again."});
  };
  parquet(file.string(), names, [&](const std::vector<std::string>& fields) {
    ++row;
    positions.ids.push_back(fields[0]);
    for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
      const auto value = parse_table_number(fields[i]);
      if (!value && !fields[i].empty()) refuse(i, fields[i], "a number");
      positions.xy.push_back(value ? *value : std::nan(""));
    }
    for (std::size_t i = 3; i < fields.size(); ++i) {
      const auto value = parse_table_number(fields[i]);
      if (!value || !(*value >= 0) || *value > 1e15) refuse(i, fields[i], "a whole number from 0");
      positions.obs[i - 3].integers.push_back(static_cast<std::int64_t>(*value));
    }
  });
  return positions;
}

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What an import is asked and what it tells. No libhdf5 and no zlib here.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "stofm/core/notice.hpp"

namespace stofm::io {

/// A format that `import` knows.
struct ImportFormat {
  const char* name;   ///< word of --format
  const char* title;  ///< for people
};
inline constexpr std::array import_formats{ImportFormat{"visium", "Visium (Space Ranger)"},
                                           ImportFormat{"visium-hd", "Visium HD"},
                                           ImportFormat{"xenium", "Xenium"},
                                           ImportFormat{"merscope", "MERSCOPE"},
                                           ImportFormat{"cosmx", "CosMx"},
                                           ImportFormat{"stereo-seq", "Stereo-seq"},
                                           ImportFormat{"slide-seq", "Slide-seq"},
                                           ImportFormat{"10x", "10x matrix and positions"},
                                           ImportFormat{"tables", "two tables"}};

/// Reads Parquet: the named columns as text, row by row. Given by programs that have Apache Arrow.
using ParquetReader =
    std::function<void(const std::string& file, const std::vector<std::string>& columns,
                       const std::function<void(const std::vector<std::string>& fields)>& row)>;

struct ImportOptions {
  std::string format = {};              ///< word of import_formats; empty: found by content
  std::string counts = {};              ///< table of counts, for `tables` and `slide-seq`
  std::string positions = {};           ///< table of positions, for `tables` and `10x`
  std::string x = {}, y = {}, id = {};  ///< columns of the table of positions; empty: found
  bool by_order = false;                ///< `tables`: the n-th row of counts is the n-th row of positions
  std::int64_t bin = 0;  ///< side of the squares: um for Visium HD, DNBs for Stereo-seq; 0: its own
  std::int64_t most_entries = std::int64_t{24} << 20;  ///< counts held while they are sorted, 12 bytes each
  std::string program = {};                            ///< who imports, for uns; empty: left out
  ParquetReader parquet = {};
  /// Told now and then: what is read, how far (bytes, entries), of how much.
  std::function<void(const std::string& stage, std::int64_t done, std::int64_t total)> progress = {};
};

struct ImportReport {
  std::string format;
  std::string grain;        ///< what a cell is where the format has several: "squares of 8 um"
  std::string library_key;  ///< column of obs that tells sections apart (--library-key); empty: one section
  std::vector<std::string> files;  ///< that were read
  std::int64_t cells = 0, genes = 0, entries = 0;
  Notices notices;
};

/// The title of a word of import_formats.
inline std::string_view import_title(std::string_view format) {
  for (const ImportFormat& known : import_formats)
    if (format == known.name) return known.title;
  return format;
}

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Whether the values of a matrix are counts, and where counts may be if they are not.

#include <algorithm>
#include <locale>
#include <sstream>
#include <string>
#include <vector>

#include "stofm/io/h5ad_counts.hpp"
#include "stofm/io/h5ad_options.hpp"

namespace stofm::io::detail {

/// "layers/counts, raw/X": where counts may be, each with its option.
inline std::string count_candidates(const Hdf5File& file, const std::string& but) {
  std::string text;
  const auto add = [&text](const std::string& piece) { text += (text.empty() ? "" : ", ") + piece; };
  if (but != "X" && open_hdf5_object(file, "X").kind != Hdf5Kind::absent) add("X (--layer X)");
  const Hdf5Object layers = open_hdf5_object(file, "layers");
  if (layers.kind == Hdf5Kind::group) {
    std::vector<std::string> names = hdf5_names(file, layers, 20);
    std::stable_partition(names.begin(), names.end(),
                          [](const std::string& name) { return name == "counts"; });
    for (const auto& name : names)
      if (but != "layers/" + name)
        add("layers[" + stofm::quoted(name, 60) + "] (--layer " + name.substr(0, 60) + ")");
  }
  if (but != "raw/X" && open_hdf5_object(file, "raw/X").kind != Hdf5Kind::absent) add("raw/X (--use-raw)");
  return text;
}

/// Counts look normalised, or there are none: D16, D06.
inline void require_counts(const Hdf5File& file, H5adMatrix& matrix, const H5adReadOptions& options) {
  const H5adValueCheck check = check_values(matrix);
  if (check.complete && check.positive == 0)
    throw DataError({"STOFM-3528", file.path, matrix.path(), "no count above 0 in any cell", "counts",
                     "Give the file with the counts."});
  if (check.fractional == 0 || options.accept_noninteger) return;
  const std::string candidates = count_candidates(file, matrix.path());
  const double percent = 100.0 * static_cast<double>(check.fractional) / static_cast<double>(check.looked_at);
  std::ostringstream found;
  found.imbue(std::locale::classic());
  found.precision(percent < 1 ? 1 : 3);
  found << "values that look normalised: max " << check.maximum << ", " << percent << " % of "
        << check.looked_at << " stored values fractional";
  throw DataError({"STOFM-3529", file.path, matrix.path(), found.str(), "raw counts",
                   (candidates.empty() ? std::string("Give raw counts") : "Give raw counts: " + candidates) +
                       ", or accept these with --accept-noninteger."});
}

}  // namespace stofm::io::detail

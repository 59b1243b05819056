// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where in an .h5ad file counts are, by content.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/count_places.hpp"
#include "stofm/io/h5ad_matrix.hpp"

namespace stofm::io {

/// X, up to 20 layers and raw/X, but not `but`, each looked at, best first. What can't be opened is left out.
/// *Cost* that of look_at_values for each; for error paths.
inline std::vector<detail::CountPlace> count_places(const Hdf5File& file, const std::string& but,
                                                    std::int64_t memory_limit) {
  std::vector<detail::CountPlace> places;
  const auto look = [&](const std::string& path, const std::string& var, std::string name,
                        std::string option) {
    if (path == but || open_hdf5_object(file, path).kind == Hdf5Kind::absent) return;
    try {
      H5adMatrix matrix(file, path, H5adFrame(file, "obs", memory_limit).length(),
                        H5adFrame(file, var, memory_limit).length(), memory_limit);
      places.push_back({std::move(name), std::move(option), matrix.columns(), look_at_values(matrix, {})});
    } catch (const Error&) {
      return;  // its own trouble is not what the user asked about
    }
  };
  const Hdf5Object layers = open_hdf5_object(file, "layers");
  if (layers.kind == Hdf5Kind::group) {
    std::vector<std::string> names = hdf5_names(file, layers, 20);
    std::stable_partition(names.begin(), names.end(),
                          [](const std::string& layer) { return layer == "counts"; });
    for (const auto& layer : names)
      look("layers/" + layer, "var", "layers[" + stofm::quoted(layer) + "]",
           "H5adReadOptions::layer = " + detail::shell_word(layer));
  }
  look("X", "var", "X", "H5adReadOptions::layer = X");
  look("raw/X", "raw/var", "raw/X", "H5adReadOptions::use_raw");
  std::stable_sort(places.begin(), places.end(),
                   [](const detail::CountPlace& a, const detail::CountPlace& b) { return a.is_before(b); });
  return places;
}

/// "layers/counts, raw/X": where counts may be, each with its option.
inline std::string count_candidates(const Hdf5File& file, const std::string& but,
                                    std::int64_t memory_limit = std::int64_t{4} << 30) {
  return detail::usable_places(count_places(file, but, memory_limit));
}

/// uns["log1p"], which scanpy leaves behind: a hint, since X may have been scaled or averaged since.
inline CountsScale log_hint(const Hdf5File& file) {
  if (open_hdf5_object(file, "uns/log1p").kind == Hdf5Kind::absent) return CountsScale::automatic;
  try {
    if (open_hdf5_object(file, "uns/log1p/base").kind != Hdf5Kind::dataset) return CountsScale::log1p;
    Hdf5Dataset data = open_hdf5_dataset(file, "uns/log1p/base");
    if (!data.type().is_number() || data.elements() != 1) return CountsScale::log1p;
    std::vector<std::byte> raw(data.type().size);
    data.read_rows(0, 1, raw);
    double base = 0;
    convert_to_double(data.type(), raw.data(), std::span<double>(&base, 1));
    return base == 2 ? CountsScale::log2 : base == 10 ? CountsScale::log10 : CountsScale::log1p;
  } catch (const Error&) {
    return CountsScale::log1p;
  }
}

/// What count_places.hpp asks of a matrix.
inline std::vector<detail::CountPlace> count_places(const H5adMatrix& matrix, std::int64_t memory_limit) {
  return count_places(matrix.file(), matrix.path(), memory_limit);
}
inline CountsScale log_hint(const H5adMatrix& matrix) { return log_hint(matrix.file()); }
inline std::int64_t genes_of_raw(const H5adMatrix& matrix, std::int64_t memory_limit) {
  if (matrix.path() == "raw/X" || open_hdf5_object(matrix.file(), "raw/var").kind == Hdf5Kind::absent)
    return 0;
  try {
    return H5adFrame(matrix.file(), "raw/var", memory_limit).length();
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace stofm::io

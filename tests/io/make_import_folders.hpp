// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The same few numbers as the folders of every format that io/import reads, and as an .h5ad made by hand.

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/io/h5ad_new_writer.hpp"
#include "stofm/io/import/h5ad_import.hpp"
#include "tests/io/make_h5ad_files.hpp"

namespace stofm::test {

/// Cells x features; the last three features are controls.
struct ImportNumbers {
  static constexpr std::size_t cells = 40, genes = 30, controls = 3, features = genes + controls;
  std::vector<std::string> barcodes, ids, names, types;
  std::vector<std::int64_t> counts;  ///< [cells, features]
  std::vector<double> xy;            ///< [cells, 2], multiples of 1/8

  ImportNumbers() {
    Random random(11);
    for (std::size_t g = 0; g < features; ++g) {
      const std::string digits = std::to_string(g);
      const bool control = g >= genes;
      ids.push_back(control ? concat("NegControlProbe_0000", g)
                            : "ENSG" + std::string(11 - digits.size(), '0') + digits);
      names.push_back(control ? ids.back() : concat("G", g));
      types.push_back(control ? "Negative Control Probe" : "Gene Expression");
    }
    for (std::size_t c = 0; c < cells; ++c) {
      barcodes.push_back(concat("AAAC", std::string(1, static_cast<char>('A' + c % 20)), c, "-1"));
      for (const double span : {900.0, 700.0})
        xy.push_back(static_cast<double>(static_cast<std::int64_t>(random.uniform() * span * 8)) / 8);
      for (std::size_t g = 0; g < features; ++g) {
        const double draw = random.uniform() * static_cast<double>(1 + (c + g) % 7);
        counts.push_back(c == 5 && g < genes ? 0 : static_cast<std::int64_t>(draw));  // cell 5 has no gene
      }
    }
  }
  std::int64_t at(std::size_t cell, std::size_t feature) const { return counts[cell * features + feature]; }
};

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  write_bytes(path, text);
}
inline void write_gzip(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

template <class... Parts>
std::string row_of(const std::string& delimiter, const Parts&... parts) {
  std::string text;
  ((text += concat(parts, delimiter)), ...);
  text.back() = '\n';
  return text;
}

/// matrix.mtx.gz, barcodes.tsv.gz, features.tsv.gz; `old`: matrix.mtx, genes.tsv of Cell Ranger 2.
inline void write_matrix_folder(const ImportNumbers& n, const std::filesystem::path& folder, bool old = false,
                                bool by_gene = false) {
  std::string entries, barcodes, features;
  std::size_t count = 0;
  const auto entry = [&](std::size_t c, std::size_t g) {
    if (n.at(c, g) != 0) entries += row_of(" ", g + 1, c + 1, n.at(c, g)), ++count;
  };
  if (by_gene) {
    for (std::size_t g = 0; g < n.features; ++g)
      for (std::size_t c = 0; c < n.cells; ++c) entry(c, g);
  } else {
    for (std::size_t c = 0; c < n.cells; ++c)
      for (std::size_t g = 0; g < n.features; ++g) entry(c, g);
  }
  for (const std::string& id : n.barcodes) barcodes += id + "\n";
  for (std::size_t g = 0; g < n.features; ++g)
    features += old ? row_of("\t", n.ids[g], n.names[g]) : row_of("\t", n.ids[g], n.names[g], n.types[g]);
  const std::string matrix = concat("%%MatrixMarket matrix coordinate integer general\n%metadata\n",
                                    n.features, " ", n.cells, " ", count, "\n", entries);
  if (old) {
    write_text(folder / "matrix.mtx", matrix);
    write_text(folder / "barcodes.tsv", barcodes);
    write_text(folder / "genes.tsv", features);
  } else {
    write_gzip(folder / "matrix.mtx.gz", matrix);
    write_gzip(folder / "barcodes.tsv.gz", barcodes);
    write_gzip(folder / "features.tsv.gz", features);
  }
}

/// An empty HDF5 file, to be filled.
inline H5Edit new_hdf5(const std::filesystem::path& path) {
  std::filesystem::create_directories(path.parent_path());
  REQUIRE(static_cast<bool>(
      io::Hdf5Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose)));
  return H5Edit(path.string());
}

/// The .h5 of Cell Ranger 3 and later; `old`: of 1 and 2.
inline void write_tenx_h5(const ImportNumbers& n, const std::filesystem::path& path, bool old = false) {
  H5Edit file = new_hdf5(path);
  const std::string group = old ? "GRCh38" : "matrix";
  std::vector<std::int64_t> indices, indptr{0};
  std::vector<std::int32_t> data;
  for (std::size_t c = 0; c < n.cells; ++c) {
    for (std::size_t g = 0; g < n.features; ++g)
      if (n.at(c, g) != 0) {
        indices.push_back(static_cast<std::int64_t>(g));
        data.push_back(static_cast<std::int32_t>(n.at(c, g)));
      }
    indptr.push_back(static_cast<std::int64_t>(indices.size()));
  }
  file.group(group);
  file.put_strings(group + "/barcodes", n.barcodes);
  file.put(group + "/data", data);
  file.put(group + "/indices", indices);
  file.put(group + "/indptr", indptr);
  file.put(group + "/shape", std::vector<std::int32_t>{static_cast<std::int32_t>(n.features),
                                                       static_cast<std::int32_t>(n.cells)});
  if (old) {
    file.put_strings(group + "/genes", n.ids);
    file.put_strings(group + "/gene_names", n.names);
    return;
  }
  file.group(group + "/features");
  file.put_strings(group + "/features/id", n.ids);
  file.put_strings(group + "/features/name", n.names);
  file.put_strings(group + "/features/feature_type", n.types);
}

/// spatial/tissue_positions: all cells from the last to the first, between spots that have no counts.
inline std::string tissue_positions(const ImportNumbers& n, bool header, const std::string& suffix = "-1") {
  std::string text =
      header ? "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres\n" : "";
  text += concat("TTTT0", suffix, ",0,0,0,10.5,20.5\n");
  for (std::size_t c = n.cells; c-- > 0;)
    text += row_of(",", n.barcodes[c].substr(0, n.barcodes[c].size() - 2) + suffix, 1, c / 8, c % 8,
                   n.xy[2 * c + 1], n.xy[2 * c]);
  return text + concat("TTTT1", suffix, ",0,9,9,30.5,40.5\n");
}

/// A feature of GeoJSON: the diamond around (x, y), whose centroid is that in every bit of multiples of 1/8.
inline std::string outline(std::size_t cell, double x, double y) {
  return concat(R"({"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[)", x - 2, ",", y, "],[",
                x, ",", y - 2, "],[", x + 2, ",", y, "],[", x, ",", y + 2, "],[", x - 2, ",", y,
                R"(]]]},"properties":{"cell_id":)", cell,
                R"(,"classification":{"name":"C-1","color":[1,2,3]}}})");
}

/// cells.csv of Xenium, with columns that nobody asks for.
inline std::string xenium_cells(const ImportNumbers& n) {
  std::string text = "\"cell_id\",\"x_centroid\",\"y_centroid\",\"transcript_counts\"\n";
  for (std::size_t c = n.cells; c-- > 0;)
    text += row_of(",", "\"" + n.barcodes[c] + "\"", n.xy[2 * c], n.xy[2 * c + 1], 7);
  return text;
}

/// The .h5ad that somebody who has the numbers would write. \param symbols index by symbols, ids in gene_ids
inline void write_by_hand(const ImportNumbers& n, const std::filesystem::path& path, bool symbols,
                          const std::vector<std::string>& cells = {}, const std::vector<double>& xy = {}) {
  io::H5adCsr counts;
  for (std::size_t c = 0; c < n.cells; ++c) {
    for (std::size_t g = 0; g < n.genes; ++g)
      if (n.at(c, g) != 0) {
        counts.columns.push_back(static_cast<std::int32_t>(g));
        counts.values.push_back(static_cast<float>(n.at(c, g)));
      }
    counts.offsets.push_back(static_cast<std::int64_t>(counts.columns.size()));
  }
  io::NewH5ad made;
  made.cells = cells.empty() ? n.barcodes : cells;
  const std::vector<std::string>& genes = symbols ? n.names : n.ids;
  made.genes.assign(genes.begin(), genes.begin() + n.genes);
  if (symbols)
    made.content.var.push_back(
        {.name = "gene_ids", .texts = std::vector<std::string>(n.ids.begin(), n.ids.begin() + n.genes)});
  made.counts = &counts;
  const std::vector<double>& places = xy.empty() ? n.xy : xy;
  made.spatial = matrix_view<const double>(places.data(), static_cast<std::int64_t>(n.cells), 2);
  io::write_new_h5ad(path.string(), made, {.overwrite = true});
}

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
// Every format that io/import reads, in each of its documented layouts: folder, .h5ad, embedding; equal in
// every bit to the .h5ad that was made by hand from the same numbers.
#include <doctest/doctest.h>

#include "stofm/pipeline/embed.hpp"
#include "tests/io/make_import_folders.hpp"
#include "tests/pipeline/embed_fixture.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::test;

namespace import_embedding_test {
namespace {

/// Imports and compares with what is made by hand.
struct Check {
  ScratchDir scratch;
  ImportNumbers n;
  pipeline::Model model = tiny_model({.positions = 40});
  bool overlay = false;  ///< sections lie on each other

  std::filesystem::path folder() const { return scratch / "outs"; }

  io::ImportReport import(const std::filesystem::path& input, const io::ImportOptions& options = {}) const {
    return io::import_slice(input.string(), (scratch / "made.h5ad").string(), options, {.overwrite = true});
  }
  void equal(bool symbols, const std::vector<std::string>& cells = {},
             const std::vector<double>& xy = {}) const {
    write_by_hand(n, scratch / "hand.h5ad", symbols, cells, xy);
    io::H5adReadOptions options;
    options.cell_names = true;
    options.overlay = overlay;
    const Read made = read_all((scratch / "made.h5ad").string(), options);
    const Read hand = read_all((scratch / "hand.h5ad").string(), options);
    CHECK(made.slice.cell_names == hand.slice.cell_names);
    CHECK(made.slice.gene_ids == hand.slice.gene_ids);
    CHECK(made.slice.gene_symbols == hand.slice.gene_symbols);
    CHECK(made.dense == hand.dense);
    REQUIRE(made.slice.coordinates.shape() == hand.slice.coordinates.shape());
    for (std::int64_t i = 0; i < hand.slice.cells; ++i)
      for (const std::int64_t axis : {0, 1})
        CHECK(made.slice.coordinates(i, axis) == hand.slice.coordinates(i, axis));
    const pipeline::EmbedOptions embed{.split = 20};
    const auto one = pipeline::embed_slice(made.slice, model, embed);
    const auto other = pipeline::embed_slice(hand.slice, model, embed);
    CHECK(all_finite(one.embeddings));
    CHECK(same_bits(one.embeddings, other.embeddings));
  }
  /// Column of obs of what was made.
  std::vector<double> obs(const std::string& name) const {
    const io::Hdf5Quiet quiet;
    const io::Hdf5File file = io::open_hdf5_file((scratch / "made.h5ad").string());
    return io::H5adFrame(file, "obs", 0).numbers(name);
  }
  double set_aside(std::size_t cell) const {
    double sum = 0;
    for (std::size_t g = n.genes; g < n.features; ++g) sum += static_cast<double>(n.at(cell, g));
    return sum;
  }
};

}  // namespace

TEST_CASE("import: Visium, every version of Space Ranger") {
  const Check check;
  for (const bool header : {false, true})
    for (const int matrix : {0, 1, 2, 3}) {
      CAPTURE(header);
      CAPTURE(matrix);
      std::filesystem::remove_all(check.folder());
      const auto filtered = check.folder() / "filtered_feature_bc_matrix";
      if (matrix == 0) write_tenx_h5(check.n, check.folder() / "filtered_feature_bc_matrix.h5");
      if (matrix == 1) write_matrix_folder(check.n, filtered);
      if (matrix == 2) write_matrix_folder(check.n, filtered, true);
      if (matrix == 3)
        write_tenx_h5(check.n, check.folder() / "V1_Sample_filtered_feature_bc_matrix.h5", true);
      write_text(check.folder() / "spatial" / (header ? "tissue_positions.csv" : "tissue_positions_list.csv"),
                 tissue_positions(check.n, header));
      write_text(check.folder() / "spatial" / "scalefactors_json.json", "not JSON");
      write_text(check.folder() / "spatial" / "tissue_hires_image.png", "no image");
      const io::ImportReport report = check.import(check.folder());
      CHECK(report.format == "visium");
      CHECK(report.cells == 40);
      CHECK(report.genes == 30);
      CHECK(has_notice(report.notices, "STOFM-W3902"));
      check.equal(true);
      CHECK(check.obs("set_aside_counts")[7] == check.set_aside(7));
      CHECK(check.obs("in_tissue") == std::vector<double>(40, 1));
      CHECK(check.obs("array_col")[11] == 3);
    }
}

TEST_CASE("import: Visium, a raw matrix, the folder above, names without -1, lines of Windows") {
  const Check check;
  write_tenx_h5(check.n, check.folder() / "raw_feature_bc_matrix.h5");
  std::string positions = "\xef\xbb\xbf" + tissue_positions(check.n, true, "");
  for (std::size_t at = 0; (at = positions.find('\n', at)) != std::string::npos; at += 2)
    positions.replace(at, 1, "\r\n");
  write_text(check.folder() / "spatial" / "tissue_positions.csv", positions);
  const io::ImportReport report = check.import(check.scratch.path());
  CHECK(has_notice(report.notices, "STOFM-W3903"));
  CHECK_FALSE(has_notice(report.notices, "STOFM-W3908"));
  check.equal(true);
  const std::size_t at = positions.find(check.n.barcodes[3].substr(0, check.n.barcodes[3].size() - 2) + ",1");
  positions[at + check.n.barcodes[3].size() - 1] = '0';
  write_text(check.folder() / "spatial" / "tissue_positions.csv", positions);
  const io::ImportReport fewer = check.import(check.folder());
  CHECK(fewer.cells == 39);
  CHECK(has_notice(fewer.notices, "STOFM-W3908"));
}

TEST_CASE("import: Visium HD by its barcodes and by a table") {
  Check check;
  const auto squares = check.folder() / "binned_outputs" / "square_008um";
  std::vector<double> xy;
  for (std::size_t c = 0; c < check.n.cells; ++c) {
    std::string barcode = "s_008um_00000_00000-1";
    const std::string row = std::to_string(10 + c % 6), column = std::to_string(10 + c / 6);
    barcode.replace(11, 2, row).replace(17, 2, column);
    check.n.barcodes[c] = barcode;
    xy.insert(xy.end(), {(10.5 + static_cast<double>(c / 6)) * 8, (10.5 + static_cast<double>(c % 6)) * 8});
  }
  write_tenx_h5(check.n, squares / "filtered_feature_bc_matrix.h5");
  write_text(squares / "spatial" / "tissue_positions.parquet", "PAR1");
  for (const auto& path : {check.folder(), check.folder() / "binned_outputs", squares}) {
    const io::ImportReport report = check.import(path);
    CHECK(report.format == "visium-hd");
    CHECK(has_notice(report.notices, "STOFM-W3910"));
    check.equal(true, {}, xy);
  }
  io::ImportOptions with_parquet{.bin = 8};
  with_parquet.parquet = [&](const std::string&, const std::vector<std::string>& columns, const auto& row) {
    CHECK(columns == std::vector<std::string>{"barcode", "pxl_col_in_fullres", "pxl_row_in_fullres",
                                              "in_tissue", "array_row", "array_col"});
    for (std::size_t c = 0; c < check.n.cells; ++c)
      row(std::vector<std::string>{check.n.barcodes[c], concat(check.n.xy[2 * c]),
                                   concat(check.n.xy[2 * c + 1]), c == 3 ? "0" : "1", concat(c / 8),
                                   concat(c % 8)});
  };
  const io::ImportReport by_parquet = check.import(check.folder(), with_parquet);
  CHECK(by_parquet.grain == "squares of 8 um");
  check.equal(true);
  CHECK(check.obs("array_col")[11] == 3);
  CHECK(check.obs("in_tissue")[3] == 0);
  write_tenx_h5(check.n, squares / "raw_feature_bc_matrix.h5");
  std::filesystem::rename(squares / "filtered_feature_bc_matrix.h5", squares / "kept.h5");
  const io::ImportReport raw = check.import(check.folder(), with_parquet);
  CHECK(raw.cells == 39);  // as with a table of text: what is beside the tissue is left out of a raw matrix
  CHECK(has_notice(raw.notices, "STOFM-W3908"));
  std::filesystem::rename(squares / "kept.h5", squares / "filtered_feature_bc_matrix.h5");
  write_text(squares / "spatial" / "tissue_positions.csv", tissue_positions(check.n, true));
  CHECK_FALSE(has_notice(check.import(check.folder()).notices, "STOFM-W3910"));
  check.equal(true);
  check_refused(check.folder() / "binned_outputs",
                {"STOFM-3918", "ImportOptions::bin", "squares of 8 um", "ImportOptions::bin"},
                [&] { (void)check.import(check.folder(), {.bin = 16}); });
}

TEST_CASE("import: Visium HD by segmentation, centroids of outlines") {
  Check check;
  std::string outlines = "{\"type\":\"FeatureCollection\",\"features\":[\n";
  for (std::size_t c = check.n.cells; c-- > 0;) {
    const std::string number = std::to_string(c + 1);
    check.n.barcodes[c] = "cellid_" + std::string(9 - number.size(), '0') + number + "-1";
    outlines += outline(c + 1, check.n.xy[2 * c], check.n.xy[2 * c + 1]) + ",\n";
  }
  outlines += outline(777777, 1, 2) + "]}\n";  // a cell without counts
  const auto cells = check.folder() / "segmented_outputs";
  write_tenx_h5(check.n,
                check.folder() / "binned_outputs" / "square_008um" / "filtered_feature_bc_matrix.h5");
  write_tenx_h5(check.n, cells / "raw_feature_cell_matrix.h5");
  write_text(cells / "graphclust_annotated_cell_segmentations.geojson", "not JSON");
  write_text(cells / "nucleus_segmentations.geojson", "not JSON");
  for (const int storage : {0, 1, 2}) {
    CAPTURE(storage);
    if (storage == 0) write_tenx_h5(check.n, cells / "filtered_feature_cell_matrix.h5");
    if (storage == 1) std::filesystem::remove(cells / "filtered_feature_cell_matrix.h5");
    if (storage == 1) write_matrix_folder(check.n, cells / "filtered_feature_cell_matrix");
    if (storage < 2) write_text(cells / "cell_segmentations.geojson", outlines);
    if (storage == 2) std::filesystem::remove(cells / "cell_segmentations.geojson");
    if (storage == 2) write_gzip(cells / "cell_segmentations.geojson.gz", outlines);
    const io::ImportReport report = check.import(storage == 1 ? cells : check.folder());
    CHECK(report.format == "visium-hd");
    CHECK(report.grain == "segmented cells");
    CHECK_FALSE(has_notice(report.notices, "STOFM-W3901"));
    check.equal(true);
    CHECK(check.obs("set_aside_counts")[9] == check.set_aside(9));
  }
}

TEST_CASE("import: Visium, several sections of spaceranger aggr") {
  Check check;
  check.overlay = true;
  std::string positions = "barcode,in_tissue,array_row,array_col,pxl_row_in_fullres,pxl_col_in_fullres\n";
  for (std::size_t c = 0; c < check.n.cells; ++c) {  // two sections of the same barcodes
    if (c >= 20) check.n.barcodes[c] = check.n.barcodes[c - 20];
    check.n.barcodes[c].back() = c < 20 ? '1' : '2';
    positions += row_of(",", check.n.barcodes[c], 1, c / 8, c % 8, check.n.xy[2 * c + 1], check.n.xy[2 * c]);
  }
  const std::string aggregation = "library_id,molecule_h5\nbefore,/runs/a.h5\nafter,/runs/b.h5\n";
  const std::string bare = positions.substr(positions.find('\n') + 1);
  for (const int version : {0, 1, 2}) {
    CAPTURE(version);
    std::filesystem::remove_all(check.folder());
    const std::string sample =
        version == 2 ? "S7_" : "";  // as archives keep them, without the folder of images
    write_tenx_h5(check.n, check.folder() / (sample + "filtered_feature_bc_matrix.h5"));
    if (version == 0) write_text(check.folder() / "aggr_tissue_positions_list.csv", bare);
    if (version == 1) write_text(check.folder() / "aggr_tissue_positions.csv", positions);
    if (version == 2) write_gzip(check.folder() / (sample + "aggr_tissue_positions.csv.gz"), positions);
    if (version > 0) write_text(check.folder() / (sample + "aggregation.csv"), aggregation);
    if (version < 2) write_text(check.folder() / "spatial" / "before" / "scalefactors_json.json", "{}");
    const io::ImportReport report = check.import(check.folder());
    CHECK(report.format == "visium");
    CHECK(report.library_key == "library_id");
    CHECK_FALSE(has_notice(report.notices, "STOFM-W3903"));
    check.equal(true);
    io::H5adReadOptions options;
    options.obs_columns = {"library_id"};
    options.overlay = true;
    const io::Slice slice = io::read_h5ad((check.scratch / "made.h5ad").string(), options);
    CHECK(slice.labels.at(0).categories ==
          (version == 0 ? std::vector<std::string>{"1", "2"} : std::vector<std::string>{"before", "after"}));
    CHECK(slice.labels.at(0).codes.at(19) == 0);
    CHECK(slice.labels.at(0).codes.at(20) == 1);
  }
}

TEST_CASE("import: Xenium, every storage of the matrix and of the cells") {
  const Check check;
  for (const int storage : {0, 1, 2}) {
    CAPTURE(storage);
    std::filesystem::remove_all(check.folder());
    write_text(check.folder() / "experiment.xenium", "{\"major_version\": 99}");
    if (storage == 0) write_tenx_h5(check.n, check.folder() / "cell_feature_matrix.h5");
    if (storage > 0)
      write_matrix_folder(check.n, check.folder() / "cell_feature_matrix", false, storage == 2);
    if (storage == 0) write_gzip(check.folder() / "cells.csv.gz", xenium_cells(check.n));
    if (storage == 1) write_text(check.folder() / "cells.csv", xenium_cells(check.n));
    if (storage == 2) write_text(check.folder() / "cells.parquet", "PAR1");
    io::ImportOptions options;
    if (storage == 2)
      options.parquet = [&](const std::string&, const auto&, const auto& row) {
        for (std::size_t c = check.n.cells; c-- > 0;)
          row(std::vector<std::string>{check.n.barcodes[c], concat(check.n.xy[2 * c]),
                                       concat(check.n.xy[2 * c + 1])});
      };
    CHECK(check.import(check.folder(), options).format == "xenium");
    check.equal(true);
    CHECK(check.obs("set_aside_counts")[9] == check.set_aside(9));
  }
}

TEST_CASE("import: MERSCOPE, ids in a column without name, named cell or EntityID; rows in another order") {
  Check check;
  for (const int version : {0, 1, 2}) {
    CAPTURE(version);
    std::filesystem::remove_all(check.folder());
    const char* id = version == 0 ? "" : version == 1 ? "cell" : "EntityID";
    std::string counts = version == 0 ? "" : "cell",
                places = concat(id, ",fov,volume,center_x,center_y,min_x\n");
    for (std::size_t g = 0; g < check.n.features; ++g)
      counts += "," + (g < check.n.genes ? check.n.ids[g] : concat("Blank-", g));
    counts += "\n";
    for (std::size_t k = 0; k < check.n.cells; ++k) {
      const std::size_t c = version == 2 ? check.n.cells - 1 - k : k;
      counts += check.n.barcodes[c];
      for (std::size_t g = 0; g < check.n.features; ++g) counts += concat(",", check.n.at(c, g));
      counts += "\n";
      places += row_of(",", check.n.barcodes[k], k / 10, 5.5, check.n.xy[2 * k], check.n.xy[2 * k + 1], 0);
    }
    places += "lonely,0,1,2,3,4\n";
    const std::string prefix = version == 1 ? "datasets_S1_" : "";
    if (version == 2) write_gzip(check.folder() / "cell_by_gene.csv.gz", counts);
    if (version != 2) write_text(check.folder() / (prefix + "cell_by_gene.csv"), counts);
    write_text(check.folder() / (prefix + "cell_metadata.csv"), places);
    const io::ImportReport report =
        check.import(check.folder(), {.most_entries = version == 2 ? 100 : 1 << 20});
    CHECK(report.format == "merscope");
    CHECK(has_notice(report.notices, "STOFM-W3902"));
    CHECK(has_notice(report.notices, "STOFM-W3906"));
    check.equal(false);
    CHECK(check.obs("set_aside_counts")[3] == check.set_aside(3));
  }
}

TEST_CASE("import: CosMx, fields of view and what lies in no cell") {
  Check check;
  std::vector<std::string> cells;
  std::string counts = "fov,cell_ID",
              places =
                  "fov,cell_ID,Area,CenterX_local_px,CenterY_local_px,CenterX_global_px,CenterY_global_px\n";
  for (std::size_t g = 0; g < check.n.features; ++g)
    counts += "," + (g < check.n.genes ? check.n.ids[g] : concat(g % 2 != 0 ? "NegPrb" : "SystemControl", g));
  counts += "\n";
  for (std::size_t c = 0; c < check.n.cells; ++c) {
    const std::size_t fov = 1 + c / 20, number = 1 + c % 20;
    cells.push_back(concat(number, "_", fov));
    if (number == 1) {
      counts += concat(fov, ",0");
      for (std::size_t g = 0; g < check.n.features; ++g) counts += ",9";
      counts += "\n";
    }
    counts += concat(fov, ",", number);
    for (std::size_t g = 0; g < check.n.features; ++g) counts += concat(",", check.n.at(c, g));
    counts += "\n";
    places += row_of(",", fov, number, 100, 1, 2, check.n.xy[2 * c], check.n.xy[2 * c + 1]);
  }
  for (const bool packed : {false, true}) {
    std::filesystem::remove_all(check.folder());
    (packed ? write_gzip : write_text)(
        check.folder() / (packed ? "S0_exprMat_file.csv.gz" : "S0_exprMat_file.csv"), counts);
    (packed ? write_gzip : write_text)(
        check.folder() / (packed ? "S0_metadata_file.csv.gz" : "S0_metadata_file.csv"), places);
    write_text(check.folder() / "S0_fov_positions_file.csv", "fov,x\n");
    const io::ImportReport report = check.import(check.folder());
    CHECK(report.format == "cosmx");
    CHECK(has_notice(report.notices, "STOFM-W3904"));
    check.equal(false, cells);
    io::H5adReadOptions options;
    options.obs_columns = {"fov"};
    const io::Slice slice = io::read_h5ad((check.scratch / "made.h5ad").string(), options);
    CHECK(slice.labels.at(0).categories == std::vector<std::string>{"1", "2"});
    CHECK(slice.labels.at(0).codes.back() == 1);
  }
}

TEST_CASE("import: Stereo-seq as text, squares and labels; as HDF5, squares and cells") {
  Check check;
  std::vector<std::string> squares, labels;
  std::vector<double> middles, means;
  std::string text = "#FileFormat=GEMv0.1\n#BinType=Bin\n", labelled = text;
  text += "geneID\tx\ty\tMIDCount\n";
  labelled += "geneID\tgeneName\tx\ty\tMIDCount\tExonCount\tCellID\n";
  struct Place {
    std::uint32_t x, y;
    std::uint16_t count;
  };
  struct Gene {
    char name[64];
    std::uint32_t offset, count;
  };
  struct Cell {
    std::uint32_t id;
    std::int32_t x, y;
    std::uint32_t offset;
    std::uint16_t genes;
  };
  struct CellCount {
    std::uint32_t gene;
    std::uint16_t count;
  };
  std::vector<Place> places;
  std::vector<Gene> genes;
  for (std::size_t g = 0; g < check.n.genes; ++g) {
    Gene gene{};
    std::snprintf(gene.name, sizeof(gene.name), "%s", check.n.ids[g].c_str());
    gene.offset = static_cast<std::uint32_t>(places.size());
    for (std::size_t c = 0; c < check.n.cells; ++c) {
      const std::size_t left = 40 * (c % 8), top = 40 * (c / 8);  // squares of 20 places, every other one
      std::int64_t rest = check.n.at(c, g);
      if (c == 5) rest = g == 0 ? 1 : 0;  // a square without counts does not exist
      for (std::size_t k = 0; rest > 0; ++k) {
        const std::int64_t part = rest > 1 ? rest / 2 : rest;
        rest -= part;
        text += row_of("\t", check.n.ids[g], left + k, top + 3, part);
        labelled += row_of("\t", check.n.ids[g], "name" + check.n.ids[g], left + k, top + 3, part, 0, c + 1);
        places.push_back({static_cast<std::uint32_t>(left + k), static_cast<std::uint32_t>(top + 3),
                          static_cast<std::uint16_t>(part)});
      }
    }
    gene.count = static_cast<std::uint32_t>(places.size()) - gene.offset;
    genes.push_back(gene);
    labelled += row_of("\t", check.n.ids[g], "x", 1, 1, 7, 0, 0);
  }
  for (std::size_t g = 0; g < check.n.genes; ++g) check.n.counts[5 * check.n.features + g] = g == 0 ? 1 : 0;
  for (std::size_t c = 0; c < check.n.cells; ++c) {
    squares.push_back(concat(40 * (c % 8), "_", 40 * (c / 8)));
    middles.insert(middles.end(),
                   {static_cast<double>(40 * (c % 8)) + 9.5, static_cast<double>(40 * (c / 8)) + 9.5});
    labels.push_back(concat(c + 1));
  }
  write_gzip(check.folder() / "S.gem.gz", text);
  CHECK(check.import(check.folder() / "S.gem.gz", {.bin = 20, .most_entries = 64}).format == "stereo-seq");
  check.equal(false, squares, middles);
  std::filesystem::remove_all(check.folder());
  write_text(check.folder() / "S.cellbin.gem", labelled);
  const io::ImportReport report = check.import(check.folder());
  CHECK(report.cells == 40);
  CHECK(has_notice(report.notices, "STOFM-W3904"));

  std::filesystem::remove_all(check.folder());
  {
    H5Edit file = new_hdf5(check.folder() / "S.gef");
    file.group("geneExp");
    file.group("geneExp/bin1");
    const auto record = [&](const std::string& name, std::size_t size, std::size_t rows, const void* values,
                            const std::vector<std::tuple<const char*, std::size_t, hid_t>>& members) {
      const io::Hdf5Handle type(H5Tcreate(H5T_COMPOUND, size), H5Tclose);
      for (const auto& [member, offset, kind] : members) H5Tinsert(type.get(), member, offset, kind);
      const io::Hdf5Handle data = file.make(name, type.get(), {rows});
      REQUIRE(H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    };
    const io::Hdf5Handle name_type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(name_type.get(), 64);
    record("geneExp/bin1/gene", sizeof(Gene), genes.size(), genes.data(),
           {{"gene", offsetof(Gene, name), name_type.get()},
            {"offset", offsetof(Gene, offset), H5T_NATIVE_UINT32},
            {"count", offsetof(Gene, count), H5T_NATIVE_UINT32}});
    record("geneExp/bin1/expression", sizeof(Place), places.size(), places.data(),
           {{"x", offsetof(Place, x), H5T_NATIVE_UINT32},
            {"y", offsetof(Place, y), H5T_NATIVE_UINT32},
            {"count", offsetof(Place, count), H5T_NATIVE_UINT16}});
    std::vector<Cell> cells;
    std::vector<CellCount> counts;
    for (std::size_t c = 0; c < check.n.cells; ++c) {
      const auto offset = static_cast<std::uint32_t>(counts.size());
      for (std::size_t g = 0; g < check.n.genes; ++g)
        if (check.n.at(c, g) != 0)
          counts.push_back({static_cast<std::uint32_t>(g), static_cast<std::uint16_t>(check.n.at(c, g))});
      cells.push_back({static_cast<std::uint32_t>(c + 1), static_cast<std::int32_t>(check.n.xy[2 * c]),
                       static_cast<std::int32_t>(check.n.xy[2 * c + 1]), offset,
                       static_cast<std::uint16_t>(counts.size() - offset)});
      means.insert(means.end(), {static_cast<double>(cells.back().x), static_cast<double>(cells.back().y)});
    }
    file.group("cellBin");
    record("cellBin/gene", sizeof(Gene), genes.size(), genes.data(),
           {{"geneName", offsetof(Gene, name), name_type.get()}});
    record("cellBin/cell", sizeof(Cell), cells.size(), cells.data(),
           {{"id", offsetof(Cell, id), H5T_NATIVE_UINT32},
            {"x", offsetof(Cell, x), H5T_NATIVE_INT32},
            {"y", offsetof(Cell, y), H5T_NATIVE_INT32},
            {"offset", offsetof(Cell, offset), H5T_NATIVE_UINT32},
            {"geneCount", offsetof(Cell, genes), H5T_NATIVE_UINT16}});
    record("cellBin/cellExp", sizeof(CellCount), counts.size(), counts.data(),
           {{"geneID", offsetof(CellCount, gene), H5T_NATIVE_UINT32},
            {"count", offsetof(CellCount, count), H5T_NATIVE_UINT16}});
  }
  (void)check.import(check.folder() / "S.gef", {.bin = 20});
  check.equal(false, squares, middles);
  (void)check.import(check.folder());
  check.equal(false, labels, means);
}

TEST_CASE("import: Slide-seq, a matrix with a table, tables both ways, with and without names") {
  const Check check;
  std::string genes_down = "GENE", cells_down = "cell", r_table, bare, beads = "barcodes,xcoord,ycoord\n",
              xy = "X\tY\n";
  for (std::size_t c = 0; c < check.n.cells; ++c) {
    genes_down += "\t" + check.n.barcodes[c];
    beads += row_of(",", check.n.barcodes[c], check.n.xy[2 * c], check.n.xy[2 * c + 1]);
    xy += row_of("\t", check.n.xy[2 * c], check.n.xy[2 * c + 1]);
  }
  genes_down += "\n";
  for (std::size_t g = 0; g < check.n.genes; ++g) {
    genes_down += check.n.ids[g];
    for (std::size_t c = 0; c < check.n.cells; ++c) genes_down += concat("\t", check.n.at(c, g));
    genes_down += "\n";
    cells_down += ";" + check.n.ids[g];
    r_table += (g > 0 ? " \"" : "\"") + check.n.ids[g] + "\"";
    bare += (g > 0 ? "," : "") + check.n.ids[g];
  }
  for (std::string* text : {&cells_down, &r_table, &bare}) *text += "\n";
  for (std::size_t c = 0; c < check.n.cells; ++c) {
    cells_down += check.n.barcodes[c];
    r_table += "\"" + check.n.barcodes[c] + "\"";
    for (std::size_t g = 0; g < check.n.genes; ++g) {
      cells_down += concat(";", check.n.at(c, g));
      r_table += concat(" ", check.n.at(c, g));
      bare += concat(g > 0 ? "," : "", check.n.at(c, g));
    }
    for (std::string* text : {&cells_down, &r_table, &bare}) *text += "\n";
  }
  write_gzip(check.folder() / "Puck_1.digital_expression.txt.gz", genes_down);
  write_text(check.folder() / "Puck_1_bead_locations.csv", beads);
  CHECK(check.import(check.folder(), {.most_entries = 50}).format == "slide-seq");
  check.equal(false);
  const std::string positions = (check.scratch / "beads.csv").string(),
                    places = (check.scratch / "xy.tsv").string();
  write_text(positions, beads);
  write_text(places, xy);
  for (const std::string* text : {&genes_down, &cells_down, &r_table}) {
    write_text(check.scratch / "counts.txt", *text);
    CHECK(check.import(check.scratch / "counts.txt", {.positions = positions}).format == "tables");
    check.equal(false);
  }
  write_text(check.scratch / "counts.txt", bare);
  std::vector<std::string> numbers;
  for (std::size_t c = 0; c < check.n.cells; ++c) numbers.push_back(concat("cell_", c));
  (void)check.import(check.scratch / "counts.txt", {.positions = places, .by_order = true});
  check.equal(false, numbers);
  write_tenx_h5(check.n, check.scratch / "matrix.h5");
  write_matrix_folder(check.n, check.scratch / "matrix");
  for (const char* name : {"matrix.h5", "matrix"}) {
    CHECK(check.import(check.scratch / name, {.positions = positions, .x = "xcoord", .y = "ycoord"}).format ==
          "10x");
    check.equal(true);
  }
}

}  // namespace import_embedding_test

// SPDX-License-Identifier: MIT
// What importers refuse, with the place and the remedy, and what they count: truncated, mixed and missing
// files, numbers that can be no counts, indices out of range, names that do not fit. That every layout is
// read is in tests/pipeline/import_h5ad_test.cpp.
#include <doctest/doctest.h>

#include "tests/io/make_import_folders.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::test;

namespace import_refusal_test {
namespace {

struct Folder {
  ScratchDir scratch;
  ImportNumbers n;
  std::filesystem::path operator/(const std::string& name) const { return scratch / name; }

  io::ImportReport import(const std::filesystem::path& input, const io::ImportOptions& options = {}) const {
    return io::import_slice(input.string(), (scratch.path().parent_path() / "out.h5ad").string(), options,
                            {.overwrite = true});
  }
  /// Refused about `file`; nothing is written, and nothing is left beside the output.
  void refused(const std::filesystem::path& input, const std::filesystem::path& file, const Refusal& words,
               const io::ImportOptions& options = {}) const {
    const auto beside = listing(scratch.path().parent_path());
    check_refused(file, words, [&] { (void)import(input, options); });
    CHECK(listing(scratch.path().parent_path()) == beside);
  }
  /// A table of counts, cells down, with positions beside it.
  void table_refused(const std::string& counts, const Refusal& words) const {
    write_text(scratch / "counts.csv", counts);
    write_text(scratch / "xy.csv", "cell,x,y\na,1,2\nb,3,4\nc,5,6\n");
    refused(scratch / "counts.csv", scratch / "counts.csv", words,
            {.positions = (scratch / "xy.csv").string()});
  }
  void matrix_refused(const std::string& matrix, const Refusal& words) const {
    write_text(scratch / "m" / "matrix.mtx", matrix);
    write_text(scratch / "m" / "barcodes.tsv", "a\nb\nc\n");
    write_text(scratch / "m" / "genes.tsv", "ENSG1\tA\nENSG2\tB\n");
    write_text(scratch / "xy.csv", "cell,x,y\na,1,2\nb,3,4\nc,5,6\n");
    refused(scratch / "m", scratch / "m" / "matrix.mtx", words, {.positions = (scratch / "xy.csv").string()});
  }
};

const std::string banner = "%%MatrixMarket matrix coordinate integer general\n";

}  // namespace

TEST_CASE("import refuses: what is none of the formats, two of them in one folder, files that are missing") {
  const Folder f;
  std::filesystem::create_directories(f / "empty");
  f.refused(f / "empty", f / "empty", {"STOFM-3901", "", "visium-hd", "ImportOptions::format"});
  f.refused(f / "none", f / "none", {"STOFM-3001", "", "", ""});
  write_text(f / "a.doc", "text");
  f.refused(f / "a.doc", f / "a.doc", {"STOFM-3901", "", "file of none", "ImportOptions::format"});
  write_text(f / "mixed" / "cell_by_gene.csv", "cell,A\n");
  write_text(f / "mixed" / "experiment.xenium", "{}");
  f.refused(f / "mixed", f / "mixed",
            {"STOFM-3902", "", "Xenium (experiment.xenium) and MERSCOPE (cell_by_gene.csv)",
             "ImportOptions::format = xenium"});
  f.refused(f / "mixed", f / "mixed", {"STOFM-3903", "cell_feature_matrix.h5", "no matrix of counts", "copy"},
            {.format = "xenium"});
  f.refused(f / "mixed", f / "mixed", {"STOFM-3903", "cell_metadata.csv", "no such table", "Copy"},
            {.format = "merscope"});
  write_text(f / "packed" / "cell_feature_matrix.tar.gz", "");
  f.refused(f / "packed", f / "packed", {"STOFM-3903", "cell_feature_matrix.h5", "only", "tar -xzf"});
  write_tenx_h5(f.n, f / "v" / "filtered_feature_bc_matrix.h5");
  f.refused(f / "v", f / "v", {"STOFM-3903", "positions", "has none", "ImportOptions::positions"});
  std::filesystem::create_directories(f / "v" / "spatial");
  f.refused(f / "v", f / "v",
            {"STOFM-3903", "spatial/tissue_positions.csv", "no table of positions", "SAMPLE_spatial.tar.gz"});
  write_text(f / "v" / "spatial" / "tissue_positions_list.csv", tissue_positions(f.n, false));
  f.refused(f / "v" / "filtered_feature_bc_matrix.h5", f / "v" / "filtered_feature_bc_matrix.h5",
            {"STOFM-3903", "positions", "", "Visium"});
  f.refused(f / "v", f / "v", {"STOFM-3919", "ImportOptions::bin", "Visium (Space Ranger)", "Leave"},
            {.bin = 8});
  write_tenx_h5(f.n, f / "v" / "S2_filtered_feature_bc_matrix.h5");
  f.refused(f / "v", f / "v", {"STOFM-3902", "", "more than one", "folder of its own"});
  write_tenx_h5(f.n, f / "x" / "cell_feature_matrix.h5");
  f.refused(f / "x", f / "x", {"STOFM-3903", "cells.csv.gz", "no table of cells", "copy"});
  write_text(f / "x" / "cells.parquet", "PAR1");
  f.refused(f / "x", f / "x" / "cells.parquet", {"STOFM-3917", "", "Apache Arrow", "to_csv('cells.csv'"});
}

TEST_CASE("import refuses: stores of zarr, with the line that converts them") {
  const Folder f;
  write_text(f / "a.zarr" / "zarr.json", "{}");
  std::filesystem::create_directories(f / "a.zarr" / "obs");
  f.refused(
      f / "a.zarr", f / "a.zarr",
      {"STOFM-3901", "", "a zarr store",
       concat("anndata.read_zarr(", stofm::quoted((f / "a.zarr").string()), ").write_h5ad(\"out.h5ad\")")});
  write_text(f / "s.zarr" / ".zattrs", "{}");
  for (const char* table : {"square_002um", "square_008um", "square_016um"})
    std::filesystem::create_directories(f / "s.zarr" / "tables" / table);
  f.refused(f / "s.zarr", f / "s.zarr",
            {"STOFM-3901", "", "a SpatialData store",
             concat("spatialdata.read_zarr(", stofm::quoted((f / "s.zarr").string()),
                    ").tables[\"square_008um\"].write_h5ad(\"out.h5ad\") (other tables: \"square_002um\", "
                    "\"square_016um\")")});
  std::filesystem::create_directories(f / "s.zarr" / "tables" / "cell_segmentations");
  f.refused(f / "s.zarr", f / "s.zarr",
            {"STOFM-3901", "", "a SpatialData store", ".tables[\"cell_segmentations\"]"});
}

TEST_CASE("import refuses: outlines of cells that are none, sections that are not in aggregation.csv") {
  const Folder f;
  const auto cells = f / "outs" / "segmented_outputs";
  const auto file = cells / "cell_segmentations.geojson";
  write_tenx_h5(f.n, cells / "filtered_feature_cell_matrix.h5");
  f.refused(f / "outs", cells,
            {"STOFM-3903", "cell_segmentations.geojson", "no outlines", "ImportOptions::bin = 8"});
  const std::string good = outline(1, 10, 20);
  const auto collection = [](const std::string& features) {
    return R"({"type":"FeatureCollection","name":"cells","features":[)" + features + "]}";
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return collection(text.replace(at, from.size(), to));
  };
  const std::string corners = good.substr(good.find("[[["), good.find("]]]") + 3 - good.find("[[["));
  for (const auto& [content, code, where, word] :
       {std::tuple<std::string, const char*, const char*, const char*>{"", "STOFM-3201", "byte 0",
                                                                       "end of the file"},
        {"[]", "STOFM-3201", "byte 0", "{"},
        {"{}", "STOFM-3920", "", "features"},
        {R"({"features":3})", "STOFM-3920", "", "features"},
        {R"({"features":[]} x)", "STOFM-3211", "byte 16", "more text"},
        {R"({"features":[)", "STOFM-3201", "byte 13", "a value"},
        {R"({"features":[],"a":tru})", "STOFM-3201", "byte 19", "tru"},
        {R"({"features" [])", "STOFM-3201", "byte 12", ":"},
        {collection(good).substr(0, 100), "STOFM-3201", "byte 100", "end of the file"},
        {collection(good).substr(0, collection(good).size() - 1), "STOFM-3201", "byte", "}"},
        {collection("[1]"), "STOFM-3920", "feature 1", "cell_id"},
        {collection(good + R"(,{"type" 1})"), "STOFM-3201", "feature 2", ":"},
        {with(R"("cell_id":1)", R"("cell_id":null)"), "STOFM-3920", "feature 1", "cell_id"},
        {with(R"("cell_id":1)", R"("cell_id":-1)"), "STOFM-3920", "feature 1", "cell_id"},
        {with("Polygon", "Point"), "STOFM-3920", "feature 1", "\"Point\""},
        {with("Polygon", "MultiPolygon"), "STOFM-3920", "feature 1", "MultiPolygon"},
        {with(corners, "[1,2]"), "STOFM-3920", "feature 1", "among arrays"},
        {with(corners, "[[[1]]]"), "STOFM-3920", "feature 1", "without y"},
        {with(corners, "[[[1,2],[[3,4]]]]"), "STOFM-3920", "feature 1", "arrays in arrays"},
        {with(corners, "[[[[[1,2]]]]]"), "STOFM-3920", "feature 1", "arrays in arrays"},
        {collection(good + "," + good), "STOFM-3915", "entry 2", "again"},
        {collection(good), "STOFM-3914", "cell names", "cellid_000000001-1"}}) {
    const std::string& text = content;
    CAPTURE(text);
    write_text(file, text);
    f.refused(f / "outs", file, {code, where, word, ""});
  }

  const auto outs = f / "aggr";
  const auto positions = outs / "aggr_tissue_positions.csv";
  write_tenx_h5(f.n, outs / "filtered_feature_bc_matrix.h5");
  write_text(outs / "aggregation.csv", "library_id,molecule_h5\nfirst,a.h5\n");
  write_text(positions, tissue_positions(f.n, true, "-2"));
  f.refused(outs, positions, {"STOFM-3921", "barcode \"TTTT0-2\"", "section 2", "of one run"});
  write_text(positions, tissue_positions(f.n, true, ""));
  f.refused(outs, positions, {"STOFM-3921", "barcode \"TTTT0\"", "no number", "of one run"});
  write_text(positions, tissue_positions(f.n, true, "-0"));
  f.refused(outs, positions, {"STOFM-3921", "barcode \"TTTT0-0\"", "no number", "of one run"});
  write_text(outs / "aggregation.csv", "name\nfirst\n");
  f.refused(outs, outs / "aggregation.csv", {"STOFM-3907", "line 1", "library_id", "aggregation.csv"});
  write_text(outs / "S_aggr_tissue_positions.csv", "");
  f.refused(outs, outs, {"STOFM-3902", "", "more than one", "folder of its own"});
}

TEST_CASE("import refuses: gzip and HDF5 that are cut short, text that is none") {
  const Folder f;
  write_tenx_h5(f.n, f / "x" / "cell_feature_matrix.h5");
  write_gzip(f / "x" / "cells.csv.gz", xenium_cells(f.n));
  const auto cells = f / "x" / "cells.csv.gz";
  const std::string whole = bytes_of(cells);
  for (const std::size_t size : {whole.size() - 1, whole.size() - 9, whole.size() / 2, std::size_t{12}}) {
    CAPTURE(size);
    write_bytes(cells, whole.substr(0, size));
    f.refused(f / "x", cells, {"STOFM-3904", "byte", "end of the file inside", "get it again"});
  }
  std::string flipped = whole;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x55);
  write_bytes(cells, flipped);
  bool refused = false;
  try {
    (void)f.import(f / "x");
  } catch (const FileError&) {
    refused = true;  // by zlib, by its CRC, or by what the text has become
  }
  CHECK(refused);
  write_bytes(cells, whole);
  const auto matrix = f / "x" / "cell_feature_matrix.h5";
  const std::string hdf5 = bytes_of(matrix);
  write_bytes(matrix, hdf5.substr(0, hdf5.size() - 100));
  f.refused(f / "x", matrix, {"STOFM-3502", "", "", "again"});
  write_bytes(matrix, "no HDF5");
  f.refused(f / "x", matrix, {"STOFM-3501", "", "", ""});
  std::filesystem::remove(cells);
  const auto text = f / "x" / "cells.csv";
  write_bytes(matrix, hdf5);
  for (const auto& [content, code] : {std::pair<std::string, const char*>{"PAR1....", "STOFM-3905"},
                                      {"\xff\xfe"
                                       "a,b\n",
                                       "STOFM-3905"},
                                      {"PK\x03\x04....", "STOFM-3905"},
                                      {"", "STOFM-3906"},
                                      {"cell_id,x_centroid,y_centroid\n\xc3(,1,2\n", "STOFM-3905"},
                                      {"cell_id,x_centroid,y_centroid\nAA\"A,1,2\n", "STOFM-3914"},
                                      {"cell_id,x_centroid,y_centroid\n\"A,1,2\n", "STOFM-3906"},
                                      {"cell_id,x_centroid,y_centroid\nA,1\n", "STOFM-3906"},
                                      {"cell_id,x_centroid,y_centroid\nA,1,2\n\nB,1,2\n", "STOFM-3906"},
                                      {"cell_id,x_centroid,y_centroid\nA,one,2\n", "STOFM-3908"},
                                      {"cell_id,x_centroid,y_centroid\nA,1,2\nA,1,2\n", "STOFM-3915"},
                                      {"cell_id,x,y\nA,1,2\n", "STOFM-3907"}}) {
    const std::string& bytes = content;  // CAPTURE is a lambda, which clang 14 gives no structured binding
    CAPTURE(bytes);
    write_bytes(text, bytes);
    f.refused(f / "x", text, {code, "", "", ""});
  }
}

TEST_CASE("import refuses: matrices whose sizes, indices or values can not be") {
  const Folder f;
  f.matrix_refused("", {"STOFM-3910", "", "empty", ""});
  f.matrix_refused("2 3 1\n1 1 1\n", {"STOFM-3910", "line 1", "%%MatrixMarket", ""});
  f.matrix_refused("%%MatrixMarket matrix array real general\n2 3\n",
                   {"STOFM-3910", "line 1", "array", "writeMM"});
  f.matrix_refused(banner, {"STOFM-3910", "", "end of the file", "again"});
  f.matrix_refused(banner + "2 x 1\n", {"STOFM-3910", "line 2", "three numbers", "again"});
  f.matrix_refused(banner + "2 99999999999999 1\n", {"STOFM-3910", "line 2", "below 2^31", "again"});
  f.matrix_refused(banner + "2 4 1\n1 1 1\n", {"STOFM-3912", "sizes", "2 features x 4 cells", "one run"});
  f.matrix_refused(banner + "3 3 1\n1 1 1\n", {"STOFM-3912", "sizes", "genes.tsv", "one run"});
  f.matrix_refused(banner + "2 3 2\n1 1 1\n3 1 1\n", {"STOFM-3911", "line 4", "row 3, column 1", "again"});
  f.matrix_refused(banner + "2 3 1\n0 1 1\n", {"STOFM-3911", "line 3", "row 0", "again"});
  f.matrix_refused(banner + "2 3 1\n1 4 1\n", {"STOFM-3911", "line 3", "column 4", "again"});
  f.matrix_refused(banner + "2 3 2\n1 1 1\n",
                   {"STOFM-3911", "line 3", "the end after 1 entries", "cut short"});
  f.matrix_refused(banner + "2 3 1\n1 1 1\n1 2 1\n", {"STOFM-3911", "line 4", "more than 1", ""});
  f.matrix_refused(banner + "2 3 1\n1 1 -1\n", {"STOFM-3909", "line 3", "-1", "raw counts"});
  f.matrix_refused(banner + "2 3 1\n1 1 nan\n", {"STOFM-3909", "line 3", "", "raw counts"});
  f.matrix_refused(banner + "2 3 1\n1 1 x\n", {"STOFM-3908", "line 3", "", ""});
  f.matrix_refused(banner + "2 3 1\n1 1\n", {"STOFM-3908", "line 3", "", ""});
}

TEST_CASE("import refuses: .h5 of 10x whose parts do not fit each other") {
  const Folder f;
  const auto file = f / "m.h5";
  write_text(f / "xy.csv", "cell,x,y\nAAACA0-1,1,2\n");
  const auto broken = [&](const Refusal& words, const std::function<void(H5Edit&)>& change) {
    write_tenx_h5(f.n, file);
    {
      H5Edit edit(file.string());
      change(edit);
    }
    f.refused(file, file, words, {.positions = (f / "xy.csv").string()});
  };
  broken({"STOFM-3913", "matrix/indices", "feature 33", "again"}, [](H5Edit& e) {
    auto indices = e.get<std::int64_t>("matrix/indices");
    indices[7] = 33;
    e.put("matrix/indices", indices);
  });
  broken({"STOFM-3913", "matrix/indptr", "before it starts", "again"}, [](H5Edit& e) {
    auto starts = e.get<std::int64_t>("matrix/indptr");
    std::swap(starts[3], starts[4]);
    e.put("matrix/indptr", starts);
  });
  broken({"STOFM-3913", "matrix/indptr", "one a barcode", "again"}, [](H5Edit& e) {
    e.put("matrix/indptr", std::vector<std::int64_t>{0, 1});
  });
  broken({"STOFM-3913", "matrix/data", "where indptr ends", "again"}, [](H5Edit& e) {
    e.put("matrix/data", std::vector<std::int32_t>{1, 2, 3});
  });
  broken({"STOFM-3909", "matrix/data", "", "raw counts"}, [](H5Edit& e) {
    auto data = e.get<std::int32_t>("matrix/data");
    data[2] = -4;
    e.put("matrix/data", data);
  });
  broken({"STOFM-3913", "matrix/shape", "features x barcodes", "again"}, [](H5Edit& e) {
    e.put("matrix/shape", std::vector<std::int64_t>{40, 33});
  });
  broken({"STOFM-3913", "", "without matrix/barcodes", "Give filtered_feature_bc_matrix.h5"},
         [](H5Edit& e) { e.remove("matrix/barcodes"); });
  broken({"STOFM-3505", "matrix/features/name", "nothing", ""},
         [](H5Edit& e) { e.remove("matrix/features/name"); });
}

TEST_CASE("import refuses: tables of counts that are none, names that do not fit") {
  const Folder f;
  f.table_refused("cell,A,B\na,1,-2\n", {"STOFM-3909", "line 2", "\"B\"", "raw counts"});
  f.table_refused("cell,A,B\na,1,2\nb,inf,2\n", {"STOFM-3909", "line 3", "\"A\"", "raw counts"});
  f.table_refused("cell,A,B\na,1,two\n", {"STOFM-3908", "line 2", "\"two\"", ""});
  f.table_refused("cell,A,B\na,1,\n", {"STOFM-3908", "line 2", "", ""});
  f.table_refused("cell,A,B\na,1,2,3\nb,1,2,3\nc,1,2\n", {"STOFM-3906", "line 4", "3 fields", ""});
  f.table_refused("cell,A,B\na,1,2\na,1,2\n", {"STOFM-3915", "line 3", "\"a\"", ""});
  f.table_refused("cell,A,B\nx,1,2\ny,1,2\n",
                  {"STOFM-3914", "cell names", "no cell of", "ImportOptions::id"});
  f.table_refused("cell,Blank-1,NegPrb2\na,1,2\n",
                  {"STOFM-3916", "features", "1 Blank, 1 Negative Probe", ""});
  f.refused(f / "counts.csv", f / "counts.csv",
            {"STOFM-3903", "ImportOptions::positions", "alone", "ImportOptions::positions"});
  write_text(f / "counts.csv", "A,B\n1,2\n3,4\n");
  f.refused(f / "counts.csv", f / "counts.csv", {"STOFM-3906", "", "2 rows of counts", "same order"},
            {.positions = (f / "xy.csv").string(), .by_order = true});
  write_text(f / "xy.csv", "cell,east,north\na,1,2\n");
  f.refused(f / "counts.csv", f / "xy.csv",
            {"STOFM-3907", "line 1", "\"east\"", "ImportOptions::x and ImportOptions::y"},
            {.positions = (f / "xy.csv").string()});
}

TEST_CASE(
    "import counts: repeated entries are summed, repeated genes renamed, cells without a place left out") {
  const Folder f;
  write_text(f / "m" / "matrix.mtx", banner + "3 3 5\n1 1 1\n2 2 4\n1 2 2\n1 1 2\n3 2 5\n");
  write_text(f / "m" / "barcodes.tsv", "a\nb\nc\n");
  write_text(f / "m" / "features.tsv",
             "ENSG1\tA\tGene Expression\nENSG2\tA\tGene Expression\nAb\tAb\tAntibody Capture\n");
  write_text(f / "xy.csv", "b,3,4\na,1,2\nz,5,6\n");
  const io::ImportReport report = f.import(f / "m", {.positions = (f / "xy.csv").string()});
  for (const char* code : {"STOFM-W3905", "STOFM-W3909", "STOFM-W3901", "STOFM-W3902"}) {
    CAPTURE(code);
    CHECK(has_notice(report.notices, code));
  }
  CHECK(report.entries == 3);
  io::H5adReadOptions options;
  options.cell_names = true;
  const Read read = read_all((f.scratch.path().parent_path() / "out.h5ad").string(), options);
  CHECK(read.slice.cell_names == std::vector<std::string>{"a", "b"});
  CHECK(read.slice.gene_symbols == std::vector<std::string>{"A", "A-1"});
  CHECK(read.dense == std::vector<double>{3, 0, 2, 4});
  CHECK(read.slice.coordinates(1, 0) == 3);
}

TEST_CASE("import: changed bytes and cut files are read or refused, never more") {
  const Folder f;
  write_matrix_folder(f.n, f / "x" / "cell_feature_matrix", true);
  write_text(f / "x" / "cells.csv", xenium_cells(f.n));
  write_tenx_h5(f.n, f / "h" / "cell_feature_matrix.h5");
  write_text(f / "h" / "cells.csv", xenium_cells(f.n));
  ImportNumbers segmented = f.n;
  std::string outlines;
  for (std::size_t c = 0; c < segmented.cells; ++c) {
    segmented.barcodes[c] = concat("cellid_0000001", 10 + c, "-1");
    outlines += (c > 0 ? ",\n" : "") + outline(110 + c, segmented.xy[2 * c], segmented.xy[2 * c + 1]);
  }
  write_tenx_h5(segmented, f / "g" / "filtered_feature_cell_matrix.h5");
  write_text(f / "g" / "cell_segmentations.geojson",
             R"({"type":"FeatureCollection","features":[)" + outlines + "]}");
  Random random(5);
  std::int64_t refused = 0, read = 0;
  for (const char* name :
       {"x/cell_feature_matrix/matrix.mtx", "x/cell_feature_matrix/barcodes.tsv",
        "x/cell_feature_matrix/genes.tsv", "x/cells.csv", "h/cells.csv", "g/cell_segmentations.geojson"}) {
    const auto file = f / name;
    const std::string whole = bytes_of(file);
    const auto draw = [&](std::size_t below) {
      return static_cast<std::size_t>(random.uniform() * static_cast<double>(below));
    };
    for (int round = 0; round < 40; ++round) {
      std::string changed = whole;
      static constexpr char bytes[] = "0-9.,\"\t\n\r \0\xff%e[]{}";
      for (std::size_t k = 0; k <= draw(3); ++k) changed[draw(changed.size())] = bytes[draw(sizeof(bytes))];
      if (round % 5 == 0) changed.resize(draw(changed.size()));
      write_bytes(file, changed);
      try {
        (void)io::import_slice((f.scratch / std::string(1, name[0])).string(),
                               (f.scratch.path().parent_path() / "out.h5ad").string(), {},
                               {.overwrite = true, .isolation = io::H5adIsolation::none});
        ++read;
      } catch (const Error& error) {
        CHECK_FALSE(error.remedy().empty());
        ++refused;
      }
    }
    write_bytes(file, whole);
  }
  CHECK(refused > 20);
  CHECK(read > 20);
}

TEST_CASE("import: a killed or refused run leaves the output that was there") {
  const Folder f;
  const std::string output = (f.scratch.path().parent_path() / "out.h5ad").string();
  write_bytes(output, "precious");
  write_text(f / "m.h5", "no HDF5");
  f.refused(f / "m.h5", f / "m.h5", {"STOFM-3501", "", "", ""});
  CHECK(bytes_of(output) == "precious");
  CHECK_THROWS_AS((void)io::import_slice((f / "m.h5").string(), output), UsageError);
  CHECK(bytes_of(output) == "precious");
}

}  // namespace import_refusal_test

// SPDX-License-Identifier: MIT
// Which columns of the matrix are genes, and every name that the file has for them.
#include "tests/io/make_h5ad_files.hpp"

using namespace stofm;
using namespace stofm::io;
using namespace stofm::test;

namespace {

constexpr std::size_t genes = 33;  // of the file that the tests change

/// A text column of `var`, and so that frames list it.
void put_column(H5Edit& edit, const std::string& name, const std::vector<std::string>& values) {
  edit.put_strings("var/" + name, values);
  if (H5Aexists_by_name(edit.id(), "var", "column-order", H5P_DEFAULT) > 0)
    edit.remove_attribute("var", "column-order");
}

/// "Gene Expression" but for columns 3, 4 (Antibody Capture) and 32 (Peaks).
std::vector<std::string> types(const std::string& gene = "Gene Expression") {
  std::vector<std::string> list(genes, gene);
  list[3] = list[4] = "Antibody Capture";
  list[32] = "Peaks";
  return list;
}

void check_left_out(const Read& read, const Read& plain, const std::string& said) {
  REQUIRE(read.slice.genes() == 30);
  CHECK(read.slice.gene_symbols.size() == 30);
  for (const auto& other : read.slice.other_gene_names) CHECK(other.names.size() == 30);
  std::size_t kept = 0;
  for (std::size_t g = 0; g < genes; ++g) {
    if (g == 3 || g == 4 || g == 32) continue;
    CHECK(read.slice.gene_ids[kept] == plain.slice.gene_ids[g]);
    for (std::size_t cell = 0; cell < 60; ++cell)
      CHECK(read.dense[cell * 30 + kept] == plain.dense[cell * genes + g]);
    ++kept;
  }
  REQUIRE(read.slice.notices.size() == 1);
  CHECK(read.slice.notices[0].code == "STOFM-W3560");
  CHECK(read.slice.notices[0].count == 3);
  CHECK(read.slice.notices[0].text == said);
}

}  // namespace

TEST_CASE("features that are no gene expression are left out and counted by type") {
  const Read plain = read_all(zoo("csr_f32_gzip").string());
  const std::string said = "2 Antibody Capture, 1 Peaks features are no genes: left out";
  for (const char* column : {"feature_types", "feature_type", "feature_biotype"})
    for (const char* gene : {"Gene Expression", "gene", "GENE EXPRESSION"}) {
      const H5Case test;
      {
        H5Edit edit = test.edit();
        put_column(edit, column, types(gene));
      }
      check_left_out(read_all(test.path), plain, said);
    }
  const H5Case factor;
  {
    H5Edit edit = factor.edit();
    edit.group("var/feature_types");
    edit.attribute("var/feature_types", "encoding-type", "categorical");
    edit.attribute("var/feature_types", "encoding-version", "0.2.0");
    edit.put_strings("var/feature_types/categories", {"Antibody Capture", "Gene Expression", "Peaks"});
    std::vector<std::int8_t> codes(genes, 1);
    codes[3] = codes[4] = 0;
    codes[7] = -1;  // no type: kept
    codes[32] = 2;
    edit.put("var/feature_types/codes", codes);
  }
  check_left_out(read_all(factor.path), plain, said);
}

TEST_CASE("values of features that are left out are not looked at") {
  const H5Case test("dense_f32");
  {
    H5Edit edit = test.edit();
    put_column(edit, "feature_types", types());
    auto values = edit.get<float>("X");
    for (std::size_t cell = 0; cell < 60; ++cell) values[cell * genes + 4] = -1.0F;
    edit.put("X", values, H5T_NATIVE_FLOAT, {60, genes});
    edit.attribute("X", "encoding-type", "array");
    edit.attribute("X", "encoding-version", "0.2.0");
  }
  CHECK(read_all(test.path).slice.genes() == 30);
}

TEST_CASE("a column of types without genes silences nothing that may be one") {
  const auto with = [](const H5Case& test, const std::string& column,
                       const std::vector<std::string>& values) {
    H5Edit edit = test.edit();
    put_column(edit, column, values);
  };
  {
    const H5Case test;
    with(test, "feature_types", std::vector<std::string>(genes, "custom"));
    const Slice slice = read_all(test.path).slice;
    CHECK(slice.genes() == 33);
    CHECK(has_notice(slice.notices, "STOFM-W3561"));
  }
  {
    std::vector<std::string> biotypes(genes, "protein_coding");
    biotypes[5] = "lncRNA";
    biotypes[6] = "IG_C_gene";
    const H5Case test;
    with(test, "feature_type", biotypes);
    const Slice slice = read_all(test.path).slice;
    CHECK(slice.genes() == 33);
    CHECK(slice.notices.empty());
  }
  {
    const H5Case test;
    with(test, "feature_types", std::vector<std::string>(genes, "Antibody Capture"));
    check_refused(test.path, "STOFM-3560", ErrorKind::data, "33 Antibody Capture", "Gene Expression");
  }
}

TEST_CASE("every other column of text goes along, long texts do not") {
  const H5Case test;
  std::vector<std::string> names(genes, "name"), long_ones(genes, std::string(300, 'x'));
  {
    H5Edit edit = test.edit();
    put_column(edit, "features", names);
    put_column(edit, "note", long_ones);
  }
  const Slice slice = read_all(test.path).slice;
  CHECK(slice.gene_id_column == "ensembl_id");
  CHECK(slice.gene_symbol_column == "gene_symbol");
  const auto find = [&](const std::string& column) -> const GeneNameList* {
    for (const auto& other : slice.other_gene_names)
      if (other.column == column) return &other;
    return nullptr;
  };
  REQUIRE(find("index") != nullptr);
  REQUIRE(find("features") != nullptr);
  CHECK(find("features")->names == names);
  REQUIRE(find("note") != nullptr);
  CHECK(find("note")->names == std::vector<std::string>(genes));
  CHECK_FALSE(slice.gene_column_chosen);
  H5adReadOptions options;
  options.gene_key = "features";
  const Slice chosen = read_all(test.path, options).slice;
  CHECK(chosen.gene_column_chosen);
  CHECK(chosen.gene_id_column == "features");
  CHECK(chosen.gene_ids == names);
}

TEST_CASE("a long category of a few bytes per row is not spread out") {
  for (const char* column : {"ensembl_id", "gene_symbol"}) {
    const H5Case test;
    const std::size_t width = std::size_t{1} << 20;
    {
      H5Edit edit = test.edit();
      edit.remove(std::string("var/") + column);
      edit.group(std::string("var/") + column);
      edit.attribute(std::string("var/") + column, "encoding-type", "categorical");
      edit.attribute(std::string("var/") + column, "encoding-version", "0.2.0");
      const Hdf5Handle list = chunked({1});
      H5Pset_deflate(list.get(), 9);
      const Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
      H5Tset_size(type.get(), width);
      const Hdf5Handle data =
          edit.make(std::string("var/") + column + "/categories", type.get(), {1}, list.get());
      const std::string text(width, 'E');
      REQUIRE(H5Dwrite(data.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()) >= 0);
      edit.put(std::string("var/") + column + "/codes", std::vector<std::int8_t>(genes, 0));
    }
    // 33 MiB from a file of some 100 kB, 16 MiB and four times the file are held.
    check_refused(test.path, "STOFM-3515", ErrorKind::file, std::string("var/") + column, "16 MiB");
  }
}

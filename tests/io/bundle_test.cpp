// SPDX-License-Identifier: MIT
#include "stofm/io/bundle.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <iterator>
#include <string>

#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using io::Bundle;
using io::read_bundle;
using io::write_bundle;
using stofm::test::bytes_of;
using stofm::test::write_bytes;

namespace {

Bundle small_bundle() {
  Bundle bundle;
  bundle.model_info = {{"name", "test"}, {"training", "converted"}};
  bundle.se2_config = {{"embedding_dim", 2}};
  bundle.cell_encoder_config = {{"hidden_size", 3}};
  bundle.gene_table = "ensembl_id\tsymbols\ttoken\tmedian\n";
  bundle.mouse_to_human = "mouse_ensembl_id\thuman_ensembl_id\n";
  bundle.se2.emplace("a.weight", Tensor<float>::from({2, 2}, {1, 2, 3, 4}));
  bundle.cell_encoder.emplace("proj.weight", Tensor<float>::from({3}, {5, 6, 7}));
  return bundle;
}

using Metadata = std::map<std::string, std::string>;

/// Writes the entries of `small_bundle` with the metadata changed, hashes unchanged.
std::filesystem::path with_metadata(const test::ScratchDir& scratch,
                                    const std::function<void(Metadata&)>& change,
                                    const std::vector<io::SafetensorsEntry>& extra = {}) {
  write_bundle(scratch / "base.safetensors", small_bundle(), true);
  const auto base = io::SafetensorsFile::open(scratch / "base.safetensors");
  Metadata metadata(base.metadata().begin(), base.metadata().end());
  change(metadata);
  std::vector<io::SafetensorsEntry> entries = extra;
  for (const auto& [name, info] : base.tensors())
    entries.push_back(info.dtype == io::Dtype::u8 ? io::safetensors_entry(name, base.read_bytes(name))
                                                  : io::safetensors_entry(name, base.read<float>(name)));
  io::write_safetensors(scratch / "changed.safetensors", entries, metadata, {.overwrite = true});
  return scratch / "changed.safetensors";
}

void check_refused(const std::filesystem::path& path, const char* code, const char* word,
                   const io::BundleReadOptions& options = {}) {
  CAPTURE(path.string());
  bool refused = false;
  try {
    read_bundle(path, options);
  } catch (const FileError& error) {
    refused = true;
    CAPTURE(error.what());
    CHECK(error.code() == code);
    CHECK(std::string(error.what()).find(word) != std::string::npos);
    CHECK(error.file() == path.string());
    CHECK_FALSE(error.where().empty());
    CHECK_FALSE(error.remedy().empty());
  }
  CHECK(refused);
}

}  // namespace

TEST_CASE("a bundle comes back as it was written") {
  const test::ScratchDir scratch;
  Bundle written = small_bundle();
  written.learnt_genes = "ENSG00000000003\nENSG00000000005\n";
  write_bundle(scratch / "b.safetensors", written);
  const Bundle read = read_bundle(scratch / "b.safetensors");
  CHECK(read.learnt_genes == written.learnt_genes);
  CHECK(read.model_info == small_bundle().model_info);
  CHECK(read.se2_config == small_bundle().se2_config);
  CHECK(read.cell_encoder_config == small_bundle().cell_encoder_config);
  CHECK(read.gene_table == small_bundle().gene_table);
  CHECK(read.mouse_to_human == small_bundle().mouse_to_human);
  CHECK(read.se2.at("a.weight")(1, 0) == 3.0F);
  CHECK(read.cell_encoder.at("proj.weight")(2) == 7.0F);
  CHECK(read.notices.empty());
  write_bundle(scratch / "again.safetensors", read);
  CHECK(bytes_of(scratch / "again.safetensors") == bytes_of(scratch / "b.safetensors"));
}

TEST_CASE("either half of a bundle may be absent, with its configuration") {
  const test::ScratchDir scratch;
  Bundle half = small_bundle();
  half.cell_encoder.clear();
  half.cell_encoder_config = nullptr;
  half.gene_table.clear();
  half.mouse_to_human.clear();
  write_bundle(scratch / "half.safetensors", half);
  const Bundle read = read_bundle(scratch / "half.safetensors");
  CHECK(read.has_se2());
  CHECK_FALSE(read.has_cell_encoder());
  CHECK_FALSE(read.has_genes());

  half.cell_encoder_config = {{"hidden_size", 3}};
  CHECK_THROWS_WITH_AS(write_bundle(scratch / "no.safetensors", half), doctest::Contains("STOFM-3708"),
                       UsageError);
  CHECK_FALSE(std::filesystem::exists(scratch / "no.safetensors"));
  check_refused(with_metadata(scratch, [](Metadata& m) { m.erase("se2_config"); }), "STOFM-3706",
                "without a configuration");
}

TEST_CASE("files that are no bundle are named, and the converter with them") {
  const test::ScratchDir scratch;
  write_bytes(scratch / "model.pth", "PK\3\4" + std::string(60, 'x'));
  check_refused(scratch / "model.pth", "STOFM-3701", "convert.py");
  write_bytes(scratch / "old.pth", std::string("\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.", 15));
  check_refused(scratch / "old.pth", "STOFM-3701", "convert.py");
  write_bytes(scratch / "slice.h5ad", "\x89HDF\r\n\x1a\n" + std::string(100, '\0'));
  check_refused(scratch / "slice.h5ad", "STOFM-3701", "slice");
  write_bytes(scratch / "page.html", "<!DOCTYPE html><html></html>");
  check_refused(scratch / "page.html", "STOFM-3701", "HTML");
  write_bytes(scratch / "pointer", "version https://git-lfs.github.com/spec/v1\n");
  check_refused(scratch / "pointer", "STOFM-3701", "git lfs pull");
  check_refused(scratch.path(), "STOFM-3701", "convert.py");
  io::write_safetensors(scratch / "plain.safetensors",
                        {io::safetensors_entry("w", Tensor<float>::from({1}, {1.0F}))}, {{"format", "pt"}});
  check_refused(scratch / "plain.safetensors", "STOFM-3701", "convert.py");
  io::write_safetensors(scratch / "bare.safetensors",
                        {io::safetensors_entry("w", Tensor<float>::from({1}, {1.0F}))});
  check_refused(scratch / "bare.safetensors", "STOFM-3701", "without bundle metadata");
  write_bytes(scratch / "empty", "");
  check_refused(scratch / "empty", "STOFM-3101", "8-byte header length");
  check_refused(scratch / "absent", "STOFM-3001", "open");
}

TEST_CASE("versions and metadata of a bundle are checked") {
  const test::ScratchDir scratch;
  check_refused(with_metadata(scratch, [](Metadata& m) { m["format_version"] = "2"; }), "STOFM-3702",
                "\"2\"");
  check_refused(with_metadata(scratch, [](Metadata& m) { m.erase("format_version"); }), "STOFM-3702",
                "nothing");
  check_refused(with_metadata(scratch, [](Metadata& m) { m.erase("model_info"); }), "STOFM-3703",
                "model_info");
  check_refused(with_metadata(scratch, [](Metadata& m) { m["se2_config"] = "[1]"; }), "STOFM-3703", "array");
  bool refused = false;
  try {
    read_bundle(with_metadata(scratch, [](Metadata& m) { m["se2_config"] = "{\"a\":1,\"a\":2}"; }));
  } catch (const FileError& error) {
    refused = true;
    CHECK(error.where().find("se2_config") != std::string::npos);
  }
  CHECK(refused);
}

TEST_CASE("every tensor of a bundle is compared with its hash") {
  const test::ScratchDir scratch;
  write_bundle(scratch / "b.safetensors", small_bundle());
  const std::string good = bytes_of(scratch / "b.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, good.data(), 8);
  for (std::size_t at = 8 + header; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    write_bytes(scratch / "bad.safetensors", bad);
    check_refused(scratch / "bad.safetensors", "STOFM-3705", "damaged");
  }
  std::string bad = good;
  bad[8 + header] = static_cast<char>(bad[8 + header] ^ 4);
  write_bytes(scratch / "bad.safetensors", bad);
  CHECK_NOTHROW(read_bundle(scratch / "bad.safetensors", {.verify_hashes = false}));

  check_refused(with_metadata(scratch, [](Metadata& m) { m["sha256"] = "{}"; }), "STOFM-3704", "no hash");
  check_refused(with_metadata(scratch, [](Metadata& m) { m.erase("sha256"); }), "STOFM-3703", "sha256");
  check_refused(with_metadata(scratch, [](Metadata& m) { m["sha256"].replace(1, 0, "\"x\":3,"); }),
                "STOFM-3704", "\"x\"");
  check_refused(
      with_metadata(
          scratch, [](Metadata& m) { m["sha256"].replace(1, 0, "\"x\":\"" + std::string(64, '0') + "\","); }),
      "STOFM-3704", "without a tensor");
  check_refused(with_metadata(scratch, [](Metadata&) {},
                              {io::safetensors_entry("se2/b", Tensor<float>::from({1}, {1.0F}))}),
                "STOFM-3704", "se2/b");
}

TEST_CASE("S28 and S30: other tensors and other types in a bundle are accepted with a notice") {
  const test::ScratchDir scratch;
  const auto path = with_metadata(scratch, [](Metadata&) {},
                                  {io::safetensors_entry("optimizer/x", Tensor<float>::from({1}, {1.0F})),
                                   io::safetensors_entry("se2/b", Tensor<double>::from({1}, {0.5}))});
  const Bundle bundle = read_bundle(path, {.verify_hashes = false});
  CHECK(bundle.se2.at("b")(0) == 0.5F);
  REQUIRE(bundle.notices.size() == 2);
  CHECK(bundle.notices[0].code == "STOFM-W3102");
  CHECK(bundle.notices[1].code == "STOFM-W3701");
}

TEST_CASE("gene tables of a bundle are texts of a bounded size") {
  const test::ScratchDir scratch;
  write_bundle(scratch / "b.safetensors", small_bundle());
  check_refused(scratch / "b.safetensors", "STOFM-3707", "1 to 8 bytes", {.max_table_bytes = 8});
  Bundle bundle = small_bundle();
  bundle.gene_table = "\xff\xfe";
  write_bundle(scratch / "c.safetensors", bundle);
  check_refused(scratch / "c.safetensors", "STOFM-3707", "UTF-8");
}

TEST_CASE("an existing bundle is replaced on demand only") {
  const test::ScratchDir scratch;
  write_bundle(scratch / "b.safetensors", small_bundle());
  CHECK_THROWS_AS(write_bundle(scratch / "b.safetensors", small_bundle()), UsageError);
  CHECK_NOTHROW(write_bundle(scratch / "b.safetensors", small_bundle(), true));
}

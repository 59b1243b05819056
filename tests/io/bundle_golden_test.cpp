// SPDX-License-Identifier: MIT
// Bundles that convert.py made from the golden checkpoints.
#include <doctest/doctest.h>

#include <filesystem>
#include <iterator>
#include <string>

#include "stofm/io/bundle.hpp"
#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using stofm::test::bytes_of;

TEST_CASE("a converted bundle reads back, and writing it again gives the converter's bytes") {
  for (const char* name :
       {"se2_small", "se2_ragged", "se2_prenorm", "cell_encoder_small", "cell_encoder_gelu"}) {
    const auto path = test::source_dir() / "tests" / "golden" / name / "bundle.safetensors";
    if (!std::filesystem::exists(path)) {
      MESSAGE("skipped: no ", path.string());
      continue;
    }
    CAPTURE(name);
    const io::Bundle bundle = io::read_bundle(path);
    const bool cell = std::string(name).starts_with("cell");
    CHECK(bundle.has_cell_encoder() == cell);
    CHECK(bundle.has_se2() == !cell);
    CHECK(bundle.has_genes() == false);
    CHECK(bundle.notices.empty());
    CHECK(bundle.model_info.at("name") == name);
    CHECK(bundle.model_info.at("training") == "converted");
    CHECK((cell ? bundle.cell_encoder : bundle.se2).size() > 30);
    CHECK(
        (cell ? bundle.cell_encoder.contains("proj.weight") : bundle.se2.contains("gaussian.means.weight")));

    const test::ScratchDir scratch;
    io::write_bundle(scratch / "again.safetensors", bundle);
    CHECK(bytes_of(scratch / "again.safetensors") == bytes_of(path));
  }
}

TEST_CASE("the converter's numbers are those of the checkpoint's own safetensors file") {
  const auto folder = test::golden_dir() / "cell_encoder_small";
  const auto converted =
      test::source_dir() / "tests" / "golden" / "cell_encoder_small" / "bundle.safetensors";
  if (!std::filesystem::exists(folder / "cell_bert" / "model.safetensors") ||
      !std::filesystem::exists(converted)) {
    MESSAGE("skipped: no ", folder.string());
    return;
  }
  const io::Bundle bundle = io::read_bundle(converted);
  const auto checkpoint = io::SafetensorsFile::open(folder / "cell_bert" / "model.safetensors");
  for (const std::string& name : checkpoint.names()) {
    CAPTURE(name);
    const Tensor<float> expected = checkpoint.read<float>(name),
                        &found = bundle.cell_encoder.at(concat("bert/", name));
    REQUIRE(found.shape() == expected.shape());
    CHECK(std::equal(found.span().begin(), found.span().end(), expected.span().begin()));
  }
}

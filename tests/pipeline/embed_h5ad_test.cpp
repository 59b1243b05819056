// SPDX-License-Identifier: MIT
// One slice in several layouts (CSR, CSC, dense; gzip, LZF; float, integer; unsorted rows) is embedded with
// the same bits.
#include <doctest/doctest.h>

#include "stofm/io/h5ad_reader.hpp"
#include "stofm/pipeline/embed.hpp"
#include "tests/pipeline/embed_fixture.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using namespace stofm::pipeline;
using namespace stofm::test;

namespace {
io::Slice read(const std::string& name) {
  return io::read_h5ad(source_dir() / "tests" / "data" / "formats" / (name + ".h5ad"));
}

/// A model whose vocabulary is the Ensembl ids of a slice.
Model model_for(const io::Slice& slice) {
  std::string genes = "ensembl_id\tsymbols\ttoken\tmedian\n";
  std::string mouse = "mouse_ensembl_id\thuman_ensembl_id\n";
  std::int64_t count = 0;
  for (const auto& id : slice.gene_ids) {
    const auto kind = classify_gene_name(id).kind;
    if (kind != GeneNameKind::human_gene && kind != GeneNameKind::mouse_gene) continue;
    const std::string human = kind == GeneNameKind::human_gene ? id : gene_id(count);
    if (kind == GeneNameKind::mouse_gene) mouse += concat(id, "\t", human, "\n");
    genes += concat(human, "\t\t", count + 2, "\t", 1 + 0.125 * static_cast<double>(count % 5), "\n");
    ++count;
  }
  auto parts = tiny_parts({.genes = count, .positions = 64});
  parts.gene_table = genes;
  parts.mouse_to_human = mouse;
  return make_model(parts);
}
}  // namespace

TEST_CASE("every layout of X gives the same embedding, bit for bit") {
  const auto slice = read("csr_f32_gzip");
  const auto model = model_for(slice);
  const EmbedOptions options{.split = 20};
  const auto expected = embed_slice(slice, model, options);
  REQUIRE(all_finite(expected.embeddings));
  CHECK(expected.tokens > 2 * slice.cells);
  for (const char* name : {"csc", "dense_f32", "csr_f32_lzf", "csr_f64_idx64", "csr_i32", "csr_unsorted",
                           "csr_f8_big_endian", "superblock_v2_nocompress"}) {
    CAPTURE(name);
    const auto other = embed_slice(read(name), model, options);
    CHECK(same_bits(other.embeddings, expected.embeddings));
    CHECK(other.macro_labels == expected.macro_labels);
  }
}

// SPDX-License-Identifier: MIT
// Tokens and values of real slices against those of the reference: equal, but for the order of equal values,
// which the reference leaves open. osmfish is in the repository; starmap and her2st need STOFM_GOLDEN and
// STOFM_DATA.
#include <doctest/doctest.h>

#include <algorithm>

#include "stofm/io/h5ad_reader.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/gene_mapping.hpp"
#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using namespace stofm::pipeline;
using stofm::test::bytes_of;

namespace {
/// Golden case `name` on `file`; false if either is not there.
bool compare(const std::string& name, const std::filesystem::path& file, const std::string& gene_key = "") {
  const auto golden = test::golden_dir() / name / "case.safetensors";
  if (!std::filesystem::exists(golden) || !std::filesystem::exists(file)) {
    MESSAGE(name, " skipped: not here");
    return false;
  }
  const auto genes = test::source_dir() / "weights_tools" / "genes";
  const auto table = GeneTable::parse(bytes_of(genes / "genes.tsv"));
  const auto mouse_map = MouseMap::parse(bytes_of(genes / "mouse_to_human.tsv"), table);
  io::H5adReadOptions read;
  read.gene_key = gene_key;
  const auto slice = io::read_h5ad(file, read);
  GeneMappingOptions options;
  options.refuse_below = 0;
  const auto mapping = map_genes(slice, table, mouse_map, options);

  const auto expected = io::SafetensorsFile::open(golden);
  const auto offsets = expected.read<std::int64_t>("offsets");
  const auto tokens = expected.read<std::int32_t>("tokens");
  const auto values = expected.read<double>("values");
  const std::int64_t cells = offsets.numel() - 1;
  REQUIRE(cells <= slice.cells);

  std::int64_t compared = 0, wrong_lengths = 0, wrong_values = 0, wrong_tokens = 0, unstable_ties = 0,
               ties = 0;
  std::vector<std::int32_t> column_of_token(static_cast<std::size_t>(table.vocabulary_size()), -1);
  for (std::size_t g = mapping.tokens.size(); g-- > 0;)
    if (mapping.tokens[g] >= 0)
      column_of_token[static_cast<std::size_t>(mapping.tokens[g])] = static_cast<std::int32_t>(g);
  for_token_blocks(slice, mapping, {.keep_values = true}, [&](const TokenizedCells& block) {
    for (std::int64_t c = 0; c < block.cells() && block.first_row + c < cells; ++c, ++compared) {
      const std::int64_t begin = block.offsets[static_cast<std::size_t>(c)],
                         from = offsets(block.first_row + c);
      const std::int64_t length = block.offsets[static_cast<std::size_t>(c) + 1] - begin;
      if (length != offsets(block.first_row + c + 1) - from) {
        ++wrong_lengths;
        continue;
      }
      const std::int32_t *mine = block.tokens.data() + begin, *theirs = tokens.data() + from;
      const double *value = block.values.data() + begin, *their_value = values.data() + from;
      wrong_values += !std::equal(value, value + length, their_value);
      for (std::int64_t i = 0; i < length;) {  // one run of equal values
        std::int64_t j = i + 1;
        while (j < length && value[j] == value[i]) ++j;
        if (j == i + 1) {
          wrong_tokens += mine[i] != theirs[i];
        } else if (j < 2048) {  // a run that the cut goes through may keep other tokens
          ++ties;
          std::vector<std::int32_t> a(mine + i, mine + j), b(theirs + i, theirs + j);
          for (std::size_t k = 1; k < a.size(); ++k)
            unstable_ties += column_of_token[static_cast<std::size_t>(a[k])] <
                             column_of_token[static_cast<std::size_t>(a[k - 1])];
          std::sort(a.begin(), a.end());
          std::sort(b.begin(), b.end());
          wrong_tokens += a != b;
        }
        i = j;
      }
    }
  });
  CHECK(compared == cells);
  CHECK(wrong_lengths == 0);
  CHECK(wrong_values == 0);  // bit for bit: count / total * 10,000 / median in this order
  CHECK(wrong_tokens == 0);
  CHECK(unstable_ties == 0);
  MESSAGE(name, ": ", cells, " cells, ", tokens.numel(), " tokens, ", ties, " runs of equal values; ",
          coverage_text(mapping.coverage));
  return true;
}

std::filesystem::path data_dir() {
  const char* dir = std::getenv("STOFM_DATA");
  return dir != nullptr ? dir : "";
}
}  // namespace

TEST_CASE("tokens of osmFISH are the reference's") {
  CHECK(compare("tokens_osmfish", test::source_dir() / "tests/data/osmfish_sscortex_6471.h5ad"));
}

TEST_CASE("mouse ids through the map give the same tokens") {
  CHECK(compare("tokens_osmfish", test::source_dir() / "tests/data/osmfish_sscortex_6471.h5ad", "index"));
}

TEST_CASE("tokens of STARmap are the reference's") {
  compare("tokens_starmap", data_dir() / "starmap_BZ5.h5ad");
  compare("tokens_starmap", data_dir() / "starmap_BZ5.h5ad", "index");
}

TEST_CASE("tokens of HER2ST are the reference's, cut at 2,048") {
  compare("tokens_her2st", data_dir() / "her2st_G2.h5ad");
}

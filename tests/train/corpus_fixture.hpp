// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Small slices as files for the tests of the corpus: a text "cells genes seed" stands for a slice in memory.

#include <fstream>
#include <string>
#include <vector>

#include "stofm/train/corpus_loader.hpp"
#include "tests/pipeline/embed_fixture.hpp"
#include "tests/support/paths.hpp"

namespace stofm::test {

/// Reads such a file; anything else in it is a FileError.
inline train::SliceReader text_reader() {
  train::SliceReader reader;
  reader.identity = "text";
  reader.open = [](const std::filesystem::path& path) {
    std::ifstream file(path);
    std::int64_t cells = 0, genes = 0;
    std::uint64_t seed = 0;
    if (!(file >> cells >> genes >> seed))
      throw FileError({"STOFM-3501", "", "byte 0", "something else", "a slice", "Get it again."});
    io::Slice slice = slice_at(scattered(cells, 100, 70, seed), genes, seed);
    slice.path = path.string();
    return slice;
  };
  return reader;
}

inline std::filesystem::path write_slice(const std::filesystem::path& path, std::int64_t cells,
                                         std::int64_t genes = 30, std::uint64_t seed = 1) {
  std::ofstream(path) << cells << " " << genes << " " << seed;
  return path;
}

/// Four slices: 60, 150, 90 and 40 cells, the third of another panel.
inline std::vector<std::filesystem::path> four_slices(const ScratchDir& dir) {
  return {write_slice(dir / "a.h5ad", 60, 30, 1), write_slice(dir / "b.h5ad", 150, 30, 2),
          write_slice(dir / "c.h5ad", 90, 12, 3), write_slice(dir / "d.h5ad", 40, 30, 4)};
}

inline train::CellFeatures tiny_features(std::int64_t width = 8) {
  const auto model = tiny_model();
  return train::linear_gene_features(model.genes, model.mouse_map, "tiny", {.width = width});
}

inline train::CorpusOptions tiny_corpus_options(const std::filesystem::path& cache = {}) {
  train::CorpusOptions options;
  options.cache = cache;
  options.prepare.embed.split = 40;
  return options;
}

inline bool same_slice(const train::PreparedSlice& a, const train::PreparedSlice& b) {
  const auto same = [](const auto& x, const auto& y) {
    return x.shape() == y.shape() &&
           (x.numel() == 0 ||
            std::memcmp(x.data(), y.data(), static_cast<std::size_t>(x.numel()) * sizeof(*x.data())) == 0);
  };
  bool equal = a.name == b.name && a.hash == b.hash && same(a.features, b.features) &&
               a.frames.size() == b.frames.size() && a.token_offsets == b.token_offsets &&
               a.tokens == b.tokens && a.sub_slice_options.geometry == b.sub_slice_options.geometry &&
               a.notices.size() == b.notices.size();
  for (std::size_t f = 0; equal && f < a.frames.size(); ++f) {
    const auto &x = a.frames[f], &y = b.frames[f];
    equal = x.cells == y.cells && same(x.xy, y.xy) && x.labels == y.labels &&
            same(x.virtual_xy, y.virtual_xy) && same(x.virtual_features, y.virtual_features) &&
            x.pieces == y.pieces;
  }
  return equal;
}

inline bool same_sample(const train::TrainingSample& a, const train::TrainingSample& b) {
  const auto same = [](const Tensor<float>& x, const Tensor<float>& y) {
    return x.shape() == y.shape() && (x.numel() == 0 || same_bits(x, y));  // skipped samples hold nothing
  };
  return a.state == b.state && same(a.features, b.features) && same(a.mcm_targets, b.mcm_targets) &&
         a.distances.row_offsets == b.distances.row_offsets && a.distances.columns == b.distances.columns &&
         a.distances.values == b.distances.values && a.token_types == b.token_types &&
         a.mcm_nodes == b.mcm_nodes && a.pair_rows == b.pair_rows && a.pair_columns == b.pair_columns &&
         a.pair_targets == b.pair_targets;
}

inline bool has_notice(const Notices& notices, const std::string& code) {
  return std::any_of(notices.begin(), notices.end(), [&](const Notice& n) { return n.code == code; });
}

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Small random models and slices for the tests of the embedding pipeline.

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/random.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/model/init.hpp"
#include "stofm/pipeline/model.hpp"

namespace stofm::test {

inline std::string gene_id(std::int64_t g) {
  const std::string digits = std::to_string(g);
  return "ENSG" + std::string(11 - digits.size(), '0') + digits;
}

/// Text of a table with `genes` genes G0, G1, ...
inline std::string gene_table_text(std::int64_t genes) {
  std::string text = "ensembl_id\tsymbols\ttoken\tmedian\n";
  for (std::int64_t g = 0; g < genes; ++g)
    text += concat(gene_id(g), "\tG", g, "\t", g + 2, "\t", 0.5 + 0.25 * static_cast<double>(g % 7), "\n");
  return text;
}

struct TinyModelOptions {
  std::int64_t genes = 30, cell_width = 8, width = 8, positions = 24;
  std::uint64_t seed = 1;
};

/// Two layers each, 2 heads, weights wide enough for every part to matter.
inline pipeline::ModelParts tiny_parts(const TinyModelOptions& options = {}) {
  pipeline::ModelParts parts;
  model::CellEncoderConfig cell;
  cell.vocab_size = options.genes + 3;
  cell.hidden_size = 12;
  cell.intermediate_size = 16;
  cell.num_attention_heads = 2;
  cell.num_hidden_layers = 2;
  cell.max_position_embeddings = options.positions;
  cell.type_vocab_size = 2;
  cell.projection_dim = options.cell_width;
  model::Se2Config se2;
  se2.input_dim = options.cell_width;
  se2.embedding_dim = options.width;
  se2.ffn_embedding_dim = 16;
  se2.num_attention_heads = 2;
  se2.num_hidden_layers = 2;
  se2.gaussian_hidden_dim = 8;
  const model::InitOptions init{.seed = options.seed, .standard_deviation = 0.3};
  parts.cell_encoder = model::initial_parameters<float>(cell, init);
  parts.se2 = model::initial_parameters<float>(se2, init);
  parts.cell_encoder_config = cell;
  parts.se2_config = se2;
  parts.gene_table = gene_table_text(options.genes);
  return parts;
}
inline pipeline::Model tiny_model(const TinyModelOptions& options = {}) {
  return pipeline::make_model(tiny_parts(options));
}

using CellCounts = std::vector<std::pair<std::int32_t, double>>;

/// A slice in memory.
inline io::Slice make_slice(std::vector<CellCounts> cells, const std::vector<std::pair<double, double>>& xy,
                            std::int64_t genes) {
  io::Slice slice;
  slice.path = "s.h5ad";
  slice.cells = static_cast<std::int64_t>(cells.size());
  slice.file_cells = slice.cells;
  for (std::int64_t g = 0; g < genes; ++g) slice.gene_ids.push_back(gene_id(g));
  slice.coordinates = Tensor<double>({slice.cells, 2});
  for (std::size_t i = 0; i < xy.size(); ++i) {
    slice.coordinates(static_cast<std::int64_t>(i), 0) = xy[i].first;
    slice.coordinates(static_cast<std::int64_t>(i), 1) = xy[i].second;
  }
  slice.read_counts = [cells = std::move(cells)](std::int64_t begin, std::int64_t end) {
    io::CountRows rows;
    rows.first_row = begin;
    for (std::int64_t i = begin; i < end; ++i) {
      for (const auto& [column, value] : cells[static_cast<std::size_t>(i)]) {
        rows.columns.push_back(column);
        rows.values.push_back(value);
      }
      rows.offsets.push_back(static_cast<std::int64_t>(rows.columns.size()));
    }
    return rows;
  };
  return slice;
}

/// Counts with a pattern in space and noise: every cell has at least one count.
inline CellCounts random_counts(Random& random, double x, double y, std::int64_t genes) {
  CellCounts cell;
  for (std::int64_t g = 0; g < genes; ++g) {
    const double rate = 1.5 + std::sin(0.05 * x * static_cast<double>(1 + g % 5)) +
                        std::cos(0.05 * y * static_cast<double>(1 + g % 3));
    const auto count = static_cast<std::int64_t>(rate * 2 * random.uniform());
    if (count > 0 || g == genes - 1)
      cell.emplace_back(static_cast<std::int32_t>(g), static_cast<double>(count + (g == genes - 1)));
  }
  return cell;
}

/// Cells at the given places.
inline io::Slice slice_at(const std::vector<std::pair<double, double>>& xy, std::int64_t genes = 30,
                          std::uint64_t seed = 3) {
  Random random(seed);
  std::vector<CellCounts> cells;
  for (const auto& [x, y] : xy) cells.push_back(random_counts(random, x, y, genes));
  return make_slice(std::move(cells), xy, genes);
}

/// n cells, uniform in a rectangle.
inline std::vector<std::pair<double, double>> scattered(std::int64_t n, double width = 100,
                                                        double height = 70, std::uint64_t seed = 9) {
  Random random(seed);
  std::vector<std::pair<double, double>> xy;
  for (std::int64_t i = 0; i < n; ++i) {
    const double x = width * random.uniform();
    xy.emplace_back(x, height * random.uniform());
  }
  return xy;
}

inline bool all_finite(const Tensor<float>& t) {
  for (const float v : t.span())
    if (!std::isfinite(v)) return false;
  return true;
}
inline bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * sizeof(float)) == 0;
}

}  // namespace stofm::test

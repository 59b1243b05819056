// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the feature F of a cell comes from in pretraining: a seam with two sides.
///
///     encoder_features(model, hash)       the frozen cell encoder of a bundle (SPEC section 2)
///     linear_gene_features(genes, ...)    x_g = log1p(scale count_g / n_counts),  F = (x - mean x) R,  |F| =
///     1
///
/// R is a Gaussian random matrix keyed by (seed, token), so that a gene has the same row in every slice and
/// panel, whichever genes lie beside it, and nothing has to be fitted or stored. The mean is that of the
/// slice: without it, every two cells would look alike. Source of the second: our own choice (SPEC section 6
/// leaves nothing like it open; it is a start for data without a trained encoder). Projection: Johnson and
/// Lindenstrauss, 1984.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/random_key.hpp"
#include "stofm/io/sha256.hpp"
#include "stofm/ops/l2_normalize.hpp"
#include "stofm/pipeline/centred_rows.hpp"
#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/gene_mapping.hpp"

namespace stofm::train {

/// A way from counts to cell features. May be used from several threads at once.
struct CellFeatures {
  using Compute = std::function<Tensor<float>(const io::Slice&, const pipeline::GeneMapping&,
                                              std::int64_t max_tokens, const pipeline::Progress&)>;

  std::string name{};  ///< for reports: "cell encoder", "linear gene features"
  std::string
      hash{};  ///< of everything that the values depend on besides slice and gene mapping; part of cache keys
  std::int64_t width = 0;             ///< C
  std::int64_t longest_sequence = 0;  ///< of tokens; 0: no limit of its own
  std::shared_ptr<const pipeline::GeneTable> genes{};
  std::shared_ptr<const pipeline::MouseMap> mouse_map{};
  /// [cells, C], all finite. \throws DataError, Interrupted.
  Compute compute{};

  /// Longest sequence, as pipeline::token_limit. \param asked 0: 2,048
  std::int64_t token_limit(std::int64_t asked) const {
    const std::int64_t limit = asked > 0 ? asked : 2048;
    return longest_sequence > 0 ? (std::min)(limit, longest_sequence) : limit;
  }
};

/// The frozen cell encoder of a model. \param model_hash SHA-256 of the bundle file, or of whatever
/// identifies the weights \throws UsageError without a cell encoder or a gene table.
inline CellFeatures encoder_features(const pipeline::Model& model, const std::string& model_hash) {
  if (!model.cell_encoder || !model.genes)
    throw UsageError({"STOFM-4510", model.file, "weights", model.genes ? "no cell encoder" : "no gene table",
                      "a cell encoder with its gene table",
                      "Convert both halves, or train on linear gene features."});
  if (model_hash.empty())
    throw UsageError({"STOFM-4511", model.file, "weights", "no hash", "what identifies the weights",
                      "Give the SHA-256 of the bundle."});
  CellFeatures features;
  features.name = "cell encoder";
  features.hash = io::sha256_hex("cell encoder 1\n" + model_hash);
  features.width = model.cell_encoder->config().projection_dim;
  features.longest_sequence = model.cell_encoder->config().max_position_embeddings;
  features.genes = model.genes;
  features.mouse_map = model.mouse_map;
  features.compute = [model](const io::Slice& slice, const pipeline::GeneMapping& mapping,
                             std::int64_t max_tokens, const pipeline::Progress& progress) {
    return pipeline::embed_cells(slice, model, mapping, max_tokens, progress).features;
  };
  return features;
}

struct LinearFeatureOptions {
  std::int64_t width = 256;  ///< C, that of the published cell embeddings (SPEC section 2)
  double scale = 1e4;        ///< counts per cell before log1p
  bool centre = true;        ///< subtract the mean of the slice
  std::uint64_t seed = 0;

  /// \throws UsageError for a width below 1 or a scale that is not above 0.
  void validate() const {
    if (width < 1 || width > 65536 || !(scale > 0 && scale < 1e12))
      throw UsageError({"STOFM-4512", "", "linear gene features", concat("width ", width, ", scale ", scale),
                        "a width of 1 to 65536, a scale above 0", "The defaults are 256 and 10,000."});
  }
};

namespace detail {

/// Row of R for each column of the slice that has a token: N(0, 1 / C), by token. [columns, C]
inline Tensor<float> projection_rows(const pipeline::GeneMapping& mapping,
                                     const LinearFeatureOptions& options) {
  const std::int64_t columns = mapping.columns();
  auto rows = Tensor<float>::zeros({columns, options.width});
  const double deviation = 1 / std::sqrt(static_cast<double>(options.width));
  parallel_for(columns, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t g = begin; g < end; ++g) {
      const std::int32_t token = mapping.tokens[static_cast<std::size_t>(g)];
      if (token < 0) continue;
      Random random =
          RandomKey{.seed = options.seed, .stream = static_cast<std::uint64_t>(token)}.generator();
      for (std::int64_t c = 0; c < options.width; ++c)
        rows.data()[g * options.width + c] = static_cast<float>(deviation * random.normal());
    }
  });
  return rows;
}

/// x R of one cell into `out` [C]; whether it has a count of a vocabulary gene.
inline bool project_cell(const io::CountRows& rows, std::int64_t r, const pipeline::GeneMapping& mapping,
                         const Tensor<float>& projection, const LinearFeatureOptions& options,
                         const std::string& file, std::vector<pipeline::detail::RankedGene>& entries,
                         float* out) {
  pipeline::detail::load_row(rows, r, mapping.columns(), file, entries);
  double total = 0;
  for (const auto& entry : entries)
    if (mapping.counted[static_cast<std::size_t>(entry.column)]) total += entry.value;
  if (!std::isfinite(total))
    throw DataError({"STOFM-4132", file, concat("cell ", rows.first_row + r), "counts whose sum overflows",
                     "a finite number of counts", "Give raw counts."});
  if (mapping.any_summed) pipeline::detail::sum_duplicates(mapping, entries);
  std::fill_n(out, options.width, 0.0F);
  bool any = false;
  for (const auto& entry : entries) {
    if (mapping.tokens[static_cast<std::size_t>(entry.column)] < 0 || !(entry.value > 0)) continue;
    const auto x = static_cast<float>(std::log1p(options.scale * (entry.value / total)));
    const float* row = projection.data() + entry.column * options.width;
    for (std::int64_t c = 0; c < options.width; ++c) out[c] += x * row[c];
    any = true;
  }
  return any;
}

inline Tensor<float> project_slice(const io::Slice& slice, const pipeline::GeneMapping& mapping,
                                   const LinearFeatureOptions& options, const pipeline::Progress& progress) {
  const Tensor<float> projection = projection_rows(mapping, options);
  Tensor<float> features({slice.cells, options.width});
  std::vector<std::uint8_t> present(static_cast<std::size_t>(slice.cells), 0);
  constexpr std::int64_t block = 1024;
  progress.report("cells", 0, slice.cells, "cells");
  for (std::int64_t begin = 0; begin < slice.cells; begin += block) {
    const std::int64_t end = (std::min)(slice.cells, begin + block);
    const io::CountRows rows = io::read_count_rows(slice, begin, end);
    parallel_for(end - begin, 64, [&](std::int64_t first, std::int64_t last) {
      std::vector<pipeline::detail::RankedGene> entries;
      for (std::int64_t r = first; r < last; ++r)
        present[static_cast<std::size_t>(begin + r)] =
            project_cell(rows, r, mapping, projection, options, slice.path, entries,
                         features.data() + (begin + r) * options.width);
    });
    progress.report("cells", end, slice.cells, "cells");
  }
  if (std::find(present.begin(), present.end(), 1) == present.end())
    throw DataError(
        {"STOFM-4323", slice.path, slice.counts_source,
         concat("no count of a vocabulary gene in any of ", slice.cells, " cells"), "counts",
         "Choose another matrix (H5adReadOptions::layer, H5adReadOptions::use_raw), or check the file."});
  if (options.centre) pipeline::centre_rows(features, present);
  ops::l2_normalize_rows_into(features.view(), std::as_const(features).view());
  return features;
}

}  // namespace detail

/// Projected log-normalised counts, rows of length 1; cells without a vocabulary gene get zeros.
/// Needs a gene table only. *Cost* C multiplications per count. *Deterministic* the same bits at any thread
/// count. \param table_hash identifies the gene table and the mouse map (SHA-256 of their texts) \throws
/// UsageError.
inline CellFeatures linear_gene_features(std::shared_ptr<const pipeline::GeneTable> genes,
                                         std::shared_ptr<const pipeline::MouseMap> mouse_map,
                                         const std::string& table_hash,
                                         const LinearFeatureOptions& options = {}) {
  options.validate();
  if (!genes || !mouse_map)
    throw UsageError({"STOFM-4513", "", "linear gene features", "no gene table",
                      "a gene table and a mouse map", "Take those of a bundle, or genes.tsv."});
  CellFeatures features;
  features.name = "linear gene features";
  features.hash = io::sha256_hex(concat("linear gene features 1\n", table_hash, "\n", options.width, " ",
                                        std::bit_cast<std::uint64_t>(options.scale), " ", options.centre, " ",
                                        options.seed));
  features.width = options.width;
  features.genes = std::move(genes);
  features.mouse_map = std::move(mouse_map);
  features.compute = [options](const io::Slice& slice, const pipeline::GeneMapping& mapping, std::int64_t,
                               const pipeline::Progress& progress) {
    return detail::project_slice(slice, mapping, options, progress);
  };
  return features;
}

}  // namespace stofm::train

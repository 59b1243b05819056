// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Principal components of each slice as the cell features of pretraining: what `--features pca` gives the
/// SE(2) Transformer later, of any panel and species (component_cells.hpp). Which component stands in which
/// column is settled by its variance, its sign by nothing that another slice shares: flip signs in training
/// (train::LoaderOptions::flip_signs). *Source* our own choice.

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "stofm/io/sha256.hpp"
#include "stofm/tasks/component_cells.hpp"
#include "stofm/tasks/gene_components.hpp"
#include "stofm/train/cell_features.hpp"

namespace stofm::tasks {

/// Features [cells, width] of a slice: its own components. `genes` and `mouse_map` (of a bundle) say which
/// genes are known, as for the other features. \throws UsageError STOFM-4512 for a width below 1, 4513
/// without a gene table. *Cost* that of fit_gene_components. *Deterministic* yes for a seed, any thread
/// count.
inline train::CellFeatures component_features(std::shared_ptr<const pipeline::GeneTable> genes,
                                              std::shared_ptr<const pipeline::MouseMap> mouse_map,
                                              std::int64_t width, std::uint64_t seed = 0) {
  if (width < 1 || width > 65536)
    throw UsageError({"STOFM-4512", "", "principal components", concat("width ", width),
                      "a width of 1 to 65536", "Take that of the SE(2) Transformer."});
  if (!genes || !mouse_map)
    throw UsageError({"STOFM-4513", "", "principal components", "no gene table",
                      "a gene table and a mouse map", "Take those of a bundle, or genes.tsv."});
  train::CellFeatures features;
  features.name = "principal components of each slice";
  features.hash = io::sha256_hex(concat("principal components 1\n", width, " ", seed));
  features.width = width;
  features.genes = std::move(genes);
  features.mouse_map = std::move(mouse_map);
  features.compute = [width, seed](const io::Slice& slice, const pipeline::GeneMapping&, std::int64_t,
                                   const pipeline::Progress& progress) {
    const std::array<const io::Slice*, 1> one{&slice};
    const FittedGeneComponents fit =
        fit_gene_components(one, nullptr, {.components = width, .seed = seed}, progress);
    return component_cells(fit.scores[0], width);
  };
  return features;
}

}  // namespace stofm::tasks

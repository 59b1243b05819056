// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What embedding a slice is told, what it plans and what it returns: plain structs.

#include <cstdint>
#include <string>
#include <vector>

#include "stofm/cluster/leiden_options.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/pipeline/embed_choices.hpp"
#include "stofm/pipeline/gene_coverage.hpp"

namespace stofm::pipeline {

/// How far to go.
enum class EmbedTarget {
  slice,      ///< the whole model
  cells_only  ///< stop at the cell embeddings (the gene scale)
};

struct EmbedOptions {
  GeneMappingOptions genes{};
  std::int64_t max_tokens = 0;  ///< longest sequence; 0: 2,048 or what the encoder has positions for, if less
  EmbedTarget target = EmbedTarget::slice;
  ClusterMethod clustering = ClusterMethod::leiden;
  std::int64_t clusters = 0;        ///< k-means: 0 chooses from the number of cells
  double alpha = 0.2;               ///< weight of space against features in the clustering (SPEC section 3)
  double resolution = 1.0;          ///< of Leiden's modularity (SPEC section 3)
  std::int64_t leiden_passes = -1;  ///< at most, at least 1; -1: until stable (SPEC section 3)
  cluster::LeidenWalk leiden_walk = cluster::LeidenWalk::by_size;  ///< local above 100,000 cells; ours
  std::uint64_t seed = 0;
  std::int64_t split = 1000;  ///< cells of a piece (SPEC section 4)
  Geometry geometry = Geometry::reference;
  bool merge_slivers = false;  ///< join pieces below a tenth of `split` to a neighbour; ours
  std::int64_t max_memory =
      0;  ///< bytes; a larger estimate is refused before the work starts; 0: 80 % of free memory
  /// Cell embeddings from elsewhere, [cells, input_dim]: counts are not read. Empty: computed from the
  /// counts.
  Tensor<float> cell_embeddings{};
  std::string cell_embeddings_source{};  ///< names it in messages

  /// \throws UsageError for a value out of range.
  void validate() const;
};

/// Seconds of one stage.
struct StageTime {
  std::string stage{};
  double seconds = 0;
};

/// One piece of the slice, for the report.
struct PieceInfo {
  std::int32_t library = 0;  ///< index in Slice::library_names; 0 without libraries
  std::int64_t cells = 0;
  std::int64_t nodes = 0;   ///< CLS + virtual cells + cells
  std::int64_t listed = 0;  ///< pairs of nodes that are not "far"
  double low[2] = {0, 0};   ///< bounding box in the unit of the file
  double high[2] = {0, 0};
};

/// The frame and the clusters of one library (of the whole slice, mostly).
struct LibraryInfo {
  std::int64_t cells = 0;
  std::int64_t virtual_cells = 0;
  std::int32_t first_label =
      0;                  ///< macro labels of the library are first_label .. first_label + virtual_cells - 1
  double modularity = 0;  ///< Leiden; 0 with k-means
  double centre[2] = {0, 0};    ///< of the bounding box, in the unit of the file
  double diagonal = 0;          ///< of the bounding box, in the unit of the file
  Tensor<double> virtual_xy{};  ///< [virtual_cells, 2] in normalised coordinates
};

/// What embedding would take; nothing of the kind is computed.
struct EmbedPlan {
  std::int64_t cells = 0;
  GeneCoverage coverage{};  ///< empty with precomputed cell embeddings
  std::int64_t pieces = 0;
  std::int64_t largest_piece = 0;    ///< cells
  std::int64_t slivers = 0;          ///< pieces below a tenth of `split` beside others
  std::int64_t sliver_cells = 0;     ///< cells in them
  std::int64_t width = 0;            ///< of the embedding
  std::int64_t estimated_bytes = 0;  ///< at the peak, weights and slice aside
  std::int64_t allowed_bytes = 0;    ///< max_memory, or 80 % of what is free
  std::string device = "cpu";
  int threads = 1;
  Notices notices{};
};

struct EmbedResult {
  Tensor<float> embeddings{};                 ///< [cells, width], in the order of the slice, all finite
  std::vector<std::int32_t> macro_labels{};   ///< [cells] virtual cell of each cell; empty for cells_only
  std::vector<std::int32_t> piece_of_cell{};  ///< [cells] index in `pieces`; empty for cells_only
  std::vector<PieceInfo> pieces{};
  std::vector<LibraryInfo> libraries{};          ///< one if the slice has no libraries
  std::vector<std::int64_t> zero_count_cells{};  ///< cells without any count, embedded as [<cls>] (row D05)
  std::vector<std::int64_t>
      no_gene_cells;                 ///< cells without a vocabulary gene, embedded as [<cls>] (row D07)
  std::int64_t truncated_cells = 0;  ///< cells with more genes than a sequence holds (row D08)
  std::int64_t tokens = 0;           ///< of all cells, <cls> included
  GeneCoverage coverage{};
  EmbedPlan plan{};
  Notices notices{};  ///< of the slice and of every stage
  std::vector<StageTime> timings{};
  std::int64_t peak_memory = 0;  ///< bytes that tensors held at most during the call, weights included

  std::int64_t virtual_cells() const {
    std::int64_t count = 0;
    for (const auto& library : libraries) count += library.virtual_cells;
    return count;
  }
};

inline void EmbedOptions::validate() const {
  const auto refuse = [](const char* code, const char* name, std::string found, std::string expected,
                         std::string remedy) {
    throw UsageError({code, "", name, std::move(found), std::move(expected), std::move(remedy)});
  };
  genes.validate();
  if (max_tokens < 0)
    refuse("STOFM-4301", "max_tokens", concat(max_tokens), "0 or more", "0 takes what the model can.");
  if (!(alpha >= 0 && alpha <= 1))
    refuse("STOFM-4302", "alpha", concat(alpha), "0 to 1", "The published value is 0.2.");
  if (!(resolution > 0 && resolution < 1e6))
    refuse("STOFM-4303", "resolution", concat(resolution), "above 0", "The published value is 1.");
  if (split < 1)
    refuse("STOFM-4304", "split", concat(split), "at least 1 cell per piece", "The published value is 1000.");
  if (clusters < 0)
    refuse("STOFM-4305", "clusters", concat(clusters), "0 or more", "0 chooses from the number of cells.");
  if (leiden_passes < -1 || leiden_passes == 0)
    refuse("STOFM-4307", "leiden_passes", concat(leiden_passes), "1 or more, or -1",
           "-1 goes on until stable.");
  if (max_memory < 0)
    refuse("STOFM-4306", "max_memory", concat(max_memory), "0 or more bytes",
           "0 takes 80 % of what is free.");
}

}  // namespace stofm::pipeline

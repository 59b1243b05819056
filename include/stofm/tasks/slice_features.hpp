// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a head, a graph or a map is given of each cell: the embedding of the model, one of its parts, or the
/// plain things that it has to beat. Several slices at once, so that components and genes are shared.

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/machine.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/pipeline/progress.hpp"
#include "stofm/tasks/columns_beside.hpp"
#include "stofm/tasks/component_cells.hpp"
#include "stofm/tasks/context_embedding.hpp"
#include "stofm/tasks/feature_words.hpp"
#include "stofm/tasks/gene_components.hpp"
#include "stofm/tasks/linear_context.hpp"

namespace stofm::tasks {

/// What stands in for the cell encoder before the SE(2) Transformer.
enum class CellInput { encoder, pca };

struct SliceFeatureOptions {
  FeatureKind kind = FeatureKind::stofm;
  CellInput input = CellInput::encoder;  ///< of stofm, cells, context and fitted_context
  pipeline::EmbedOptions embed{};
  std::int64_t components = 30;  ///< of pca, pca_neighbours, pca_rings, linear_context, fitted_context
  std::int64_t neighbours = 10;  ///< of pca_neighbours
  std::vector<std::int64_t> rings = LinearContextOptions{}.rings;  ///< of pca_rings: ascending neighbours
  ContextOptions context{};
  std::string given_key{};  ///< of given: what the matrix is called
  /// Of given: reads it for a slice, [cells, width]. \throws where the slice has none
  std::function<Tensor<float>(const io::Slice&, const std::string& key)> read_given{};
  /// Components of an earlier fit, to be used in place of new ones (pca, pca_neighbours, pca_rings, input
  /// pca); must outlive the call. Null: fitted on the slices at hand.
  const GeneComponents* fitted = nullptr;
};

struct SliceFeatures {
  std::vector<Tensor<float>> rows;  ///< by slice: [cells, width], all finite
  std::string name;                 ///< for provenance: "X_stofm", "30 principal components"
  Notices notices;
  /// The components that were fitted or used; null without any.
  std::shared_ptr<const GeneComponents> components{};
  std::int64_t shared_genes = 0;  ///< of genes and components; 0: not looked at
  /// Leading columns that hold the cell itself, where the rest holds its surroundings; 0: no such halves.
  std::int64_t own_columns = 0;
};

namespace detail {

/// Log-normalised counts of the shared genes, dense.
inline void gene_features(std::span<const io::Slice* const> slices, const pipeline::Model* model,
                          const SliceFeatureOptions& options, const pipeline::Progress& progress,
                          SliceFeatures& result) {
  const SharedGenes shared = share_genes(slices, model);
  note_shared_genes(slices, shared, result.notices);
  std::int64_t cells = 0;
  for (const io::Slice* slice : slices) cells += slice->cells;
  const std::int64_t bytes = checked_mul(checked_mul(cells, shared.size(), "genes of all cells"), 4, "bytes");
  const std::int64_t allowed =
      options.embed.max_memory > 0 ? options.embed.max_memory : pipeline::free_memory() / 10 * 8;
  if (bytes > allowed)
    throw ResourceError(
        {"STOFM-4759", slices[0]->path, "memory",
         concat("about ", bytes, " bytes for ", shared.size(), " genes of ", cells, " cells"),
         concat("at most ", allowed),
         "Use principal components (SliceFeatureOptions::kind = pca), or raise EmbedOptions::max_memory."});
  double target = 0;
  for (const SparseRows& rows : shared_log_counts(slices, shared, target, result.notices, progress))
    result.rows.push_back(dense_rows(rows));
  result.name = concat(shared.size(), " genes");
  result.shared_genes = shared.size();
}

/// Scores of each slice, by new components or those of an earlier fit.
inline std::vector<Tensor<float>> component_features(std::span<const io::Slice* const> slices,
                                                     const pipeline::Model* model,
                                                     const SliceFeatureOptions& options,
                                                     std::int64_t components,
                                                     const pipeline::Progress& progress,
                                                     SliceFeatures& result) {
  std::vector<Tensor<float>> scores;
  if (options.fitted != nullptr) {
    for (const io::Slice* slice : slices)
      scores.push_back(gene_component_scores(*options.fitted, *slice, model, result.notices, 0.5, progress));
    result.components = std::make_shared<GeneComponents>(*options.fitted);
  } else {
    FittedGeneComponents fit =
        fit_gene_components(slices, model, {.components = components, .seed = options.embed.seed}, progress);
    scores = std::move(fit.scores);
    pipeline::detail::append_notices(result.notices, fit.notices);
    result.components = std::make_shared<GeneComponents>(std::move(fit.components));
  }
  if (result.components->count() < 1)
    throw DataError(
        {"STOFM-4754", slices[0]->path, slices[0]->counts_source, "counts that are the same in every cell",
         "counts that differ",
         "Choose another matrix (H5adReadOptions::layer, H5adReadOptions::use_raw), or check the file."});
  result.shared_genes = result.components->genes.size();
  return scores;
}

/// The first columns of a matrix.
inline Tensor<float> first_columns(const Tensor<float>& rows, std::int64_t count) {
  return rows.slice(1, 0, (std::min)(count, rows.dim(1))).contiguous();
}

/// What the SE(2) Transformer is given of the cells of a slice.
inline Tensor<float> encoder_cells(const io::Slice& slice, const pipeline::Model& model,
                                   const SliceFeatureOptions& options, const pipeline::Progress& progress,
                                   SliceFeatures& result) {
  pipeline::EmbedOptions embed = options.embed;
  embed.target = pipeline::EmbedTarget::cells_only;
  pipeline::EmbedResult cells = pipeline::embed_slice(slice, model, embed, progress);
  pipeline::detail::append_notices(result.notices, cells.notices);
  return std::move(cells.embeddings);
}

/// Embeddings of the model, one slice after the other.
inline void model_features(std::span<const io::Slice* const> slices, const pipeline::Model& model,
                           const SliceFeatureOptions& options, const pipeline::Progress& progress,
                           SliceFeatures& result) {
  const bool components = options.input == CellInput::pca;
  if (components && !model.se2)
    throw UsageError({"STOFM-4757", model.file, "weights", "no SE(2) Transformer",
                      "one, to be given principal components", "Convert both halves of the weights."});
  std::vector<Tensor<float>> scores;
  if (components) scores = component_features(slices, &model, options, model.cell_width(), progress, result);
  for (std::size_t s = 0; s < slices.size(); ++s) {
    Tensor<float> cells;
    if (components) cells = component_cells(scores[s], model.cell_width());
    if (options.kind == FeatureKind::cells) {
      result.rows.push_back(components ? std::move(cells)
                                       : encoder_cells(*slices[s], model, options, progress, result));
    } else if (options.kind == FeatureKind::context || options.kind == FeatureKind::fitted_context) {
      if (!components) cells = encoder_cells(*slices[s], model, options, progress, result);
      result.rows.push_back(
          context_embedding(*slices[s], model, cells, options.embed, options.context, progress));
    } else {
      pipeline::EmbedOptions embed = options.embed;
      embed.target = pipeline::EmbedTarget::slice;
      if (components) {
        embed.cell_embeddings = std::move(cells);
        embed.cell_embeddings_source = "principal components";
      }
      pipeline::EmbedResult whole = pipeline::embed_slice(*slices[s], model, embed, progress);
      pipeline::detail::append_notices(result.notices, whole.notices);
      result.rows.push_back(std::move(whole.embeddings));
      if (model.se2->config().embedding_dim == 2 * model.se2->config().input_dim)
        result.own_columns = model.se2->config().input_dim;
    }
  }
  result.name = options.kind == FeatureKind::stofm   ? "X_stofm"
                : options.kind == FeatureKind::cells ? "X_stofm_cells"
                                                     : "X_stofm_context";
  if (components)
    result.name += concat(" of ", result.components->count(), " principal components of ",
                          result.shared_genes, " genes");
  if (options.kind != FeatureKind::fitted_context) return;
  if (!components) scores = component_features(slices, &model, options, options.components, progress, result);
  std::vector<Tensor<float>> targets;
  for (const Tensor<float>& one : scores) targets.push_back(first_columns(one, options.components));
  result.rows = linear_context(slices, targets, {}, result.rows);
  result.name +=
      concat(" and means of neighbours, fitted to ", targets[0].dim(1), " components by ridge regression");
}

/// Matrices that come with the slices, checked.
inline void given_features(std::span<const io::Slice* const> slices, const SliceFeatureOptions& options,
                           SliceFeatures& result) {
  if (!options.read_given || options.given_key.empty())
    throw UsageError({"STOFM-4763", slices[0]->path, "[slice_features]", "nothing that reads given features",
                      "a key and a function", "Give both, or other features."});
  const std::string name = concat("obsm[", stofm::quoted(options.given_key, 60), "]");
  for (const io::Slice* slice : slices) {
    Tensor<float> rows = options.read_given(*slice, options.given_key).contiguous();
    const auto refuse = [&](std::string found, std::string expected, std::string remedy) {
      throw DataError(
          {"STOFM-4765", slice->path, name, std::move(found), std::move(expected), std::move(remedy)});
    };
    if (rows.rank() != 2 || rows.dim(0) != slice->cells || rows.dim(1) < 1)
      refuse(concat("a matrix of shape ", to_string(rows.shape())),
             concat("a row for each of ", slice->cells, " cells"), "Write one row a cell.");
    for (std::int64_t e = 0; e < rows.numel(); ++e)
      if (!std::isfinite(rows.data()[e]))
        refuse(concat("a value that is not finite in row ", e / rows.dim(1), ", column ", e % rows.dim(1)),
               "numbers", "Leave such cells out, or fill the matrix.");
    if (!result.rows.empty() && rows.dim(1) != result.rows[0].dim(1))
      refuse(concat(rows.dim(1), " columns"), concat(result.rows[0].dim(1), ", as ", slices[0]->path, " has"),
             "Make the matrix of all slices together, by one model.");
    result.rows.push_back(std::move(rows));
  }
  result.name = name;
}

}  // namespace detail

/// Features of all cells of `slices`, which share genes and components but no neighbours. `model` may be null
/// for kinds that need none (needs_model); where it is there, its gene table helps to match genes. \throws
/// UsageError for no slices (STOFM-4750), a model that is missing or lacks a part (4757), options out of
/// range; DataError for slices that share no gene (4751) or have no counts (4754); ResourceError where genes
/// would not fit into memory (4759); UsageError (4763) and DataError (4765) for given ones that nothing
/// reads, or that do not fit; as embed_slice and context_embedding. *Cost* that of what is asked for.
/// *Deterministic* yes for a seed, any thread count.
STOFM_INLINE SliceFeatures slice_features(std::span<const io::Slice* const> slices,
                                          const pipeline::Model* model, const SliceFeatureOptions& options,
                                          const pipeline::Progress& progress = {});

/// The same for slices that lie side by side.
STOFM_INLINE SliceFeatures slice_features(std::span<const io::Slice> slices, const pipeline::Model* model,
                                          const SliceFeatureOptions& options,
                                          const pipeline::Progress& progress = {});

/// Rows of all slices, one slice below the other: [cells of all, width]. \throws ShapeError STOFM-4713 for
/// different widths.
inline Tensor<float> stacked_rows(std::span<const Tensor<float>> slices) {
  std::int64_t cells = 0;
  for (const Tensor<float>& rows : slices) {
    if (rows.rank() != 2 || rows.dim(1) != slices[0].dim(1))
      throw ShapeError({"STOFM-4713", "", "[stacked_rows]", to_string(rows.shape()),
                        to_string(slices[0].shape()), "Give rows of the same kind."});
    cells += rows.dim(0);
  }
  Tensor<float> all({cells, slices.empty() ? 0 : slices[0].dim(1)});
  float* next = all.data();
  for (const Tensor<float>& rows : slices) {
    const Tensor<float> dense = rows.contiguous();
    next = std::copy_n(dense.data(), dense.numel(), next);
  }
  return all;
}

}  // namespace stofm::tasks

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto tasks::slice_features(std::span<const io::Slice* const> slices,
                                        const pipeline::Model* model, const SliceFeatureOptions& options,
                                        const pipeline::Progress& progress) -> SliceFeatures {
  if (slices.empty())
    throw UsageError({"STOFM-4750", "", "[slice_features]", "no slices", "at least one", "Give slices."});
  if (needs_model(options.kind) && model == nullptr)
    throw UsageError({"STOFM-4757", "", "weights", "no model", "one, for an embedding of the model",
                      "Give weights, or use genes or their components (SliceFeatureOptions::kind)."});
  SliceFeatures result;
  if (options.kind == FeatureKind::given) {
    detail::given_features(slices, options, result);
    return result;
  }
  if (needs_model(options.kind)) {
    detail::model_features(slices, *model, options, progress, result);
    return result;
  }
  if (options.kind == FeatureKind::genes) {
    detail::gene_features(slices, model, options, progress, result);
    return result;
  }
  result.rows = detail::component_features(slices, model, options, options.components, progress, result);
  result.name =
      concat(result.components->count(), " principal components of ", result.shared_genes, " genes");
  if (options.kind == FeatureKind::pca_neighbours || options.kind == FeatureKind::pca_rings) {
    const std::vector<std::int64_t> counts = options.kind == FeatureKind::pca_rings
                                                 ? options.rings
                                                 : std::vector<std::int64_t>{options.neighbours};
    for (std::size_t s = 0; s < slices.size(); ++s)
      result.rows[s] =
          columns_beside("[slice_features]", result.rows[s],
                         neighbour_means(*slices[s], std::as_const(result.rows[s]).view(), counts),
                         (1 + static_cast<std::int64_t>(counts.size())) * result.components->count());
    std::string listed;
    for (std::size_t r = 0; r < counts.size(); ++r)
      listed += concat(r == 0 ? "" : r + 1 < counts.size() ? ", " : " and ", counts[r]);
    result.name += concat(" and their means over ", listed, " neighbours");
    result.own_columns = result.components->count();
  } else if (options.kind == FeatureKind::linear_context) {
    result.rows = linear_context(slices, result.rows);
    result.name += ", predicted from the surroundings by ridge regression";
  }
  return result;
}

STOFM_INLINE auto tasks::slice_features(std::span<const io::Slice> slices, const pipeline::Model* model,
                                        const SliceFeatureOptions& options,
                                        const pipeline::Progress& progress) -> SliceFeatures {
  std::vector<const io::Slice*> list;
  for (const io::Slice& slice : slices) list.push_back(&slice);
  return slice_features(std::span<const io::Slice* const>(list), model, options, progress);
}

}  // namespace stofm
#endif

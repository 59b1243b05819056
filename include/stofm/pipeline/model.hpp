// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A model ready to embed slices: cell encoder, SE(2) Transformer, gene vocabulary and mouse map, checked
/// against each other. Either encoder may be absent: without the first, cell embeddings must be given;
/// without the second, only cell embeddings come out.

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "stofm/io/bundle.hpp"
#include "stofm/model/cell_encoder.hpp"
#include "stofm/model/masked_cell_head.hpp"
#include "stofm/model/se2_encoder.hpp"
#include "stofm/pipeline/device_encoders.hpp"
#include "stofm/pipeline/gene_table.hpp"
#include "stofm/pipeline/load_model.hpp"
#include "stofm/pipeline/model_config.hpp"

namespace stofm::pipeline {

/// What a model is assembled from. Weights are named as in model/parameter_lists.hpp.
struct ModelParts {
  std::optional<model::CellEncoderConfig> cell_encoder_config{};
  model::NamedTensors<float> cell_encoder{};
  std::optional<model::Se2Config> se2_config;
  model::NamedTensors<float> se2;
  std::string gene_table{};      ///< text of genes.tsv; may be empty without a cell encoder
  std::string mouse_to_human{};  ///< text of mouse_to_human.tsv, or empty
  std::string learnt_genes{};    ///< Ensembl ids, one a line, or empty
};

/// Builds and checks. \throws FileError if the vocabulary and the rows of the token embedding differ (row
/// J12), if the projection does not fit the SE(2) Transformer, or as GeneTable::parse and the encoders;
/// UsageError without any encoder. *Cost* copies of some weights and the distance bias table (some 10 ms).
STOFM_INLINE Model make_model(ModelParts parts, const ModelOptions& options = {});

}  // namespace stofm::pipeline

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE pipeline::Model pipeline::make_model(ModelParts parts, const ModelOptions& options) {
  Model model;
  model.file = options.file;
  model.info = "{}";
  if (!parts.cell_encoder_config && !parts.se2_config)
    throw UsageError({"STOFM-4310", options.file, "weights",
                      "neither a cell encoder nor an SE(2) Transformer", "at least one of them",
                      "Convert the weights again."});
  if (!parts.gene_table.empty()) {
    const std::string where = options.file.empty() ? "" : options.file + ": ";
    auto genes = std::make_shared<GeneTable>(GeneTable::parse(parts.gene_table, where + "genes/table"));
    genes->mark_learnt(parts.learnt_genes, where + "genes/learnt");
    model.genes = std::move(genes);
  }
  auto mouse_map = std::make_shared<MouseMap>();
  if (model.genes && !parts.mouse_to_human.empty())
    *mouse_map = MouseMap::parse(
        parts.mouse_to_human, *model.genes,
        options.file.empty() ? "genes/mouse_to_human" : options.file + ": genes/mouse_to_human");
  model.notices = mouse_map->notices;
  model.mouse_map = std::move(mouse_map);
  const auto add = [&model](const Notices& more) {
    model.notices.insert(model.notices.end(), more.begin(), more.end());
  };
  if (parts.cell_encoder_config) {
    // Row J12, before the weights are copied.
    const std::int64_t rows = parts.cell_encoder_config->vocab_size;
    if (model.genes && rows != model.genes->vocabulary_size())
      throw FileError({"STOFM-4311", options.file, "genes/table",
                       concat(model.genes->genes(), " genes, with <pad>, <mask> and <cls> ",
                              model.genes->vocabulary_size(), " tokens"),
                       concat("the ", rows, " rows of the token embedding"),
                       "Convert the weights with the gene table they were trained with."});
    model::CellEncoderOptions cell_options;
    cell_options.parameters = {options.allow_nonfinite, options.file, "cell_encoder/"};
    cell_options.grade = options.grade;
    model.cell_encoder = std::make_shared<model::CellEncoder<float>>(*parts.cell_encoder_config,
                                                                     parts.cell_encoder, cell_options);
    add(model.cell_encoder->report().notices);
  }
  if (parts.se2_config) {
    if (model.cell_encoder && model.cell_encoder->config().projection_dim != parts.se2_config->input_dim)
      throw FileError({"STOFM-4312", options.file, "cell_encoder/proj.weight",
                       concat("a projection to ", model.cell_encoder->config().projection_dim),
                       concat("input_dim = ", parts.se2_config->input_dim, " of the SE(2) Transformer"),
                       "Take both halves from one checkpoint."});
    model::Se2EncoderOptions se2_options;
    se2_options.parameters = {options.allow_nonfinite, options.file, "se2/"};
    se2_options.grade = options.grade;
    model.se2 = std::make_shared<model::Se2Encoder<float>>(*parts.se2_config, parts.se2, se2_options);
    add(model.se2->report().notices);
    model.masked_cell_head = model::MaskedCellHead::find(*parts.se2_config, parts.se2);
  }
  return model;
}

STOFM_INLINE pipeline::Model pipeline::load_model(const io::Bundle& bundle, const ModelOptions& options) {
  ModelParts parts;
  const std::string source = options.file.empty() ? "bundle" : options.file;
  if (bundle.has_cell_encoder()) {
    parts.cell_encoder_config =
        parse_cell_encoder_config(bundle.cell_encoder_config, source + ": cell_encoder_config");
    parts.cell_encoder = bundle.cell_encoder;
  }
  if (bundle.has_se2()) {
    parts.se2_config = parse_se2_config(bundle.se2_config, source + ": se2_config");
    parts.se2 = bundle.se2;
  }
  parts.gene_table = bundle.gene_table;
  parts.mouse_to_human = bundle.mouse_to_human;
  parts.learnt_genes = bundle.learnt_genes;
  Model model = make_model(std::move(parts), options);
  if (!bundle.model_info.is_null()) model.info = bundle.model_info.dump();
  model.notices.insert(model.notices.begin(), bundle.notices.begin(), bundle.notices.end());
  return model;
}

STOFM_INLINE pipeline::Model pipeline::load_model(const std::filesystem::path& path, ModelOptions options) {
  if (options.file.empty()) options.file = path.string();
  return load_model(io::read_bundle(path), options);
}

STOFM_INLINE std::int64_t pipeline::Model::width() const {
  return se2 ? se2->config().embedding_dim : cell_encoder ? cell_encoder->config().projection_dim : 0;
}

STOFM_INLINE std::int64_t pipeline::Model::cell_width() const {
  return cell_encoder ? cell_encoder->config().projection_dim : se2 ? se2->config().input_dim : 0;
}

}  // namespace stofm
#endif

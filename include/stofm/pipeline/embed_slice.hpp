// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Embedding a slice: declarations over light types. The bodies are in pipeline/embed.hpp and embed_plan.hpp.

#include "stofm/core/compiled.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed_options.hpp"
#include "stofm/pipeline/load_model.hpp"
#include "stofm/pipeline/progress.hpp"

namespace stofm::pipeline {

/// The plan alone (a dry run). No counts are read. \throws as embed_slice before its work starts, except that
/// too little memory is no refusal here: compare estimated_bytes with allowed_bytes. *Cost* O(cells log
/// cells).
STOFM_INLINE EmbedPlan plan_embed(const io::Slice& slice, const Model& model,
                                  const EmbedOptions& options = {});

/// Embeds every cell of a slice.
/// \throws UsageError (options; a half of the model missing), DataError (genes, counts, coordinates, given
/// embeddings),
///   ResourceError if the estimate exceeds what is allowed, Interrupted. *Cost* see plan_embed.
/// *Deterministic* the same bits for the same slice, model, options and build, at any thread count. The order
/// of cells in the file decides ties (of neighbours, of clusters) only.
STOFM_INLINE EmbedResult embed_slice(const io::Slice& slice, const Model& model,
                                     const EmbedOptions& options = {}, const Progress& progress = {});

}  // namespace stofm::pipeline

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One slice from file to files: read, plan, embed, write, report.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "model_bundle.hpp"
#include "output_plan.hpp"
#include "report.hpp"
#include "stofm/io/output_group.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed_options.hpp"
#include "stofm/pipeline/embedding_clusters.hpp"

namespace stofm::program {

using OptionList = std::vector<std::pair<std::string, std::string>>;

/// What one run needs to know.
struct SliceJob {
  OutputPlan outputs;
  std::string shown;  ///< what messages call the input, where that is an imported file; else empty
  const EmbedArguments* arguments = nullptr;
  const LoadedModel* model = nullptr;
  std::int64_t max_memory = 0;  ///< bytes for this slice, weights aside
  bool overwrite = false;
  bool alone = true;         ///< the only slice of the run: what to do next is said after it
  OptionList options;        ///< those that change the result, for provenance
  std::string input_sha256;  ///< of the bytes of the input
  io::FileIdentity hashed;   ///< the input as that was made of it
  std::function<void(io::OutputGroup&)> publish = {};  ///< gives the finished files their names

  const std::string& input_name() const { return shown.empty() ? outputs.input : shown; }
};

/// Words for a stage of the pipeline.
std::string_view stage_name(std::string_view stage);

/// Options that change the result, with their values, in a fixed order.
OptionList result_options(const EmbedArguments& arguments);

/// What a file says about itself if `embed` made it, as it stands in uns["stofm"].
struct EmbedProvenance {
  std::string input_sha256, model_sha256;
  OptionList options;
};

/// That of `path`, or nothing if it is no result of ours or can not be read.
std::optional<EmbedProvenance> embed_provenance(const std::string& path);

/// Embeds one slice and writes its files; with --dry-run prints the plan alone. \throws Error, std::bad_alloc
void embed_one(const SliceJob& job);

/// Writes .h5ad, .npy and .csv; they take their names with `outputs`, the .h5ad last.
void write_results(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result,
                   const pipeline::EmbeddingClusters& clusters, io::OutputGroup& outputs);

/// The report as far as the result holds it; time and memory are added by the caller.
ReportData report_of(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result,
                     const pipeline::EmbeddingClusters& clusters);

/// obsm key of the embedding, and obs key of its clusters.
std::string embedding_key(const EmbedArguments& arguments);
std::string cluster_key(const EmbedArguments& arguments);

/// What to do with the result: language and lines. `left_out`: some cells of the file have no embedding.
std::vector<std::pair<std::string, std::string>> next_steps(const SliceJob& job, bool left_out);

/// The same in one line, for the terminal.
std::string next_step_line(const EmbedArguments& arguments, bool left_out);

}  // namespace stofm::program

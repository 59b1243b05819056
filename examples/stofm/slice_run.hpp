// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// One slice from file to files: read, plan, embed, write, report.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "model_bundle.hpp"
#include "output_plan.hpp"
#include "report.hpp"
#include "stofm/io/slice.hpp"
#include "stofm/pipeline/embed_options.hpp"

namespace stofm::program {

using OptionList = std::vector<std::pair<std::string, std::string>>;

/// What one run needs to know.
struct SliceJob {
  OutputPlan outputs;
  const EmbedArguments* arguments = nullptr;
  const LoadedModel* model = nullptr;
  std::int64_t max_memory = 0;  ///< bytes for this slice, weights aside
  bool overwrite = false;
  OptionList options;  ///< those that change the result, for provenance
};

/// Options that change the result, with their values, in a fixed order.
OptionList result_options(const EmbedArguments& arguments);

/// Embeds one slice and writes its files; with --dry-run prints the plan alone. \throws Error, std::bad_alloc
void embed_one(const SliceJob& job);

/// Writes .h5ad, .npy and .csv. \param notices goes to uns
void write_results(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result);

/// The report as far as the result holds it; time and memory are added by the caller.
ReportData report_of(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedResult& result);

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#include "slice_run.hpp"

#include <charconv>
#include <chrono>

#include "console.hpp"
#include "resources.hpp"
#include "slice_input.hpp"
#include "stofm/io/npy.hpp"
#include "stofm/pipeline/embed.hpp"
#include "stofm/pipeline/merge_slivers.hpp"

namespace stofm::program {
namespace {

/// Seconds since the last call.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

pipeline::EmbedOptions options_of(const SliceJob& job, const io::Slice& slice) {
  const EmbedArguments& a = *job.arguments;
  pipeline::EmbedOptions options = embed_options(a.slice, a.geometry, job.max_memory);
  if (a.cells_only) options.target = pipeline::EmbedTarget::cells_only;
  if (!a.cell_embeddings.empty()) {
    options.cell_embeddings = io::NpyFile::open(a.cell_embeddings).read<float>();
    options.cell_embeddings_source = a.cell_embeddings;
    // Rows follow the file; cells that were left out have rows as well.
    if (!slice.file_rows.empty() && options.cell_embeddings.rank() == 2 &&
        options.cell_embeddings.dim(0) == slice.file_cells)
      options.cell_embeddings = pipeline::detail::gather_rows(options.cell_embeddings, slice.file_rows);
  }
  return options;
}

std::string plan_text(const pipeline::EmbedPlan& plan, bool cells_only) {
  return concat(
      "plan: ",
      cells_only ? std::string("cell embeddings only")
                 : concat(format_count(plan.pieces), plan.pieces == 1 ? " sub-slice" : " sub-slices",
                          " (largest ", format_count(plan.largest_piece), " cells)"),
      ", ", plan.width, " numbers a cell, about ", format_bytes(static_cast<double>(plan.estimated_bytes)),
      " of ", format_bytes(static_cast<double>(plan.allowed_bytes)), " allowed, ", plan.device, ", ",
      plan.threads, plan.threads == 1 ? " thread" : " threads");
}

void say_plan(const SliceJob& job, const io::Slice& slice, const pipeline::EmbedPlan& plan) {
  const EmbedArguments& a = *job.arguments;
  std::vector<std::string> lines{concat(
      job.input_name(), ": ", format_count(slice.cells), " cells x ", format_count(slice.genes()),
      " genes, counts in ", slice.counts_source,
      slice.coordinates_source.empty() || a.cells_only ? std::string()
                                                       : ", positions in " + slice.coordinates_source)};
  if (a.cell_embeddings.empty())
    lines.push_back("genes: " + pipeline::coverage_text(plan.coverage));
  else
    lines.push_back("cell embeddings from " + a.cell_embeddings + ", counts are not read");
  lines.push_back(plan_text(plan, a.cells_only));
  if (plan.slivers > 0)
    lines.push_back(sliver_text(plan.slivers, plan.sliver_cells, pipeline::sliver_limit(a.geometry.split)));
  if (was_trained_on(*job.model, job.outputs.input))
    lines.emplace_back("these weights were trained on a file of this name: its result flatters them");
  if (a.dry_run) {
    lines.push_back(concat("output: ", job.outputs.h5ad, " (nothing was written: --dry-run)"));
    std::string text;
    for (const std::string& line : lines) text.append(line).append("\n");
    print(text);
    return;
  }
  for (std::size_t i = 0; i < lines.size(); ++i) Console::get().say((i ? "  " : "") + lines[i]);
}

}  // namespace

std::string_view stage_name(std::string_view stage) {
  if (stage == "cells") return "cell encoder";
  if (stage == "pieces") return "SE(2) encoder";
  return stage;
}

OptionList result_options(const EmbedArguments& a) {
  const auto yes = [](bool value) { return std::string(value ? "yes" : "no"); };
  const auto real = [](double value) {  // the shortest text that reads back as the same value
    char text[32];
    return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
  };
  return {{"layer", a.slice.layer},
          {"use-raw", yes(a.slice.use_raw)},
          {"gene-key", a.slice.gene_key},
          {"species", a.slice.species},
          {"min-coverage", real(a.slice.min_coverage)},
          {"spatial-key", a.slice.spatial_key},
          {"x", a.slice.x},
          {"y", a.slice.y},
          {"spatial-csv", a.slice.spatial_csv},
          {"library-key", a.slice.library_key},
          {"only", a.slice.only},
          {"overlay", yes(a.slice.overlay)},
          {"drop-no-library", yes(a.slice.drop_no_library)},
          {"drop-bad-coords", yes(a.slice.drop_bad_coords)},
          {"accept-noninteger", yes(a.slice.accept_noninteger)},
          {"counts-scale", a.slice.counts_scale},
          {"cell-embeddings", a.cell_embeddings},
          {"cells-only", yes(a.cells_only)},
          {"clustering", a.geometry.clustering},
          {"clusters", std::to_string(a.geometry.clusters)},
          {"alpha", real(a.geometry.alpha)},
          {"resolution", real(a.geometry.resolution)},
          {"split", std::to_string(a.geometry.split)},
          {"merge-slivers", yes(a.geometry.merge_slivers)},
          {"geometry", a.geometry.geometry},
          {"seed", std::to_string(a.geometry.seed)},
          {"dtype", a.dtype},
          {"embedding-clusters", a.no_clusters ? "none" : std::to_string(a.embedding_clusters)}};
}

void embed_one(const SliceJob& job) {
  Console& console = Console::get();
  const EmbedArguments& a = *job.arguments;
  const std::string& input = job.outputs.input;
  Stopwatch watch, whole;
  const io::Slice slice = open_slice(input, a.slice, job.max_memory, !a.csv.empty() || !a.report.empty(),
                                     a.report.empty() ? 0 : 12, !a.cells_only);
  io::require_unchanged(input, job.hashed, slice.identity);
  const pipeline::EmbedOptions options = options_of(job, slice);
  const double read_seconds = watch.lap();
  const pipeline::EmbedPlan plan = pipeline::plan_embed(slice, job.model->model, options);
  say_plan(job, slice, plan);
  if (a.dry_run) {
    say_notices(slice.notices, input);
    say_notices(plan.notices, input);
    if (plan.estimated_bytes > plan.allowed_bytes)
      throw ResourceError({"STOFM-4342", input, "memory",
                           concat("about ", plan.estimated_bytes, " bytes needed"),
                           concat("at most ", plan.allowed_bytes),
                           "Use smaller pieces (--split), fewer threads, or raise --max-memory."});
    return;
  }
  watch.lap();
  const pipeline::Progress progress([&console](const pipeline::ProgressEvent& event) {
    console.progress(stage_name(event.stage), event.done, event.total, event.unit);
  });
  pipeline::EmbedResult result;
  try {
    result = pipeline::embed_slice(slice, job.model->model, options, progress);
  } catch (const DataError& e) {
    if (e.code() != "STOFM-4321") throw;
    ErrorParts parts = e.parts();  // the library knows the slice only
    parts.found += " with the weights " + job.model->path;
    throw DataError(std::move(parts));
  }
  console.end_progress();
  say_notices(result.notices, input);
  if (a.strict) require_none(result.notices, input);
  watch.lap();
  pipeline::EmbeddingClusters clusters;
  if (!a.no_clusters) {
    clusters = pipeline::cluster_embedding(std::as_const(result.embeddings).view(),
                                           {.clusters = a.embedding_clusters, .seed = a.geometry.seed});
    result.timings.push_back({"clusters", watch.lap()});
  }
  io::OutputGroup outputs;
  write_results(job, slice, result, clusters, outputs);
  const double write_seconds = watch.lap();

  OptionList times;
  result.timings.insert(result.timings.begin(), {"read", read_seconds});
  result.timings.push_back({"write", write_seconds});
  if (!job.outputs.report.empty()) {
    ReportData report = report_of(job, slice, result, clusters);
    result.timings.push_back({"report", watch.lap()});
    for (const auto& time : result.timings)
      report.stages.emplace_back(std::string(stage_name(time.stage)), time.seconds);
    const double total = whole.lap();
    report.facts.emplace_back("time", format_seconds(total));
    report.facts.emplace_back("peak memory", format_bytes(static_cast<double>(peak_memory())));
    const std::string html = report_html(report);
    io::atomic_write(job.outputs.report, [&html](io::OutputFile& file) { file.write(html); },
                     {.overwrite = job.overwrite,
                      .follow_link = job.outputs.follows_link(job.outputs.report),
                      .group = &outputs});
  }
  io::require_unchanged(input, slice.identity);
  job.publish(outputs);
  std::string text;
  double sum = 0;
  for (const auto& time : result.timings) {
    text += concat(text.empty() ? "" : ", ", stage_name(time.stage), " ", format_seconds(time.seconds));
    times.emplace_back("seconds_" + std::string(time.stage), format_number(time.seconds, 6));
    sum += time.seconds;
  }
  times.emplace_back("peak_bytes", std::to_string(peak_memory()));
  console.say(concat("  time: ", text, "; ", format_seconds(sum), " in all, peak memory ",
                     format_bytes(static_cast<double>(peak_memory()))),
              times);
  std::string files = job.outputs.h5ad;
  for (const std::string& file : {job.outputs.npy, job.outputs.csv, job.outputs.report})
    if (!file.empty()) files += ", " + file;
  console.say(concat("  wrote ", files), {{"output", job.outputs.h5ad}});
  if (job.alone) console.say("  " + next_step_line(a, slice.file_cells > slice.cells));
}

}  // namespace stofm::program

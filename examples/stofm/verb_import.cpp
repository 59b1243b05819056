// SPDX-License-Identifier: MIT
/// \file
/// `stofm import`: the output of an instrument as an .h5ad.

#include <chrono>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "console.hpp"
#include "import_input.hpp"
#include "output_plan.hpp"
#include "parquet_table.hpp"
#include "signals.hpp"
#include "stofm/core/error.hpp"
#include "stofm/io/import/import_slice.hpp"
#include "stofm/io/output_group.hpp"
#include "stofm/version.hpp"
#include "verbs.hpp"

namespace stofm::program {
namespace {

#if defined(STOFM_WITH_HDF5)
void import_progress(const std::string& stage, std::int64_t done, std::int64_t total) {
  Console::get().progress("read " + stage, total > 0 ? 100 * done / total : 100, 100, "%");
}

void say_import(const io::ImportReport& report, double seconds) {
  Console& console = Console::get();
  console.end_progress();
  for (const Notice& notice : report.notices) console.warn(notice.text, {{"code", notice.code}});
  for (const std::string& file : report.files) console.detail("read " + file);
  console.say(concat(io::import_title(report.format), report.grain.empty() ? "" : ", ", report.grain, ": ",
                     format_count(report.cells), " cells, ", format_count(report.genes), " genes, ",
                     format_count(report.entries), " counts above 0 (", format_seconds(seconds), ")"),
              {{"format", report.format},
               {"cells", std::to_string(report.cells)},
               {"genes", std::to_string(report.genes)}});
}

double import_seconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
#endif

}  // namespace

std::string imported_name(const std::string& input) {
  std::filesystem::path path = std::filesystem::absolute(input).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename() == "outs" && path.parent_path().has_filename()) path = path.parent_path();
  std::string name = path.filename().string();
  if (std::filesystem::is_directory(input)) return name + ".h5ad";
  for (const std::string_view ending : {".gz", ".csv", ".tsv", ".txt", ".gem", ".gef", ".h5", ".mtx"})
    if (name.size() > ending.size() && name.ends_with(ending)) name.resize(name.size() - ending.size());
  return name + ".h5ad";
}

bool is_instrument_output(const std::string& path) {
#if defined(STOFM_WITH_HDF5)
  const std::vector<std::string> formats = io::import_formats_of(path);
  return !formats.empty() && formats.front() != "10x" && formats.front() != "tables";
#else
  (void)path;
  return false;
#endif
}

#if defined(STOFM_WITH_HDF5)
std::shared_ptr<const std::string> import_for_run(const std::string& path, const std::string& result) {
  struct Place {  // reserved and never committed: it goes when nobody needs it, or when a signal ends the run
    io::PendingOutput pending;
    std::string file;
  };
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path folder = std::filesystem::path(result).parent_path();
  const auto place = std::make_shared<Place>(
      Place{io::PendingOutput(folder / imported_name(path), {.overwrite = true, .follow_link = false}), {}});
  place->file = place->pending.temporary_path();
  io::ImportOptions options;
  options.program = "stofm " STOFM_VERSION;
  options.parquet = parquet_reader();
  options.progress = import_progress;
  const io::ImportReport report = io::import_slice(path, place->file, options, {.overwrite = true});
  say_import(report, import_seconds(start));
  return {place, &place->file};
}

std::string import_to(const std::string& path, const std::string& output) {
  io::ImportOptions options;
  options.program = "stofm " STOFM_VERSION;
  options.parquet = parquet_reader();
  const io::ImportReport report = io::import_slice(path, output, options, {.overwrite = true});
  for (const Notice& notice : report.notices)
    Console::get().detail(path + ": " + notice.text, {{"code", notice.code}});
  return report.format;
}
#else
std::shared_ptr<const std::string> import_for_run(const std::string&, const std::string&) { return {}; }
std::string import_to(const std::string&, const std::string&) { return {}; }
#endif

int run_import(const ImportArguments& a) {
  const std::string output = a.output.empty() ? imported_name(a.input) : a.output;
#if defined(STOFM_WITH_HDF5)
  const auto start = std::chrono::steady_clock::now();
  check_one_output(output, {a.input, a.counts, a.positions}, a.overwrite);
  io::ImportOptions options;
  options.format = a.format;
  options.counts = a.counts;
  options.positions = a.positions;
  options.x = a.x;
  options.y = a.y;
  options.id = a.id;
  options.by_order = a.by_order;
  options.bin = a.bin;
  options.program = "stofm " STOFM_VERSION;
  options.parquet = parquet_reader();
  options.progress = import_progress;
  io::OutputGroup outputs;
  const io::ImportReport report =
      io::import_slice(a.input, output, options, {.overwrite = a.overwrite, .group = &outputs});
  say_import(report, import_seconds(start));
  if (a.strict) require_none(report.notices, a.input);
  publish(outputs);
  const std::string sections =
      report.library_key.empty() ? std::string() : concat(" --library-key ", report.library_key);
  Console::get().say(concat("wrote ", output, "; next: stofm embed ", output, sections),
                     {{"output", output}});
  return 0;
#else
  throw FileError({"STOFM-2040", output, "output", "an .h5ad file", "a program built with HDF5",
                   "Install libhdf5-dev and build again."});
#endif
}

}  // namespace stofm::program

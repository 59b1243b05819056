// SPDX-License-Identifier: MIT
#include "output_plan.hpp"

#include <filesystem>
#include <map>

#include "stofm/io/input_lock.hpp"
#include "stofm/io/output_file.hpp"

namespace stofm::program {
namespace {

namespace fs = std::filesystem;

/// slice.h5ad -> slice
std::string stem_of(const std::string& input) {
  const fs::path name = fs::path(input).filename();
  return name.extension() == ".h5ad" || name.extension() == ".h5" ? name.stem().string() : name.string();
}

bool names_directory(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && (path.back() == '/' || fs::is_directory(path, ignored));
}

/// The file an option stands for: itself, or a file named after the slice in the directory it names.
std::string extra_output(const char* option, const std::string& value, const std::string& stem,
                         const char* ending, bool several) {
  if (value.empty()) return value;
  if (names_directory(value)) return (fs::path(value) / (stem + ending)).string();
  if (several)
    throw UsageError({"STOFM-2005", "", option,
                      concat("one file (", stofm::quoted(value), ") for several slices"), "a directory",
                      "Name a directory that exists."});
  return value;
}

}  // namespace

std::vector<OutputPlan> plan_outputs(const std::vector<std::string>& inputs, const EmbedArguments& a) {
  const bool several = inputs.size() > 1;
  if (several && !a.output.empty() && !names_directory(a.output))
    throw UsageError({"STOFM-2005", "", "--output", concat("one file for ", inputs.size(), " slices"),
                      "a directory", "Use --output-dir."});
  if (several && !a.cell_embeddings.empty())
    throw UsageError({"STOFM-2005", "", "--cell-embeddings",
                      concat("one file for ", inputs.size(), " slices"), "one slice",
                      "Embed these slices one at a time."});
  std::vector<OutputPlan> plans;
  std::map<std::string, std::string> owner;
  for (const std::string& input : inputs) {
    const std::string stem = stem_of(input);
    OutputPlan plan;
    plan.input = input;
    plan.in_place = a.in_place;
    if (a.in_place)
      plan.h5ad = input;
    else if (!a.output.empty())
      plan.h5ad =
          names_directory(a.output) ? (fs::path(a.output) / (stem + ".stofm.h5ad")).string() : a.output;
    else
      plan.h5ad = (fs::path(a.output_dir) / (stem + ".stofm.h5ad")).string();
    plan.npy = extra_output("--npy", a.npy, stem, ".stofm.npy", several);
    plan.csv = extra_output("--csv", a.csv, stem, ".stofm.csv", several);
    plan.report = extra_output("--report", a.report, stem, ".stofm.html", several);
    for (const std::string& file : {plan.h5ad, plan.npy, plan.csv, plan.report}) {
      if (file.empty()) continue;
      std::error_code ignored;
      const auto [place, added] = owner.emplace(fs::weakly_canonical(file, ignored).string(), input);
      if (!added)
        throw UsageError(
            {"STOFM-2006", file, "output", concat("two results of ", place->second, " and ", input),
             "a file of its own for each result", "Rename an input, or embed them into two directories."});
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

void check_outputs(const OutputPlan& plan, const std::vector<std::string>& inputs, bool overwrite) {
  const std::vector<fs::path> sources(inputs.begin(), inputs.end());
  if (plan.in_place) io::check_in_place(plan.h5ad);
  for (const std::string& file : {plan.h5ad, plan.npy, plan.csv, plan.report})
    if (!file.empty() && !(plan.in_place && file == plan.h5ad))
      io::check_output(file, sources, {.overwrite = overwrite});
}

}  // namespace stofm::program

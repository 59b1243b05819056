// SPDX-License-Identifier: MIT
#include "output_plan.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>

#include "resources.hpp"
#include "stofm/core/lower_case.hpp"
#include "stofm/io/in_place.hpp"
#include "stofm/io/output_file.hpp"

namespace stofm::program {
namespace {

namespace fs = std::filesystem;

/// slice.h5ad -> slice, SLICE.H5AD -> SLICE; of a downstream task slice.stofm.h5ad -> slice, too
std::string stem_of(const std::string& input, const std::string& verb = {}) {
  const fs::path name = fs::path(input).filename();
  const std::string extension = lower_case(name.extension().string());
  std::string stem = extension == ".h5ad" || extension == ".h5" ? name.stem().string() : name.string();
  if (!verb.empty() && stem.size() > 6 && lower_case(stem).ends_with(".stofm")) stem.resize(stem.size() - 6);
  return stem;
}

bool names_directory(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && (path.back() == '/' || fs::is_directory(path, ignored));
}

/// The folder where the .h5ad files go, if they do not go to one file.
std::string result_folder(const EmbedArguments& a) {
  return names_directory(a.output) ? a.output : a.output_dir;
}

/// What the results of each input are called: the stem, and before it as many of the input's folders as tell
/// inputs of one stem apart.
std::vector<fs::path> result_names(const std::vector<std::string>& inputs, bool with_folders,
                                   const std::string& verb) {
  std::vector<fs::path> names;
  std::map<std::string, std::vector<std::size_t>> alike;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    names.emplace_back(stem_of(inputs[i], verb));
    alike[names.back().string()].push_back(i);
  }
  for (const auto& [stem, group] : alike) {
    if (!with_folders || group.size() == 1) continue;
    std::vector<fs::path> folders;
    std::size_t deepest = 0;
    for (const std::size_t i : group) {
      folders.push_back(fs::absolute(inputs[i]).lexically_normal().parent_path().relative_path());
      const auto depth =
          static_cast<std::size_t>(std::distance(folders.back().begin(), folders.back().end()));
      deepest = std::max(deepest, depth);
    }
    for (std::size_t depth = 1; depth <= deepest; ++depth) {
      std::set<fs::path> different;
      for (std::size_t k = 0; k < group.size(); ++k) {
        const auto parts = static_cast<std::size_t>(std::distance(folders[k].begin(), folders[k].end()));
        fs::path tail;
        for (auto part =
                 std::next(folders[k].begin(), static_cast<std::ptrdiff_t>(parts - std::min(depth, parts)));
             part != folders[k].end(); ++part)
          tail /= *part;
        names[group[k]] = tail / stem;
        different.insert(names[group[k]]);
      }
      if (different.size() == group.size()) break;
    }
  }
  return names;
}

}  // namespace

bool OutputPlan::follows_link(const std::string& file) const {
  return std::find(named_by_us.begin(), named_by_us.end(), file) == named_by_us.end();
}

std::string whole_path(const std::string& path) {
  std::error_code ignored;
  return fs::weakly_canonical(fs::absolute(path, ignored), ignored).string();
}

bool is_result_name(const std::string& path) { return lower_case(path).ends_with(".stofm.h5ad"); }

std::vector<std::string> without_results(const std::vector<std::string>& inputs, const EmbedArguments& a,
                                         std::int64_t& left_out) {
  std::set<std::string> results;
  if (!a.in_place && (a.output.empty() || names_directory(a.output)))
    for (const std::string& input : inputs)
      results.insert(whole_path((fs::path(result_folder(a)) / (stem_of(input) + ".stofm.h5ad")).string()));
  std::vector<std::string> slices;
  for (const std::string& input : inputs) {
    const bool result = is_result_name(input) && results.contains(whole_path(input));
    if (!result) slices.push_back(input);
    left_out += result;
  }
  return slices;
}

std::vector<OutputPlan> plan_outputs(const std::vector<std::string>& inputs, const EmbedArguments& a,
                                     const std::string& verb) {
  const bool several = inputs.size() > 1;
  if (several && !a.output.empty() && !names_directory(a.output))
    throw UsageError({"STOFM-2005", "", "--output", concat("one file for ", inputs.size(), " slices"),
                      "a directory", "Use --output-dir."});
  if (several && !a.cell_embeddings.empty())
    throw UsageError({"STOFM-2005", "", "--cell-embeddings",
                      concat("one file for ", inputs.size(), " slices"), "one slice",
                      "Embed these slices one at a time."});
  const std::vector<fs::path> names = result_names(inputs, !a.in_place && !result_folder(a).empty(), verb);
  const std::string result_ending = concat(".", verb.empty() ? "stofm" : verb, ".h5ad");
  std::vector<OutputPlan> plans;
  std::map<std::string, std::string> owner;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    OutputPlan plan;
    plan.input = inputs[i];
    plan.in_place = a.in_place;
    // The file an option stands for: itself, or one named after the slice in the directory it names.
    const auto place = [&](const char* option, const std::string& value, const char* ending) -> std::string {
      if (value.empty()) return value;
      if (names_directory(value)) {
        plan.named_by_us.push_back((fs::path(value) / names[i]).string() + ending);
        return plan.named_by_us.back();
      }
      if (several)
        throw UsageError({"STOFM-2005", "", option,
                          concat("one file (", stofm::quoted(value), ") for several slices"), "a directory",
                          "Name a directory that exists."});
      return value;
    };
    if (a.in_place)
      plan.h5ad = inputs[i];
    else if (!a.output.empty() && !names_directory(a.output))
      plan.h5ad = a.output;
    else {
      plan.h5ad = (fs::path(result_folder(a)) / names[i]).string() + result_ending;
      plan.named_by_us.push_back(plan.h5ad);
    }
    plan.npy = place("--npy", a.npy, ".stofm.npy");
    plan.csv = place("--csv", a.csv, ".stofm.csv");
    plan.report = place("--report", a.report, ".stofm.html");
    if (names[i].has_parent_path())
      for (const std::string& file : plan.named_by_us)
        plan.folders.push_back(fs::path(file).parent_path().string());
    for (const std::string& file : {plan.h5ad, plan.npy, plan.csv, plan.report}) {
      if (file.empty()) continue;
      const auto [place_of, added] = owner.emplace(whole_path(file), plan.input);
      if (!added)
        throw UsageError({"STOFM-2006", file, "output",
                          concat("two results of ", place_of->second, " and ", plan.input),
                          "a file of its own for each result",
                          "Give --output-dir, where inputs of one name keep their folders, or rename one."});
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

std::vector<std::string> files_read(const std::vector<std::string>& slices, const EmbedArguments& a) {
  std::vector<std::string> files = slices;
  for (const std::string& file : {find_weights(a.weights), a.list, a.slice.spatial_csv, a.cell_embeddings})
    if (!file.empty()) files.push_back(file);
  return files;
}

void check_outputs(const OutputPlan& plan, const std::vector<std::string>& inputs, bool overwrite) {
  const std::vector<fs::path> sources(inputs.begin(), inputs.end());
  if (plan.in_place) io::check_in_place(plan.h5ad);
  for (const std::string& file : {plan.h5ad, plan.npy, plan.csv, plan.report})
    if (!file.empty() && !(plan.in_place && file == plan.h5ad))
      io::check_output(file, sources, {.overwrite = overwrite, .follow_link = plan.follows_link(file)});
}

void check_one_output(const std::string& output, const std::vector<std::string>& read, bool overwrite) {
  std::vector<fs::path> sources;
  for (const std::string& file : read)
    if (!file.empty()) sources.emplace_back(file);
  io::check_output(output, sources, {.overwrite = overwrite});
  clean_up_after_killed_runs(fs::path(output).parent_path());
}

}  // namespace stofm::program

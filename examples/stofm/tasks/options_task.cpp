// SPDX-License-Identifier: MIT
/// \file
/// Options that all downstream tasks have.

#include <charconv>
#include <cmath>

#include "command_line_options.hpp"
#include "stofm/core/error.hpp"
#include "stofm/core/parse_double.hpp"
#include "stofm/tasks/feature_words.hpp"

namespace stofm::program {
namespace {

/// "leiden", "leiden:0.5", "kmeans", "kmeans:40" into a geometry; false for anything else.
bool read_virtual_cells(const std::string& text, GeometryArguments& geometry) {
  const std::size_t colon = text.find(':');
  const std::string method = text.substr(0, colon);
  if (method != "leiden" && method != "kmeans") return false;
  geometry.clustering = method;
  if (colon == std::string::npos) return true;
  const char* first = text.data() + colon + 1;
  const char* last = text.data() + text.size();
  if (method == "kmeans") {
    const auto [end, error] = std::from_chars(first, last, geometry.clusters);
    return error == std::errc() && end == last && geometry.clusters >= 1 && geometry.clusters <= 100000;
  }
  const auto [end, error] = parse_double(first, last, geometry.resolution);
  return error == std::errc() && end == last && geometry.resolution >= 1e-6 && geometry.resolution <= 1e6;
}

void add_task_geometry(CLI::App& app, GeometryArguments& a) {
  const char* group = "Virtual cells and sub-slices of the model";
  app.add_option_function<std::string>(
         "--virtual-cells", [&a](const std::string& text) { (void)read_virtual_cells(text, a); },
         "How virtual cells are found: leiden, leiden:RESOLUTION, kmeans or kmeans:K")
      ->type_name("METHOD")
      ->default_str("leiden:1")
      ->check(CLI::Validator(
          [](std::string& text) {
            GeometryArguments unused;
            return read_virtual_cells(text, unused)
                       ? std::string()
                       : "found " + stofm::quoted(text) +
                             ", expected leiden, leiden:0.5, kmeans or kmeans:40";
          },
          ""))
      ->group(group);
  option(app, group, "--alpha", a.alpha, "Weight of space against expression for virtual cells", "NUMBER")
      ->check(number_between(0, 1, "a number from 0 to 1"))
      ->capture_default_str();
  add_pieces(app, group, a);
}

}  // namespace

std::string task_feature_list(const char* separator) {
  std::string list;
  for (const auto& known : tasks::feature_words) list += concat(known.first, separator);
  return list + "obsm:KEY";
}

void add_task(CLI::App& app, TaskArguments& a, const TaskOptionGroups& groups) {
  const char* files = "Input and output";
  if (groups.inputs) {
    app.add_option("input", a.inputs, "Slices (.h5ad); patterns such as 'data/*.h5ad' are expanded")
        ->type_name("INPUT")
        ->expected(0, 1000000)
        ->group(files);
    option(app, files, "--list", a.list, "Text file with one slice a line", "FILE");
  }
  if (groups.model)
    option(app, files, "-w,--weights", a.weights,
           "Model bundle (default: the demo bundle beside the program, then $STOFM_WEIGHTS)", "FILE");
  if (groups.outputs) {
    const std::string verb = app.get_name();
    auto* out = option(app, files, "-o,--output", a.output,
                       ("Result (default: NAME." + verb + ".h5ad in the current directory)").c_str(), "FILE");
    auto* dir =
        option(app, files, "--output-dir", a.output_dir, "Directory for the results", "DIR")->excludes(out);
    flag(app, files, "--in-place", a.in_place, "Add the result to the input file; nothing else in it changes")
        ->excludes(out)
        ->excludes(dir);
  }
  if (groups.outputs || groups.pictures)
    flag(app, files, "--overwrite", a.overwrite, "Replace results that exist");
  if (groups.pictures) {
    option(app, files, "--report", a.report, "Also write a report: one HTML file, no network needed", "FILE");
    option(app, files, "--figures", a.figures, "Also write figures, SVG and PNG, to a directory", "DIR");
  }
  flag(app, files, "--json", a.json, "Figures as one JSON object on stdout");
  if (groups.model && groups.features) {
    const char* what = "What the task is given of each cell";
    option(
        app, what, "--use", a.use,
        "stofm: the model's embedding; cells: its cell encoder alone; context: each cell as the model "
        "predicts it from its surroundings; fitted-context: that prediction and means of neighbours, fitted "
        "to the components of these slices; genes, pca, pca+nbr, linear-context: without the model; "
        "obsm:KEY: "
        "a matrix of your own, which the files hold",
        task_feature_list("|").c_str())
        ->check(CLI::Validator(
            [](std::string& text) {
              try {
                (void)tasks::feature_kind(text);
              } catch (const UsageError&) {
                return concat("found ", stofm::quoted(text), ", expected one of ", task_feature_list(", "));
              }
              return std::string();
            },
            ""))
        ->capture_default_str();
    option(app, what, "--features", a.features,
           "What the SE(2) Transformer is given: its cell encoder's vectors, or principal components of the "
           "slices at hand (for panels that the model does not know)",
           "encoder|pca")
        ->check(one_of({"encoder", "pca"}))
        ->capture_default_str();
  }
  if (groups.genes || groups.places) add_slice(app, a.slice, groups.genes, groups.places);
  if (groups.model) add_task_geometry(app, a.geometry);
  const char* run = "Running";
  option(app, run, "--seed", a.geometry.seed, "Seed of everything that is drawn", "N")
      ->check(integer(0, INT64_MAX))
      ->capture_default_str();
  option(app, run, "--max-memory", a.max_memory,
         "Memory to stay under: 8G, 500M, 60% (default: 80% of what is free)", "SIZE");
}

}  // namespace stofm::program

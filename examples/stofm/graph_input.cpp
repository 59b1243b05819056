// SPDX-License-Identifier: MIT
#include "graph_input.hpp"

#include "console.hpp"
#include "signals.hpp"

#include "stofm/version.hpp"

namespace stofm::program {

GraphInput read_graph_input(const std::string& path) {
  const auto file = io::SafetensorsFile::open(path);
  GraphInput input;
  input.spatial = file.read<double>("spatial");
  input.features = file.read<float>("features");
  const auto refuse = [&](const char* where, const Shape& found, const std::string& expected) {
    throw DataError({"STOFM-2030", path, where, "shape " + to_string(found), expected,
                     "Give 'spatial' [cells, 2] and 'features' [cells, width] of the same cells."});
  };
  const Shape& xy = input.spatial.shape();
  if (xy.rank() != 2 || xy[1] != 2 || xy[0] < 1) refuse("tensor spatial", xy, "[cells, 2], one cell or more");
  const Shape& f = input.features.shape();
  if (f.rank() != 2 || f[0] != xy[0] || f[1] < 1)
    refuse("tensor features", f, concat("[", xy[0], ", width]"));
  if (file.contains("leiden_labels")) {
    const auto labels = file.read<std::int32_t>("leiden_labels");
    if (labels.rank() != 1 || labels.dim(0) != xy[0])
      refuse("tensor leiden_labels", labels.shape(), concat("[", xy[0], "]"));
    input.labels.assign(labels.span().begin(), labels.span().end());
  }
  return input;
}

pipeline::VirtualCellOptions virtual_cell_options(const GeometryArguments& a) {
  pipeline::VirtualCellOptions options;
  options.method =
      a.clustering == "kmeans" ? pipeline::ClusterMethod::kmeans : pipeline::ClusterMethod::leiden;
  options.alpha = a.alpha;
  options.resolution = a.resolution;
  options.clusters = a.clusters;
  options.seed = a.seed;
  return options;
}

void write_graph_result(const GraphArguments& a, const std::vector<io::SafetensorsEntry>& entries) {
  const GeometryArguments& g = a.geometry;
  const std::map<std::string, std::string> metadata{{"created_by", "stofm " STOFM_VERSION},
                                                    {"input", a.input},
                                                    {"clustering", g.clustering},
                                                    {"alpha", format_number(g.alpha, 17)},
                                                    {"resolution", format_number(g.resolution, 17)},
                                                    {"split", std::to_string(g.split)},
                                                    {"merge_slivers", g.merge_slivers ? "yes" : "no"},
                                                    {"geometry", g.geometry},
                                                    {"seed", std::to_string(g.seed)}};
  io::OutputGroup outputs;
  io::write_safetensors(a.output, entries, metadata, {.overwrite = a.overwrite, .group = &outputs});
  publish(outputs);
  Console::get().say(concat("wrote ", a.output, " (", entries.size(), " tensors)"), {{"output", a.output}});
}

}  // namespace stofm::program

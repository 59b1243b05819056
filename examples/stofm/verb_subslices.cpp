// SPDX-License-Identifier: MIT
/// \file
/// `stofm subslices`: the micro scale alone. Tensors: normalised, leiden_labels, hyper_spatial,
/// hyper_features, split_sizes, split_indices, and of the first pieces
/// subsliceI.{distances,token_types,indices,spatial}. Labels of the input (leiden_labels) are used if there,
/// so that pieces can be compared with those of another program.

#include "console.hpp"
#include "graph_input.hpp"
#include "output_plan.hpp"
#include "stofm/ops/cast.hpp"
#include "stofm/pipeline/coordinates.hpp"
#include "stofm/pipeline/merge_slivers.hpp"
#include "stofm/pipeline/sub_slices.hpp"
#include "verbs.hpp"

namespace stofm::program {

int run_subslices(const GraphArguments& a) {
  check_one_output(a.output, {a.input}, a.overwrite);
  GraphInput input = read_graph_input(a.input);
  const auto coordinates = pipeline::normalise_coordinates(input.spatial.view());
  const TensorView<const double> xy = coordinates.xy.view();
  for (const Notice& notice : coordinates.notices) Console::get().warn(notice.text, {{"code", notice.code}});
  pipeline::VirtualCells clusters;
  if (input.labels.empty()) {
    clusters = pipeline::find_virtual_cells(xy, input.features.view(), virtual_cell_options(a.geometry));
  } else {
    Console::get().say("the clusters are those of the input (leiden_labels)");
    const std::int64_t count = *std::max_element(input.labels.begin(), input.labels.end()) + std::int64_t{1};
    clusters = pipeline::mean_of_clusters(std::move(input.labels), count, xy, input.features.view());
  }
  auto pieces = pipeline::split_cells(xy, a.geometry.split);
  if (a.geometry.merge_slivers) pipeline::merge_slivers(pieces, xy, a.geometry.split);
  std::vector<std::int64_t> sizes, indices;
  for (const auto& piece : pieces) {
    sizes.push_back(static_cast<std::int64_t>(piece.size()));
    indices.insert(indices.end(), piece.begin(), piece.end());
  }
  std::vector<io::SafetensorsEntry> entries{io::safetensors_entry("normalised", coordinates.xy),
                                            vector_entry("leiden_labels", clusters.labels),
                                            io::safetensors_entry("hyper_spatial", clusters.xy),
                                            io::safetensors_entry("hyper_features", clusters.features),
                                            vector_entry("split_sizes", sizes),
                                            vector_entry("split_indices", indices)};
  const pipeline::SubSliceOptions options{.geometry = a.geometry.geometry == "stable"
                                                          ? pipeline::Geometry::stable
                                                          : pipeline::Geometry::reference};
  for (std::size_t p = 0; p < pieces.size() && static_cast<std::int64_t>(p) < a.count; ++p) {
    const auto sub = pipeline::build_sub_slice(pieces[p], xy, std::as_const(clusters.xy).view(), options);
    const std::string name = concat("subslice", p, ".");
    entries.push_back(io::safetensors_entry(name + "distances", to_dense(sub.distances)));
    entries.push_back(vector_entry(name + "token_types", sub.token_types));
    entries.push_back(vector_entry(name + "indices", sub.node_cells));
    entries.push_back(io::safetensors_entry(name + "spatial", ops::cast<float>(sub.xy)));
  }
  Console::get().say(
      concat(format_count(static_cast<std::int64_t>(pieces.size())), " pieces of ", format_count(xy.dim(0)),
             " cells, ", format_count(clusters.count()), " virtual cells"),
      {{"pieces", std::to_string(pieces.size())}});
  const pipeline::Slivers slivers = pipeline::count_slivers(pieces, a.geometry.split);
  if (slivers.pieces > 0)
    Console::get().say("  " +
                       sliver_text(slivers.pieces, slivers.cells, pipeline::sliver_limit(a.geometry.split)));
  write_graph_result(a, entries);
  return 0;
}

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
/// \file
/// `stofm virtual-cells`: the macro scale alone. Tensors: normalised, cluster_features, connectivities.* (CSR;
/// Leiden only), leiden_labels (or kmeans_labels), hyper_spatial, hyper_features.

#include "console.hpp"
#include "graph_input.hpp"
#include "output_plan.hpp"
#include "stofm/pipeline/coordinates.hpp"
#include "verbs.hpp"

namespace stofm::program {

int run_virtual_cells(const GraphArguments& a) {
  check_one_output(a.output, {a.input}, a.overwrite);
  const GraphInput input = read_graph_input(a.input);
  const auto coordinates = pipeline::normalise_coordinates(input.spatial.view());
  const TensorView<const double> xy = coordinates.xy.view();
  const auto options = virtual_cell_options(a.geometry);
  const Tensor<double> z = pipeline::cluster_features(xy, input.features.view(), options.alpha);
  const pipeline::VirtualCells found = pipeline::find_virtual_cells(xy, input.features.view(), options);
  for (const Notices& notices : {coordinates.notices, found.notices})
    for (const Notice& notice : notices) Console::get().warn(notice.text, {{"code", notice.code}});

  const bool leiden = options.method == pipeline::ClusterMethod::leiden;
  std::vector<io::SafetensorsEntry> entries{
      io::safetensors_entry("normalised", coordinates.xy), io::safetensors_entry("cluster_features", z),
      vector_entry(leiden ? "leiden_labels" : "kmeans_labels", found.labels),
      io::safetensors_entry("hyper_spatial", found.xy),
      io::safetensors_entry("hyper_features", found.features)};
  if (leiden) {
    const cluster::WeightedGraph graph = cluster::umap_graph_2d(z.view());
    entries.push_back(vector_entry("connectivities.indptr", graph.row_offsets));
    entries.push_back(vector_entry("connectivities.indices", graph.columns));
    entries.push_back(vector_entry("connectivities.data", graph.weights));
    Console::get().say(
        concat(format_count(found.count()), " clusters of ", format_count(z.dim(0)), " cells, modularity ",
               format_number(found.modularity, 6)),
        {{"clusters", std::to_string(found.count())}, {"modularity", format_number(found.modularity, 17)}});
  } else {
    Console::get().say(concat(format_count(found.count()), " clusters of ", format_count(z.dim(0)), " cells"),
                       {{"clusters", std::to_string(found.count())}});
  }
  write_graph_result(a, entries);
  return 0;
}

}  // namespace stofm::program

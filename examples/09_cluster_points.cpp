// SPDX-License-Identifier: MIT
// Clusters points of your own: neighbours, Leiden on UMAP's graph, k-means. Only <stofm/cluster.hpp> is
// included.
//     build/examples/09_cluster_points
#include <cstdio>
#include <stofm/cluster.hpp>

int main() {
  // Three round groups in the plane, as doubles.
  stofm::Random random(1);
  std::vector<double> xy;
  for (int i = 0; i < 300; ++i) {
    xy.push_back(10.0 * (i % 3) + random.normal());
    xy.push_back(5.0 * (i % 2) * (i % 3 == 1) + random.normal());
  }
  // [cluster]
  const auto points = stofm::matrix_view(std::as_const(xy).data(), 300, 2);  // your memory, not copied
  const auto near = stofm::cluster::nearest_neighbours(points, 5);           // any number of columns

  const auto graph = stofm::cluster::umap_graph_2d(points, {.n_neighbors = 15});
  const auto communities = stofm::cluster::leiden(graph, {.resolution = 0.1});

  const auto groups = stofm::cluster::mini_batch_kmeans(points, {.clusters = 4, .seed = 7});
  // [cluster]
  std::printf("the nearest of point 0 is %d, at squared distance %.2f\n", near.indices[0],
              near.squared_distances[0]);
  std::printf("Leiden: modularity %.3f; k-means: %lld clusters, inertia %.0f, %s\n", communities.modularity,
              static_cast<long long>(groups.clusters), groups.inertia,
              groups.settled ? "settled" : "stopped");
  return groups.clusters == 4 && communities.modularity > 0.5 ? 0 : 1;
}

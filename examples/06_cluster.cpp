// SPDX-License-Identifier: MIT
// Clusters several slices together without any label.
//     build/examples/06_cluster CLUSTERS slice.h5ad [more.h5ad ...]     writes slice.h5ad.cluster.h5ad, ...
#include <cstdio>
#include <cstdlib>
#include <stofm/embed.hpp>
#include <stofm/tasks/cluster_embedding.hpp>
#include <stofm/tasks/slice_features.hpp>

int main(int argc, char** argv) try {
  using namespace stofm;
  if (argc < 3) return std::fprintf(stderr, "usage: 06_cluster CLUSTERS SLICE.h5ad [MORE.h5ad ...]\n"), 2;
  // [cluster]
  std::vector<io::Slice> slices;
  for (int i = 2; i < argc; ++i) slices.push_back(io::read_h5ad(argv[i]));
  tasks::SliceFeatureOptions what;
  what.kind = tasks::FeatureKind::linear_context;  // needs no weights; stofm, context: give a model
  const tasks::SliceFeatures features = tasks::slice_features(slices, nullptr, what);

  const Tensor<float> all = tasks::stacked_rows(features.rows);
  const auto clusters =
      tasks::cluster_embedding(all.view(), {}, {.clusters = std::atoi(argv[1]), .standardise = false});

  auto label = clusters.labels.begin();
  for (const io::Slice& slice : slices) {
    io::H5adResult output;
    io::H5adColumn& column = output.obs.emplace_back();
    column.name = "stofm_cluster";
    for (std::int64_t c = 0; c < clusters.clusters(); ++c) column.categories.push_back(std::to_string(c));
    for (std::int64_t i = 0; i < slice.cells; ++i) column.codes.push_back(*label++);
    output.file_rows = slice.file_rows;
    io::write_h5ad_result(slice.path, slice.path + ".cluster.h5ad", output);
  }
  // [cluster]
  return 0;
} catch (const stofm::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), error.exit_code();
}

// SPDX-License-Identifier: MIT
// How far embeddings depend on how Leiden finds virtual cells: its seed, its walk, its passes. The cell
// embeddings are made once; each row has the adjusted Rand index of the virtual cells and the cosine distance
// of the embeddings, median and 99th percentile, from those of Leiden everywhere, until stable, seed 0.
//     build/bench/virtual_cells_bench WEIGHTS SLICE.h5ad ...
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "stofm/io/h5ad_reader.hpp"
#include "stofm/pipeline/embed.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/tasks/clustering_metrics.hpp"

using namespace stofm;

namespace {
struct Way {
  const char* name;
  cluster::LeidenWalk walk;
  std::int64_t passes;
  std::uint64_t seed;
};
constexpr Way ways[] = {{"everywhere, until stable", cluster::LeidenWalk::everywhere, -1, 0},
                        {"another seed", cluster::LeidenWalk::everywhere, -1, 1},
                        {"local", cluster::LeidenWalk::local, -1, 0},
                        {"2 passes", cluster::LeidenWalk::everywhere, 2, 0},
                        {"local, 2 passes", cluster::LeidenWalk::local, 2, 0}};

/// 1 - cosine of each pair of rows of [N, C], ascending.
std::vector<double> cosine_distances(const Tensor<float>& left, const Tensor<float>& right) {
  std::vector<double> distances;
  for (std::int64_t i = 0; i < left.dim(0); ++i) {
    double product = 0, squares_left = 0, squares_right = 0;
    for (std::int64_t j = 0; j < left.dim(1); ++j) {
      const auto x = static_cast<double>(left(i, j)), y = static_cast<double>(right(i, j));
      product += x * y;
      squares_left += x * x;
      squares_right += y * y;
    }
    distances.push_back(1 - product / std::sqrt(squares_left * squares_right));
  }
  std::sort(distances.begin(), distances.end());
  return distances;
}
}  // namespace

int main(int argc, char** argv) try {
  if (argc < 3) return std::fprintf(stderr, "usage: virtual_cells_bench WEIGHTS SLICE.h5ad ...\n"), 2;
  const pipeline::Model model = pipeline::load_model(argv[1]);
  for (int file = 2; file < argc; ++file) {
    const io::Slice slice = io::read_h5ad(argv[file]);
    const auto cells =
        pipeline::embed_slice(slice, model, {.target = pipeline::EmbedTarget::cells_only}).embeddings.clone();
    std::printf("%s, %lld cells\n", argv[file], static_cast<long long>(slice.cells));
    pipeline::EmbedResult first;
    for (const Way& way : ways) {
      pipeline::EmbedOptions options;
      options.leiden_walk = way.walk;
      options.leiden_passes = way.passes;
      options.seed = way.seed;
      options.cell_embeddings = cells.clone();
      options.cell_embeddings_source = "cells";
      auto found = pipeline::embed_slice(slice, model, options);
      std::printf("  %-26s %4lld virtual cells", way.name, static_cast<long long>(found.virtual_cells()));
      if (&way == ways) {
        first = std::move(found);
        std::printf("\n");
        continue;
      }
      const auto distances = cosine_distances(first.embeddings, found.embeddings);
      std::printf(", adjusted Rand %.2f, cosine distance %.1e, %.1e\n",
                  tasks::clustering_scores(first.macro_labels, found.macro_labels).adjusted_rand,
                  distances[distances.size() / 2], distances[distances.size() * 99 / 100]);
      std::fflush(stdout);
    }
  }
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}

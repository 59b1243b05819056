// SPDX-License-Identifier: MIT
// Predicts genes that a slice lacks from a slice that has them, and says which of them can be told.
//     build/examples/08_impute stofm.safetensors slice.h5ad wide_panel.h5ad Gad1 Slc17a7
#include <cstdio>
#include <stofm/embed.hpp>
#include <stofm/tasks/impute.hpp>

int main(int argc, char** argv) try {
  using namespace stofm;
  if (argc < 5) return std::fprintf(stderr, "usage: 08_impute WEIGHTS SLICE REFERENCE GENE...\n"), 2;
  // [impute]
  const pipeline::Model model = pipeline::load_model(argv[1]);
  const io::Slice slice = io::read_h5ad(argv[2]), wide = io::read_h5ad(argv[3]);
  const io::Slice* references[] = {&wide};

  tasks::ImputeOptions options;
  options.genes.genes.assign(argv + 4, argv + argc);
  const tasks::ImputeResult result = tasks::impute(slice, references, &model, options);

  for (std::size_t g = 0; g < result.imputation.genes.size(); ++g) {
    const tasks::ImputedGene& gene = result.imputation.genes[g];
    double mean = 0;
    for (std::int64_t i = 0; i < slice.cells; ++i)
      mean += static_cast<double>(result.imputation.values(i, static_cast<std::int64_t>(g)));
    std::printf("%-12s held-out Pearson %.2f%s, mean %.2f\n",
                result.genes.targets.shown[static_cast<std::size_t>(gene.target)].c_str(), gene.pearson,
                gene.told ? "" : " (can't be told)", mean / static_cast<double>(slice.cells));
  }
  // [impute]
  return 0;
} catch (const stofm::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}

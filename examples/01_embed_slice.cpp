// SPDX-License-Identifier: MIT
// Embeds a slice: weights and .h5ad in, .h5ad with obsm["X_stofm"] out.
//     build/examples/01_embed_slice stofm.safetensors slice.h5ad slice.stofm.h5ad
#include <cstdio>
#include <stofm/embed.hpp>

int main(int argc, char** argv) try {
  if (argc != 4) return std::fprintf(stderr, "usage: 01_embed_slice WEIGHTS SLICE.h5ad OUTPUT.h5ad\n"), 2;
  // [embed a slice]
  const stofm::pipeline::Model model = stofm::pipeline::load_model(argv[1]);
  const stofm::io::Slice slice = stofm::io::read_h5ad(argv[2]);
  const stofm::pipeline::EmbedResult result = stofm::pipeline::embed_slice(slice, model);

  stofm::io::H5adResult output;
  output.obsm.push_back({"X_stofm", result.embeddings.view()});
  output.file_rows = slice.file_rows;
  stofm::io::write_h5ad_result(slice.path, argv[3], output);
  // [embed a slice]
  std::printf("%s\n", stofm::pipeline::coverage_text(result.coverage).c_str());
  std::printf("%lld cells in %zu pieces with %lld virtual cells\n", static_cast<long long>(slice.cells),
              result.pieces.size(), static_cast<long long>(result.virtual_cells()));
  for (const stofm::Notice& notice : result.notices) std::printf("note: %s\n", notice.text.c_str());
  return 0;
} catch (const stofm::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}

// SPDX-License-Identifier: MIT
// Adapts a small cell encoder to one slice and writes a bundle that `stofm embed` loads.
//     build/examples/03_adapt_cell_encoder GENES.tsv MOUSE_TO_HUMAN.tsv slice.h5ad adapted.safetensors 200
#include <cstdio>
#include <cstdlib>
#include <stofm/embed.hpp>
#include <stofm/io/bundle.hpp>
#include <stofm/nn/adamw.hpp>
#include <stofm/nn/clip_gradients.hpp>
#include <stofm/nn/schedule.hpp>
#include <stofm/pipeline/model_config.hpp>
#include <stofm/train/adapt.hpp>

namespace {
std::string read_text(const char* path) {
  return stofm::io::File::open(path).read_all(std::int64_t{64} << 20);
}
}  // namespace

int main(int argc, char** argv) try {
  using namespace stofm;
  if (argc != 6)
    return std::fprintf(stderr, "usage: 03_adapt_cell_encoder GENES MOUSE SLICE OUTPUT STEPS\n"), 2;
  io::Bundle bundle;
  bundle.gene_table = read_text(argv[1]);
  bundle.mouse_to_human = read_text(argv[2]);
  const auto genes =
      std::make_shared<pipeline::GeneTable>(pipeline::GeneTable::parse(bundle.gene_table, argv[1]));
  const auto mouse =
      std::make_shared<pipeline::MouseMap>(pipeline::MouseMap::parse(bundle.mouse_to_human, *genes));
  bundle.model_info = {{"name", "adapted-example"}, {"training", "from scratch, on one slice"}};
  bundle.cell_encoder_config = {{"model_type", "bert"},           {"hidden_size", 64},
                                {"intermediate_size", 128},       {"num_attention_heads", 4},
                                {"num_hidden_layers", 2},         {"vocab_size", genes->vocabulary_size()},
                                {"max_position_embeddings", 512}, {"type_vocab_size", 2},
                                {"hidden_act", "gelu"},           {"layer_norm_eps", 1e-12},
                                {"hidden_dropout_prob", 0.02},    {"attention_probs_dropout_prob", 0.02}};
  auto config = pipeline::parse_cell_encoder_config(bundle.cell_encoder_config, "example");
  config.projection_dim = 256;

  // [adapt]
  train::TokenCorpus corpus({argv[3]}, [](const auto& path) { return io::read_h5ad(path.string()); }, genes,
                            mouse, {.slices = {.max_tokens = config.max_position_embeddings}});
  train::CellBatches batches(corpus, {.seed = 1, .cells = 128});
  autograd::ParameterSet<float> parameters(train::adapt_parameters<float>(config, {}));
  nn::AdamW<float> optimizer(parameters);
  train::AdaptStep<float> step(config, parameters);
  const auto steps = std::strtoll(argv[5], nullptr, 10);
  const nn::ScheduleOptions schedule{.learning_rate = 1e-3, .warmup_steps = steps / 10, .total_steps = steps};
  for (std::int64_t k = 0; k < steps; ++k) {
    parameters.zero_grad();
    const train::AdaptLosses losses = step.accumulate(batches.next(), {.seed = 1, .step = std::uint64_t(k)});
    const double norm = nn::global_norm(parameters);
    optimizer.step(nn::learning_rate_at(schedule, k), nn::clip_coefficient(norm, 1.0));
    if (k % 20 == 0 || k + 1 == steps)
      std::printf("step %lld: hidden genes %.3f (%.0f %% named), cells %.3f (%.0f %% found)\n",
                  static_cast<long long>(k + 1), losses.gene_entropy, 100 * losses.gene_accuracy,
                  losses.cells, 100 * losses.cell_accuracy);
  }
  bundle.cell_encoder = train::encoder_parameters(config, parameters);
  io::write_bundle(argv[4], bundle, true);
  // [adapt]
  return 0;
} catch (const stofm::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}

// SPDX-License-Identifier: MIT
// Pretrains a small SE(2) Transformer on slices and writes a bundle that `stofm embed` loads.
//     build/examples/04_pretrain start.safetensors pretrained.safetensors 200 slice.h5ad ...
// The cell encoder and the genes of the first bundle stay as they are; `stofm pretrain` does the same with
// checkpoints, validation and several processes.
#include <cstdio>
#include <cstdlib>
#include <stofm/io/sha256.hpp>
#include <stofm/nn/adamw.hpp>
#include <stofm/nn/schedule.hpp>
#include <stofm/pipeline/model.hpp>
#include <stofm/train/corpus_h5ad.hpp>
#include <stofm/train/pretrain.hpp>

int main(int argc, char** argv) try {
  using namespace stofm;
  if (argc < 5) return std::fprintf(stderr, "usage: 04_pretrain START OUTPUT STEPS SLICE.h5ad...\n"), 2;
  io::Bundle bundle = io::read_bundle(argv[1]);
  const pipeline::Model start = pipeline::load_model(bundle);
  bundle.se2_config = {
      {"num_hidden_layers", 2},   {"embedding_dim", 64},       {"ffn_embedding_dim", 128},
      {"num_attention_heads", 8}, {"gaussian_hidden_dim", 32}, {"input_dim", start.cell_width()},
      {"pre_layernorm", false},   {"activation_fn", "gelu"},   {"dropout", 0.1},
      {"attention_dropout", 0.1}, {"activation_dropout", 0.1}};
  const model::Se2Config config = pipeline::parse_se2_config(bundle.se2_config, "example");

  // [pretrain]
  train::Corpus corpus({argv + 4, argv + argc}, train::encoder_features(start, io::sha256_file(argv[1])),
                       train::h5ad_reader());
  const train::DataSplit split = corpus.split({.fraction = 0.0});
  train::CorpusLoader loader(corpus, {corpus.pieces_of(split.training), {.seed = 1, .batch = 2}},
                             {.masking_seed = 1});

  autograd::ParameterSet<float> parameters = train::pretraining_parameters(config, {}, 1);
  train::start_pair_head(parameters, loader.next().pieces);
  nn::AdamW<float> optimizer(parameters);
  train::PretrainStep step(config, parameters, {.seed = 1});
  const auto steps = std::strtoll(argv[3], nullptr, 10);
  const nn::ScheduleOptions schedule{.learning_rate = 5e-4, .warmup_steps = steps / 10, .total_steps = steps};
  for (std::int64_t k = 0; k < steps; ++k) {
    parameters.zero_grad();
    const train::StepReport report = step.run(loader.next());
    const double norm = nn::global_norm(parameters);
    optimizer.step(nn::learning_rate_at(schedule, k), nn::clip_coefficient(norm, 1.0));
    if (k % 20 == 0 || k + 1 == steps)
      std::printf("step %lld: masked cells %.4f, distances %.3f\n", static_cast<long long>(k + 1),
                  report.losses[0].second, report.losses[1].second);
  }
  bundle.se2 = parameters.values("se2/");
  bundle.model_info = {{"name", "pretrained-example"}, {"training", "pretrained"}, {"steps", steps}};
  io::write_bundle(argv[2], bundle, true);
  // [pretrain]
  return 0;
} catch (const stofm::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return error.exit_code();
}

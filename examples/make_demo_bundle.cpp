// SPDX-License-Identifier: MIT
// Makes a bundle with seeded random weights in the published shapes, so that everything can be tried without
// a checkpoint: make_demo_bundle OUTPUT GENES_TSV MOUSE_TO_HUMAN_TSV Embeddings of untrained weights say
// little about biology; they are random features of a cell and its surroundings.
#include <cstdio>
#include <exception>
#include <string>

#include "stofm/io/bundle.hpp"
#include "stofm/model/init.hpp"
#include "stofm/pipeline/gene_table.hpp"
#include "stofm/pipeline/model_config.hpp"

namespace {

constexpr std::uint64_t seed = 20240711;
// With the published 0.02 an untrained encoder is nearly the identity and every cell looks alike. A deviation
// of 0.07 spreads the attention scores, so that the most expressed genes of a cell decide its embedding.
constexpr double cell_encoder_deviation = 0.1;
constexpr double se2_deviation = 0.06;

nlohmann::json se2_config() {
  return {{"num_hidden_layers", 4},   {"embedding_dim", 256},       {"ffn_embedding_dim", 256},
          {"num_attention_heads", 8}, {"gaussian_hidden_dim", 128}, {"input_dim", 256},
          {"pre_layernorm", false},   {"activation_fn", "gelu"},    {"dropout", 0.1},
          {"attention_dropout", 0.1}, {"activation_dropout", 0.1}};
}

nlohmann::json cell_encoder_config(std::int64_t vocabulary) {
  return {{"model_type", "bert"},
          {"num_hidden_layers", 6},
          {"hidden_size", 256},
          {"intermediate_size", 512},
          {"num_attention_heads", 4},
          {"vocab_size", vocabulary},
          {"max_position_embeddings", 2048},
          {"type_vocab_size", 2},
          {"hidden_act", "relu"},
          {"layer_norm_eps", 1e-12},
          {"hidden_dropout_prob", 0.02},
          {"attention_probs_dropout_prob", 0.02}};
}

std::string read_text(const char* path) {
  return stofm::io::File::open(path).read_all(std::int64_t{64} << 20);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 4)
      throw stofm::UsageError({"STOFM-2000", "", "command line", stofm::concat(argc - 1, " arguments"), "3",
                               "Use make_demo_bundle OUTPUT GENES_TSV MOUSE_TO_HUMAN_TSV."});
    stofm::io::Bundle bundle;
    bundle.gene_table = read_text(argv[2]);
    bundle.mouse_to_human = read_text(argv[3]);
    const auto genes = stofm::pipeline::GeneTable::parse(bundle.gene_table, argv[2]);
    bundle.model_info = {{"name", "stofm-demo"},
                         {"training", "untrained"},
                         {"licence", "MIT; gene table: Apache-2.0 (Geneformer V1), mouse map: MIT (SToFM)"},
                         {"created_by", "stofm make_demo_bundle"},
                         {"seed", seed}};
    bundle.se2_config = se2_config();
    bundle.cell_encoder_config = cell_encoder_config(genes.vocabulary_size());
    const auto se2 = stofm::pipeline::parse_se2_config(bundle.se2_config, "demo");
    auto cell_encoder = stofm::pipeline::parse_cell_encoder_config(bundle.cell_encoder_config, "demo");
    cell_encoder.projection_dim = se2.input_dim;
    bundle.se2 = stofm::model::initial_parameters(se2, {.seed = seed, .standard_deviation = se2_deviation});
    bundle.cell_encoder = stofm::model::initial_parameters(
        cell_encoder, {.seed = seed, .standard_deviation = cell_encoder_deviation});
    stofm::io::write_bundle(argv[1], bundle, true);
    return 0;
  } catch (const stofm::Error& error) {
    std::fprintf(stderr, "make_demo_bundle: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_demo_bundle: %s\n", error.what());
    return 5;
  }
}

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The sizes of the published cell encoder (Geneformer V1): 6 layers of 256, 4 heads, 512 between, cells of
/// at most 2,048 tokens.

#include "stofm/model/config.hpp"

namespace stofm::bench {

inline model::CellEncoderConfig published_cell_encoder() {
  model::CellEncoderConfig config;
  config.vocab_size = 25427;
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.num_attention_heads = 4;
  config.num_hidden_layers = 6;
  config.max_position_embeddings = 2048;
  config.type_vocab_size = 2;
  config.hidden_act = "relu";
  config.projection_dim = 256;
  return config;
}

}  // namespace stofm::bench

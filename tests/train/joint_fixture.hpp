// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A small slice whose cells have tokens, for the joint stage of pretraining.

#include <cmath>
#include <memory>

#include "stofm/train/pretrain_joint.hpp"
#include "tests/model/random_model.hpp"
#include "tests/train/pretrain_fixture.hpp"

namespace stofm::test {

inline model::CellEncoderConfig encoder_config() {
  return {.vocab_size = 40,
          .hidden_size = 8,
          .intermediate_size = 12,
          .num_attention_heads = 2,
          .num_hidden_layers = 2,
          .max_position_embeddings = 16,
          .type_vocab_size = 2,
          .projection_dim = feature_width};
}

/// A slice whose cells have tokens, and whose features are what the encoder gives for them.
struct JointWorld {
  autograd::ParameterSet<float> parameters = pretraining_parameters(tiny_config(), {}, 3);
  std::shared_ptr<PreparedSlice> slice = std::make_shared<PreparedSlice>(make_slice(8, 1));
  LoadedPiece piece;

  JointWorld() {
    add_joint_parameters(parameters, encoder_config(), random_parameters(encoder_config(), 4));
    Random random(9);
    slice->token_offsets = {0};
    for (std::int64_t cell = 0; cell < slice->cells(); ++cell) {
      slice->tokens.push_back(1);
      const std::uint64_t genes = random.below(9);
      for (std::uint64_t g = 0; g < genes; ++g)
        slice->tokens.push_back(static_cast<std::int32_t>(2 + random.below(38)));
      slice->token_offsets.push_back(static_cast<std::int64_t>(slice->tokens.size()));
    }
    autograd::Tape<float> tape;
    const autograd::NoGrad<float> none(tape);
    slice->features = model::CellEncoderTrainer<float>(encoder_config(), parameters, "cell_encoder/")
                          .embed(tape, slice->tokens, slice->token_offsets)
                          .value()
                          .clone();
    piece = piece_of(slice, 0, 0, 0);
  }
  /// Both pieces of the slice in epoch `b`.
  TrainingBatch batch(std::int64_t b) const {
    TrainingBatch result;
    for (std::int64_t p = 0; p < 2; ++p) result.pieces.push_back(piece_of(slice, 0, p, b));
    return result;
  }
  model::CellEncoderTrainer<float> encoder() { return {encoder_config(), parameters, "cell_encoder/"}; }
  /// Loss of the piece with `cells` cells encoded on the tape, gradients added.
  double loss(std::int64_t cells, bool dropout = false) {
    parameters.zero_grad();
    PretrainStep step(tiny_config(), parameters, {.dropout = false, .seed = 5});
    const auto trainer = encoder();
    step.node_features = [&](autograd::Tape<float>& tape, const LoadedPiece& loaded) {
      return joint_features(tape, loaded, trainer,
                            {.cells_with_gradient = cells, .dropout = dropout, .seed = 7});
    };
    TrainingBatch batch;
    batch.pieces.push_back(piece);
    return step.run(batch).loss;
  }
  double encoder_gradient_norm() {
    double squares = 0;
    for (const auto* p : parameters.list())
      if (p->name().starts_with("cell_encoder/"))
        for (const float g : p->grad().span()) squares += static_cast<double>(g) * static_cast<double>(g);
    return std::sqrt(squares);
  }
};

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the cell encoder's trainer on a CUDA device is told, in adaptation and in the joint stage.

#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/model/config.hpp"
#include "stofm/nn/adamw.hpp"

namespace stofm::train {

/// Rates of the configuration if `dropout`, none otherwise.
inline backend::CudaCellEncoderTrainerOptions cuda_encoder_options(const model::CellEncoderConfig& config,
                                                                   const nn::AdamWOptions& adamw,
                                                                   bool dropout,
                                                                   backend::Precision precision) {
  backend::CudaCellEncoderTrainerOptions result{.precision = precision,
                                                .beta1 = adamw.beta1,
                                                .beta2 = adamw.beta2,
                                                .epsilon = adamw.epsilon,
                                                .weight_decay = adamw.weight_decay};
  if (dropout) {
    result.hidden_dropout = config.hidden_dropout_prob;
    result.attention_dropout = config.attention_probs_dropout_prob;
  }
  return result;
}

}  // namespace stofm::train

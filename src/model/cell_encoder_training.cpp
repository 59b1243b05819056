// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/model/cell_encoder_training.hpp"

template class stofm::model::CellEncoderTrainer<float>;

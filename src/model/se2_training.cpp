// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/model/se2_training.hpp"

template class stofm::model::Se2Trainer<float>;

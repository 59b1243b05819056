// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/model/se2_encoder.hpp"

template class stofm::model::Se2Encoder<float>;

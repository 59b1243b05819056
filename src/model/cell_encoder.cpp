// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/model/cell_encoder.hpp"

template class stofm::model::CellEncoder<float>;

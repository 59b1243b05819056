// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/autograd/tape.hpp"

#include "stofm/nn/adamw.hpp"

template class stofm::autograd::Tape<float>;
template class stofm::autograd::Tape<double>;
template class stofm::autograd::Gradients<float>;
template class stofm::autograd::Gradients<double>;
template class stofm::nn::AdamW<float>;

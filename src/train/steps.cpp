// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/model/pretraining_heads.hpp"
#include "stofm/tasks/classifier_head.hpp"
#include "stofm/train/adapt.hpp"
#include "stofm/train/training_loop.hpp"

template class stofm::model::PretrainingHeads<float>;
template class stofm::tasks::ClassifierHead<float>;
template class stofm::train::AdaptStep<float>;
template stofm::train::LoopResult stofm::train::run_training<float>(
    stofm::autograd::ParameterSet<float>&, stofm::nn::AdamW<float>&, const stofm::train::LoopOptions&,
    const stofm::train::LoopHooks<float>&, const stofm::train::LoopOutputs&, const stofm::train::Checkpoint*);

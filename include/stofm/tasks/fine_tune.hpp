// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Fine-tuning of a head and the SE(2) Transformer on labelled cells: what it is and takes stands in
/// tasks/fine_tune_types.hpp, how it is done in tasks/fine_tune_run.hpp.

#include "stofm/tasks/fine_tune_run.hpp"
#include "stofm/tasks/fine_tune_types.hpp"

// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/io/sha256.hpp"
#include "stofm/pipeline/embed_pieces.hpp"
#include "stofm/pipeline/model.hpp"
#include "stofm/tasks/classifier_head.hpp"
#include "stofm/tasks/logistic_regression.hpp"
#include "stofm/tasks/slice_features.hpp"
#include "stofm/train/prepared_slice.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/classifier.hpp"
#include "stofm/tasks/head_file.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/tasks/frozen_head.hpp"
#include "stofm/tasks/head_weights.hpp"
#include "stofm/tasks/label_folds.hpp"
#include "stofm/tasks/smoothed_probabilities.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/pooled_head.hpp"
#undef STOFM_BODIES
#define STOFM_BODIES 0
#include "stofm/train/training_loop.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/tasks/fine_tune_run.hpp"

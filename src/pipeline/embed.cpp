// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/pipeline/model.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/pipeline/embed.hpp"

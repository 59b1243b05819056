// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/model/config.hpp"
#include "stofm/model/parameters.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/model/parameter_lists.hpp"

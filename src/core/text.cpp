// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/core/error.hpp"
#include "stofm/core/printable.hpp"

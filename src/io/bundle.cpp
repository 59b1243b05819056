// SPDX-License-Identifier: MIT
// Part of stofm::compiled (core/compiled.hpp).
#include "stofm/core/compiled.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/io/json.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/io/sha256.hpp"

#undef STOFM_BODIES
#define STOFM_BODIES 1
#include "stofm/io/bundle.hpp"

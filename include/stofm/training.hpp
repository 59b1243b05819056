// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The former name of stofm/train.hpp.

#include "stofm/train.hpp"

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The version of these headers; CMake reads it here. Minor versions may change interfaces until 1.0.

#define STOFM_VERSION_MAJOR 0
#define STOFM_VERSION_MINOR 1
#define STOFM_VERSION_PATCH 0
#define STOFM_VERSION "0.1.0"

namespace stofm {

inline constexpr int library_version_major = STOFM_VERSION_MAJOR;
inline constexpr int library_version_minor = STOFM_VERSION_MINOR;
inline constexpr int library_version_patch = STOFM_VERSION_PATCH;
inline constexpr const char* library_version = STOFM_VERSION;  ///< "major.minor.patch"

}  // namespace stofm

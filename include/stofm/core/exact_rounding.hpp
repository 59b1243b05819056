// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Functions whose bits are promised, whatever a consumer compiles with: compilers may turn a * b + c into
/// one rounding where the instruction exists (-march=native, ARM, our AVX-512 kernels), g++ by default across
/// statements, clang inside an expression. In these functions every product is rounded before it is added:
///
///     STOFM_UNFUSED inline float dot(const float* a, const float* b, int n) {
///       STOFM_UNFUSED_BODY
///       ...
///
/// What they call is meant too if it is inlined (`always_inline` helpers are; with clang it needs the second
/// line itself). Not with clang's -ffp-contract=fast, which overrules every pragma.

#if defined(__clang__)
#define STOFM_UNFUSED
#define STOFM_UNFUSED_BODY _Pragma("clang fp contract(off)")
#elif defined(__GNUC__)
#define STOFM_UNFUSED __attribute__((optimize("fp-contract=off")))
#define STOFM_UNFUSED_BODY
#else
#define STOFM_UNFUSED
#define STOFM_UNFUSED_BODY
#endif

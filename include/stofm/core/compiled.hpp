// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Header-only or compiled: which of the two a translation unit sees.
///
/// Normally every translation unit compiles what it calls and nothing is linked. A program that links the
/// static library `stofm::compiled` gets STOFM_COMPILED with it: what the library holds is then only
/// declared, and costs no compile time. The code is the same both ways.
///
///     STOFM_INLINE EmbedResult embed_slice(const io::Slice& slice, ...);   // a light header, or the same
///
///     #if STOFM_BODIES
///     STOFM_INLINE EmbedResult pipeline::embed_slice(const io::Slice& slice, ...) { ... }
///     #endif
///     STOFM_INSTANCE(class Se2Encoder<float>)
///
/// Bodies are defined by their qualified names, outside of their namespace: the compiler refuses one that
/// fits no declaration, so signatures can not drift. Class templates are instantiated whole, by name. A file
/// of src/ includes what the headers that it gives the library stand on, and sets STOFM_BODIES to 1 only for
/// these headers themselves: every body is in one object.

#if defined(STOFM_COMPILED)
#define STOFM_INLINE
#define STOFM_BODIES 0
#define STOFM_INSTANCE(...) extern template __VA_ARGS__;
#else
#define STOFM_INLINE inline
#define STOFM_BODIES 1
#define STOFM_INSTANCE(...)
#endif

/// The same for .h5ad, which the library has where libhdf5 was there to build it: then it comes with
/// STOFM_COMPILED_H5AD. Otherwise these bodies are inline as ever.
#if defined(STOFM_COMPILED_H5AD)
#define STOFM_H5AD_INLINE STOFM_INLINE
#define STOFM_H5AD_BODIES STOFM_BODIES
#else
#define STOFM_H5AD_INLINE inline
#define STOFM_H5AD_BODIES 1
#endif

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// `stofm corpus build`: slices are read once each, by as many processes as there are, and every line is safe
/// on disk before the next slice; then one process compares them and writes the manifest.

#include "arguments.hpp"
#include "stofm/distributed/communicator.hpp"

namespace stofm::program {

/// \return the exit code. \throws UsageError, FileError, DataError STOFM-4585 without a slice, 4586 for one
/// that is refused under --strict; ResourceError
int build_corpus(const CorpusArguments& arguments, distributed::Communicator& ranks);

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The output of an instrument taken as a slice: imported for the time of a run.

#include <memory>
#include <string>

namespace stofm::program {

/// True for a folder or file that `stofm import` makes a slice of without further options.
bool is_instrument_output(const std::string& path);

/// Name of the slice: that of the folder or file, without what says how it is stored: "sample.h5ad" of
/// sample/outs.
std::string imported_name(const std::string& path);

/// Imports `path` beside `result`, under a temporary name. \return that name; the file goes with it
/// \throws as io::import_slice
std::shared_ptr<const std::string> import_for_run(const std::string& path, const std::string& result);

/// Imports `path` as the file `output`, which is replaced. \return the word of its format \throws as
/// io::import_slice
std::string import_to(const std::string& path, const std::string& output);

}  // namespace stofm::program

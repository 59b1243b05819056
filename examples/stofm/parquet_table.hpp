// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Tables in Parquet through Apache Arrow, where the program was built with it.

#include "stofm/io/import/import_options.hpp"

namespace stofm::program {

/// A function that reads columns as text; empty where there is no Arrow. It throws FileError: no Parquet
/// (STOFM-3905), a column missing (3907).
io::ParquetReader parquet_reader();

}  // namespace stofm::program

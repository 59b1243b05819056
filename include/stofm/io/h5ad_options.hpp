// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What may be asked of the .h5ad reader. No libhdf5 here.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stofm/core/tensor.hpp"
#include "stofm/io/counts_scale.hpp"

namespace stofm::io {

/// Where libhdf5 runs.
enum class H5adIsolation {
  /// In a forked child that streams to us: a damaged file that crashes or hangs libhdf5 is an error, not the
  /// end of
  /// the caller.
  child_process,
  /// In this process. For files that are trusted, or where fork() is not allowed. After a write that failed,
  /// libhdf5 1.10 may crash when the process ends: it then has a file that it can not close.
  none,
};

/// Options of read_h5ad. Empty strings mean "find out".
struct H5adReadOptions {
  std::string layer;        ///< counts are layers/<layer>; empty or "X": X
  bool use_raw = false;     ///< counts are raw/X, genes raw/var
  std::string spatial_key;  ///< obsm key; empty: "spatial", else what looks most like positions
  std::string x_column;     ///< with y_column: coordinates are two numeric columns of obs
  std::string y_column;
  std::optional<Tensor<double>> coordinates;  ///< [cells of the file, 2]: used instead of the file's (CSV)
  std::string gene_key;  ///< column of var that alone names genes, or "index"; empty: the usual or by content
  std::string symbol_key;  ///< column of var with symbols; empty: gene_symbol and its usual other names
  /// Column of obs that tells slices in one file apart (fills Slice::library); several with commas; "z": the
  /// third column of the positions.
  std::string library_key;
  std::string only;  ///< "COLUMN" of obs (not 0, False or missing) or "COLUMN=VALUE": the cells that are read
  bool drop_no_library = false;  ///< leave cells without a library out instead of refusing the file
  bool drop_bad_coords = false;  ///< leave cells with NaN or inf coordinates out instead of refusing the file
  bool positions_required = true;  ///< false: a file without positions gives zeros and an empty source
  bool overlay = false;  ///< accept slices that lie on top of each other, and all cells at one place
  /// What the values are. automatic: whole numbers, or what counts come back from; a notice says the scale.
  CountsScale counts_scale = CountsScale::automatic;
  bool accept_noninteger = false;  ///< as CountsScale::linear, where counts_scale is automatic
  bool cell_names = false;         ///< fill Slice::cell_names
  std::int64_t label_columns = 0;  ///< fill Slice::labels with at most so many columns of obs
  /// Columns of obs that must be there: they come first in Slice::labels, in this order, whatever they hold.
  std::vector<std::string> obs_columns;
  H5adIsolation isolation = H5adIsolation::child_process;
  /// Seconds without a sign of life after which the child is given up (hanging file system, damaged file).
  double silence_limit_s = 60;
  double busy_limit_s = 4;  ///< seconds of computing without progress after which the child is given up
  /// Cap of what is held of one array at once (indptr, a whole CSC matrix, names); 0: 80 % of the free
  /// memory.
  std::int64_t memory_limit = 0;
};

}  // namespace stofm::io

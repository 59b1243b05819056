// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Things that were accepted on purpose but that the user should hear of once: counted, collected, printed at
/// the end of a stage, and stored in the output. In strict mode they are errors.

#include <cstdint>
#include <string>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm {

/// One such thing.
struct Notice {
  std::string code;        ///< stable, "STOFM-Wdddd"
  std::string text;        ///< one sentence, with the count and the first few places
  std::int64_t count = 0;  ///< how many cells, genes, tensors it concerns
};
using Notices = std::vector<Notice>;

/// `--strict`: the first notice becomes an error. \throws DataError
inline void require_none(const Notices& notices, const std::string& file) {
  if (notices.empty()) return;
  throw DataError({notices.front().code, file, "strict mode", notices.front().text, "nothing to remark",
                   "Mend the file, or do without require_none()."});
}

}  // namespace stofm

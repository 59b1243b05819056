// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Which slices are trained on and which only watched. By slice, since pieces of one slice share their
/// virtual cells and neighbours. *Source* our own choice; SPEC section 7 asks for a validation split.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/notice.hpp"
#include "stofm/io/sha256.hpp"

namespace stofm::train {

struct SplitOptions {
  std::vector<std::string> validation{};  ///< names, file names or paths of slices; wins over `fraction`
  double fraction = 0;                    ///< share of the slices, rounded, at least one if above 0; 0: none
  std::uint64_t seed = 0;                 ///< which ones, by fraction
};

/// Indices of slices, ascending. Every slice is in exactly one list.
struct DataSplit {
  std::vector<std::int64_t> training{};
  std::vector<std::int64_t> validation{};
  Notices notices{};
};

/// "dir/a.h5ad" -> "a"
inline std::string slice_name(const std::filesystem::path& path) {
  const auto file = path.filename();
  return file.extension() == ".h5ad" || file.extension() == ".h5" ? file.stem().string() : file.string();
}

/// Splits slices given by path. By fraction, the order is that of SHA-256(seed, name): which slice is held
/// out does not depend on the order of the list, and little on what else is in it. \throws UsageError for a
/// fraction outside [0, 1), a name that is no slice's or that of several, or if nothing is left to train on.
/// With one slice, a fraction holds out nothing (notice STOFM-W4530).
inline DataSplit split_slices(const std::vector<std::filesystem::path>& slices,
                              const SplitOptions& options = {}) {
  const auto count = static_cast<std::int64_t>(slices.size());
  std::vector<bool> held(slices.size(), false);
  DataSplit split;
  if (!(options.fraction >= 0 && options.fraction < 1))
    throw UsageError({"STOFM-4530", "", "validation share", concat(options.fraction), "0 or more, below 1",
                      "0.1 holds out one slice in ten."});
  for (const std::string& wanted : options.validation) {
    std::int64_t found = -1, matches = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto& path = slices[static_cast<std::size_t>(i)];
      if (wanted != slice_name(path) && wanted != path.filename() && wanted != path.string()) continue;
      found = i;
      ++matches;
    }
    if (matches != 1)
      throw UsageError({"STOFM-4531", "", "validation slice " + stofm::quoted(wanted, 100),
                        concat(matches, " slices of this name"), concat("one of the ", count, " slices"),
                        "Give the name of a slice without .h5ad, or its path as listed."});
    held[static_cast<std::size_t>(found)] = true;
  }
  if (options.validation.empty() && options.fraction > 0 && count > 1) {
    std::vector<std::pair<std::string, std::int64_t>> order;
    for (std::int64_t i = 0; i < count; ++i)
      order.emplace_back(
          io::sha256_hex(concat(options.seed, "\n", slice_name(slices[static_cast<std::size_t>(i)]))), i);
    std::sort(order.begin(), order.end());
    const auto share = static_cast<std::int64_t>(std::llround(options.fraction * static_cast<double>(count)));
    for (std::int64_t i = 0; i < std::clamp<std::int64_t>(share, 1, count - 1); ++i)
      held[static_cast<std::size_t>(order[static_cast<std::size_t>(i)].second)] = true;
  } else if (options.validation.empty() && options.fraction > 0) {
    split.notices.push_back({"STOFM-W4530", "one slice only: none is held out for validation", 1});
  }
  for (std::int64_t i = 0; i < count; ++i)
    (held[static_cast<std::size_t>(i)] ? split.validation : split.training).push_back(i);
  if (split.training.empty() && count > 0)
    throw UsageError({"STOFM-4532", "", "validation slices", concat("all ", count, " slices"),
                      "at least one slice to train on", "Hold out fewer."});
  return split;
}

/// The split of slices of which it is known: those of `held_out` are watched. \throws UsageError (STOFM-4532)
/// if nothing is left to train on.
inline DataSplit split_as_told(const std::vector<std::filesystem::path>& slices,
                               const std::set<std::string>& held_out) {
  DataSplit split;
  for (std::size_t i = 0; i < slices.size(); ++i)
    (held_out.contains(slices[i].string()) ? split.validation : split.training)
        .push_back(static_cast<std::int64_t>(i));
  if (split.training.empty() && !slices.empty())
    throw UsageError({"STOFM-4532", "", "validation slices", concat("all ", slices.size(), " slices"),
                      "at least one slice to train on", "Hold out fewer."});
  return split;
}

}  // namespace stofm::train

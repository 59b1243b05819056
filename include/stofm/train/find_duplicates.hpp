// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Slices that hold the same cells: a section that was published twice, a window of another slice. Sketches
/// propose pairs, whole lists of fingerprints decide. Memory: 16 bytes for one cell in 16, and two slices.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "stofm/train/cell_fingerprints.hpp"

namespace stofm::train {

/// Two slices, a < b, and the share of the cells of the smaller one that the other has too.
struct CommonCells {
  std::int64_t a = 0, b = 0;
  double counts = 0;  ///< by counts
  double places = 0;  ///< by places
  double share() const { return (std::max)(counts, places); }
};

struct DuplicateOptions {
  double report = 0.1;     ///< smallest share that is told
  double duplicate = 0.5;  ///< share from which the lesser slice is left out

  /// \throws UsageError for shares that are none.
  void validate() const {
    if (!(report > 0 && report <= duplicate && duplicate <= 1))
      throw UsageError({"STOFM-4583", "", "duplicates", concat("shares ", report, " and ", duplicate),
                        "0 < report <= duplicate <= 1", "0.5 means half of the cells."});
  }
};

/// Reads the fingerprints of slice `i`, or their sketches.
using FingerprintSource = std::function<CellFingerprints(std::int64_t i, bool sketches)>;

namespace detail {

/// Pairs whose sketches have enough in common. \param list which of the two lists
inline std::vector<std::pair<std::int64_t, std::int64_t>> likely_pairs(std::int64_t slices,
                                                                       const FingerprintSource& read,
                                                                       Fingerprints CellFingerprints::*list) {
  struct Print {
    std::uint64_t value;
    std::int64_t slice;
    bool operator<(const Print& o) const { return value != o.value ? value < o.value : slice < o.slice; }
  };
  std::vector<Print> all;
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < slices; ++i) {
    const CellFingerprints sketch = read(i, true);
    for (const std::uint64_t value : sketch.*list) all.push_back({value, i});
    sizes.push_back(std::ssize(sketch.*list));
  }
  std::sort(all.begin(), all.end());
  constexpr std::size_t crowd = 64;  // of more slices with one fingerprint each is paired with the first
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> common;
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    while (end < all.size() && all[end].value == all[begin].value) ++end;
    const std::size_t firsts = end - begin > crowd ? begin + 1 : end;
    for (std::size_t i = begin; i < firsts; ++i)
      for (std::size_t j = i + 1; j < end; ++j) ++common[{all[i].slice, all[j].slice}];
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (const auto& [pair, count] : common) {
    const std::int64_t least =
        (std::min)(sizes[static_cast<std::size_t>(pair.first)], sizes[static_cast<std::size_t>(pair.second)]);
    if (count >= (std::min<std::int64_t>)(3, least) && 20 * count >= least) pairs.push_back(pair);
  }
  return pairs;
}

inline double common_share(const Fingerprints& a, const Fingerprints& b) {
  const std::size_t least = (std::min)(a.size(), b.size());
  return least == 0 ? 0 : static_cast<double>(count_common(a, b)) / static_cast<double>(least);
}

}  // namespace detail

/// Pairs of slices with a share of common cells of at least options.report, in ascending order. Pairs that
/// have less than a twentieth of their sketches in common are not looked at. *Deterministic*. *Cost* sorting
/// one cell in 16, and reading the slices of likely pairs.
inline std::vector<CommonCells> find_common_cells(std::int64_t slices, const FingerprintSource& read,
                                                  const DuplicateOptions& options = {}) {
  options.validate();
  auto pairs = detail::likely_pairs(slices, read, &CellFingerprints::counts);
  const auto more = detail::likely_pairs(slices, read, &CellFingerprints::places);
  pairs.insert(pairs.end(), more.begin(), more.end());
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  std::vector<CommonCells> found;
  std::int64_t held = -1;
  CellFingerprints first;
  for (const auto& [a, b] : pairs) {
    if (held != a) first = read(a, false);
    held = a;
    const CellFingerprints second = read(b, false);
    const CommonCells common{a, b, detail::common_share(first.counts, second.counts),
                             detail::common_share(first.places, second.places)};
    if (common.share() >= options.report) found.push_back(common);
  }
  return found;
}

/// For each slice the one whose cells it repeats, or -1. The better of two stays: `order` lists the slices
/// from the best to the least.
inline std::vector<std::int64_t> leave_out_duplicates(const std::vector<std::int64_t>& order,
                                                      const std::vector<CommonCells>& common, double share) {
  std::map<std::int64_t, std::vector<std::int64_t>> twins;
  for (const CommonCells& pair : common)
    if (pair.share() >= share) {
      twins[pair.a].push_back(pair.b);
      twins[pair.b].push_back(pair.a);
    }
  std::vector<std::int64_t> of(order.size(), -1);
  std::vector<bool> kept(order.size(), false);
  for (const std::int64_t slice : order) {
    for (const std::int64_t other : twins[slice])
      if (kept[static_cast<std::size_t>(other)] && of[static_cast<std::size_t>(slice)] < 0)
        of[static_cast<std::size_t>(slice)] = other;
    kept[static_cast<std::size_t>(slice)] = of[static_cast<std::size_t>(slice)] < 0;
  }
  return of;
}

}  // namespace stofm::train

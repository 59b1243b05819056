// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Names that look alike: what somebody may have meant.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stofm {

/// Insertions, deletions and replacements of bytes that turn one text into the other. *Cost* product of the
/// lengths
inline std::int64_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::int64_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<std::int64_t>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::int64_t diagonal = row[0];
    row[0] = static_cast<std::int64_t>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::int64_t above = row[j];
      row[j] = (std::min)({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// The candidate that is nearest to `word`, if it is near enough to be meant; else "".
inline std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::int64_t best_distance = 2 + static_cast<std::int64_t>(word.size()) / 4;
  for (const std::string& candidate : candidates) {
    const std::int64_t distance = edit_distance(word, candidate);
    const bool begins = word.size() > 3 && candidate.compare(0, word.size(), word) == 0;
    if (distance < best_distance || (begins && best.empty())) {
      best = candidate;
      best_distance = (std::min)(best_distance, distance);
    }
  }
  return best;
}

/// The candidates in their order, the nearest first if there is one near enough to be meant.
inline std::vector<std::string> nearest_first(std::string_view word, std::vector<std::string> candidates) {
  const std::string best = nearest_name(word, candidates);
  if (!best.empty()) {
    const auto place = std::find(candidates.begin(), candidates.end(), best);
    std::rotate(candidates.begin(), place, place + 1);
  }
  return candidates;
}

}  // namespace stofm

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// From lines of single slices to a manifest: what is left out, what is held out. And what may be wrong with
/// one that is there.

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "stofm/train/donor_split.hpp"
#include "stofm/train/find_duplicates.hpp"
#include "stofm/train/manifest.hpp"

namespace stofm::train {

/// Least a slice must have; 0: whatever it has.
struct QualityLimits {
  std::int64_t cells = 2, known_genes = 0;
  double median_counts = 0;
};

/// Why a slice is left out, or "".
inline std::string quality_fault(const ManifestSlice& s, const QualityLimits& least) {
  if (s.cells < least.cells) return concat(s.cells, " cells, fewer than ", least.cells);
  if (s.known_genes < least.known_genes)
    return concat(s.known_genes, " genes in the vocabulary, fewer than ", least.known_genes);
  if (s.median_counts < least.median_counts)
    return concat("median counts of a cell ", s.median_counts, ", below ", least.median_counts);
  return "";
}

struct ManifestOptions {
  QualityLimits least{};
  DuplicateOptions duplicates{};
  DonorSplitOptions split{};
};

/// Pairs of slices with common cells, by their place in the manifest.
struct ManifestPair {
  CommonCells common{};
  bool same_file = false;  ///< same bytes
};

namespace detail {

/// Slices from the best to the least: more cells, more known genes, then the order of the manifest.
inline std::vector<std::int64_t> best_first(const std::vector<ManifestSlice>& slices) {
  std::vector<std::int64_t> order(slices.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&slices](std::int64_t x, std::int64_t y) {
    const ManifestSlice &a = slices[static_cast<std::size_t>(x)], &b = slices[static_cast<std::size_t>(y)];
    return a.cells != b.cells ? a.cells > b.cells : a.known_genes > b.known_genes;
  });
  return order;
}

}  // namespace detail

/// Fills excluded, duplicate_of and part of every slice. \param read fingerprints by place in `slices`; asked
/// for each content once. \return pairs with common cells, in order. \throws as find_common_cells,
/// split_by_donor. *Deterministic* for slices in one order
inline std::vector<ManifestPair> build_manifest(std::vector<ManifestSlice>& slices,
                                                const FingerprintSource& read,
                                                const std::vector<std::optional<CorpusPart>>& given,
                                                const ManifestOptions& options = {}) {
  std::map<std::string, std::int64_t> first;  // of each content
  std::vector<std::int64_t> compared;
  std::vector<ManifestPair> pairs;
  const auto at = [&slices](std::int64_t i) -> ManifestSlice& { return slices[static_cast<std::size_t>(i)]; };
  for (std::int64_t i = 0; i < std::ssize(slices); ++i) {
    at(i).duplicate_of.clear();
    at(i).excluded = quality_fault(at(i), options.least);
    if (!at(i).excluded.empty()) continue;
    const auto [known, is_first] = first.try_emplace(at(i).sha256, i);
    if (is_first)
      compared.push_back(i);
    else
      pairs.push_back({{known->second, i, 1, 1}, true});
  }
  std::vector<CommonCells> common = find_common_cells(
      std::ssize(compared),
      [&](std::int64_t i, bool sketches) { return read(compared[static_cast<std::size_t>(i)], sketches); },
      options.duplicates);
  for (CommonCells& pair : common) {
    pair.a = compared[static_cast<std::size_t>(pair.a)];
    pair.b = compared[static_cast<std::size_t>(pair.b)];
  }
  const auto of = leave_out_duplicates(detail::best_first(slices), common, options.duplicates.duplicate);
  for (const std::int64_t i : compared)
    if (of[static_cast<std::size_t>(i)] >= 0) at(i).duplicate_of = at(of[static_cast<std::size_t>(i)]).file;
  for (const ManifestPair& pair : pairs) {
    const ManifestSlice& original = at(pair.common.a);
    at(pair.common.b).duplicate_of = original.duplicate_of.empty() ? original.file : original.duplicate_of;
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> joined;
  for (const CommonCells& pair : common) {
    joined.emplace_back(pair.a, pair.b);
    pairs.push_back({pair, false});
  }
  std::sort(pairs.begin(), pairs.end(), [](const ManifestPair& x, const ManifestPair& y) {
    return std::pair(x.common.a, x.common.b) < std::pair(y.common.a, y.common.b);
  });
  split_by_donor(slices, joined, given, options.split);
  return pairs;
}

/// What is wrong with the lines among themselves: a file twice, a duplicate of nothing, a donor in two parts.
inline std::vector<std::string> manifest_faults(const std::vector<ManifestSlice>& slices) {
  std::vector<std::string> faults;
  std::map<std::string, const ManifestSlice*> files, donors;
  for (const ManifestSlice& s : slices)
    if (!files.try_emplace(s.file, &s).second) faults.push_back(s.file + ": two lines");
  for (const ManifestSlice& s : slices) {
    for (const std::string& donor : s.donors) {
      const ManifestSlice& other = *donors.try_emplace(donor, &s).first->second;
      if (other.part != s.part)
        faults.push_back(concat(s.file, ": donor ", stofm::quoted(donor, 60), " is in ", part_word(s.part),
                                ", and in ", part_word(other.part), " with ", other.file));
    }
    if (s.duplicate_of.empty()) continue;
    const auto original = files.find(s.duplicate_of);
    if (original == files.end())
      faults.push_back(concat(s.file, ": duplicate of ", s.duplicate_of, ", which is no line"));
    else if (original->second->part != s.part)
      faults.push_back(concat(s.file, ": in ", part_word(s.part), ", and its duplicate ", s.duplicate_of,
                              " in ", part_word(original->second->part)));
  }
  return faults;
}

}  // namespace stofm::train

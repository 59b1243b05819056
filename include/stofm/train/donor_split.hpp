// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Training, validation and test by donor: slices of one donor, and slices with common cells, are in one
/// part. A slice without a donor is its own. *Source* our own choice.

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/io/sha256.hpp"
#include "stofm/train/manifest.hpp"

namespace stofm::train {

struct DonorSplitOptions {
  double validation = 0.05, test = 0.05;  ///< shares of the donors, in expectation
  std::uint64_t seed = 0;

  /// \throws UsageError for shares that leave nothing.
  void validate() const {
    if (!(validation >= 0 && test >= 0 && validation + test < 1))
      throw UsageError({"STOFM-4583", "", "split", concat("validation ", validation, ", test ", test),
                        "shares of 0 or more, together below 1", "0.05 holds out one donor in twenty."});
  }
};

namespace detail {

/// Groups that are joined two at a time.
class Groups {
 public:
  explicit Groups(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), 0); }
  std::size_t of(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(std::size_t a, std::size_t b) {
    a = of(a), b = of(b);
    parent_[(std::max)(a, b)] = (std::min)(a, b);
  }

 private:
  std::vector<std::size_t> parent_;
};

/// A donor with all that must go with it.
struct DonorGroup {
  std::string key{};    ///< its first donor, else its first content
  std::string place{};  ///< SHA-256 of seed and key, whose first digits are a share
  std::vector<std::size_t> slices{};
  std::optional<CorpusPart> given{};
  bool used = false;
  CorpusPart part = CorpusPart::training;
};

inline std::vector<DonorGroup> donor_groups(const std::vector<ManifestSlice>& slices,
                                            const std::vector<std::pair<std::int64_t, std::int64_t>>& joined,
                                            const std::vector<std::optional<CorpusPart>>& given,
                                            std::uint64_t seed) {
  Groups groups(slices.size());
  std::map<std::string, std::size_t> first;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    for (const std::string& donor : slices[i].donors)
      groups.join(first.try_emplace("donor " + donor, i).first->second, i);
    groups.join(first.try_emplace("sha256 " + slices[i].sha256, i).first->second, i);
  }
  for (const auto& [a, b] : joined) groups.join(static_cast<std::size_t>(a), static_cast<std::size_t>(b));
  std::map<std::size_t, DonorGroup> found;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    DonorGroup& group = found[groups.of(i)];
    group.slices.push_back(i);
    group.used = group.used || slices[i].used();
    if (given.empty() || !given[i]) continue;
    if (group.given && *group.given != *given[i])
      throw UsageError({"STOFM-4584", slices[i].file, "split",
                        concat(part_word(*given[i]), " here and ", part_word(*group.given),
                               " for a slice with a donor or cells in common"),
                        "one split for a donor and for slices with the same cells",
                        "Give both the same split, or leave it out."});
    group.given = given[i];
  }
  for (const auto& [key, slice] : first) {  // donors come before hashes, both in order
    DonorGroup& group = found[groups.of(slice)];
    if (!group.key.empty()) continue;
    group.key = key;
    group.place = io::sha256_hex(concat(seed, "\n", key));
  }
  std::vector<DonorGroup> list;
  for (auto& [root, group] : found) list.push_back(std::move(group));
  return list;
}

/// The used group without a given part, now in training, that is first or last by its place.
inline DonorGroup* outermost(std::vector<DonorGroup>& groups, CorpusPart part, bool last) {
  DonorGroup* best = nullptr;
  for (DonorGroup& group : groups)
    if (group.used && !group.given && group.part == part &&
        (best == nullptr || (group.place < best->place) != last))
      best = &group;
  return best;
}

}  // namespace detail

/// Sets the part of every slice. A group's place in [0, 1) follows from seed and donor alone, so slices that
/// are added later move nobody. Below `test`: test; below `test + validation`: validation. Where three
/// groups or more are used, a part with a share has at least one of them, and training always has one.
/// \param joined slices that stay together; \param given parts that were asked for, or empty.
/// \throws UsageError STOFM-4583, 4584 for two given parts within a group
inline void split_by_donor(std::vector<ManifestSlice>& slices,
                           const std::vector<std::pair<std::int64_t, std::int64_t>>& joined,
                           const std::vector<std::optional<CorpusPart>>& given,
                           const DonorSplitOptions& options = {}) {
  options.validate();
  std::vector<detail::DonorGroup> groups = detail::donor_groups(slices, joined, given, options.seed);
  std::int64_t used = 0;
  for (detail::DonorGroup& group : groups) {
    used += group.used;
    const double at = static_cast<double>(std::stoull(group.place.substr(0, 13), nullptr, 16)) / 0x1p52;
    group.part = group.given                              ? *group.given
                 : at < options.test                      ? CorpusPart::test
                 : at < options.test + options.validation ? CorpusPart::validation
                                                          : CorpusPart::training;
  }
  const auto count = [&groups](CorpusPart part) {
    return std::count_if(groups.begin(), groups.end(),
                         [part](const auto& group) { return group.used && group.part == part; });
  };
  if (count(CorpusPart::training) == 0)
    for (const CorpusPart part : {CorpusPart::validation, CorpusPart::test})
      if (detail::DonorGroup* group = detail::outermost(groups, part, true);
          group != nullptr && count(CorpusPart::training) == 0)
        group->part = CorpusPart::training;
  const auto at_least_one = [&](CorpusPart part, double share) {
    if (share <= 0 || used < 3 || count(part) > 0 || count(CorpusPart::training) < 2) return;
    if (detail::DonorGroup* group = detail::outermost(groups, CorpusPart::training, false))
      group->part = part;
  };
  at_least_one(CorpusPart::validation, options.validation);
  at_least_one(CorpusPart::test, options.test);
  for (const detail::DonorGroup& group : groups)
    for (const std::size_t i : group.slices) slices[i].part = group.part;
}

}  // namespace stofm::train

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The checkpoints of a run: `DIR/step-00000123.safetensors` (train/checkpoint_file.hpp), the newest few
/// kept.
///
/// Saving: temporary file -> fsync -> rename -> fsync of the directory -> older ones pruned, so at every
/// moment the newest complete checkpoint is on the disk. Loading: the newest one, every byte verified; a
/// damaged one is never taken silently: by default it is an error that names the next older good one, and
/// with `use_older` that one is loaded, with a notice, and the damaged ones are set aside under
/// "NAME.damaged". *Source* RELIABILITY rows R01 to R08, R12, R14, R23.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/train/checkpoint_file.hpp"
#include "stofm/train/checkpoint_lock.hpp"

namespace stofm::train {

struct CheckpointOptions {
  std::int64_t keep = 3;  ///< newest checkpoints that stay, at least 2
};

/// One file of the directory.
struct CheckpointEntry {
  std::int64_t step = 0;
  std::filesystem::path path;
};

/// What `load_newest` found.
struct ResumePoint {
  Checkpoint checkpoint;
  std::filesystem::path path;
  Notices notices;  ///< STOFM-W3801: damaged ones that were passed over
};

/// Checkpoints of a directory, oldest first. Files of other names are no checkpoints. A directory that is not
/// there has none.
inline std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& directory);

/// The newest checkpoint that is whole; nothing if there is none at all.
/// \throws FileError as read_checkpoint if the newest is damaged, with the next older good one in the remedy,
/// or, with
///   `use_older`, if all are; ResourceError on I/O errors (which say nothing about the file).
STOFM_INLINE std::optional<ResumePoint> load_newest_checkpoint(const std::filesystem::path& directory,
                                                               bool use_older = false);

/// The checkpoint directory of a run, locked while the object lives.
class CheckpointDirectory {
 public:
  /// Creates the directory if it is missing, locks it, and removes temporary files that a killed run left (of
  /// checkpoints only, in this directory only, while nobody else holds the lock).
  /// \throws UsageError STOFM-3810 keep < 2, 3811 another run holds it; ResourceError on I/O errors.
  explicit CheckpointDirectory(const std::filesystem::path& directory, CheckpointOptions options = {});

  const std::filesystem::path& path() const { return directory_; }
  std::vector<CheckpointEntry> list() const { return list_checkpoints(directory_); }

  /// Writes it, then removes the oldest beyond `keep`. One of the same step is replaced.
  /// \return the file. \throws as write_checkpoint; then all older ones are as they were.
  /// A file that can not be removed is no error: `notices` gets STOFM-W3802.
  std::filesystem::path save(const Checkpoint& checkpoint, Notices* notices = nullptr);

  /// As load_newest_checkpoint; damaged ones that were passed over are renamed to "NAME.damaged".
  std::optional<ResumePoint> load_newest(bool use_older = false);

 private:
  std::filesystem::path directory_;
  CheckpointOptions options_;
  std::optional<DirectoryLock> lock_;
};

/// Row R23: what a checkpoint was made with against what the run is asked to do now.
/// \throws UsageError STOFM-3804 with the list of changed options, unless `force`; then they come as notices.
inline Notices check_same_run(const ResumePoint& resume, const nlohmann::json& config,
                              const std::string& data_sha256, bool force = false) {
  std::vector<std::string> changed = changed_keys(resume.checkpoint.config, config);
  if (!resume.checkpoint.data_sha256.empty() && !data_sha256.empty() &&
      resume.checkpoint.data_sha256 != data_sha256)
    changed.insert(changed.begin(), "data (the slices or their content)");
  if (changed.empty()) return {};
  std::string list;
  for (const std::string& key : changed) list += (list.empty() ? "" : ", ") + key;
  if (!force)
    throw UsageError({"STOFM-3804", resume.path.string(), "resume", "other options or data: " + list,
                      "those the checkpoint was made with",
                      "Give the same ones, or check_same_run(force) to go on with the new ones (no longer "
                      "the same run)."});
  return {{"STOFM-W3803", "resumed with other options: " + list, static_cast<std::int64_t>(changed.size())}};
}

namespace detail {

inline constexpr std::string_view checkpoint_stem = "step-", checkpoint_suffix = ".safetensors";

inline std::string checkpoint_name(std::int64_t step) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%08lld", static_cast<long long>(step));
  return std::string(checkpoint_stem) + digits + std::string(checkpoint_suffix);
}

/// The step in "step-00000123.safetensors" + `rest`, or -1.
inline std::int64_t step_of_name(const std::string& name, std::string* rest = nullptr) {
  if (!name.starts_with(checkpoint_stem)) return -1;
  const std::size_t end = name.find_first_not_of("0123456789", checkpoint_stem.size());
  if (end == std::string::npos || end < checkpoint_stem.size() + 8 || end > checkpoint_stem.size() + 18)
    return -1;
  if (name.compare(end, checkpoint_suffix.size(), checkpoint_suffix) != 0) return -1;
  const std::string after = name.substr(end + checkpoint_suffix.size());
  if (rest != nullptr)
    *rest = after;
  else if (!after.empty())
    return -1;
  return std::strtoll(name.c_str() + checkpoint_stem.size(), nullptr, 10);
}

}  // namespace detail

inline std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& directory) {
  std::vector<CheckpointEntry> entries;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (const std::int64_t step = detail::step_of_name(entry.path().filename().string()); step >= 0)
      entries.push_back({step, entry.path()});
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return entries;
}

inline CheckpointDirectory::CheckpointDirectory(const std::filesystem::path& directory,
                                                CheckpointOptions options)
    : directory_(directory), options_(options) {
  if (options_.keep < 2)
    throw UsageError({"STOFM-3810", directory.string(), "keep", stofm::concat(options_.keep),
                      "2 or more checkpoints", "With one, a damaged file would be the end of the run."});
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error)
    throw UsageError({"STOFM-3812", directory.string(), "checkpoint directory", error.message(),
                      "a directory that can be made", "Give another directory or change its permissions."});
  lock_.emplace(directory_ / "lock");
  std::vector<std::filesystem::path> stale;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    std::string rest;
    if (detail::step_of_name(entry.path().filename().string(), &rest) >= 0 &&
        io::detail::parse_temporary_suffix(rest).pid > 0)
      stale.push_back(entry.path());
  }
  for (const auto& path : stale) (void)io::detail::remove_file(path.string());
}

inline std::filesystem::path CheckpointDirectory::save(const Checkpoint& checkpoint, Notices* notices) {
  const std::filesystem::path path = directory_ / detail::checkpoint_name(checkpoint.step);
  write_checkpoint(path, checkpoint);
  const std::vector<CheckpointEntry> entries = list();
  auto excess = static_cast<std::int64_t>(entries.size()) - options_.keep;
  for (const CheckpointEntry& entry : entries) {
    if (excess <= 0) break;
    if (entry.step == checkpoint.step) continue;  // never the one just written
    --excess;
    if (io::detail::remove_file(entry.path.string()) != 0 && errno != ENOENT && notices != nullptr)
      notices->push_back({"STOFM-W3802",
                          stofm::concat("could not remove the old checkpoint ", entry.path.string(), ": ",
                                        io::errno_text(errno)),
                          1});
  }
  return path;
}

inline std::optional<ResumePoint> CheckpointDirectory::load_newest(bool use_older) {
  std::optional<ResumePoint> point = load_newest_checkpoint(directory_, use_older);
  if (!point || point->notices.empty()) return point;
  for (const CheckpointEntry& entry : list())
    if (entry.step > point->checkpoint.step)
      (void)io::detail::rename_file(entry.path.string(), entry.path.string() + ".damaged",
                                    io::detail::RenameMode::replace);
  return point;
}

}  // namespace stofm::train

#if STOFM_BODIES
namespace stofm {

STOFM_INLINE auto train::load_newest_checkpoint(const std::filesystem::path& directory, bool use_older)
    -> std::optional<ResumePoint> {
  std::vector<CheckpointEntry> entries = list_checkpoints(directory);
  if (entries.empty()) return std::nullopt;
  std::optional<ErrorParts> newest;  // what is wrong with the newest one
  Notices notices;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    std::optional<Checkpoint> whole;
    try {
      whole = read_checkpoint(entry->path);
    } catch (const FileError& error) {
      if (error.code() == "STOFM-3001") throw;  // could not be opened: that says nothing about what is in it
      if (!newest) newest = error.parts();
      notices.push_back({"STOFM-W3801", stofm::concat("damaged checkpoint passed over: ", error.what()), 1});
      continue;
    }
    if (!newest || use_older) return ResumePoint{std::move(*whole), entry->path, notices};
    newest->remedy = stofm::concat("The next older checkpoint, ", entry->path.filename().string(),
                                   ", is whole: load_newest(use_older) goes on from it.");
    throw FileError(*newest);
  }
  newest->remedy = "No older checkpoint of this run is whole: start anew, in another directory.";
  throw FileError(*newest);
}

}  // namespace stofm
#endif

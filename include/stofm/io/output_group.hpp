// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Several outputs that are one result: each is written to its temporary file, then all take their names.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stofm/io/pending_output.hpp"

namespace stofm::io {

/// Finished files that have no names yet (OutputOptions::group). Without commit() nothing of them remains.
///
/// What can fail (writing, syncing) has happened when commit() is called. A process that is killed between
/// two of its renames, microseconds apart, leaves some of them; the file that was added first comes last, so
/// where it is, all are.
class OutputGroup {
 public:
  void add(PendingOutput&& finished) { files_.push_back(std::move(finished)); }
  std::span<const PendingOutput> files() const { return files_; }
  /// Lives until the files have their names, or are given up (a lock on what they replace).
  void keep(std::shared_ptr<void> held) { held_.push_back(std::move(held)); }

  /// All take their names, the last one added first. \throws as PendingOutput::commit; then none has.
  void commit() {
    std::size_t at = files_.size();
    try {
      while (at > 0) files_[--at].publish();
      for (PendingOutput& file : files_) file.sync_directory();
    } catch (...) {
      for (PendingOutput& file : files_) {
        if (file.published_ != PendingOutput::Published::no) file.undo();
      }
      files_.clear();
      held_.clear();
      throw;
    }
    for (PendingOutput& file : files_) file.settle();
    files_.clear();
    held_.clear();
  }

 private:
  std::vector<std::shared_ptr<void>> held_;
  std::vector<PendingOutput> files_;  // given up before what was held for them
};

inline void PendingOutput::commit_synced() {
  if (stream_ || done_) return;
  if (group_ != nullptr) return group_->add(std::move(*this));
  publish();
  try {
    sync_directory();
  } catch (...) {
    if (published_ != Published::replaced) undo();  // an output that may not survive is no output
    throw;
  }
  settle();
}

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A file that is replaced in place: may it be, and nobody else has it while it is.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "stofm/io/input_lock.hpp"
#include "stofm/io/output_file.hpp"

namespace stofm::io {

/// Whatever can be known before a long computation whose result replaces `path`: the file is ours and may be
/// written, its folder takes a new file of its size, nobody else has it open. A missing file is left to
/// whoever reads it. \throws UsageError (STOFM-3016); ResourceError (STOFM-5011); FileError (STOFM-3503)
inline void check_in_place(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return;
  const auto refuse = [&](const std::string& found, const char* remedy) {
    throw UsageError({"STOFM-3016", path, "H5adWriteOptions::in_place", found,
                      "a file and a folder that can be written", remedy});
  };
  constexpr const char* elsewhere =
      "Change that, or leave H5adWriteOptions::in_place out: the result is then a new file (an output path).";
  if (::geteuid() != 0 && status.st_uid != ::geteuid())
    refuse(concat("a file of another user (uid ", status.st_uid, "), who would no longer own it"),
           "Leave H5adWriteOptions::in_place out: the result is then a new file (an output path).");
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0 &&
      (errno == EACCES || errno == EPERM || errno == EROFS))
    refuse("a file that may not be written (" + errno_text(errno) + ")", elsewhere);
  try {
    const OutputFile probe(path, {.overwrite = true, .expected_bytes = status.st_size});
  } catch (const UsageError& e) {
    refuse("a folder that takes no new file (" + e.found() + ")", elsewhere);
  }
  if (const auto lock = InputLock::share(path)) {
    lock->hold_alone();
    lock->share_again();
  }
}

namespace detail {

/// Holds the lock of an input, alone for a file that is replaced in place, as long as the object lives or,
/// with a group, until its files have their names: whoever opened the old file in between would change a file
/// that is about to lose its name. \throws FileError (STOFM-3503)
inline std::shared_ptr<void> hold_input(const std::string& input, bool alone, OutputGroup* group) {
  struct Held {
    std::shared_ptr<InputLock> lock;
    bool alone = false;
    ~Held() {
      if (lock && alone) lock->share_again();
    }
  };
  auto held = std::make_shared<Held>();
  held->lock = InputLock::share(input);
  if (alone && held->lock) {
    held->lock->hold_alone();
    held->alone = true;
  }
  if (group != nullptr) group->keep(held);
  return held;
}

}  // namespace detail

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// SIGINT, SIGTERM and SIGHUP end the program at once with 130, 143 or 129, unless an output is being
/// written: then the write is finished (a few seconds are given, without limit for an in-place change) or its
/// temporary file is removed. SIGPIPE and SIGXFSZ are ignored: the writes report them as errors.

#include <string>

namespace stofm::program {

/// Call first in main, before any thread starts. Also opens /dev/null for standard streams that are closed,
/// so that no output file can get descriptor 1 or 2.
void install_signal_handling();

enum class WriteKind { replaceable, in_place };

/// While one lives, `path` is being written by this thread. Nothing else may be in the middle of a write at
/// its birth.
class WriteSection {
 public:
  explicit WriteSection(const std::string& path, WriteKind kind = WriteKind::replaceable);
  WriteSection(const WriteSection&) = delete;
  WriteSection& operator=(const WriteSection&) = delete;
  ~WriteSection();
};

/// While one lives, the first signal ends nothing: `requested()` returns its number from then on, and the
/// work ends where it can be taken up again. A second signal ends the program as above.
class GracefulStop {
 public:
  explicit GracefulStop(const std::string& words);  ///< said when the first signal comes
  GracefulStop(const GracefulStop&) = delete;
  GracefulStop& operator=(const GracefulStop&) = delete;
  ~GracefulStop();
  static int requested();
};

/// A file to be removed should a signal end the program (a lock file).
void remove_on_signal(const std::string& path);

/// What the last line says on a signal, such as how to go on. Empty: nothing.
void set_interruption_hint(const std::string& text);

}  // namespace stofm::program

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// SIGINT, SIGTERM and SIGHUP end the program at once with 130, 143 or 129: its temporary files are removed,
/// by name, and what has its final name stays. While results take their names (a few renames) a signal waits;
/// after the last ones it is too late, and the run ends as if there had been none. A second signal, or half a
/// minute, ends the wait. SIGPIPE and SIGXFSZ are ignored: the writes report them as errors.

#include <string>

#include "stofm/io/output_group.hpp"

namespace stofm::program {

/// Call first in main, before any thread starts. Also opens /dev/null for standard streams that are closed,
/// so that no output file can get descriptor 1 or 2.
void install_signal_handling();

/// While one lives, results take their names and signals wait. One at a time.
class WriteSection {
 public:
  WriteSection();
  WriteSection(const WriteSection&) = delete;
  WriteSection& operator=(const WriteSection&) = delete;
  ~WriteSection();
  /// What follows is no work any more: a signal that comes from here on does not end the program.
  void ends_run();
};

/// The results of a run, the last thing it does: they take their names. \throws as OutputGroup::commit
void publish(io::OutputGroup& outputs);

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

/// A file to be removed should a signal end the program (a lock file), and one that is no longer there.
void remove_on_signal(const std::string& path);
void keep_on_signal(const std::string& path);

/// What the last line says on a signal, such as how to go on. Empty: nothing.
void set_interruption_hint(const std::string& text);

}  // namespace stofm::program

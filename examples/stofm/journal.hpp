// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What a run over many slices has finished, so that the same command goes on where it was stopped: one JSON
/// line per result in `stofm-journal.jsonl`, written atomically, with hashes of the input, the model and the
/// options. An entry is written before its files take their names, so that it is known whose they are
/// whenever the run ends.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace stofm::program {

/// A file as it is under its temporary name and stays under the final one.
struct FileMark {
  std::string path;  ///< the final one
  std::int64_t bytes = 0, mtime_ns = 0;

  /// That of the file `at`, for the final name `path`. \throws ResourceError
  static FileMark of(const std::string& at, const std::string& path);
  /// True if `file` is that one.
  bool is(const std::string& file) const;
};

/// What a result was made of and is.
struct JournalEntry {
  std::string output;         ///< path, the key
  std::string input;          ///< path
  std::string input_sha256;   ///< of the input before the run
  std::string model_sha256;   ///< of the bundle
  std::string result_sha256;  ///< of the output, where it is the input changed in place
  std::int64_t result_bytes = 0;
  std::vector<std::pair<std::string, std::string>> options;  ///< those that change the result
  std::string finished;                                      ///< UTC
  /// Written before the files take their names and empty after it: a run that ended in between left some of
  /// these. The first one takes its name last.
  std::vector<FileMark> taking_names;
};

/// Keys that differ between what a result was made of and what is asked now: "input", "model", "--seed 0 ->
/// 1".
std::vector<std::string> changed_keys(const JournalEntry& then, const JournalEntry& now);

/// How a journal is shared among the processes of one run.
enum class JournalRole {
  alone,  ///< one process
  first,  ///< holds the directory's lock for all
  other,  ///< writes too; the first must have opened it before and close it after
};

/// The journal of one directory, locked while the object lives.
class Journal {
 public:
  /// Reads `directory`/stofm-journal.jsonl if it is there; lines that are no entries (a torn one) are left
  /// out and counted. \throws ResourceError (STOFM-2020) if another process holds it; UsageError (STOFM-2022)
  /// if a file of the journal's names is a link or somebody's: it stays as it is.
  explicit Journal(const std::filesystem::path& directory, JournalRole role = JournalRole::alone);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  const JournalEntry* find(const std::string& output) const;
  /// Adds or replaces, and writes the file. \throws ResourceError
  void record(const JournalEntry& entry);
  /// Takes one out. \throws ResourceError
  void forget(const std::string& output);
  const std::string& path() const { return path_; }
  std::int64_t torn_lines() const { return torn_; }

 private:
  void read();
  void write() const;
  void release();
  void change(const std::string& output, const JournalEntry* entry);

  std::string path_, lock_path_;
  JournalRole role_;
  int lock_ = -1;
  std::int64_t torn_ = 0;
  std::map<std::string, JournalEntry> entries_;
};

}  // namespace stofm::program

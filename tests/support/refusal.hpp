// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The error contract as one check: code, file, place, a word of the remedy; nothing new on the disk; at most
/// a second.

#include <doctest/doctest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <map>
#include <string>

#include "stofm/core/error.hpp"

namespace stofm::test {

/// Names and sizes of all files below a directory (or the nearest one above that exists).
inline std::map<std::string, std::uintmax_t> listing(std::filesystem::path directory) {
  while (!std::filesystem::is_directory(directory)) directory = directory.parent_path();
  std::map<std::string, std::uintmax_t> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    files[entry.path().string()] = entry.is_regular_file() ? entry.file_size() : 0;
  return files;
}

/// Seconds say nothing where nothing is optimised and everything is checked (ASan and UBSan, with which the
/// build defines _GLIBCXX_ASSERTIONS), nor under an emulator (tests/portability/aarch64.sh says so).
inline bool time_counts() {
#if defined(_GLIBCXX_ASSERTIONS)
  return false;
#else
  return std::getenv("STOFM_EMULATED_CPU") == nullptr;
#endif
}

/// What a refusal must say. `word` is searched in the whole text, `where` in its place.
struct Refusal {
  std::string code;
  std::string where;
  std::string word;
  std::string remedy;
};

/// Runs `action`, which must throw a stofm::Error about `file` as `expected` says.
template <class Action>
void check_refused(const std::filesystem::path& file, const Refusal& expected, Action&& action,
                   double seconds = 1.0) {
  const auto before = listing(file.parent_path());
  const std::clock_t start = std::clock();  // time of this process: other programs do not count
  bool thrown = false;
  try {
    action();
  } catch (const Error& error) {
    thrown = true;
    const std::string text = error.what();
    CAPTURE(text);
    CHECK(error.code() == expected.code);
    CHECK(error.file() == file.string());
    CHECK(error.where().find(expected.where) != std::string::npos);
    CHECK(text.find(expected.word) != std::string::npos);
    CHECK(error.remedy().find(expected.remedy) != std::string::npos);
    CHECK_FALSE(error.remedy().empty());
    CHECK(text.find('\n') == std::string::npos);
    CHECK(text.size() < 2000);
  }
  CHECK_MESSAGE(thrown, "accepted: " << file << ", expected " << expected.code);
  const double passed = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (time_counts()) CHECK(passed <= seconds);
  CHECK(listing(file.parent_path()) == before);
}

/// Runs `call`, which must throw a UsageError with this code and words: for calls that are about no file.
template <class Call>
void check_usage(const Call& call, const std::string& code, const std::string& words) {
  try {
    call();
    FAIL_CHECK("accepted, but " << code << " was due");
  } catch (const UsageError& error) {
    CHECK(error.code() == code);
    CHECK_MESSAGE(std::string(error.what()).find(words) != std::string::npos, error.what());
  }
}

}  // namespace stofm::test

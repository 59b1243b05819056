// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where tests find their files: copies in the repository, or directories named by the environment.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace stofm::test {

inline std::filesystem::path source_dir() { return STOFM_SOURCE_DIR; }

/// Golden cases: $STOFM_GOLDEN, else the small ones in tests/golden. A case may be absent.
inline std::filesystem::path golden_dir() {
  const char* dir = std::getenv("STOFM_GOLDEN");
  return dir != nullptr && *dir != '\0' ? std::filesystem::path(dir) : source_dir() / "tests" / "golden";
}

/// A directory of its own for one test, removed with the object. The one above it is the test's own too, so
/// that a test may list what lies beside its directory while others run.
class ScratchDir {
 public:
  ScratchDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "stofm-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    root_ = pattern;
    path_ = root_ / "files";
    std::filesystem::create_directory(path_);
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path root_;
  std::filesystem::path path_;
};

}  // namespace stofm::test

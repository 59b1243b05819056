// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A bound on what libhdf5 allocates: it takes memory by sizes that the file declares (the length of a
/// variable string, a heap) before it looks whether so much is there.

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

namespace stofm::io {

/// True in a child that runs nothing but libhdf5 for us: there, limits of the process are ours to set.
inline bool& hdf5_has_own_process() {
  static bool own = false;
  return own;
}

/// While it lives, this process gets at most 64 MiB and the size of the file on top of what it has; libhdf5
/// then reports that memory ran out. Does nothing outside a child of our own, and where the system does not
/// say how much is in use.
class Hdf5MemoryBound {
 public:
  static constexpr std::int64_t allowance = std::int64_t{64} << 20;

  explicit Hdf5MemoryBound(std::int64_t file_size) {
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
    if (!hdf5_has_own_process() || ::getrlimit(RLIMIT_DATA, &before_) != 0) return;
    const std::int64_t used = data_bytes();
    if (used < 0) return;
    rlimit bound = before_;
    const auto most = static_cast<rlim_t>(used + allowance + file_size);
    if (bound.rlim_cur != RLIM_INFINITY && bound.rlim_cur <= most) return;
    bound.rlim_cur = most;
    active_ = ::setrlimit(RLIMIT_DATA, &bound) == 0;
#else
    (void)file_size;
#endif
  }
  Hdf5MemoryBound(const Hdf5MemoryBound&) = delete;
  Hdf5MemoryBound& operator=(const Hdf5MemoryBound&) = delete;
  ~Hdf5MemoryBound() {
    if (active_) (void)::setrlimit(RLIMIT_DATA, &before_);
  }

 private:
  /// Bytes of data and stack of this process, -1 if they are not known.
  static std::int64_t data_bytes() {
    std::FILE* file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr) return -1;
    long long pages = -1;
    if (std::fscanf(file, "%*s %*s %*s %*s %*s %lld", &pages) != 1) pages = -1;
    std::fclose(file);
    return pages < 0 ? -1 : pages * static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE));
  }

  rlimit before_{};
  bool active_ = false;
};

}  // namespace stofm::io

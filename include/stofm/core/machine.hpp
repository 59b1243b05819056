// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the system says of this machine and process: memory, and where the program lies. Linux; the branches
/// for macOS are written from its documentation and were never compiled.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <locale>
#include <string>
#include <system_error>
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif

namespace stofm {

/// What these functions return where the system does not say: no limit.
inline constexpr std::int64_t unknown_memory = (std::numeric_limits<std::int64_t>::max)();

/// Bytes of memory that the machine has.
inline std::int64_t physical_memory() {
#if defined(__APPLE__)
  std::int64_t bytes = 0;
  std::size_t size = sizeof bytes;
  return ::sysctlbyname("hw.memsize", &bytes, &size, nullptr, 0) == 0 && bytes > 0 ? bytes : unknown_memory;
#else
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? std::int64_t{pages} * page : unknown_memory;
#endif
}

/// Bytes that programs can still get without swapping, as the system estimates them.
inline std::int64_t available_physical_memory() {
#if defined(__APPLE__)
  vm_statistics64_data_t pages{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (::host_statistics64(::mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages),
                          &count) != KERN_SUCCESS)
    return unknown_memory;
  return (std::int64_t{pages.free_count} + pages.inactive_count) * ::sysconf(_SC_PAGESIZE);
#else
  std::ifstream file("/proc/meminfo");
  file.imbue(std::locale::classic());
  std::string name, rest;
  for (std::int64_t kibibytes = 0; file >> name >> kibibytes; std::getline(file, rest))
    if (name == "MemAvailable:") return kibibytes * 1024;
  return unknown_memory;
#endif
}

/// Bytes of the second-level cache of a core; 0 where the system does not say.
inline std::int64_t level2_cache() {
#if defined(__APPLE__)
  std::int64_t bytes = 0;
  std::size_t size = sizeof bytes;
  return ::sysctlbyname("hw.l2cachesize", &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
#elif defined(_SC_LEVEL2_CACHE_SIZE)
  return (std::max<std::int64_t>)(0, ::sysconf(_SC_LEVEL2_CACHE_SIZE));
#else
  return 0;
#endif
}

/// Bytes of address space that this process uses, which is what RLIMIT_AS counts; 0 where it is not known.
inline std::int64_t address_space_in_use() {
  std::ifstream file("/proc/self/statm");
  file.imbue(std::locale::classic());
  std::int64_t pages = 0;
  return file >> pages ? pages * ::sysconf(_SC_PAGESIZE) : 0;
}

/// Largest resident size of this process so far, in bytes.
inline std::int64_t peak_resident_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
#if defined(__APPLE__)
  return usage.ru_maxrss;  // bytes there, kibibytes elsewhere
#else
  return std::int64_t{usage.ru_maxrss} * 1024;
#endif
}

/// The file of the running program; empty where the system does not say.
inline std::filesystem::path program_file() {
  std::error_code error;
#if defined(__APPLE__)
  std::uint32_t size = 0;
  ::_NSGetExecutablePath(nullptr, &size);
  std::string text(size, '\0');
  if (::_NSGetExecutablePath(text.data(), &size) != 0) return {};
  const std::filesystem::path file = std::filesystem::canonical(text.c_str(), error);
#else
  const std::filesystem::path file = std::filesystem::read_symlink("/proc/self/exe", error);
#endif
  return error ? std::filesystem::path{} : file;
}

}  // namespace stofm

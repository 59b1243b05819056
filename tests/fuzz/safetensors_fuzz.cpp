// SPDX-License-Identifier: MIT
// F1: any bytes as a safetensors file, through a file in memory. What is accepted covers its data exactly,
// reads, and survives being written again.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "stofm/io/safetensors.hpp"
#include "tests/fuzz/fuzz_target.hpp"

using namespace stofm;
using namespace stofm::io;

namespace {
/// Reads every tensor in every way that its type allows.
void read_all(const SafetensorsFile& file) {
  for (const std::string& name : file.names()) {
    const SafetensorsInfo& info = file.info(name);
    const std::string bytes = file.read_bytes(name);
    if (static_cast<std::int64_t>(bytes.size()) != info.shape.numel() * dtype_bytes(info.dtype))
      fuzz::finding("a tensor whose bytes do not fit its shape");
    fuzz::accepts([&] {
      try {
        if (is_real(info.dtype)) {
          if (file.read<float>(name).shape() != info.shape) fuzz::finding("a shape changed");
          (void)file.read<double>(name);
        } else {
          (void)file.read<std::int64_t>(name);
          (void)file.read<std::uint8_t>(name);
        }
      } catch (const FileError& error) {
        throw FileError(
            {error.code(), "fuzz", error.where(), error.found(), error.expected(), error.remedy()});
      }
    });
  }
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  std::uint64_t length = 0;
  std::memcpy(&length, data, 8);
  const std::string_view rest = fuzz::text_of(data + 8, size - 8);
  const std::size_t header = length < rest.size() ? static_cast<std::size_t>(length) : rest.size();
  // The header alone, whatever the length field says: most of the work of the fuzzer goes here.
  std::int64_t data_bytes = static_cast<std::int64_t>(rest.size() - header);
  const bool accepted = fuzz::accepts([&] {
    const auto parsed = parse_safetensors_header(rest.substr(0, header), data_bytes, "fuzz");
    std::int64_t covered = 0;
    for (const auto& [name, info] : parsed.tensors) {
      if (info.bytes() != info.shape.numel() * dtype_bytes(info.dtype)) fuzz::finding("sizes do not fit");
      if (info.begin < 0 || info.end > data_bytes || name.empty()) fuzz::finding("a range outside the data");
      covered += info.bytes();
    }
    if (covered != data_bytes) fuzz::finding("the data is not covered exactly");
  });
  if (!accepted) return 0;
  // Accepted: now as a file. memfd gives one without a disk.
  const int descriptor = ::memfd_create("fuzz", MFD_CLOEXEC);
  if (descriptor < 0) return 0;
  const std::uint64_t true_length = header;
  const bool written = ::write(descriptor, &true_length, 8) == 8 &&
                       ::write(descriptor, rest.data(), rest.size()) == static_cast<ssize_t>(rest.size());
  const std::string path = concat("/proc/self/fd/", descriptor);
  if (written && header > 0) read_all(SafetensorsFile::open(path));
  ::close(descriptor);
  return 0;
}

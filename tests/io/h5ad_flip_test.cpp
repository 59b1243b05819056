// SPDX-License-Identifier: MIT
// H04: random damage in small .h5ad files. Each copy is read and streamed; the reader must answer within 5 s
// and this process must live. STOFM_FLIPS sets the number of copies (2,000; the full run is 20,000),
// STOFM_FLIP_SEED the first one. The figures printed are of libhdf5: how many copies crashed or hung its
// child, how many were refused, how many were accepted with other content (flips in bytes that no checksum
// covers).
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "stofm/io/h5ad_reader.hpp"
#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::bytes_of;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

/// Everything that was read, as one number.
std::uint64_t digest_of(const Slice& slice) {
  std::uint64_t digest = 1469598103934665603U;
  const auto add = [&digest](const void* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      digest = (digest ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211U;
  };
  for (const auto& id : slice.gene_ids) add(id.data(), id.size());
  for (const auto& name : slice.cell_names) add(name.data(), name.size());
  add(slice.coordinates.data(), static_cast<std::size_t>(slice.coordinates.numel()) * 8);
  for (std::int64_t begin = 0; begin < slice.cells; begin += 17) {
    const CountRows rows = slice.read_counts(begin, std::min(slice.cells, begin + 17));
    add(rows.offsets.data(), rows.offsets.size() * 8);
    add(rows.columns.data(), rows.columns.size() * 4);
    add(rows.values.data(), rows.values.size() * 8);
  }
  return digest;
}

/// Processor time of all children that have ended.
double child_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

std::string damaged(std::string bytes, std::mt19937_64& random) {
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::size_t hits = 1 + below(below(2) == 0 ? 2 : 16);
  for (std::size_t i = 0; i < hits; ++i) {
    const std::size_t at = below(bytes.size());
    switch (below(4)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random());
        break;
      case 2:
        bytes[at] = static_cast<char>(0xff);
        break;
      default:
        bytes[at] = 0;
        break;
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("H04: random byte flips never crash or hang the reader") {
  const char* text = std::getenv("STOFM_FLIPS");
  const long flips = text != nullptr ? std::strtol(text, nullptr, 10) : 2000;
  const char* seed_text = std::getenv("STOFM_FLIP_SEED");
  const auto first_seed =
      static_cast<std::uint64_t>(seed_text != nullptr ? std::strtol(seed_text, nullptr, 10) : 1);
  const rlimit limit{std::size_t{2} << 30, std::size_t{2} << 30};  // children inherit it
  if (!sanitized) ::setrlimit(RLIMIT_AS, &limit);  // AddressSanitizer needs address space for its shadow
  std::vector<std::string> seeds;
  std::vector<std::uint64_t> digests;
  H5adReadOptions options;
  options.cell_names = true;
  options.busy_limit_s = 1;  // far beyond what 60 cells take; the default of 4 only makes the test longer
  const auto folder = test::source_dir() / "tests" / "data" / "formats";
  for (const char* name :
       {"csr_f32_gzip", "csr_f32_lzf", "csc", "dense_f32", "dense_i2_contiguous", "legacy_0.7",
        "nullable_index", "superblock_v2_nocompress", "csr_f2_fletcher32_indptr_u8", "user_block"}) {
    const std::string path = (folder / (std::string(name) + ".h5ad")).string();
    seeds.push_back(bytes_of(path));
    digests.push_back(digest_of(read_h5ad(path, options)));
  }
  const test::ScratchDir scratch;
  const std::string path = (scratch / "flip.h5ad").string();
  std::map<std::string, long> refused;
  long crashed = 0, hung = 0, same = 0, other = 0, killed = 0;
  double slowest = 0;
  double used_before = child_seconds();
  for (long i = 0; i < flips; ++i) {
    std::mt19937_64 random(first_seed + static_cast<std::uint64_t>(i));
    const std::size_t pick = random() % seeds.size();
    std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged(seeds[pick], random);
    try {
      const std::uint64_t digest = digest_of(read_h5ad(path, options));
      ++(digest == digests[pick] ? same : other);
    } catch (const Error& error) {
      ++refused[error.code()];
      CHECK_MESSAGE(!error.found().empty(), "seed ", first_seed + static_cast<std::uint64_t>(i));
      crashed += error.code() == "STOFM-3533" ? 1 : 0;
      hung += error.code() == "STOFM-3540" ? 1 : 0;
      killed += error.code() == "STOFM-5037" ? 1 : 0;
      const bool fell =
          error.code() == "STOFM-3533" || error.code() == "STOFM-3540" || error.code() == "STOFM-5037";
      if (const char* keep = std::getenv("STOFM_FLIP_KEEP"); fell && keep != nullptr) {
        const auto seed = first_seed + static_cast<std::uint64_t>(i);
        std::filesystem::copy_file(path, std::filesystem::path(keep) / concat("flip-", seed, ".h5ad"),
                                   std::filesystem::copy_options::overwrite_existing);
        MESSAGE("seed ", seed, ", file ", pick, ": ", std::string(error.what()));
      }
    }
    // Processor time of the child: on a busy machine the wall clock says nothing.
    const double used = child_seconds();
    slowest = std::max(slowest, used - used_before);
    if (used - used_before > 5)
      FAIL_CHECK("seed ", first_seed + static_cast<std::uint64_t>(i), " took ", used - used_before, " s");
    used_before = used;
  }
  long refusals = 0;
  std::string codes;
  for (const auto& [code, count] : refused) {
    refusals += count;
    codes += concat(" ", code, ":", count);
  }
  MESSAGE("flip-h5ad: ", flips, " copies, 0 crashes of the reader; in libhdf5's child ", crashed,
          " crashes, ", hung, " hangs, ", killed, " out of memory; ", refusals, " refused, ", same,
          " read the same, ", other, " read with other content; slowest ", slowest, " s of processor time");
  MESSAGE("refusals by code:", codes);
  CHECK(refusals + same + other == flips);
}

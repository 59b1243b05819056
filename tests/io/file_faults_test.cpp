// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>

#include "stofm/io/safetensors.hpp"
#include "tests/support/io_faults.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::IoFaults;
using stofm::test::listing;
using stofm::test::ScratchDir;

namespace {
Tensor<float> pattern(float first, std::int64_t rows) {
  auto tensor = Tensor<float>::zeros({rows, 8});
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.data()[i] = first + static_cast<float>(i);
  return tensor;
}
void save(const std::filesystem::path& path, float first, std::int64_t rows, bool overwrite) {
  write_safetensors(
      path, {safetensors_entry("a", pattern(first, rows)), safetensors_entry("t", std::string("text"))},
      {{"first", std::to_string(first)}}, {.overwrite = overwrite});
}
/// The first value, or -1 if the file is not what `save` writes.
float load(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  const auto a = file.read<float>("a");
  const float first = a(0, 0);
  for (std::int64_t i = 0; i < a.numel(); ++i)
    if (a.data()[i] != first + static_cast<float>(i)) return -1;
  return file.read_bytes("t") == "text" ? first : -1;
}
}  // namespace

TEST_CASE("R05, R06, R07: whichever call fails, the old file is whole and no other is left") {
  const ScratchDir dir;
  const auto path = dir / "weights.safetensors";
  std::int64_t points = 0;
  for (const int error : {EIO, ENOSPC, EDQUOT, EFBIG, EMFILE, ENOMEM})
    for (const bool overwrite : {true, false})
      for (const bool sticky : {false, true})
        for (std::int64_t k = 1;; ++k) {
          std::filesystem::remove(path);
          if (overwrite) save(path, 100, 50'000, false);
          const auto before = listing(dir.path());
          bool failed = false, fired = false;
          IoCall kind = IoCall::open;
          {
            const IoFaults faults(k, {.error = error}, sticky);
            try {
              save(path, 200, 60'000, overwrite);
            } catch (const ResourceError& refused) {
              failed = true;
              CHECK(refused.exit_code() == 5);
              CHECK(refused.file() == path.string());
            }
            fired = faults.fired();
            kind = faults.first_kind();
          }
          if (!fired) break;
          ++points;
          const int called = static_cast<int>(kind);
          CAPTURE(error);
          CAPTURE(k);
          CAPTURE(sticky);
          CAPTURE(overwrite);
          CAPTURE(called);
          if (failed) {
            if (overwrite) CHECK(load(path) == 100);
            if (!overwrite) CHECK_FALSE(std::filesystem::exists(path));
            if (!sticky) CHECK(listing(dir.path()) == before);
          } else {
            // Only cleaning up, or closing what was read or synced, may fail without a word.
            CHECK((kind == IoCall::remove || kind == IoCall::close));
            CHECK(load(path) == 200);
          }
          for (const auto& [name, size] : listing(dir.path()))
            if (name != path.string()) std::filesystem::remove(name);
        }
  MESSAGE(points << " fault points");
  CHECK(points > 150);
}

TEST_CASE("R08: EINTR and short counts everywhere change nothing") {
  const ScratchDir dir;
  for (const IoFault fault : {IoFault{.error = EINTR}, IoFault{.at_most = 1}})
    for (std::int64_t k = 1;; ++k) {
      const auto path = dir / ("f" + std::to_string(k) + "-" + std::to_string(fault.error));
      const IoFaults faults(k, fault);
      save(path, 300, 40'000, false);
      CHECK(load(path) == 300);
      if (!faults.fired()) break;
    }
  // Every call short: one byte at a time.
  save(dir / "plain", 7, 300, false);
  const IoFaults faults(1, {.at_most = 1}, true);
  save(dir / "short", 7, 300, false);
  CHECK(load(dir / "short") == 7);
  CHECK(faults.calls() > 9600);
  CHECK(File::open(dir / "short").read_all(1 << 20) == File::open(dir / "plain").read_all(1 << 20));
}

TEST_CASE("R07: an I/O error while reading is exit 5 with the text of the system") {
  const ScratchDir dir;
  const auto path = dir / "weights.safetensors";
  save(path, 1, 100, false);
  std::int64_t refused = 0;
  for (std::int64_t k = 1;; ++k) {
    const IoFaults faults(k, {.error = EIO});
    try {
      (void)load(path);
    } catch (const Error& error) {
      ++refused;
      CHECK((error.exit_code() == 5 || error.exit_code() == 3));
      CHECK(std::string(error.what()).find("Input/output error") != std::string::npos);
    }
    if (!faults.fired()) break;
  }
  CHECK(refused >= 6);
}

TEST_CASE("R01: kill -9 while files are replaced leaves the old or the new one, whole") {
  const ScratchDir dir;
  const auto path = dir / "weights.safetensors";
  save(path, 0, 20'000, false);
  std::mt19937 random(7);
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 1;; ++i) save(path, static_cast<float>(i), 20'000, true);
    }
    ::usleep(static_cast<useconds_t>(random() % 40'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK(load(path) >= 0);
  }
}

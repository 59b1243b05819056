// SPDX-License-Identifier: MIT
// Checkpoints under faults: kill -9 (R01, R02), full disks and quotas (R05, R06), I/O errors at every call
// (R07), EINTR and short transfers (R08).
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <thread>

#include "stofm/core/random.hpp"
#include "stofm/train/checkpoint.hpp"
#include "tests/support/io_faults.hpp"
#include "tests/support/paths.hpp"

namespace fs = std::filesystem;
using namespace stofm;
using namespace stofm::train;

namespace {

/// Everything in it follows from the step, so that a loaded one can be checked without a copy.
Checkpoint make_checkpoint(std::int64_t step, std::int64_t elements = 5000) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.config = {{"width", elements}};
  checkpoint.state = {{"drawn", step * 3}};
  Tensor<float> w(Shape{elements});
  for (std::int64_t i = 0; i < elements; ++i) w.data()[i] = static_cast<float>(i + step);
  checkpoint.tensors.emplace("parameters/w", w);
  return checkpoint;
}
bool is_as_written(const Checkpoint& c) {
  const Tensor<float>& w = c.tensors.at("parameters/w");
  bool same = c.state.at("drawn") == c.step * 3;
  for (std::int64_t i = 0; i < w.numel(); ++i) same = same && w.data()[i] == static_cast<float>(i + c.step);
  return same;
}
std::int64_t temporaries(const fs::path& directory) {
  std::int64_t count = 0;
  for (const auto& entry : fs::directory_iterator(directory))
    count += entry.path().string().find(".tmp") != std::string::npos;
  return count;
}

}  // namespace

TEST_CASE("R01, R02: of 200 kills at random times while a run saves, none loses the last checkpoint") {
#if defined(_GLIBCXX_ASSERTIONS)
  constexpr int rounds = 40;  // fork is slow under ASan
#else
  constexpr int rounds = 200;
#endif
  const test::ScratchDir dir;
  Random random(7);
  std::int64_t last = 0, lost = 0, stale = 0, progressed = 0;
  for (int round = 0; round < rounds; ++round) {
    int report[2];
    REQUIRE(::pipe(report) == 0);
    const pid_t child = ::fork();
    if (child == 0) {  // saves in a loop and says what is done
      try {
        CheckpointDirectory checkpoints(dir / "c", {.keep = 2});
        for (std::int64_t step = last + 1;; ++step) {
          (void)checkpoints.save(make_checkpoint(step));
          if (::write(report[1], &step, sizeof step) != sizeof step) ::_exit(1);
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    ::close(report[1]);
    std::int64_t done = last, said = 0;
    // Every other kill waits for a first save, so that kills meet running savers on a slow machine, too.
    if (round % 2 == 1 && ::read(report[0], &said, sizeof said) == sizeof said) done = said;
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(20'000)));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    while (::read(report[0], &said, sizeof said) == sizeof said) done = said;
    ::close(report[0]);
    if (!fs::exists(dir / "c")) continue;
    stale += temporaries(dir / "c");
    CheckpointDirectory checkpoints(dir / "c", {.keep = 2});
    CHECK(temporaries(dir / "c") == 0);
    const auto point = checkpoints.load_newest();
    // What was reported is there; the one in hand may have been finished too.
    const bool good = done == 0 ? !point || point->checkpoint.step == 1
                                : point && is_as_written(point->checkpoint) &&
                                      (point->checkpoint.step == done || point->checkpoint.step == done + 1);
    lost += !good;
    if (done > last)
      CHECK(checkpoints.list().size() <= 3);  // a whole save prunes; the one in hand may have come on top
    progressed += point && point->checkpoint.step > last;
    if (point) last = point->checkpoint.step;
  }
  CHECK(lost == 0);
  CHECK(progressed >= rounds / 2);
  MESSAGE(last << " saves, " << rounds << " kills, " << stale << " in the middle of a write");
}

TEST_CASE("R05, R06, R07: a fault at any call of a save leaves the older checkpoints and no temporary file") {
  for (const int error : {ENOSPC, EDQUOT, EFBIG, EIO}) {
    for (const bool sticky : {false, true}) {
      std::int64_t faults = 0;
      for (std::int64_t at = 1;; ++at) {
        const test::ScratchDir dir;
        CheckpointDirectory checkpoints(dir / "c", {.keep = 2});
        (void)checkpoints.save(make_checkpoint(1));
        (void)checkpoints.save(make_checkpoint(2));
        bool fired = false, saved = false;
        io::IoCall kind = io::IoCall::open;
        {
          const test::IoFaults injected(at, {.error = error}, sticky);
          try {
            (void)checkpoints.save(make_checkpoint(3));
            saved = true;
          } catch (const ResourceError& refusal) {
            CHECK(refusal.exit_code() == 5);
            const std::string text = refusal.what();
            if (error == ENOSPC && injected.first_kind() == io::IoCall::write)
              CHECK(text.find("no space left on " + (dir / "c").string()) != std::string::npos);
            if (error == EIO) CHECK(text.find(io::errno_text(EIO)) != std::string::npos);
          }
          fired = injected.fired();
          kind = injected.first_kind();
        }
        CAPTURE(at);
        const auto point = checkpoints.load_newest();
        REQUIRE(point);
        CHECK(is_as_written(point->checkpoint));
        CHECK((saved ? point->checkpoint.step == 3 : point->checkpoint.step >= 2));
        if (!saved) CHECK(checkpoints.list().size() >= 2);
        // Only a disk that can not remove files either keeps the temporary one; the next start removes it.
        if (!sticky && kind != io::IoCall::remove) CHECK(temporaries(dir / "c") == 0);
        if (!fired) break;
        ++faults;
      }
      CHECK(faults >= 8);
    }
  }
}

TEST_CASE("R07: a failed sync is final: the checkpoint does not count as written") {
  for (std::int64_t at = 1;; ++at) {
    const test::ScratchDir dir;
    CheckpointDirectory checkpoints(dir / "c");
    (void)checkpoints.save(make_checkpoint(1));
    bool fired = false, sync = false, saved = false;
    {
      const test::IoFaults injected(at, {.error = EIO});
      try {
        (void)checkpoints.save(make_checkpoint(2));
        saved = true;
      } catch (const ResourceError&) {
      }
      fired = injected.fired();
      sync = fired && injected.first_kind() == io::IoCall::sync;
    }
    if (!fired) break;
    if (sync) CHECK_FALSE(saved);
    if (sync) CHECK(checkpoints.load_newest()->checkpoint.step == 1);
  }
}

TEST_CASE("R07: a read error on resume says nothing about the file and is no reason to take an older one") {
  const test::ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c");
  (void)checkpoints.save(make_checkpoint(1));
  (void)checkpoints.save(make_checkpoint(2));
  std::int64_t failed = 0;
  for (std::int64_t at = 1;; ++at) {
    const test::IoFaults injected(at, {.error = EIO});
    try {
      const auto point = checkpoints.load_newest(true);
      CHECK(point->checkpoint.step == 2);
    } catch (const Error&) {
      ++failed;
    }
    if (!injected.fired()) break;
  }
  CHECK(failed >= 3);
  CHECK(checkpoints.list().size() == 2);
}

TEST_CASE("R08: interrupted calls and short transfers give the same bytes") {
  const test::ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c");
  for (std::int64_t at = 1; at <= 12; ++at) {
    for (const io::IoFault fault : {io::IoFault{.error = EINTR}, io::IoFault{.error = 0, .at_most = 3}}) {
      {
        const test::IoFaults injected(at, fault);
        (void)checkpoints.save(make_checkpoint(at));
      }
      const test::IoFaults injected(at, fault);
      CHECK(is_as_written(checkpoints.load_newest()->checkpoint));
    }
  }
}

TEST_CASE("R05, R06: a file-size limit at any multiple of 4 KiB keeps the old checkpoint") {
  const test::ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c", {.keep = 2});
  (void)checkpoints.save(make_checkpoint(1, 20'000));
  const auto bytes = static_cast<std::int64_t>(fs::file_size(checkpoints.list().front().path));
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  for (std::int64_t limit = 0; limit < bytes; limit += 4096) {
    struct rlimit now = before;
    now.rlim_cur = static_cast<rlim_t>(limit);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    std::string text;
    try {
      (void)checkpoints.save(make_checkpoint(2, 20'000));
    } catch (const ResourceError& error) {
      text = error.what();
    }
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    CAPTURE(text);
    CHECK(text.find("no space left on") != std::string::npos);
    CHECK(text.find("needs " + std::to_string(bytes)) != std::string::npos);
    CHECK(temporaries(dir / "c") == 0);
    REQUIRE(checkpoints.list().size() == 1);
  }
  CHECK(is_as_written(checkpoints.load_newest()->checkpoint));
}

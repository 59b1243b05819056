// SPDX-License-Identifier: MIT
#include "stofm/io/output_group.hpp"

#include <doctest/doctest.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "stofm/io/file.hpp"
#include "stofm/io/output_file.hpp"
#include "tests/support/file_bytes.hpp"
#include "tests/support/io_faults.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::bytes_of;
using stofm::test::IoFaults;
using stofm::test::listing;
using stofm::test::ScratchDir;
using stofm::test::write_bytes;

namespace {

void write(OutputGroup& group, const std::filesystem::path& path, const std::string& text) {
  atomic_write(path, [&](OutputFile& file) { file.write(text); }, {.overwrite = true, .group = &group});
}

/// A pid that no process has: that of a child that has ended.
pid_t dead_pid() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

}  // namespace

TEST_CASE("the files of a group have no names before commit, and all of them after it") {
  const ScratchDir dir;
  write_bytes(dir / "b", "old");
  {
    OutputGroup group;
    write(group, dir / "a", "1");
    write(group, dir / "b", "2");
    CHECK_FALSE(std::filesystem::exists(dir / "a"));
    CHECK(bytes_of(dir / "b") == "old");
    CHECK(group.files().size() == 2);
    group.commit();
    CHECK(bytes_of(dir / "a") == "1");
    CHECK(bytes_of(dir / "b") == "2");
  }
  CHECK(listing(dir.path()).size() == 2);
  {
    OutputGroup given_up;
    write(given_up, dir / "c", "3");
  }
  CHECK(listing(dir.path()).size() == 2);
}

TEST_CASE("whichever call of a commit fails, all files are new or all are as before") {
  const ScratchDir dir;
  std::int64_t points = 0;
  for (const int error : {EIO, ENOSPC, EACCES})
    for (std::int64_t k = 1;; ++k) {
      for (const char* name : {"a", "b", "c"}) std::filesystem::remove(dir / name);
      write_bytes(dir / "b", "old");
      OutputGroup group;
      for (const char* name : {"a", "b", "c"}) write(group, dir / name, "new");
      bool failed = false, fired = false;
      {
        const IoFaults faults(k, {.error = error});
        try {
          group.commit();
        } catch (const Error&) {
          failed = true;
        }
        fired = faults.fired();
      }
      if (!fired) break;
      ++points;
      CAPTURE(k);
      CHECK(bytes_of(dir / "b") == (failed ? "old" : "new"));
      CHECK(std::filesystem::exists(dir / "a") == !failed);
      CHECK(std::filesystem::exists(dir / "c") == !failed);
    }
  CHECK(points >= 18);  // three renames and three directory syncs, three times
}

TEST_CASE("a name that was not given is never a link") {
  const ScratchDir dir;
  write_bytes(dir / "victim", "precious");
  std::filesystem::create_symlink(dir / "victim", dir / "log");
  std::filesystem::create_symlink(dir / "nothing", dir / "dangling");
  for (const char* name : {"log", "dangling"})
    test::check_refused(dir / name, {"STOFM-3015", "output", "a link", "Remove the link"}, [&] {
      const OutputFile file(dir / name, {.overwrite = true, .follow_link = false});
    });
  CHECK(bytes_of(dir / "victim") == "precious");
  CHECK_FALSE(std::filesystem::exists(dir / "nothing"));
}

TEST_CASE("what killed processes left is removed, and nothing that may be somebody's") {
  const ScratchDir dir;
  const std::string dead = std::to_string(dead_pid()), scope = io::detail::pid_scope();
  const std::string other_scope = scope == "00000000" ? "00000001" : "00000000";
  const std::string gone = "s.h5ad.tmp." + dead + ".0." + scope;
  const std::vector<std::string> stay = {"s.h5ad.tmp." + dead + ".0." + other_scope,  // of another host
                                         "s.h5ad.tmp." + dead + ".0",  // of a version without scopes
                                         "s.h5ad.tmp.1.0." + scope,    // of a process that lives
                                         "s.h5ad.tmp-notes-" + dead,
                                         "s.h5ad.tmp.9" + dead + "1.x." + scope,
                                         ".tmp." + dead + ".0." + scope,
                                         "s.h5ad.tmp." + dead + ".0." + scope + ".txt",
                                         "s.h5ad"};
  for (const std::string& name : stay) write_bytes(dir / name, "x");
  write_bytes(dir / gone, "half");
  const std::string held = "t.h5ad.tmp." + dead + ".1." + scope, link = "u.h5ad.tmp." + dead + ".2." + scope,
                    twice = "v.h5ad.tmp." + dead + ".3." + scope;
  write_bytes(dir / held, "x");
  write_bytes(dir / twice, "x");
  std::filesystem::create_hard_link(dir / twice, dir / "other name");
  std::filesystem::create_symlink(dir / "s.h5ad", dir / link);
  const int lock = ::open((dir / held).c_str(), O_RDONLY);
  REQUIRE(::flock(lock, LOCK_SH) == 0);
  const PendingOutput mine(dir / "w.h5ad");
  write_bytes(mine.temporary_path(), "being written");
  CHECK(remove_dead_temporaries(dir.path()) == std::vector<std::string>{gone});
  for (const std::string& name : stay) CHECK(std::filesystem::exists(dir / name));
  for (const std::string& name : {held, link, twice})
    CHECK(std::filesystem::is_symlink(dir / name) + std::filesystem::exists(dir / name) > 0);
  CHECK(std::filesystem::exists(mine.temporary_path()));
  ::close(lock);
  CHECK(remove_dead_temporaries(dir.path()) == std::vector<std::string>{held});
  CHECK(remove_dead_temporaries(dir / "no such folder").empty());
}

TEST_CASE("a process that ends early removes the temporary files that it has, by name") {
  const ScratchDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    OutputFile file(dir / "out");
    file.write("half");
    write_bytes(dir / ("out.tmp." + std::to_string(::getpid()) + ".99"), "somebody's");
    TemporaryFiles::of_process().remove_all_and_close();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  CHECK(listing(dir.path()).size() == 1);
  CHECK(std::filesystem::exists(dir / ("out.tmp." + std::to_string(child) + ".99")));
}

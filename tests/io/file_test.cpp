// SPDX-License-Identifier: MIT
#include "stofm/io/file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::bytes_of;
using stofm::test::check_refused;
using stofm::test::listing;
using stofm::test::ScratchDir;
using stofm::test::write_bytes;

namespace {

/// Runs `action` in a child process (as nobody, if we are root and `unprivileged`); its return value comes
/// back, 100 if it threw something else than an Error.
template <class Action>
int in_child(Action&& action, bool unprivileged = false) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (unprivileged && ::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(101);
    int code = 100;
    try {
      code = action();
    } catch (const Error& error) {
      code = error.exit_code();
    } catch (...) {
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("a file is read by position, exactly") {
  const ScratchDir dir;
  write_bytes(dir / "a", "0123456789");
  const File file = File::open(dir / "a");
  CHECK(file.size() == 10);
  char part[4] = {};
  file.read(part, 3, 4);
  CHECK(std::string(part, 4) == "3456");
  CHECK(file.read_all(10) == "0123456789");
  check_refused(dir / "a", {"STOFM-3003", "byte 10", "10 bytes when it was opened", "truncated"}, [&] {
    char more[8];
    file.read(more, 8, 8);
  });
  check_refused(dir / "a", {"STOFM-3004", "size", "at most 9 bytes", "right file"},
                [&] { file.read_all(9); });
}

TEST_CASE(
    "S37: directory, FIFO, socket, device, missing file and dangling link are refused without waiting") {
  const ScratchDir dir;
  auto open = [](const std::filesystem::path& path) { return [path] { (void)File::open(path); }; };
  std::filesystem::create_directory(dir / "folder");
  check_refused(dir / "folder", {"STOFM-3002", "open", "a directory", "path"}, open(dir / "folder"));
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  check_refused(dir / "fifo", {"STOFM-3002", "open", "a FIFO", "path"}, open(dir / "fifo"));
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = (dir / "socket").string();
  REQUIRE(name.size() < sizeof address.sun_path);
  name.copy(address.sun_path, name.size());
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  check_refused(dir / "socket", {"STOFM-3002", "open", "a socket", "path"}, open(dir / "socket"));
  ::close(socket);
  CHECK_THROWS_WITH_AS((void)File::open("/dev/zero"), doctest::Contains("a device"), FileError);
  check_refused(dir / "none", {"STOFM-3001", "open", "No such file or directory", "path"},
                open(dir / "none"));
  std::filesystem::create_symlink(dir / "nowhere", dir / "link");
  check_refused(dir / "link", {"STOFM-3001", "open", "dangling link", "link points"}, open(dir / "link"));
  write_bytes(dir / "plain", "x");
  check_refused(dir / "plain" / "below", {"STOFM-3001", "open", "Not a directory", "path"},
                [&] { (void)File::open(dir / "plain" / "below"); });
}

TEST_CASE("S37: a file without read permission is refused with the text of the system") {
  const ScratchDir dir;
  write_bytes(dir / "secret", "x");
  ::chmod((dir / "secret").c_str(), 0);
  ::chmod(dir.path().c_str(), 0755);
  const int code = in_child(
      [&] {
        try {
          (void)File::open(dir / "secret");
        } catch (const FileError& error) {
          const std::string text = error.what();
          return text.find("Permission denied") != std::string::npos &&
                         text.find("permissions") != std::string::npos
                     ? 0
                     : 1;
        }
        return 2;
      },
      true);
  CHECK(code == 0);
}

TEST_CASE("R16, R17: an open file survives its deletion; running out of handles is exit 5") {
  const ScratchDir dir;
  write_bytes(dir / "a", "content");
  const File file = File::open(dir / "a");
  std::filesystem::remove(dir / "a");
  CHECK(file.read_all(100) == "content");
  write_bytes(dir / "b", "x");
  CHECK(in_child([&] {
          rlimit limit{};
          ::getrlimit(RLIMIT_NOFILE, &limit);
          const rlimit none{3, limit.rlim_max};
          ::setrlimit(RLIMIT_NOFILE, &none);
          try {
            (void)File::open(dir / "b");
          } catch (...) {
            ::setrlimit(RLIMIT_NOFILE, &limit);  // the sanitizers need a handle to look at exceptions
            throw;
          }
          return 0;
        }) == 5);
}

TEST_CASE("an output appears whole, or not at all when its writer throws") {
  const ScratchDir dir;
  const std::string large(3'000'000, 'x');
  atomic_write(dir / "out", [&](OutputFile& out) {
    out.write("head ");
    out.write(large);
    CHECK(out.position() == 3'000'005);
    CHECK(listing(dir.path()).size() == 1);  // the temporary file
    CHECK_FALSE(std::filesystem::exists(dir / "out"));
  });
  CHECK(listing(dir.path()) == std::map<std::string, std::uintmax_t>{{(dir / "out").string(), 3'000'005}});
  CHECK_THROWS_AS(
      atomic_write(dir / "other", [&](OutputFile& out) { out.write(large), throw std::runtime_error("no"); }),
      std::runtime_error);
  CHECK(listing(dir.path()).size() == 1);
}

TEST_CASE("C03: an existing output is refused unless overwrite is given, then it is replaced") {
  const ScratchDir dir;
  write_bytes(dir / "out", "old");
  ::chmod((dir / "out").c_str(), 0640);
  auto write = [&](OutputOptions options) {
    atomic_write(
        dir / "out", [](OutputFile& out) { out.write("new"); }, options);
  };
  check_refused(dir / "out", {"STOFM-3010", "output", "exists", "OutputOptions::overwrite"},
                [&] { write({}); });
  CHECK(bytes_of(dir / "out") == "old");
  write({.overwrite = true});
  CHECK(bytes_of(dir / "out") == "new");
  CHECK(listing(dir.path()).size() == 1);
  struct stat status {};
  ::stat((dir / "out").c_str(), &status);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("C03: a file that appears while the output is written is not replaced") {
  const ScratchDir dir;
  CHECK_THROWS_WITH_AS(atomic_write(dir / "out",
                                    [&](OutputFile& out) {
                                      out.write("mine");
                                      write_bytes(dir / "out", "theirs");
                                    }),
                       doctest::Contains("appeared meanwhile"), UsageError);
  CHECK(bytes_of(dir / "out") == "theirs");
  CHECK(listing(dir.path()).size() == 1);
}

TEST_CASE("a link to a file stays a link when its target is replaced") {
  const ScratchDir dir;
  std::filesystem::create_directory(dir / "data");
  write_bytes(dir / "data" / "file", "old");
  std::filesystem::create_symlink(dir / "data" / "file", dir / "link");
  atomic_write(dir / "link", [](OutputFile& out) { out.write("new"); }, {.overwrite = true});
  CHECK(std::filesystem::is_symlink(dir / "link"));
  CHECK(bytes_of(dir / "data" / "file") == "new");
}

TEST_CASE("C01: an output that is an input, by path, link or inode, is refused before anything happens") {
  const ScratchDir dir;
  write_bytes(dir / "in", "x");
  std::filesystem::create_symlink(dir / "in", dir / "soft");
  std::filesystem::create_hard_link(dir / "in", dir / "hard");
  for (const std::string name : {"in", "soft", "hard", "./in"})
    check_refused(dir / name, {"STOFM-3011", "output", "same file as the input", "another output"},
                  [&] { check_output(dir / name, {dir / "in"}, {.overwrite = true}); });
  CHECK_NOTHROW(check_output(dir / "out", {dir / "in"}));
  CHECK(bytes_of(dir / "in") == "x");
}

TEST_CASE(
    "C02: a missing or unwritable directory, an empty path and a directory as output are refused at once") {
  const ScratchDir dir;
  check_refused(dir / "no" / "out",
                {"STOFM-3012", "output directory", "No such file", "Create the directory"},
                [&] { check_output(dir / "no" / "out", {}); });
  std::filesystem::create_directory(dir / "no");
  check_refused(dir / "no", {"STOFM-3014", "output", "a directory", "file name"},
                [&] { check_output(dir / "no", {}); });
  CHECK_THROWS_AS(check_output("", {}), UsageError);
  CHECK_THROWS_AS(check_output(dir.path().string() + "/", {}), UsageError);
  ::chmod((dir / "no").c_str(), 0555);
  ::chmod(dir.path().c_str(), 0755);
  CHECK(in_child([&] { return check_output(dir / "no" / "out", {}), 0; }, true) == 2);
  std::filesystem::create_symlink(dir / "nowhere", dir / "link");
  check_refused(dir / "link", {"STOFM-3014", "output", "dangling", "Remove the link"},
                [&] { check_output(dir / "link", {}); });
}

TEST_CASE("C07: paths with blanks and UTF-8, and long names, work") {
  const ScratchDir dir;
  for (const std::string& name : {std::string("a b c"), std::string("näme ☃"), std::string(255, 'n')}) {
    atomic_write(dir / name, [](OutputFile& out) { out.write("x"); });
    CHECK(bytes_of(dir / name) == "x");
  }
  CHECK(listing(dir.path()).size() == 3);
}

TEST_CASE(
    "R05, R24: a full disk is exit 5 with the space that is missing; pipes and /dev/null take a stream") {
  CHECK_THROWS_WITH_AS(atomic_write("/dev/full", [](OutputFile& out) { out.write("x"); }),
                       doctest::Contains("no space left on /dev"), ResourceError);
  CHECK_NOTHROW(atomic_write("/dev/null", [](OutputFile& out) { out.write("x"); }));
  const ScratchDir dir;
  CHECK_THROWS_WITH_AS(OutputFile(dir / "big", {.expected_bytes = std::int64_t{1} << 60}),
                       doctest::Contains("needs 1152921504606846976 bytes, has"), ResourceError);
  CHECK(listing(dir.path()).empty());
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(OutputFile(dir / "fifo"), doctest::Contains("Start the reader"), UsageError);
  const int reader = ::open((dir / "fifo").c_str(), O_RDONLY | O_NONBLOCK);
  atomic_write(dir / "fifo", [](OutputFile& out) { out.write("through"); });
  char text[8] = {};
  CHECK(::read(reader, text, 7) == 7);
  CHECK(std::string(text) == "through");
  CHECK_THROWS_WITH_AS(atomic_write(dir / "fifo",
                                    [&](OutputFile& out) {
                                      ::close(reader);
                                      out.write("lost");
                                    }),
                       doctest::Contains("Broken pipe"), ResourceError);  // and no SIGPIPE
}

TEST_CASE("R06: the file-size limit is exit 5, not the signal SIGXFSZ, and nothing remains") {
  const ScratchDir dir;
  write_bytes(dir / "out", "old");
  CHECK(in_child([&] {
          const rlimit small{1 << 16, 1 << 16};
          ::setrlimit(RLIMIT_FSIZE, &small);
          atomic_write(dir / "out", [](OutputFile& out) { out.write(std::string(1 << 20, 'x')); },
                       {.overwrite = true});
          return 0;
        }) == 5);
  CHECK(bytes_of(dir / "out") == "old");
  CHECK(listing(dir.path()).size() == 1);
}

TEST_CASE("a pending output hands out a name, and takes what somebody else wrote there") {
  const ScratchDir dir;
  {
    PendingOutput pending(dir / "out");
    write_bytes(pending.temporary_path(), "made elsewhere");
    pending.commit();
  }
  CHECK(bytes_of(dir / "out") == "made elsewhere");
  {
    const PendingOutput pending(dir / "other");
    write_bytes(pending.temporary_path(), "given up");
  }
  CHECK(listing(dir.path()).size() == 1);
}

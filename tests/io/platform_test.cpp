// SPDX-License-Identifier: MIT
#include "stofm/io/platform.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/wait.h>

#include <filesystem>
#include <string>

#include "tests/support/paths.hpp"

using namespace stofm::io;

namespace {

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

/// Runs `close` in a child that has descriptors 40, 41, 42. \return whether 0, 1, 2, 41 stayed and the rest
/// is gone
bool only_kept(void (*close)(int)) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool ready = true;
    for (const int descriptor : {40, 41, 42}) ready = ready && ::dup2(0, descriptor) == descriptor;
    const bool standard[] = {is_open(0), is_open(1), is_open(2)};
    close(41);
    bool right = ready && is_open(41);
    for (int i = 0; i < 3; ++i) right = right && is_open(i) == standard[i];
    for (int i = 3; i < 100; ++i) right = right && (i == 41 || !is_open(i));
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

TEST_CASE("a child keeps one descriptor, with the system call and without") {
  CHECK(only_kept(platform::close_descriptors_except));
  CHECK(only_kept(platform::close_listed_descriptors_except));
}

TEST_CASE("a pair of sockets is not inherited, and a dead end is an error, not a signal") {
  int ends[2] = {-1, -1};
  REQUIRE(platform::socket_pair(ends) == 0);
  for (const int end : ends) CHECK((::fcntl(end, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(platform::send_without_signal(ends[0], "ab", 2) == 2);
  ::close(ends[1]);
  errno = 0;
  CHECK(platform::send_without_signal(ends[0], "ab", 2) == -1);
  CHECK(errno == EPIPE);
  ::close(ends[0]);
}

TEST_CASE("a pending signal is dropped, others stay") {
  sigset_t both, first, before, pending;
  sigemptyset(&both);
  sigaddset(&both, SIGPIPE);
  sigaddset(&both, SIGUSR1);
  sigemptyset(&first);
  sigaddset(&first, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &both, &before);
  ::pthread_kill(::pthread_self(), SIGPIPE);
  ::pthread_kill(::pthread_self(), SIGUSR1);
  platform::drop_pending_signals(first);
  ::sigpending(&pending);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
  CHECK(sigismember(&pending, SIGUSR1) == 1);
  platform::drop_pending_signals(both);
  ::sigpending(&pending);
  CHECK(sigismember(&pending, SIGUSR1) == 0);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a copy inside the kernel says what is left, and what is there is right") {
  const stofm::test::ScratchDir directory;
  const std::string from = (directory / "from").string(), to = (directory / "to").string();
  std::string content(300'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + i / 251);
  const int source = ::open(from.c_str(), O_RDWR | O_CREAT, 0600),
            target = ::open(to.c_str(), O_RDWR | O_CREAT, 0600);
  REQUIRE(::write(source, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  REQUIRE(::lseek(source, 0, SEEK_SET) == 0);
  const auto size = static_cast<std::int64_t>(content.size());
  const std::int64_t left = platform::copy_inside_kernel(source, target, size);
  CHECK(left >= 0);
  CHECK(left <= size);
  std::string copy(content.size(), '\0');
  REQUIRE(::pread(target, copy.data(), copy.size(), 0) == static_cast<ssize_t>(size - left));
  CHECK(copy.substr(0, static_cast<std::size_t>(size - left)) ==
        content.substr(0, static_cast<std::size_t>(size - left)));
  ::close(source);
  ::close(target);
}

TEST_CASE("renames that keep or exchange: done, or refused with everything in place") {
  const stofm::test::ScratchDir directory;
  const std::string a = (directory / "a").string(), b = (directory / "b").string();
  const auto write = [](const std::string& path, const char* text) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    std::fputs(text, file);
    std::fclose(file);
  };
  write(a, "a");
  write(b, "bb");
  errno = 0;
  CHECK(platform::rename_by_rule(a.c_str(), b.c_str(), platform::RenameRule::keep_existing) == -1);
  const bool can_keep = errno == EEXIST;
  if (!can_keep) CHECK((errno == EINVAL || errno == ENOSYS));
  CHECK(std::filesystem::file_size(a) == 1);
  CHECK(std::filesystem::file_size(b) == 2);
  const int swapped = platform::rename_by_rule(a.c_str(), b.c_str(), platform::RenameRule::exchange);
  CHECK(std::filesystem::file_size(a) == (swapped == 0 ? 2 : 1));
  CHECK(std::filesystem::file_size(b) == (swapped == 0 ? 1 : 2));
}

// SPDX-License-Identifier: MIT
#include "signals.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include "console.hpp"

namespace stofm::program {
namespace {

namespace fs = std::filesystem;

std::timed_mutex writing;  // held while an output is being written
std::mutex registry;       // guards what follows
std::string section_path;
WriteKind section_kind = WriteKind::replaceable;
std::vector<std::string> removals;
std::string hint;
bool graceful = false;
std::string graceful_words;
std::atomic<int> requested_signal{0};

/// Temporary files of this process for `path`: "<name>.<...><pid><...>" or ".<name>...", beside it.
void remove_temporaries(const fs::path& path) {
  const std::string name = path.filename().string(), pid = std::to_string(::getpid());
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string other = entry.path().filename().string();
    if (other != name && other.find(name) <= 1 && other.find(".tmp") != std::string::npos &&
        other.find(pid) != std::string::npos)
      fs::remove(entry.path(), error);
  }
}

[[noreturn]] void leave(int signal) {
  std::vector<std::string> files;
  std::string said, path;
  {
    const std::scoped_lock lock(registry);
    files = removals;
    said = hint;
    path = section_path;
  }
  if (!path.empty()) remove_temporaries(path);
  std::error_code error;
  for (const auto& file : files) fs::remove(file, error);
  Console::get().end_progress();
  Console::get().error(concat("interrupted by ",
                              signal == SIGINT    ? "SIGINT"
                              : signal == SIGTERM ? "SIGTERM"
                                                  : "SIGHUP",
                              said.empty() ? "" : ". ", said),
                       128 + signal);
  ::_exit(128 + signal);
}

/// True if the program goes on, to end by itself.
bool request_stop(int signal) {
  std::string words;
  {
    const std::scoped_lock lock(registry);
    if (!graceful || requested_signal != 0) return false;
    requested_signal = signal;
    words = graceful_words;
  }
  Console::get().warn(words);
  return true;
}

void wait_for_signals(sigset_t signals) {
  int signal = 0;
  do {
    if (::sigwait(&signals, &signal) != 0) return;
  } while (request_stop(signal));
  bool unlimited = false;
  {
    const std::scoped_lock lock(registry);
    unlimited = !section_path.empty() && section_kind == WriteKind::in_place;
  }
  if (unlimited)
    writing.lock();
  else
    (void)writing.try_lock_for(std::chrono::seconds(5));
  leave(signal);
}

}  // namespace

void install_signal_handling() {
  for (int fd = 0; fd < 3; ++fd)
    if (::fcntl(fd, F_GETFD) == -1) (void)::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    const bool ignored = ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
    if (signal == SIGHUP && ignored) continue;  // nohup
    ::signal(signal, SIG_DFL);  // shells ignore SIGINT for background jobs: a sent one still counts
    sigaddset(&signals, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread(wait_for_signals, signals).detach();
}

WriteSection::WriteSection(const std::string& path, WriteKind kind) {
  {
    const std::scoped_lock lock(registry);
    section_path = path;
    section_kind = kind;
  }
  writing.lock();
}

WriteSection::~WriteSection() {
  writing.unlock();
  const std::scoped_lock lock(registry);
  section_path.clear();
}

GracefulStop::GracefulStop(const std::string& words) {
  const std::scoped_lock lock(registry);
  graceful = true;
  graceful_words = words;
}

GracefulStop::~GracefulStop() {
  const std::scoped_lock lock(registry);
  graceful = false;
}

int GracefulStop::requested() { return requested_signal; }

void remove_on_signal(const std::string& path) {
  const std::scoped_lock lock(registry);
  removals.push_back(path);
}

void set_interruption_hint(const std::string& text) {
  const std::scoped_lock lock(registry);
  hint = text;
}

}  // namespace stofm::program

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

std::timed_mutex writing;  // held while results take their names
std::mutex registry;       // guards what follows
std::vector<std::string> removals;
std::string hint;
bool graceful = false;
std::string graceful_words;
std::atomic<int> requested_signal{0};
std::atomic<bool> run_ended{false};

[[noreturn]] void leave(int signal, bool names_at_rest) {
  // Whoever wants to make a temporary file from here on waits for the end of the process.
  if (names_at_rest) io::TemporaryFiles::of_process().remove_all_and_close();
  std::string said;
  {
    const std::scoped_lock lock(registry);
    std::error_code error;
    for (const auto& file : removals) fs::remove(file, error);
    said = hint;
  }
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

bool another_waits(const sigset_t& signals) {
  sigset_t pending;
  sigemptyset(&pending);
  if (::sigpending(&pending) != 0) return false;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    if (sigismember(&signals, signal) == 1 && sigismember(&pending, signal) == 1) return true;
  return false;
}

void wait_for_signals(sigset_t signals) {
  int signal = 0;
  do {
    if (::sigwait(&signals, &signal) != 0) return;
  } while (request_stop(signal));
  bool names_at_rest = false;
  for (int tenths = 0; tenths < 300 && !names_at_rest && !another_waits(signals); ++tenths)
    names_at_rest = writing.try_lock_for(std::chrono::milliseconds(100));
  if (names_at_rest && run_ended) return writing.unlock();
  leave(signal, names_at_rest);
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

WriteSection::WriteSection() { writing.lock(); }
WriteSection::~WriteSection() { writing.unlock(); }
void WriteSection::ends_run() { run_ended = true; }

void publish(io::OutputGroup& outputs) {
  WriteSection section;
  outputs.commit();
  section.ends_run();
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

void keep_on_signal(const std::string& path) {
  const std::scoped_lock lock(registry);
  std::erase(removals, path);
}

void set_interruption_hint(const std::string& text) {
  const std::scoped_lock lock(registry);
  hint = text;
}

}  // namespace stofm::program

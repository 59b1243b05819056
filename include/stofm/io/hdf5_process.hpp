// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A forked child that runs libhdf5 for us and sends frames over a socket. What crashes or hangs there is an
/// error here.
///
/// Frame: kind (1 byte), length (8 bytes), payload; both ends are the same program on the same machine. The
/// child closes every other descriptor, resets fatal signals, writes no core file, never returns (_exit) and
/// ends when the socket does.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/io/hdf5_channel.hpp"
#include "stofm/io/platform.hpp"
#include "stofm/io/hdf5_memory.hpp"

namespace stofm::io {

/// The child. Not safe to use from two threads at once.
class Hdf5Process {
 public:
  using Body = std::function<void(Channel&)>;

  /// Forks and runs `body` in the child; what it throws arrives as the same error in receive().
  /// The caller holds hdf5_mutex(), so that the child inherits libhdf5 at rest. \throws ResourceError no
  /// process
  Hdf5Process(std::string file, double silence_limit_s, const Body& body)
      : file_(std::move(file)), silence_limit_s_(silence_limit_s) {
    int ends[2];
    if (platform::socket_pair(ends) != 0) fail_start();
    child_ = ::fork();
    if (child_ < 0) {
      ::close(ends[0]);
      ::close(ends[1]);
      fail_start();
    }
    if (child_ == 0) run_child(ends[1], body);
    ::close(ends[1]);
    channel_ = new Channel(ends[0]);
  }
  Hdf5Process(const Hdf5Process&) = delete;
  Hdf5Process& operator=(const Hdf5Process&) = delete;
  ~Hdf5Process() { stop(); }

  /// \throws FileError if the child is gone
  void send(const std::string& payload) {
    if (channel_ == nullptr || !channel_->send(Channel::Kind::data, payload)) fail_gone();
  }

  /// The next answer. \throws the child's own Error; FileError if it crashed or fell silent (it is then
  /// killed)
  std::string receive() {
    if (channel_ == nullptr) fail_gone();
    for (;;) {
      Channel::Kind kind{};
      std::string payload;
      const int got = channel_->receive(kind, payload, static_cast<int>(silence_limit_s_ * 1000));
      if (got == 0) fail_gone();
      if (got < 0) {
        stop();
        throw FileError(
            {"STOFM-3540", file_, "", concat("no sign of life from libhdf5 for ", silence_limit_s_, " s"),
             "a readable file", "The file is damaged, or its disk hangs: copy it and try again."});
      }
      if (kind == Channel::Kind::alive) continue;
      if (kind == Channel::Kind::error) throw_error(std::move(payload));
      return payload;
    }
  }

  static void send_error(const Channel& channel, ErrorKind kind, const ErrorParts& p) {
    ByteSink sink;
    sink.put(static_cast<int>(kind));
    for (const std::string* text : {&p.code, &p.file, &p.where, &p.found, &p.expected, &p.remedy})
      sink.put(*text);
    channel.send(Channel::Kind::error, sink.take());
  }

 private:
  [[noreturn]] void fail_start() const {
    throw ResourceError({"STOFM-5036", file_, "", std::strerror(errno), "a child process for libhdf5",
                         "Raise the limit of processes, or read with H5adIsolation::none."});
  }

  [[noreturn]] static void throw_error(std::string payload) {
    ByteSource source(std::move(payload));
    int kind = 0;
    ErrorParts p;
    source.get(kind);
    for (std::string* text : {&p.code, &p.file, &p.where, &p.found, &p.expected, &p.remedy})
      source.get(*text);
    switch (static_cast<ErrorKind>(kind)) {
      case ErrorKind::usage:
        throw UsageError(std::move(p));
      case ErrorKind::data:
        throw DataError(std::move(p));
      case ErrorKind::resource:
        throw ResourceError(std::move(p));
      default:
        throw FileError(std::move(p));
    }
  }

  [[noreturn]] void fail_gone() {
    const int status = stop();
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
      throw ResourceError({"STOFM-5037", file_, "", "the reading process was killed (out of memory?)",
                           "enough memory", "Use a machine with more memory."});
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
      throw FileError({"STOFM-3540", file_, "", "content that hangs libhdf5", "an undamaged HDF5 file",
                       "The file is damaged: download or write it again."});
    throw FileError({"STOFM-3533", file_, "",
                     WIFSIGNALED(status)
                         ? concat("content that crashes libhdf5 (signal ", WTERMSIG(status), ")")
                         : std::string("content that ends libhdf5"),
                     "an undamaged HDF5 file", "The file is damaged: download or write it again."});
  }

  /// Ends the child and collects it. \return its wait status, 0 if somebody else has collected it
  int stop() {
    delete channel_;
    channel_ = nullptr;
    if (child_ <= 0) return 0;
    int status = 0;
    pid_t done = 0;
    for (int i = 0; i < 20 && done == 0; ++i) {  // it ends by itself when the socket closes
      done = ::waitpid(child_, &status, WNOHANG);
      if (done == 0) ::usleep(i < 10 ? 500 : 5000);
    }
    if (done == 0) {
      ::kill(child_, SIGKILL);
      while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
      }
      status = 0;
    }
    child_ = -1;
    return status;
  }

  [[noreturn]] void run_child(int fd, const Body& body) const {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTERM, SIGALRM, SIGPROF})
      ::signal(signal, SIG_DFL);
    for (const int signal : {SIGINT, SIGPIPE, SIGHUP, SIGXFSZ})
      ::signal(signal, SIG_IGN);  // the parent decides
    sigset_t nothing;
    ::sigemptyset(&nothing);
    ::sigprocmask(SIG_SETMASK, &nothing, nullptr);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)
    // What glibc says when it aborts ("free(): invalid pointer") is told by the parent, in its own words.
    if (const int nowhere = ::open("/dev/null", O_RDWR); nowhere >= 0) {
      ::dup2(nowhere, 1);
      ::dup2(nowhere, 2);
    }
#endif
    platform::close_descriptors_except(fd);
    hdf5_has_own_process() = true;
    // The parent holds the locks, libhdf5 is not to take its own whatever the environment says.
    ::setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    Channel channel(fd);
    try {
      body(channel);
    } catch (const Error& error) {
      send_error(channel, error.kind(), error.parts());
    } catch (const std::bad_alloc&) {
      send_error(
          channel, ErrorKind::resource,
          {"STOFM-5035", file_, "", "no memory to read", "enough memory", "Use a machine with more memory."});
    } catch (const std::exception& error) {
      send_error(channel, ErrorKind::file,
                 {"STOFM-3532", file_, "", stofm::quoted(error.what()), "a readable file", ""});
    }
    ::_exit(0);
  }

  std::string file_;
  double silence_limit_s_;
  pid_t child_ = -1;
  Channel* channel_ = nullptr;
};

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Frames between a parent and its child: plain values as bytes, and a socket that carries them.
/// Frame: kind (1 byte), length (8 bytes), payload; both ends are the same program on the same machine.

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/io/platform.hpp"

namespace stofm::io {

/// Plain values, strings and lists of them as bytes.
class ByteSink {
 public:
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void put(const T& value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T)); }
  void put(const std::string& text) {
    put(static_cast<std::uint64_t>(text.size()));
    bytes_ += text;
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(static_cast<std::uint64_t>(list.size()));
    if constexpr (std::is_trivially_copyable_v<T>) {
      bytes_.append(reinterpret_cast<const char*>(list.data()), list.size() * sizeof(T));
    } else {
      for (const T& item : list) put(item);
    }
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// The reverse; every length is compared with the bytes there.
class ByteSource {
 public:
  explicit ByteSource(std::string bytes) : bytes_(std::move(bytes)) {}
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void get(T& value) { take(&value, sizeof(T)); }
  void get(std::string& text) {
    std::uint64_t size = 0;
    get(size);
    require(size);
    text = bytes_.substr(at_, static_cast<std::size_t>(size));
    at_ += static_cast<std::size_t>(size);
  }
  template <class T>
  void get(std::vector<T>& list) {
    std::uint64_t size = 0;
    get(size);
    if constexpr (std::is_trivially_copyable_v<T>) {
      require(size > bytes_.size() ? size : size * sizeof(T));
      list.resize(static_cast<std::size_t>(size));
      if (size > 0) take(list.data(), list.size() * sizeof(T));
    } else {
      require(size);
      list.resize(static_cast<std::size_t>(size));
      for (T& item : list) get(item);
    }
  }

 private:
  void require(std::uint64_t size) const {
    if (size > bytes_.size() - at_)
      throw FileError(
          {"STOFM-3533", "", "reader process", "a garbled answer", "whole frames", "The file is damaged."});
  }
  void take(void* to, std::size_t size) {
    require(size);
    std::memcpy(to, bytes_.data() + at_, size);
    at_ += size;
  }
  std::string bytes_;
  std::size_t at_ = 0;
};

/// One end of the socket.
class Channel {
 public:
  enum class Kind : char { alive = 'a', data = 'd', error = 'e' };

  explicit Channel(int fd) : fd_(fd) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() { ::close(fd_); }
  int fd() const { return fd_; }

  /// \return false if the other end is gone.
  bool send(Kind kind, const std::string& payload) const {
    const auto size = static_cast<std::uint64_t>(payload.size());
    char head[9];
    head[0] = static_cast<char>(kind);
    std::memcpy(head + 1, &size, 8);
    return send_all(head, sizeof(head)) && send_all(payload.data(), payload.size());
  }

  /// A function for the child to call often: says "alive" four times a second and ends the child if nobody
  /// listens.
  std::function<void()> ticker(double busy_limit_s) const {
    set_alarm(busy_limit_s);
    return [this, busy_limit_s, last = std::chrono::steady_clock::now()]() mutable {
      const auto now = std::chrono::steady_clock::now();
      if (now - last < std::chrono::milliseconds(250)) return;
      last = now;
      set_alarm(busy_limit_s);
      if (!send(Kind::alive, "")) ::_exit(0);
    };
  }

  /// Waits at most `silence_ms` (-1: for ever) for each piece. \return 1, 0: the other end is gone, -1:
  /// silence.
  int receive(Kind& kind, std::string& payload, int silence_ms) const {
    char head[9];
    std::uint64_t size = 0;
    if (const int got = receive_all(head, sizeof(head), silence_ms); got != 1) return got;
    kind = static_cast<Kind>(head[0]);
    std::memcpy(&size, head + 1, 8);
    payload.clear();
    while (payload.size() < size) {  // grows with what really arrives
      const std::size_t have = payload.size();
      payload.resize(have + static_cast<std::size_t>((std::min<std::uint64_t>)(size - have, 8U << 20)));
      if (const int got = receive_all(payload.data() + have, payload.size() - have, silence_ms); got != 1)
        return got;
    }
    return 1;
  }

 private:
  /// Processor time, so that a slow disk is no reason to stop.
  static void set_alarm(double seconds) {
    const itimerval timer{
        {0, 0},
        {static_cast<time_t>(seconds), static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6)}};
    ::setitimer(ITIMER_PROF, &timer, nullptr);
  }
  bool send_all(const char* bytes, std::size_t size) const {
    while (size > 0) {
      const ssize_t sent = platform::send_without_signal(fd_, bytes, size);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      bytes += sent;
      size -= static_cast<std::size_t>(sent);
    }
    return true;
  }
  int receive_all(char* bytes, std::size_t size, int silence_ms) const {
    while (size > 0) {
      pollfd waiting{fd_, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, silence_ms);
      if (ready < 0 && errno == EINTR) continue;
      if (ready == 0) return -1;
      const ssize_t got = ready < 0 ? -1 : ::recv(fd_, bytes, size, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return 0;
      bytes += got;
      size -= static_cast<std::size_t>(got);
    }
    return 1;
  }
  int fd_;
};

}  // namespace stofm::io

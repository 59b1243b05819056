// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Makes the k-th system call of the io layer fail, once or from then on.

#include <cstdint>

#include "stofm/io/system_calls.hpp"

namespace stofm::test {

/// Installs the hook of io/system_calls.hpp while it lives. One at a time.
class IoFaults {
 public:
  /// The call number `at` (from 1) fails with `fault`; if `sticky`, all later ones too.
  IoFaults(std::int64_t at, io::IoFault fault, bool sticky = false) {
    state() = {at, fault, sticky, 0, 0, io::IoCall::open};
    io::io_fault_hook().store(&IoFaults::answer);
  }
  IoFaults(const IoFaults&) = delete;
  IoFaults& operator=(const IoFaults&) = delete;
  ~IoFaults() { io::io_fault_hook().store(nullptr); }

  std::int64_t calls() const { return state().calls; }
  /// Whether the fault has happened.
  bool fired() const { return state().fired > 0; }
  /// The kind of the call that failed first.
  io::IoCall first_kind() const { return state().kind; }

 private:
  struct State {
    std::int64_t at = 0;
    io::IoFault fault;
    bool sticky = false;
    std::int64_t calls = 0, fired = 0;
    io::IoCall kind = io::IoCall::open;
  };
  static State& state() {
    static State value;
    return value;
  }
  static io::IoFault answer(io::IoCall call) {
    State& now = state();
    ++now.calls;
    if (now.calls != now.at && !(now.sticky && now.calls > now.at)) return {};
    if (now.fired++ == 0) now.kind = call;
    return now.fault;
  }
};

}  // namespace stofm::test

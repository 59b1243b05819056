// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Runs CUDA kernels on the host, for tests: include this file before any `.cuh`.
///
/// Every thread of a block is a fiber (a stack of its own, switched by hand on one OS thread), so the kernel
/// is compiled by g++ or clang++ as it stands and ASan and UBSan see each of its accesses. Collectives
/// (shuffles, ballot, mma, ldmatrix, barriers) suspend the fiber until all lanes, or all threads, have
/// arrived.
///
/// What it refuses, with `emulator::Violation`:
/// * lanes of a warp at different collectives, a collective or barrier that some threads never reach;
/// * shared memory smaller than what the kernel asks for (its end is guarded by ASan, its bytes start as
/// NaN);
/// * misaligned vector or ldmatrix accesses; asynchronous copies that are never waited for.
/// Asynchronous copies happen at their wait, never before. `schedule()` chooses the order of blocks and of
/// threads: run a kernel under several and compare bits, and what a missing barrier allows will differ.
///
/// Not optimised (-O0, x86-64), it also refuses lanes of a warp that come to a collective or barrier by
/// different ways through the code: the instructions are `.aligned`, so the same place is asked for, not only
/// the same kind. Compiled with -fsanitize=thread it shows every pair of accesses of two threads to shared or
/// global memory, one of them a write, that no barrier (of the block or of the warp, not shuffles, votes or
/// tensor core products) orders, between blocks too; asynchronous copies count as accesses at their start and
/// at their wait. (clang++ -O1 -g1 -fsanitize=thread, every kernel test but that of the emulator, which
/// breaks the rules on purpose.)
///
/// What it can't show: speed, the rounding of the sums inside a tensor core (here: double, rounded once),
/// memory ordering between threads without a barrier beyond what the orders of execution show.

#if defined(__CUDACC__)
#error "the emulator is for host compilers"
#endif
#define STOFM_KERNEL_EMULATOR 1

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/kernels/support/emulated_runtime.hpp"
#include "tests/kernels/support/fiber.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

namespace emulator {

/// A kernel did something that is undefined or would hang on the device.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr int warp_lanes = 32;

/// Order in which blocks, and the threads that can run, are taken.
struct Schedule {
  enum class Order { ascending, descending, shuffled } order = Order::ascending;
  std::uint32_t seed = 0;
};
inline Schedule& schedule() {
  static Schedule chosen;
  return chosen;
}
/// Calls `run` under ascending, descending and two shuffled orders.
template <class Run>
void for_each_schedule(const Run& run) {
  const Schedule before = schedule();
  for (const Schedule chosen :
       {Schedule{Schedule::Order::ascending, 0}, Schedule{Schedule::Order::descending, 0},
        Schedule{Schedule::Order::shuffled, 1}, Schedule{Schedule::Order::shuffled, 2}}) {
    schedule() = chosen;
    run();
  }
  schedule() = before;
}

/// Kernels launched so far in this program, for tests of empty grids and of how many a pass takes.
inline std::int64_t& launches() {
  static std::int64_t count = 0;
  return count;
}
/// Matrix products queued so far: a launch each on a device.
inline std::int64_t& products() {
  static std::int64_t count = 0;
  return count;
}

namespace detail {

struct AsyncCopy {
  void* to;
  const void* from;
  std::size_t bytes;
  bool valid;
};

struct Warp {
  const void* in[warp_lanes];
  void* out[warp_lanes];
  const char* name = nullptr;
  const void* type = nullptr;
  std::uintptr_t way = 0;
  int arrived = 0;
  char marks[2] = {};  ///< what a warp_sync orders, in turn
  int generation = 0;
};

/// How this thread came here: a hash of the return addresses on its stack; 0 where that is not known.
#if defined(__x86_64__) && !defined(__OPTIMIZE__) && !defined(STOFM_FIBER_TSAN)
inline constexpr bool ways_are_seen = true;
__attribute__((noinline, no_sanitize("address", "undefined"))) inline std::uintptr_t way_here(
    const FiberStack& stack) {
  const auto end = reinterpret_cast<std::uintptr_t>(stack.end());
  auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  std::uintptr_t way = 1469598103934665603ULL;
  while (frame + 16 <= end && frame >= end - fiber_stack_bytes) {
    const auto* slots = reinterpret_cast<const std::uintptr_t*>(frame);
    way = (way ^ slots[1]) * 1099511628211ULL;
    if (slots[0] <= frame) break;
    frame = slots[0];
  }
  return way;
}
#else
inline constexpr bool ways_are_seen = false;
inline std::uintptr_t way_here(const FiberStack&) { return 0; }
#endif

enum class State { ready, waiting, finished };

struct Thread {
  Fiber fiber;
  State state = State::ready;
  uint3 index{};
  int number = 0;  ///< within the block
  Warp* warp = nullptr;
  const char* waits_for = nullptr;
  int waits_barrier = -1;
  std::vector<AsyncCopy> copies;         ///< not yet performed, oldest first
  std::uintptr_t way = 0;                ///< to the barrier it waits at
  std::vector<std::size_t> group_sizes;  ///< committed groups, oldest first; their sum <= copies.size()
};

struct Barrier {
  int arrived = 0;
  int expected = 0;
  char marks[2] = {};  ///< what the barrier orders, in turn
  int generation = 0;
};

struct Block {
  std::vector<Thread> threads;
  Thread* first = nullptr;  ///< of `threads`: not optimised, [] takes longer than the rest of a switch
  std::vector<Warp> warps;
  std::vector<Barrier> barriers;
  std::byte* shared = nullptr;
  std::size_t shared_bytes = 0;
  std::exception_ptr error;
  Fiber scheduler;
  int current = -1;
  char ended = 0;  ///< what comes after a launch comes after all of its blocks
};
inline Block running_block;
inline Block& block() { return running_block; }
inline Thread& self() {
  const Block& running = running_block;
  if (running.current < 0) throw Violation("device code called outside of emulator::launch");
  return running.first[running.current];
}
inline int lane() { return self().number % warp_lanes; }

[[noreturn]] inline void violate(const std::string& what) {
  const Thread& me = self();
  throw Violation(what + " (block " + std::to_string(blockIdx.x) + "," + std::to_string(blockIdx.y) + "," +
                  std::to_string(blockIdx.z) + ", thread " + std::to_string(me.number) + ")");
}

/// Back to the scheduler until somebody marks this thread ready.
inline void wait(const char* what) {
  Thread& me = self();
  me.state = State::waiting;
  me.waits_for = what;
  switch_fiber(me.fiber, block().scheduler);
}

/// All lanes give `in`; when the last has come, `compute(ins, outs)` fills every lane's result.
template <class Out, class In, class Compute>
Out collective(const char* name, const In& in, const Compute& compute) {
  static const char type_mark = 0;
  const Unseen unseen;
  Thread& me = self();
  Warp& warp = *me.warp;
  const std::uintptr_t way = way_here(*me.fiber.stack);
  const bool orders = races_are_seen && std::strcmp(name, "warp_sync") == 0;
  void* const mark = &warp.marks[warp.generation % 2];
  if (orders) release_to(mark);
  if (warp.arrived == 0) {
    warp.name = name;
    warp.type = &type_mark;
    warp.way = way;
  } else if ((warp.name != name && std::strcmp(warp.name, name) != 0) || warp.type != &type_mark) {
    violate(std::string("lanes of a warp are at different collectives: ") + name + " and " + warp.name);
  }
  if (warp.way != way) violate(std::string("lanes of a warp came to different places of the code: ") + name);
  Out out{};
  const int mine = me.number % warp_lanes;
  warp.in[mine] = &in;
  warp.out[mine] = &out;
  if (++warp.arrived < warp_lanes) {
    wait(name);
    if (orders) acquire_from(mark);
    return out;
  }
  const In* ins[warp_lanes];
  Out* outs[warp_lanes];
  for (int i = 0; i < warp_lanes; ++i) {
    ins[i] = static_cast<const In*>(warp.in[i]);
    outs[i] = static_cast<Out*>(warp.out[i]);
  }
  compute(ins, outs);
  warp.arrived = 0;
  ++warp.generation;
  if (orders) acquire_from(mark);
  Thread* const first = &me - mine;
  for (int i = 0; i < warp_lanes; ++i) first[i].state = State::ready;
  return out;
}

/// Barrier `id` of `count` threads (whole warps); 0 threads means all of the block.
inline void barrier(int id, int count) {
  const Unseen unseen;
  Block& b = block();
  Barrier& here = b.barriers[static_cast<std::size_t>(id)];
  void* const mark = &here.marks[here.generation % 2];
  release_to(mark);
  Thread& me = self();
  me.way = way_here(*me.fiber.stack);
  const Thread* const first = &me - me.number % warp_lanes;
  for (int i = 0; i < warp_lanes; ++i)
    if (first[i].waits_barrier == id && first[i].way != me.way)
      violate("lanes of a warp came to different barriers of the code");
  const int expected = count == 0 ? static_cast<int>(b.threads.size()) : count;
  if (here.arrived == 0) here.expected = expected;
  if (here.expected != expected) violate("threads give different counts to one barrier");
  if (++here.arrived < expected) {
    me.waits_barrier = id;
    wait(id == 0 ? "block_sync" : "a named barrier");
    acquire_from(mark);
    return;
  }
  acquire_from(mark);
  here.arrived = 0;
  ++here.generation;
  for (Thread& t : b.threads)
    if (t.state == State::waiting && t.waits_barrier == id) {
      t.waits_barrier = -1;
      t.state = State::ready;
    }
}

inline void queue_copy(void* to, const void* from, std::size_t bytes, bool valid) {
  if (valid) seen_read(from, bytes);
  seen_write(to, bytes);
  self().copies.push_back({to, from, bytes, valid});
}
inline void perform_copies(Thread& me, std::size_t groups_left) {
  while (me.group_sizes.size() > groups_left) {
    const std::size_t count = me.group_sizes.front();
    me.group_sizes.erase(me.group_sizes.begin());
    for (std::size_t i = 0; i < count; ++i) {
      const AsyncCopy& copy = me.copies[i];
      if (copy.valid)
        std::memcpy(copy.to, copy.from, copy.bytes);
      else
        std::memset(copy.to, 0, copy.bytes);
    }
    me.copies.erase(me.copies.begin(), me.copies.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

inline void require_aligned(const void* pointer, std::size_t alignment, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(pointer) % alignment != 0)
    violate(std::string(what) + ": address not a multiple of " + std::to_string(alignment));
}

inline void shuffle_order(std::vector<int>& order, std::uint64_t salt) {
  const Schedule& chosen = schedule();
  if (chosen.order == Schedule::Order::descending) std::reverse(order.begin(), order.end());
  if (chosen.order == Schedule::Order::shuffled) {
    std::mt19937_64 random(chosen.seed * 1000003ULL + salt);
    std::shuffle(order.begin(), order.end(), random);
  }
}

inline std::string where_threads_are(const Block& b) {
  std::string text;
  for (const Thread& t : b.threads) {
    if (t.state == State::finished) continue;
    text = std::string("thread ") + std::to_string(t.number) + " waits at " + t.waits_for;
    break;
  }
  const auto finished = std::count_if(b.threads.begin(), b.threads.end(),
                                      [](const Thread& t) { return t.state == State::finished; });
  return text + ", " + std::to_string(finished) + " of " + std::to_string(b.threads.size()) +
         " threads have ended";
}

/// One block from start to end. `call` runs the kernel for the current thread.
template <class Call>
void run_block(const Call& call, dim3 shape, std::uint64_t salt) {
  Block& b = block();
  const Unseen unseen;
  const int count = static_cast<int>(shape.x * shape.y * shape.z);
  if (races_are_seen) b.threads = std::vector<Thread>();  // afresh: threads of two blocks share nothing
  b.threads.resize(static_cast<std::size_t>(count));
  b.first = b.threads.data();
  b.warps = std::vector<Warp>(static_cast<std::size_t>(count / warp_lanes));
  b.barriers = std::vector<Barrier>(16);
  b.error = nullptr;
  auto body = [&call] {
    Thread& me = self();
    try {
      call();
      if (!self().copies.empty()) violate("asynchronous copies were never waited for");
    } catch (...) {
      block().error = std::current_exception();
    }
    release_to(&block().ended);
    {
      const Unseen unseen_too;
      me.state = State::finished;
    }
    leave_fiber(me.fiber, block().scheduler);
  };
  std::vector<int> order(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    Thread& t = b.threads[static_cast<std::size_t>(i)];
    order[static_cast<std::size_t>(i)] = t.number = i;
    const auto flat = static_cast<unsigned>(i);
    t.index = {flat % shape.x, flat / shape.x % shape.y, flat / (shape.x * shape.y)};
    t.state = State::ready;
    t.warp = &b.warps[static_cast<std::size_t>(i / warp_lanes)];
    t.waits_for = nullptr;
    t.waits_barrier = -1;
    t.copies.clear();
    t.group_sizes.clear();
    start_fiber(t.fiber, body);
  }
  shuffle_order(order, salt);
  int finished = 0;
  while (finished < count && !b.error) {
    bool progress = false;
    for (const int i : order) {
      Thread& t = b.first[i];
      if (t.state != State::ready) continue;
      progress = true;
      b.current = i;
      threadIdx = t.index;
      switch_fiber(b.scheduler, t.fiber);
      b.current = -1;
      if (t.state == State::finished) ++finished;
      if (b.error) break;
    }
    if (!progress)
      b.error =
          std::make_exception_ptr(Violation("threads wait for each other for ever: " + where_threads_are(b)));
  }
  if (b.error) {
    for (Thread& t : b.threads) abandon_fiber(t.fiber);
    std::rethrow_exception(b.error);
  }
}

}  // namespace detail

/// Runs `kernel(params)` for every thread of every block. \throws Violation; what the kernel throws.
template <class Params>
void launch(void (*kernel)(Params), dim3 grid, dim3 block, std::size_t shared_bytes, const Params& params) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || threads % warp_lanes != 0)
    throw Violation("a block of " + std::to_string(threads) +
                    " threads: not whole warps, or more than 1,024");
  if (shared_bytes > 227U * 1024U) throw Violation("more than 227 KiB of shared memory");
  ++launches();
  detail::Block& running = detail::block();
  const std::align_val_t alignment{128};
  running.shared_bytes = shared_bytes;
  std::unique_ptr<std::byte, void (*)(std::byte*)> owner(
      nullptr, [](std::byte* p) { ::operator delete (p, std::align_val_t{128}); });
  const auto new_shared = [&] {
    owner.reset(static_cast<std::byte*>(::operator new(shared_bytes, alignment)));
    running.shared = owner.get();
  };
  const detail::Unseen unseen;
  new_shared();
  blockDim = block;
  gridDim = grid;
  const std::int64_t blocks = std::int64_t{grid.x} * grid.y * grid.z;
  std::vector<int> order(static_cast<std::size_t>(blocks));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  detail::shuffle_order(order, 0);
  for (const int number : order) {
    const auto flat = static_cast<unsigned>(number);
    blockIdx = {flat % grid.x, flat / grid.x % grid.y, flat / (grid.x * grid.y)};
    if (detail::races_are_seen) new_shared();
    std::memset(running.shared, 0xff, shared_bytes);
    detail::run_block([&] { kernel(params); }, block, static_cast<std::uint64_t>(number) + 1);
  }
  detail::acquire_from(&running.ended);
}

}  // namespace emulator

// Device functions that host compilers lack.
inline float rsqrtf(float x) { return 1.0F / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __frcp_rn(float a) { return 1.0F / a; }

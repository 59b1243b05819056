// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <numeric>

#include "stofm/core/parallel.hpp"
#include "stofm/core/random.hpp"

using namespace stofm;

TEST_CASE("every index is visited once at any thread count, in chunks that do not depend on it") {
  for (const int threads : {1, 2, 4, 8}) {
    set_thread_count(threads);
    std::vector<int> visits(1003, 0);
    parallel_for(1003, 10, [&](std::int64_t begin, std::int64_t end) {
      CHECK(begin % 10 == 0);
      for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
    });
    CHECK(std::accumulate(visits.begin(), visits.end(), 0) == 1003);
    CHECK(std::ranges::all_of(visits, [](int v) { return v == 1; }));
  }
  set_thread_count(2);
}

TEST_CASE("nested loops and loops from two threads at once finish") {
  std::atomic<int> total{0};
  parallel_for(8, 1, [&](std::int64_t, std::int64_t) {
    parallel_for(8, 1, [&](std::int64_t, std::int64_t) { ++total; });
  });
  CHECK(total == 64);
  std::thread other([&] { parallel_for(100, 1, [&](std::int64_t, std::int64_t) { ++total; }); });
  parallel_for(100, 1, [&](std::int64_t, std::int64_t) { ++total; });
  other.join();
  CHECK(total == 264);
}

TEST_CASE("the exception of the first failing chunk comes back") {
  for (int repeat = 0; repeat < 20; ++repeat)
    CHECK_THROWS_WITH(parallel_for(100, 1,
                                   [&](std::int64_t i, std::int64_t) {
                                     if (i >= 3) throw std::runtime_error(std::to_string(i));
                                   }),
                      "3");
}

TEST_CASE("a child of fork has loops of its own, after the parent's threads ran and while they run") {
  set_thread_count(4);
  const auto sum = [] {
    std::vector<std::int64_t> squares(1000);
    parallel_for(1000, 7, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) squares[static_cast<std::size_t>(i)] = i * i;
    });
    return std::accumulate(squares.begin(), squares.end(), std::int64_t{0});
  };
  const std::int64_t expected = sum();
  const auto child_agrees = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);  // a hang is a failure, not a wait
      bool right = sum() == expected;
      set_thread_count(3);
      right = right && sum() == expected;
      const pid_t grandchild = ::fork();
      if (grandchild == 0) ::_exit(sum() == expected ? 0 : 1);
      int status = 1;
      ::waitpid(grandchild, &status, 0);
      ::_exit(right && status == 0 ? 0 : 1);
    }
    int status = 1;
    ::waitpid(child, &status, 0);
    return status == 0;
  };
  CHECK(child_agrees());
  std::atomic<bool> enough{false};
  std::thread busy([&] {
    while (!enough) (void)sum();
  });
  for (int i = 0; i < 5; ++i) CHECK(child_agrees());
  enough = true;
  busy.join();
  CHECK(sum() == expected);
  set_thread_count(2);
}

TEST_CASE("thread counts outside 1 to 1024 are refused") {
  CHECK_THROWS_AS(set_thread_count(0), UsageError);
  CHECK_THROWS_AS(set_thread_count(1025), UsageError);
}

TEST_CASE("Philox gives the published known answers") {
  // Random123, kat_vectors: philox4x32 10 rounds.
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("draws are uniform, bounded and repeatable") {
  Random a(7), b(7), c(8);
  double sum = 0, normal_sum = 0, normal_square = 0;
  bool same = true, differs = false;
  for (int i = 0; i < 20000; ++i) {
    const double u = a.uniform();
    same = same && u == b.uniform();
    differs = differs || u != c.uniform();
    sum += u;
  }
  for (int i = 0; i < 20000; ++i) {
    const double z = a.normal();
    normal_sum += z;
    normal_square += z * z;
  }
  CHECK(same);
  CHECK(differs);
  CHECK(sum / 20000 == doctest::Approx(0.5).epsilon(0.02));            // 5 sigma: 0.0102
  CHECK(std::abs(normal_sum / 20000) < 0.036);                         // 5 sigma
  CHECK(normal_square / 20000 == doctest::Approx(1.0).epsilon(0.05));  // 5 sigma: 0.05
  for (int i = 0; i < 1000; ++i) CHECK(a.below(7) < 7);
}

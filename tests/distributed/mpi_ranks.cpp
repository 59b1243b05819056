// SPDX-License-Identifier: MIT
/// \file
/// Run by mpirun (cmake/stofm-mpi-tests.cmake): mpi_ranks train | throw | kill. Every rank trains on its
/// share of a batch of four; rank 0 then trains alone on all four and compares. Exit code 0: all is well.

#include <csignal>
#include <cstdio>
#include <string_view>

#include "stofm/distributed/mpi_communicator.hpp"
#include "tests/distributed/mlp_job.hpp"

using namespace stofm;
using namespace stofm::distributed;

namespace {

int failures = 0;
void expect(bool condition, const char* what, const Communicator& ranks) {
  if (condition) return;
  ++failures;
  std::fprintf(stderr, "%s: %s\n", ranks.name().c_str(), what);
}

void collectives(Communicator& ranks) {
  const int size = ranks.size(), rank = ranks.rank();
  std::vector<float> many(100'000, static_cast<float>(rank + 1));
  std::vector<double> few(3, 0.5);
  PendingSum first = ranks.start_sum(std::span<float>(many)),
             second = ranks.start_sum(std::span<double>(few));
  ranks.progress();
  ranks.wait(second);
  ranks.wait(first);
  const float expected = static_cast<float>(size * (size + 1) / 2);
  expect(many.front() == expected && many.back() == expected && few[1] == 0.5 * size, "sums", ranks);
  std::vector<std::uint64_t> numbers(5, static_cast<std::uint64_t>(rank));
  ranks.broadcast_values(std::span<std::uint64_t>(numbers), size - 1);
  expect(numbers[4] == static_cast<std::uint64_t>(size - 1), "broadcast", ranks);
  const auto texts = ranks.all_gather(std::string(static_cast<std::size_t>(rank) * 3, 'x'));
  for (int i = 0; i < size; ++i)
    expect(texts[static_cast<std::size_t>(i)].size() == static_cast<std::size_t>(i) * 3, "gather", ranks);
  ranks.barrier();
  bool refused = false;
  try {
    PendingSum never;
    ranks.wait(never);
  } catch (const UsageError&) {
    refused = true;
  }
  expect(refused, "waiting for nothing is refused", ranks);
}

void training(Communicator& ranks) {
  for (const std::int64_t bucket : {1, 64, 1 << 20}) {
    autograd::ParameterSet<double> together, again, alone;
    test::MlpJob job{.bucket_bytes = bucket};
    train_mlp(job, ranks, together);
    expect(job.same, "the ranks' parameters differ", ranks);
    test::MlpJob second{.bucket_bytes = bucket};
    train_mlp(second, ranks, again);
    expect(test::largest_difference(together, again) == 0.0, "a second run has other bits", ranks);
    if (!ranks.is_first()) continue;
    SingleProcess single;
    test::MlpJob reference;
    train_mlp(reference, single, alone);
    expect(test::largest_difference(together, alone) < 1e-5, "not as one rank with the whole batch", ranks);
    std::printf("%d ranks, buckets of %d bytes: largest difference %.3g\n", ranks.size(),
                static_cast<int>(bucket), test::largest_difference(together, alone));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "train";
  MpiCommunicator ranks;
  return guard_rank(ranks, [&] {
    if (!MpiCommunicator::launched()) std::printf("not under mpirun: one rank\n");
    collectives(ranks);
    if (what == "train") {
      training(ranks);
    } else {
      autograd::ParameterSet<double> set;
      test::MlpJob job{.steps = 1'000'000, .failing_rank = what == "throw" ? 1 : -1};
      if (what == "kill" && ranks.rank() == 1) std::raise(SIGKILL);
      train_mlp(job, ranks, set);
    }
    return ranks.sum_of(failures) == 0.0 ? 0 : 1;
  });
}

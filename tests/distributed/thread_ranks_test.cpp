// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <array>
#include <atomic>

#include "stofm/distributed/thread_communicator.hpp"
#include "tests/distributed/mlp_job.hpp"

using namespace stofm;
using namespace stofm::distributed;
using autograd::ParameterSet;

namespace {
/// Trains over `ranks` thread ranks and returns rank 0's parameters.
void train(ParameterSet<double>& result, int ranks, test::MlpJob job = {}) {
  run_thread_ranks(ranks, [&](Communicator& communicator) {
    test::MlpJob mine = job;
    if (communicator.is_first()) return train_mlp(mine, communicator, result);
    ParameterSet<double> set;
    train_mlp(mine, communicator, set);
  });
}
}  // namespace

TEST_CASE("one process is a job of one rank") {
  SingleProcess alone;
  std::array<float, 2> values{1.0F, 2.0F};
  alone.all_reduce_sum(std::span<float>(values));
  CHECK(values[1] == 2.0F);
  CHECK(alone.sum_of(3.0) == 3.0);
  CHECK(alone.all_gather("text") == std::vector<std::string>{"text"});
  CHECK(alone.name() == "rank 0 of 1");
  CHECK(share_of(5, alone) == std::pair<std::int64_t, std::int64_t>{0, 5});
  CHECK_THROWS_AS(guard_rank(alone,
                             []() -> int {
                               throw UsageError({"STOFM-2001", "", "", "x", "y", "z"});
                             }),
                  UsageError);
}

TEST_CASE("collectives of four ranks") {
  run_thread_ranks(4, [](Communicator& ranks) {
    std::array<double, 3> a{1.0, static_cast<double>(ranks.rank()), 0.5};
    std::array<float, 1> b{static_cast<float>(ranks.rank() + 1)};
    PendingSum first = ranks.start_sum(std::span<double>(a)), second = ranks.start_sum(std::span<float>(b));
    ranks.wait(second);
    ranks.wait(first);
    if (a != std::array<double, 3>{4.0, 6.0, 2.0} || b[0] != 10.0F)
      throw DataError({"", "", "", "sums", "", ""});
    std::uint64_t number = static_cast<std::uint64_t>(ranks.rank());
    ranks.broadcast_values(std::span<std::uint64_t>(&number, 1), 2);
    const auto texts = ranks.all_gather(std::string(static_cast<std::size_t>(ranks.rank()), 'x'));
    if (number != 2 || texts != std::vector<std::string>{"", "x", "xx", "xxx"})
      throw DataError({"", "", "", "broadcast or gather", "", ""});
    const auto [begin, end] = share_of(10, ranks);
    if (end - begin != (ranks.rank() < 2 ? 3 : 2) || ranks.sum_of(static_cast<double>(end - begin)) != 10.0)
      throw DataError({"", "", "", "shares", "", ""});
  });
}

TEST_CASE("a rank that fails ends the job with its name") {
  std::string message;
  try {
    ParameterSet<double> set;
    train(set, 3, {.failing_rank = 1});
  } catch (const DeviceError& error) {
    message = error.what();
  }
  CHECK(message.find("rank 1 of 3 failed") != std::string::npos);
  CHECK(message.find("not a number") != std::string::npos);
}

TEST_CASE("two and four ranks train as one does, whatever the buckets") {
  ParameterSet<double> alone;
  SingleProcess single;
  test::MlpJob job;
  train_mlp(job, single, alone);
  for (const int ranks : {2, 4})
    for (const std::int64_t bucket : {1, 64, 1 << 20})
      for (const Combine combine : {Combine::sum, Combine::average}) {
        ParameterSet<double> set;
        train(set, ranks, {.bucket_bytes = bucket, .combine = combine});
        CHECK(test::largest_difference(set, alone) < 1e-12);
      }
}

TEST_CASE("buckets leave while backward runs, and all ranks end with the same bits on every run") {
  std::atomic<std::int64_t> early = 0, buckets = 0, same = 0;
  ParameterSet<double> once, again;
  for (ParameterSet<double>* result : {&once, &again})
    run_thread_ranks(3, [&](Communicator& ranks) {
      ParameterSet<double> other;
      test::MlpJob job{.bucket_bytes = 1};
      train_mlp(job, ranks, ranks.is_first() ? *result : other);
      early = job.sent_early, buckets = job.buckets, same += job.same;
    });
  CHECK(test::largest_difference(once, again) == 0.0);
  CHECK(same == 6);
  CHECK(buckets == 6);
  // "unused" is first in the order and never ready: buckets are sent in order, so this network sends none
  // early
  CHECK(early == 0);
}

TEST_CASE("a network without unused parameters sends its buckets early") {
  std::atomic<std::int64_t> early = 0;
  run_thread_ranks(2, [&](Communicator& ranks) {
    ParameterSet<float> set;
    nn::create_linear(set, "a", {.in = 3, .out = 3}, RandomKey{1});
    nn::create_linear(set, "b", {.in = 3, .out = 1}, RandomKey{2});
    set.at("b.bias").trainable = false;
    const nn::Linear<float> a(set, "a"), b(set, "b");
    GradientReducer<float> reducer(ranks, set, {.bucket_bytes = 1});
    autograd::Tape<float> tape;
    const auto x = autograd::constant(Tensor<float>::full({1, 3}, 1.0F));
    const auto y = b(tape, a(tape, x));
    reducer.attach(tape);
    tape.backward(y);
    reducer.finish();
    early = reducer.sent_early();
    if (set.at("b.weight").grad()(0, 0) != 2.0F * a(tape, x).value()(0, 0) ||
        set.at("b.bias").grad()(0) != 0.0F)
      throw DataError({"", "", "", "gradients", "", ""});
  });
  CHECK(early == 3);
}

TEST_CASE("a rank that had nothing to compute takes part with zeros") {
  ParameterSet<double> set;
  train(set, 2, {.idle_rank = 1});
  CHECK(set.at("a.weight").grad().numel() == 35);
}

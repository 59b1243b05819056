// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A small network trained for a few steps on a batch of four samples that is spread over ranks.

#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/distributed/gradient_reducer.hpp"
#include "stofm/nn/adamw.hpp"
#include "stofm/nn/modules.hpp"

namespace stofm::test {

struct MlpJob {
  int steps = 5;
  std::int64_t bucket_bytes = 64;
  distributed::Combine combine = distributed::Combine::sum;
  int failing_rank = -1;                     ///< throws in step 2
  int idle_rank = -1;                        ///< does not compute: its samples are left out
  std::int64_t sent_early = 0, buckets = 0;  ///< of the last step
  bool same = true;
};

/// Adds "a", "b" and an unused parameter to `set` and trains it. Every rank has the batch's samples [begin,
/// end).
inline void train_mlp(MlpJob& job, distributed::Communicator& ranks, autograd::ParameterSet<double>& set) {
  const RandomKey key{static_cast<std::uint64_t>(ranks.rank())};  // differs, and is made equal below
  nn::create_linear(set, "a", {.in = 5, .out = 7}, key.child(1));
  nn::create_linear(set, "b", {.in = 7, .out = 2}, key.child(2));
  nn::create_linear(set, "unused", {.in = 2, .out = 2}, key.child(3));
  distributed::broadcast_parameters(ranks, set);
  const nn::Linear<double> a(set, "a"), b(set, "b");
  nn::AdamW<double> optimizer(set);
  distributed::GradientReducer<double> reducer(ranks, set,
                                               {.combine = job.combine, .bucket_bytes = job.bucket_bytes});
  const auto [begin, end] = distributed::share_of(4, ranks);
  for (int step = 0; step < job.steps; ++step) {
    if (ranks.rank() == job.failing_rank && step == 2)
      throw DataError(
          {"STOFM-4512", "", "slice \"x\"", "a loss that is not a number", "a number", "Look at it."});
    const RandomKey draws{17, 0, static_cast<std::uint64_t>(step)};
    const auto x = nn::normal_values<double>({4, 5}, 1.0, draws.child(1)).slice(0, begin, end);
    const auto target = nn::normal_values<double>({4, 2}, 1.0, draws.child(2)).slice(0, begin, end);
    set.zero_grad();
    autograd::Tape<double> tape;
    const auto hidden = autograd::gelu(a(tape, autograd::constant(x)));
    const auto loss = autograd::mse(b(tape, hidden), target, autograd::Reduction::sum);
    const double count = job.combine == distributed::Combine::sum
                             ? ranks.sum_of(static_cast<double>(end - begin))
                             : static_cast<double>(end - begin);
    if (ranks.rank() != job.idle_rank) {
      reducer.attach(tape);
      tape.backward(autograd::scale(loss, 1.0 / count));
    }
    reducer.finish();
    optimizer.step(1e-2, nn::clip_coefficient(nn::global_norm(set), 1.0));
    job.sent_early = reducer.sent_early();
    job.buckets = reducer.bucket_count();
  }
  job.same = distributed::same_on_all_ranks(ranks, set);
}

/// Largest difference of any parameter between two sets of the same names.
inline double largest_difference(const autograd::ParameterSet<double>& one,
                                 const autograd::ParameterSet<double>& other) {
  double largest = 0;
  for (const auto* parameter : one.list())
    for (std::int64_t i = 0; i < parameter->value().numel(); ++i)
      largest = (std::max)(largest, std::abs(std::as_const(*parameter).value().data()[i] -
                                             other.at(parameter->name()).value().data()[i]));
  return largest;
}

}  // namespace stofm::test

// SPDX-License-Identifier: MIT
// R09 in training: whichever tensor allocation of a step, a save or a resume fails, there is an Error of exit
// code 5, nothing leaks, the weights and the checkpoints are as they were, and the next attempt gives the
// bits of a run that never failed.
#include <doctest/doctest.h>

#include "stofm/train/checkpoint.hpp"
#include "tests/support/paths.hpp"
#include "tests/train/pretrain_fixture.hpp"

using namespace stofm;
using namespace stofm::train;
using namespace stofm::test;

namespace {

/// Fails the k-th tensor allocation while it lives, and if `sticky` all later ones.
class FailingMemory {
 public:
  FailingMemory(std::int64_t at, bool sticky) {
    state() = {at, 0, sticky};
    memory_state().fail.store(&FailingMemory::answer);
  }
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;
  ~FailingMemory() { memory_state().fail.store(nullptr); }
  bool fired() const { return state().calls >= state().at; }

 private:
  struct State {
    std::int64_t at = 0;
    std::atomic<std::int64_t> calls = 0;
    bool sticky = false;
    State& operator=(const State& other) {
      at = other.at, calls = other.calls.load(), sticky = other.sticky;
      return *this;
    }
    State(std::int64_t a, std::int64_t c, bool s) : at(a), calls(c), sticky(s) {}
  };
  static State& state() {
    static State value(0, 0, false);
    return value;
  }
  static bool answer(std::size_t) {
    State& now = state();
    const std::int64_t call = ++now.calls;
    return call == now.at || (now.sticky && call > now.at);
  }
};

/// Bytes of tensors, without the blocks that threads keep: which thread has one depends on the scheduler.
std::int64_t held() { return memory_state().in_use.load() - memory_state().kept.load(); }

/// Runs `work` with allocation `stride * 1, 2, ...` failing, `check` after each failure, until none is left.
/// \return failures seen
template <class Work, class Check>
std::int64_t fail_allocations(bool sticky, std::int64_t stride, Work&& work, Check&& check) {
  std::int64_t failures = 0;
  for (std::int64_t at = 1;; at += stride) {
    const std::int64_t before = held();
    bool failed = false, fired = false;
    {
      const FailingMemory failing(at, sticky);
      try {
        work();
      } catch (const ResourceError& error) {
        failed = error.exit_code() == 5;
      }
      fired = failing.fired();
    }
    if (!fired) return failures;
    CAPTURE(at);
    CHECK(failed);
    CHECK(held() == before);
    check();
    ++failures;
  }
}

Checkpoint point_of(const autograd::ParameterSet<float>& parameters, std::int64_t step) {
  Checkpoint point;
  point.step = step;
  for (const auto* parameter : parameters.list())
    point.tensors.emplace(parameter->name(), parameter->value().clone());
  return point;
}

}  // namespace

TEST_CASE(
    "R09: a step whose memory fails leaves the weights, and the next one is as if nothing had happened") {
  const World world;
  const TrainingBatch batch = world.batch(0);
  auto expected = pretraining_parameters(tiny_config(), {}, 3);
  PretrainStep(tiny_config(), expected, {.seed = 5}).run(batch);
  const std::vector<float> gradients = flat(expected, true), weights = flat(expected, false);

  auto parameters = pretraining_parameters(tiny_config(), {}, 3);
  PretrainStep step(tiny_config(), parameters, {.seed = 5});
  step.run(batch);  // what is allocated once
  for (const bool sticky : {false, true}) {
    const std::int64_t failures = fail_allocations(
        sticky, 7,
        [&] {
          parameters.zero_grad();
          step.run(batch);
        },
        [&] { CHECK(flat(parameters, false) == weights); });
    CHECK(failures > 50);
    parameters.zero_grad();
    step.run(batch);
    CHECK(flat(parameters, true) == gradients);
  }
}

TEST_CASE("R09: a save or a resume whose memory fails leaves the older checkpoint") {
  auto parameters = pretraining_parameters(tiny_config(), {}, 3);
  const ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c");
  const Checkpoint first = point_of(parameters, 1), second = point_of(parameters, 2);
  (void)checkpoints.save(first);
  std::int64_t failures = 0;
  for (const bool sticky : {false, true}) {
    failures += fail_allocations(
        sticky, 1, [&] { (void)checkpoints.save(second); },
        [&] { CHECK(checkpoints.load_newest()->checkpoint.step == 1); });
    std::filesystem::remove(checkpoints.list().back().path);
    failures += fail_allocations(
        sticky, 1, [&] { (void)checkpoints.load_newest(); }, [&] { CHECK(checkpoints.list().size() == 1); });
  }
  CHECK(failures > 20);  // reading allocates each tensor, writing none
  const auto whole = checkpoints.load_newest();
  REQUIRE(whole);
  for (const auto& [name, tensor] : first.tensors) {
    const Tensor<float>& read = whole->checkpoint.tensors.at(name);
    CHECK(std::equal(read.data(), read.data() + read.numel(), tensor.data(), tensor.data() + tensor.numel()));
  }
}

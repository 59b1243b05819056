// SPDX-License-Identifier: MIT
// Training over ranks whose gradients are summed by NCCL: ranks are threads that take turns (the emulator
// runs one kernel at a time), NCCL is a stand-in.
#include "tests/kernels/support/emulator.hpp"
// After it: it uses the streams of the emulated runtime.
#include "tests/kernels/support/emulated_nccl.hpp"

#include <doctest/doctest.h>

#include "stofm/distributed/cuda_gradient_sums.hpp"
#include "stofm/distributed/thread_communicator.hpp"
#include "stofm/train/cuda_pretrain.hpp"
#include "tests/train/pretrain_fixture.hpp"

using namespace stofm;
using namespace stofm::train;
using namespace stofm::distributed;

namespace {

/// Two slices of two pieces each, small ones.
test::World small_world() {
  return {{std::make_shared<PreparedSlice>(test::make_slice(7, 1)),
           std::make_shared<PreparedSlice>(test::make_slice(6, 2))}};
}

/// A rank that works only while it has the turn, and gives it away wherever it waits for others.
class TakesTurns final : public Communicator {
 public:
  TakesTurns(Communicator& ranks, std::mutex& turn) : ranks_(ranks), turn_(turn) {}

  int rank() const override { return ranks_.rank(); }
  int size() const override { return ranks_.size(); }
  PendingSum start_sum(std::span<float> values) override { return ranks_.start_sum(values); }
  PendingSum start_sum(std::span<double> values) override { return ranks_.start_sum(values); }
  void progress() override {
    let_others_work([] { std::this_thread::sleep_for(std::chrono::microseconds(100)); });
    ranks_.progress();
  }
  void wait(PendingSum& sum) override {
    let_others_work([&] { ranks_.wait(sum); });
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    let_others_work([&] { ranks_.broadcast(bytes, root); });
  }
  std::vector<std::string> all_gather(const std::string& text) override {
    std::vector<std::string> all;
    let_others_work([&] { all = ranks_.all_gather(text); });
    return all;
  }
  void barrier() override { all_gather(""); }

 protected:
  void end_job(const std::string& message, int code) override { ranks_.abort(message, code); }

 private:
  template <class Wait>
  void let_others_work(const Wait& wait) {
    turn_.unlock();
    struct Back {
      std::mutex& turn;
      ~Back() { turn.lock(); }
    } const back{turn_};
    wait();
  }
  Communicator& ranks_;
  std::mutex& turn_;
};

struct Job {
  Combine combine = Combine::sum;
  bool on_device = true;
  std::int64_t bucket_bytes = 1;
  bool pre_layernorm = false;
  bool idle_rank = false;  ///< the last rank has no pieces in step 1
};
struct Outcome {
  std::vector<std::vector<float>> parameters;  ///< of each rank
  std::vector<double> losses;                  ///< of rank 0
  std::vector<GradientBucket> buckets;
  std::int64_t sent_early = 0;  ///< by rank 0, in the last step
};

/// Two steps of pretraining over `count` ranks; the four pieces of a batch are spread over them.
Outcome pretrain(int count, const Job& job) {
  Outcome outcome;
  outcome.parameters.resize(static_cast<std::size_t>(count));
  std::mutex turn;
  const test::World world = small_world();
  run_thread_ranks(count, [&](Communicator& threads) {
    const std::scoped_lock lock(turn);
    TakesTurns ranks(threads, turn);
    emulator::device_number() = static_cast<char>(ranks.rank());
    model::Se2Config config = test::tiny_config();
    config.pre_layernorm = job.pre_layernorm;
    autograd::ParameterSet<float> parameters = pretraining_parameters(config, {}, 3);
    nn::AdamW<float> optimizer(parameters, {.weight_decay = 0.05});
    CudaPretrain device(config, parameters, optimizer, {.seed = 5},
                        {.precision = backend::Precision::float32, .neutral_input = true});
    device.sum_over_processes = [&](std::vector<double>& numbers) {
      ranks.all_reduce_sum(std::span<double>(numbers));
    };
    device.sum_gradients = [&](std::span<float> gradients) { ranks.all_reduce_sum(gradients); };
    std::optional<CudaGradientSums> sums;
    if (job.on_device) {
      sums.emplace(ranks, Cuda{0}, GradientReducerOptions{.bucket_bytes = job.bucket_bytes});
      device.sum_on_device = {
          [&](const backend::CudaGradients& gradients, std::int64_t from) { sums->ready(gradients, from); },
          [&](const backend::CudaGradients& gradients) { sums->finish(gradients); }};
    }
    const StepEngine engine = device.engine();
    for (std::int64_t step = 0; step < 2; ++step) {
      TrainingBatch batch = world.batch(step), mine;
      for (std::size_t i = 0; i < batch.pieces.size(); ++i)
        if (static_cast<int>(i) % count == ranks.rank()) mine.pieces.push_back(batch.pieces[i]);
      if (job.idle_rank && step == 0 && ranks.rank() + 1 == count) mine.pieces.clear();
      const StepReport report = device.run(mine);
      if (ranks.is_first()) outcome.losses.push_back(report.loss);
      const double norm = engine.gradient_norm();
      engine.update(2e-3, 1.0 / std::max(1.0, norm));
    }
    engine.fetch();
    outcome.parameters[static_cast<std::size_t>(ranks.rank())] = test::flat(parameters, false);
    if (sums && ranks.is_first()) {
      outcome.buckets = sums->buckets();
      outcome.sent_early = sums->sent_early();
    }
  });
  return outcome;
}

}  // namespace

TEST_CASE("pretraining over ranks by NCCL has the bits of sums through the host") {
  for (const int count : {2, 4}) {
    Job job{.pre_layernorm = count == 2, .idle_rank = true};
    const Outcome device = pretrain(count, job);
    job.on_device = false;
    const Outcome host = pretrain(count, job);
    CHECK(device.losses == host.losses);
    REQUIRE(device.parameters.front().size() == host.parameters.front().size());
    for (const Outcome* outcome : {&device, &host})
      for (const std::vector<float>& values : outcome->parameters)
        CHECK(std::memcmp(values.data(), host.parameters.front().data(), 4 * values.size()) == 0);
    // Heads, two layers and what comes before them; all were on their way before backward was over.
    REQUIRE(device.buckets.size() == 4);
    CHECK(device.sent_early == 4);
    std::int64_t end = device.buckets.front().first + device.buckets.front().count;
    for (const GradientBucket& bucket : device.buckets) {
      CHECK(bucket.first + bucket.count == end);
      end = bucket.first;
    }
    CHECK(end == 0);
  }
  CHECK(emulated_nccl().communicators == 0);
}

TEST_CASE("gradients are final when backward says so") {
  const test::World world = small_world();
  for (const bool pre_layernorm : {false, true}) {
    model::Se2Config config = test::tiny_config();
    config.pre_layernorm = pre_layernorm;
    autograd::ParameterSet<float> parameters = pretraining_parameters(config, {}, 3);
    nn::AdamW<float> optimizer(parameters, {});
    CudaPretrain device(config, parameters, optimizer, {.seed = 5},
                        {.precision = backend::Precision::float32});
    std::vector<std::pair<std::int64_t, std::vector<float>>> seen;  // what was there from a border on
    device.sum_on_device.ready = [&](const backend::CudaGradients& gradients, std::int64_t from) {
      CHECK(std::find(gradients.borders.begin(), gradients.borders.end(), from) != gradients.borders.end());
      backend::synchronize(Cuda{0}, gradients.stream);  // what they are behind is queued
      seen.emplace_back(
          from, std::vector<float>(gradients.values + from, gradients.values + gradients.borders.back()));
    };
    device.sum_on_device.finish = [&](const backend::CudaGradients& gradients) {
      REQUIRE(seen.size() == 4);
      CHECK(seen.back().first == 0);
      backend::synchronize(Cuda{0}, gradients.stream);
      for (const auto& [from, values] : seen) {
        CHECK(std::memcmp(values.data(), gradients.values + from, 4 * values.size()) == 0);
        CHECK(std::count(values.begin(), values.end(), 0.0F) <
              static_cast<std::ptrdiff_t>(values.size()) / 2);
      }
    };
    device.run(world.batch(1));
  }
}

TEST_CASE("a rank whose device fails in the middle of a step ends the job with its name") {
  std::mutex turn;
  const test::World world = small_world();
  std::string message;
  try {
    run_thread_ranks(2, [&](Communicator& threads) {
      const std::scoped_lock lock(turn);
      TakesTurns ranks(threads, turn);
      emulator::device_number() = static_cast<char>(ranks.rank());
      const model::Se2Config config = test::tiny_config();
      autograd::ParameterSet<float> parameters = pretraining_parameters(config, {}, 3);
      nn::AdamW<float> optimizer(parameters, {});
      CudaPretrain device(config, parameters, optimizer, {.seed = 5}, {});
      CudaGradientSums sums(ranks, Cuda{0}, {.bucket_bytes = 1});
      device.sum_on_device = {
          [&](const backend::CudaGradients& gradients, std::int64_t from) {
            if (ranks.rank() == 1 && from == gradients.borders[1])
              throw DeviceError({"STOFM-6005", "", "[test]", "a kernel that crashed", "", ""});
            sums.ready(gradients, from);
          },
          [&](const backend::CudaGradients& gradients) { sums.finish(gradients); }};
      device.run(world.batch(1));
    });
  } catch (const DeviceError& error) {
    message = error.what();
  }
  CHECK(message.find("rank 1 of 2 failed") != std::string::npos);
  CHECK(message.find("STOFM-6005") != std::string::npos);
  CHECK(emulated_nccl().communicators == 0);
}

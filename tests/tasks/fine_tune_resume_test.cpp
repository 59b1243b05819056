// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "tests/support/paths.hpp"
#include "tests/tasks/fine_tune_fixture.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {
struct StopHere {};

/// What a run ends with, to be compared bit by bit.
struct TunedBits {
  std::vector<float> weights;
  std::vector<double> figures;
  std::int64_t best = 0;
  bool early = false;
  bool operator==(const TunedBits&) const = default;
};

/// A run that is broken off after `stop` epochs (0: never).
TunedBits tuned_bits(tasks::FineTuneOptions options, const std::vector<TissueSlice>& tissues,
                     std::int64_t stop = 0) {
  std::vector<tasks::LabelledSlice> slices;
  for (const TissueSlice& tissue : tissues) slices.push_back({&tissue.slice, tissue.bands});
  options.after_epoch = [stop](const tasks::FineTuneEpoch& e) {
    if (e.epoch == stop) throw StopHere{};
  };
  const auto result = tasks::fine_tune_classifier(tissue_model(), slices, tissue_classes(), options);
  TunedBits bits{weights_of(result.classifier), {}, result.best_epoch, result.stopped_early};
  for (const auto& e : result.epochs)
    bits.figures.insert(bits.figures.end(), {static_cast<double>(e.epoch), e.loss, e.learning_rate,
                                             e.validation_loss, e.validation_macro_f1});
  return bits;
}
}  // namespace

TEST_CASE("fine-tuning that was stopped ends with the bits of a run that was not") {
  std::vector<TissueSlice> tissues;
  tissues.emplace_back(11, 1);
  tissues.emplace_back(9, 2);
  for (const auto mode : {tasks::TuneMode::all, tasks::TuneMode::last, tasks::TuneMode::none}) {
    auto options = tissue_options();
    options.tune = mode;
    options.epochs = 4;
    options.learning_rate = 1e-2;
    options.least_steps = 3;  // a pass does not end with an epoch
    const TunedBits straight = tuned_bits(options, tissues);
    for (const std::int64_t stop : {2, 3}) {
      const ScratchDir scratch;
      options.checkpoints = scratch / "run";
      options.resume = true;  // nothing there yet: the run begins
      // The epoch is judged before its checkpoint is written, so this run has that of the one before.
      CHECK_THROWS_AS(tuned_bits(options, tissues, stop), StopHere);
      REQUIRE(!train::list_checkpoints(options.checkpoints).empty());
      CHECK(tuned_bits(options, tissues) == straight);
      CHECK(tuned_bits(options, tissues) == straight);  // from the last checkpoint of all
      options.checkpoints.clear();
    }
  }
}

TEST_CASE("a run that patience ended stays ended") {
  std::vector<TissueSlice> tissues;
  tissues.emplace_back(12, 7);
  auto options = tissue_options();
  options.epochs = 12;
  options.learning_rate = 0.2;  // jumps about
  options.patience = 1;
  const ScratchDir scratch;
  options.checkpoints = scratch / "run";
  const TunedBits ended = tuned_bits(options, tissues);
  REQUIRE(ended.early);
  options.resume = true;
  CHECK(tuned_bits(options, tissues) == ended);
}

TEST_CASE("a checkpoint directory is not taken by mistake") {
  std::vector<TissueSlice> tissues, others;
  tissues.emplace_back(9, 1);
  others.emplace_back(9, 2);
  auto options = tissue_options();
  options.epochs = 1;
  const ScratchDir scratch;
  options.checkpoints = scratch / "run";
  const TunedBits first = tuned_bits(options, tissues);
  CHECK(refusal_code([&] { (void)tuned_bits(options, tissues); }) == "STOFM-4743");
  options.resume = true;
  CHECK(tuned_bits(options, tissues) == first);
  CHECK(refusal_code([&] { (void)tuned_bits(options, others); }) == "STOFM-3804");
  for (const auto& change : std::vector<std::function<void(tasks::FineTuneOptions&)>>{
           [](auto& o) { o.epochs = 2; }, [](auto& o) { o.head.hidden = 9; }, [](auto& o) { o.seed = 8; },
           [](auto& o) { o.learning_rate = 2e-3; }, [](auto& o) { o.tune = tasks::TuneMode::last; },
           [](auto& o) { o.validation = 0.3; }}) {
    auto other = options;
    change(other);
    CHECK(refusal_code([&] { (void)tuned_bits(other, tissues); }) == "STOFM-3804");
  }
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <numeric>

#include "stofm/autograd/rules/losses.hpp"
#include "tests/support/gradcheck.hpp"
#include "tests/tasks/fine_tune_fixture.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {

tasks::FineTuneResult tune_tissue(const TissueSlice& tissue, const tasks::FineTuneOptions& options) {
  const tasks::LabelledSlice slices[] = {{&tissue.slice, tissue.bands}};
  return tasks::fine_tune_classifier(tissue_model(), slices, tissue_classes(), options);
}

std::vector<double> figures_of(const tasks::FineTuneResult& result) {
  std::vector<double> all;
  for (const auto& e : result.epochs)
    all.insert(all.end(), {static_cast<double>(e.epoch), e.loss, e.learning_rate, e.validation_loss,
                           e.validation_accuracy, e.validation_macro_f1});
  return all;
}

}  // namespace

TEST_CASE("the head of a classifier has the gradients of its loss") {
  Random random(5);
  const auto values = [&](const Shape& shape) {
    Tensor<double> tensor(shape);
    for (double& v : tensor.span()) v = random.normal();
    return tensor;
  };
  for (const auto activation : {ops::Activation::gelu, ops::Activation::relu}) {
    const tasks::HeadOptions options{.hidden = 5, .activation = activation, .dropout = 0.3};
    autograd::ParameterSet<double> set;
    tasks::create_head(set, "head/", {.state = 4, .cell = 3, .classes = 3}, options, RandomKey{.seed = 1});
    for (auto* parameter : set.list())  // off the small output and the biases of 0
      for (double& v : parameter->changing().span()) v += 0.3 * random.normal();
    const tasks::ClassifierHead<double> head(set, "head/", options);
    const Tensor<double> states = values({7, 4}), cells = values({7, 3});
    const std::vector<std::int32_t> targets{0, 2, 1, 1, 0, 2, 2};
    const std::vector<double> weights{1, 0.5, 2, 0, 1, 1, 3};
    const RandomKey key{.seed = 9};
    for (const RandomKey* dropped : {static_cast<const RandomKey*>(nullptr), &key}) {
      const auto loss = [&](autograd::Tape<double>& tape, const autograd::Variable<double>& h,
                            const autograd::Variable<double>& f) {
        return autograd::cross_entropy<double, std::int32_t>(head.logits(tape, h, f, dropped), targets,
                                                             weights, autograd::Reduction::sum);
      };
      // Central differences with h = 1e-5: truncation about h^2, rounding about 1e-16 / h, of a loss near 10.
      CHECK(gradcheck([&](auto& tape, const auto& x) { return loss(tape, x[0], x[1]); }, {states, cells})
                .largest() <= 1e-8);
      CHECK(gradcheck_parameters(
                [&](autograd::Tape<double>& tape) {
                  return loss(tape, autograd::constant(states), autograd::constant(cells));
                },
                set)
                .largest() <= 1e-8);
    }
  }
}

TEST_CASE("fine-tuning learns regions that single cells do not tell, for another slice") {
  const TissueSlice known(18, 1), other(15, 2);
  auto options = tissue_options();
  options.epochs = 30;
  options.least_steps = 12;
  options.learning_rate = 1e-2;
  const auto result = tune_tissue(known, options);
  REQUIRE(result.epochs.size() == 30);
  CHECK(result.epochs.back().loss < 0.4 * result.epochs.front().loss);
  CHECK(result.notices.empty());
  const auto model = tissue_model();
  const Tensor<double> p = tasks::predict_classes(result.classifier, model, other.slice);
  REQUIRE(p.shape() == Shape{225, 3});
  for (std::int64_t i = 0; i < p.dim(0); ++i) {
    CHECK(p(i, 0) + p(i, 1) + p(i, 2) == doctest::Approx(1.0).epsilon(1e-12));
    if (!(p(i, 0) >= 0)) break;
  }
  // Noise as large as what tells the bands apart: single cells are told by two numbers, 0.72 of them rightly;
  // with neighbours 0.9 are. The bound lies halfway.
  const tasks::LabelledRows rows[] = {{known.slice.features.view(), known.bands}};
  const auto probe = tasks::fit_probe(rows, tissue_classes(), {});
  const double alone = other.accuracy(tasks::predict_classes(probe, other.slice.features.view()));
  MESSAGE("fine-tuned ", other.accuracy(p), ", own features alone ", alone);
  CHECK(alone < 0.8);
  CHECK(other.accuracy(p) > alone + 0.09);
}

TEST_CASE("fine-tuning gives the same bits at any number of threads") {
  const TissueSlice tissue(12, 4);
  const int before = thread_count();
  std::vector<float> weights;
  std::vector<double> figures;
  Tensor<double> probabilities;
  for (const auto mode : {tasks::TuneMode::all, tasks::TuneMode::none}) {
    auto options = tissue_options();
    options.tune = mode;
    options.epochs = 2;
    for (const int threads : {1, 2, 5}) {
      set_thread_count(threads);
      const auto result = tune_tissue(tissue, options);
      const auto p = tasks::predict_classes(result.classifier, tissue_model(), tissue.slice);
      if (threads == 1) {
        weights = weights_of(result.classifier);
        figures = figures_of(result);
        probabilities = p;
      }
      CHECK(weights_of(result.classifier) == weights);
      CHECK(figures_of(result) == figures);
      CHECK(std::equal(p.data(), p.data() + p.numel(), probabilities.data()));
    }
  }
  set_thread_count(before);
}

TEST_CASE("another seed is another run, and each part of the model is tuned where it was asked for") {
  const TissueSlice tissue(10, 5);
  auto options = tissue_options();
  options.epochs = 1;
  const auto start = tissue_model().se2->parameters();
  const auto changed = [&](const tasks::Classifier& c) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : start)
      if (!std::equal(tensor.data(), tensor.data() + tensor.numel(), c.se2.at(name).data()))
        names.push_back(name);
    return names;
  };
  const auto all = tune_tissue(tissue, options).classifier;
  CHECK(changed(all).size() == start.size());
  options.seed = 4;
  CHECK(weights_of(tune_tissue(tissue, options).classifier) != weights_of(all));
  options.tune = tasks::TuneMode::last;
  const auto last = tune_tissue(tissue, options).classifier;
  CHECK(changed(last).size() == 16);
  for (const std::string& name : changed(last)) CHECK(name.starts_with("encoder.layers.1."));
  options.layers = 7;  // more than there are: the layers, not what is before them
  CHECK(changed(tune_tissue(tissue, options).classifier).size() == 32);
  options.tune = tasks::TuneMode::none;
  CHECK(changed(tune_tissue(tissue, options).classifier).empty());
}

TEST_CASE("validation cells are a patch of each class and carry no loss") {
  const TissueSlice tissue(20, 6);
  const auto marks =
      tasks::detail::validation_cells(tissue.slice, tissue.bands, 3, 0.2, RandomKey{.seed = 2});
  std::vector<std::int64_t> cells(3), marked(3);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    ++cells[static_cast<std::size_t>(tissue.bands[i])];
    marked[static_cast<std::size_t>(tissue.bands[i])] += marks[i];
  }
  for (std::size_t c = 0; c < 3; ++c) {
    CHECK(marked[c] == std::lround(0.2 * static_cast<double>(cells[c])));
    // A disc: no cell of the class that was left is nearer to the middle than the farthest that was taken.
    double farthest = 1e300;
    for (std::size_t m = 0; m < marks.size(); ++m) {
      double inside = 0, outside = 1e300;
      for (std::size_t i = 0; i < marks.size(); ++i) {
        if (tissue.bands[i] != static_cast<std::int32_t>(c)) continue;
        const auto& xy = tissue.slice.frames[0].xy;
        const auto a = static_cast<std::int64_t>(i), b = static_cast<std::int64_t>(m);
        const double d = std::hypot(xy(a, 0) - xy(b, 0), xy(a, 1) - xy(b, 1));
        if (marks[i] != 0)
          inside = (std::max)(inside, d);
        else
          outside = (std::min)(outside, d);
      }
      farthest = (std::min)(farthest, inside - outside);
    }
    CHECK(farthest < 0);  // some cell is such a middle
  }
  auto options = tissue_options();
  options.validation = 0.2;
  const tasks::LabelledSlice slice{&tissue.slice, tissue.bands};
  const auto labels = tasks::detail::fine_tune_labels({&slice, 1}, tissue_classes(), options);
  CHECK(labels.labelled == 400);
  CHECK(labels.judged == marked[0] + marked[1] + marked[2]);
  for (std::size_t i = 0; i < marks.size(); ++i) {  // each cell on one side, with its own class
    CHECK((labels.target[0][i] == -1) != (labels.validation[0][i] == -1));
    CHECK((std::max)(labels.target[0][i], labels.validation[0][i]) == tissue.bands[i]);
  }
}

TEST_CASE("the best epoch is returned, and patience ends a run") {
  const TissueSlice tissue(12, 7, 0.3);
  auto options = tissue_options();
  options.epochs = 8;
  options.learning_rate = 2e-2;
  const auto whole = tune_tissue(tissue, options);
  double highest = 0;
  for (const auto& e : whole.epochs) highest = (std::max)(highest, e.validation_macro_f1);
  const double error = std::sqrt(highest * (1 - highest) / static_cast<double>(whole.validation_cells));
  for (const auto& e : whole.epochs) {  // the last that can not be told from the highest
    if (e.epoch == whole.best_epoch) CHECK(e.validation_macro_f1 >= highest - error);
    if (e.epoch > whole.best_epoch) CHECK(e.validation_macro_f1 < highest - error);
  }
  CHECK_FALSE(whole.stopped_early);
  options.patience = 1;
  const auto ended = tune_tissue(tissue, options);
  if (ended.stopped_early)
    CHECK(static_cast<std::int64_t>(ended.epochs.size()) == ended.best_epoch + 1);
  else
    CHECK(ended.epochs.size() == 8);
  CHECK(ended.epochs[0].validation_loss == whole.epochs[0].validation_loss);
}

TEST_CASE("ten labels are enough to begin, and it is said that nothing is validated") {
  const TissueSlice tissue(10, 8);
  tasks::LabelledSlice slice{&tissue.slice, std::vector<std::int32_t>(100, -1)};
  for (std::size_t i = 0; i < 10; ++i) slice.labels[i * 11] = tissue.bands[i * 11] == 1 ? 2 : 0;
  auto options = tissue_options();
  const auto result = tasks::fine_tune_classifier(tissue_model(), {&slice, 1}, tissue_classes(), options);
  CHECK(result.labelled == 10);
  CHECK(result.validation_cells == 0);
  CHECK(result.best_epoch == 3);
  REQUIRE(result.notices.size() == 2);
  CHECK(result.notices[0].code == "STOFM-W4741");
  CHECK(result.notices[0].text.find("middle") != std::string::npos);
  CHECK(result.notices[1].code == "STOFM-W4740");
  CHECK(result.class_weight[1] == 0);
  CHECK(std::isnan(result.epochs[0].validation_macro_f1));
  const auto p = tasks::predict_classes(result.classifier, tissue_model(), tissue.slice);
  for (std::int64_t i = 0; i < 100; ++i) CHECK(p(i, 1) == 0.0);
}

TEST_CASE("balanced weights make classes weigh the same") {
  const TissueSlice tissue(10, 9);
  tasks::LabelledSlice slice{&tissue.slice, std::vector<std::int32_t>(100, -1)};
  for (std::size_t i = 0; i < 12; ++i) slice.labels[i] = i < 2 ? 0 : i < 5 ? 1 : 2;
  auto options = tissue_options();
  options.epochs = 1;
  options.validation = 0;
  const auto result = tasks::fine_tune_classifier(tissue_model(), {&slice, 1}, tissue_classes(), options);
  CHECK(result.class_weight[0] == doctest::Approx(2.0));
  CHECK(result.class_weight[1] == doctest::Approx(12.0 / 9.0));
  CHECK(result.class_weight[2] == doctest::Approx(12.0 / 21.0));
  CHECK(result.notices.empty());  // no validation was asked for
}

TEST_CASE("what can not be trained is refused") {
  const TissueSlice tissue(8, 10);
  const auto code = [&](auto&& change) {
    return refusal_code([&] {
      auto model = tissue_model();
      tasks::LabelledSlice slice{&tissue.slice, tissue.bands};
      auto options = tissue_options();
      options.epochs = 1;
      change(model, slice, options);
      (void)tasks::fine_tune_classifier(model, {&slice, 1}, tissue_classes(), options);
    });
  };
  CHECK(code([](auto&, auto&, auto&) {}) == "");
  CHECK(code([](auto&, auto&, auto& o) { o.epochs = 0; }) == "STOFM-4740");
  CHECK(code([](auto&, auto&, auto& o) { o.head.dropout = 1; }) == "STOFM-4740");
  CHECK(code([](auto&, auto&, auto& o) { o.learning_rate = 0; }) == "STOFM-4740");
  CHECK(code([](auto&, auto&, auto& o) { o.validation = 0.6; }) == "STOFM-4740");
  CHECK(code([](auto&, auto& s, auto&) { s.labels.pop_back(); }) == "STOFM-4741");
  CHECK(code([](auto& m, auto&, auto&) { m.se2 = nullptr; }) == "STOFM-4742");
  CHECK(code([](auto&, auto& s, auto&) { s.labels[3] = 3; }) == "STOFM-4702");
  CHECK(code([](auto&, auto& s, auto&) { s.labels[3] = -2; }) == "STOFM-4702");
  CHECK(code([](auto&, auto& s, auto&) { s.labels.assign(64, -1); }) == "STOFM-4701");
  CHECK(code([](auto&, auto& s, auto&) { s.labels.assign(64, 1); }) == "STOFM-4710");
  auto narrow = TissueSlice(8, 10);
  narrow.slice.features = narrow.slice.features.slice(1, 0, 5).contiguous();
  CHECK(code([&](auto&, auto& s, auto&) { s.slice = &narrow.slice; }) == "STOFM-4749");
}

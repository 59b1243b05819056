// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "stofm/core/parallel.hpp"
#include "stofm/core/random.hpp"
#include "stofm/tasks/feature_words.hpp"
#include "stofm/tasks/fit_heads.hpp"
#include "stofm/tasks/head_file.hpp"
#include "stofm/tasks/pooled_classifier.hpp"
#include "tests/pipeline/embed_fixture.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using test::refusal_code;

namespace {

constexpr std::int64_t side = 24;

/// A grid of side x side cells, a unit apart.
io::Slice grid_slice() {
  std::vector<std::array<double, 2>> places;
  for (std::int64_t i = 0; i < side * side; ++i)
    places.push_back({static_cast<double>(i % side), static_cast<double>(i / side)});
  io::Slice slice;
  slice.path = "grid";
  slice.cells = side * side;
  slice.coordinates = Tensor<double>({side * side, 2});
  for (std::size_t i = 0; i < places.size(); ++i)
    std::copy_n(places[i].data(), 2, slice.coordinates.data() + 2 * static_cast<std::int64_t>(i));
  return slice;
}

/// Three bands, wide ones.
std::vector<std::int32_t> bands() {
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < side * side; ++i) labels.push_back(static_cast<std::int32_t>(i / side / 8));
  return labels;
}
/// Three classes that have nothing to do with places.
std::vector<std::int32_t> speckles() {
  Random random(7);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < side * side; ++i) labels.push_back(static_cast<std::int32_t>(random.below(3)));
  return labels;
}
/// Features that say the class, under `noise`.
Tensor<float> hints(const std::vector<std::int32_t>& labels, double noise, std::uint64_t seed) {
  Random random(seed);
  Tensor<float> rows({static_cast<std::int64_t>(labels.size()), 3});
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::int64_t c = 0; c < 3; ++c)
      rows.data()[static_cast<std::int64_t>(i) * 3 + c] =
          static_cast<float>((labels[i] == c ? 1.0 : 0.0) + noise * random.normal());
  return rows;
}

struct Case {
  std::vector<io::Slice> slices;
  std::vector<std::vector<std::int32_t>> labels;
  std::vector<std::vector<Tensor<float>>> features;  // by head, by slice

  tasks::PooledHead fit(const tasks::PooledHeadOptions& options = {}) const {
    std::vector<const io::Slice*> list;
    for (const io::Slice& slice : slices) list.push_back(&slice);
    const std::vector<tasks::HeadRows> rows(features.begin(), features.end());
    return tasks::fit_pooled_head(rows, list, labels, 3, {5}, options);
  }
};
const std::vector<std::int64_t> counts{0, 4, 12};

Tensor<double> numbers(const std::vector<std::vector<double>>& rows) {
  Tensor<double> result({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows[0].size())});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy(rows[i].begin(), rows[i].end(), result.data() + static_cast<std::int64_t>(i * rows[i].size()));
  return result;
}

}  // namespace

TEST_CASE("label folds: slices where they know each other's classes, tiles all over a slice where not") {
  const io::Slice slice = grid_slice();
  const std::vector<TensorView<const double>> two{slice.coordinates.view(), slice.coordinates.view()};
  std::vector<std::vector<std::int32_t>> labels{bands(), bands()};
  labels[1][3] = -1;
  const tasks::LabelFolds known = tasks::fold_labels(two, labels);
  CHECK(known.by_slice);
  CHECK(known.count == 2);
  CHECK(known.of[0] == std::vector<std::int32_t>(side * side, 0));
  CHECK(known.of[1][3] == -1);
  CHECK(std::count(known.of[1].begin(), known.of[1].end(), 1) == side * side - 1);
  for (std::int32_t& label : labels[1]) label = label < 0 ? label : label + 3;  // other classes
  const tasks::LabelFolds apart = tasks::fold_labels(two, labels);
  CHECK_FALSE(apart.by_slice);
  CHECK(apart.count == 5);
  for (std::int32_t part = 0; part < 5; ++part) {
    const auto cells = std::count(apart.of[0].begin(), apart.of[0].end(), part);
    CHECK(static_cast<double>(cells) == doctest::Approx(side * side / 5.0).epsilon(0.3));
  }
  std::int64_t alike = 0;  // a cell and the one to its right
  for (std::int64_t i = 0; i + 1 < side * side; ++i)
    alike += i % side + 1 < side &&
             apart.of[0][static_cast<std::size_t>(i)] == apart.of[0][static_cast<std::size_t>(i + 1)];
  CHECK(static_cast<double>(alike) > 0.6 * side * (side - 1));  // at random: 0.2
  labels[1].assign(side * side, -1);
  CHECK_FALSE(tasks::fold_labels(two, labels).by_slice);
  labels[1].pop_back();
  CHECK(refusal_code([&] { tasks::fold_labels(two, labels); }) == "STOFM-4700");
}

TEST_CASE("smoothed probabilities: means over the nearest cells that have a say, of the same library") {
  io::Slice slice = grid_slice();
  slice.library_names = {"upper", "lower"};
  Random random(3);
  Tensor<double> given({side * side, 2});
  for (std::int64_t i = 0; i < side * side; ++i) {
    slice.library.push_back(i / side < 9 ? 0 : 1);
    given.data()[2 * i] = random.uniform();
    given.data()[2 * i + 1] = 1 - given.data()[2 * i];
  }
  const std::int64_t silent = 5 * side + 5;
  given.data()[2 * silent] = given.data()[2 * silent + 1] = std::numeric_limits<double>::quiet_NaN();
  const int before = thread_count();
  std::vector<Tensor<double>> first;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    const auto found = tasks::smoothed_probabilities(slice, std::as_const(given).view(), counts);
    REQUIRE(found.size() == 3);
    for (std::int64_t e = 0; e < given.numel(); ++e)
      CHECK((found[0].data()[e] == given.data()[e] || e / 2 == silent));
    CHECK(std::isnan(found[2].data()[2 * silent]));
    for (std::size_t k = 1; k < 3; ++k)
      for (std::int64_t i = 0; i < side * side; i += 7) {
        if (i == silent) continue;
        std::vector<std::pair<double, std::int64_t>> near;
        for (std::int64_t j = 0; j < side * side; ++j)
          if (j != i &&
              slice.library[static_cast<std::size_t>(j)] == slice.library[static_cast<std::size_t>(i)])
            near.emplace_back(std::pow(slice.coordinates(i, 0) - slice.coordinates(j, 0), 2) +
                                  std::pow(slice.coordinates(i, 1) - slice.coordinates(j, 1), 2),
                              j);
        std::sort(near.begin(), near.end());
        near.resize(static_cast<std::size_t>(counts[k]));
        double sum = given.data()[2 * i], votes = 1;
        for (const auto& [distance, j] : near)
          if (j != silent) sum += given.data()[2 * j], ++votes;
        CHECK(found[k].data()[2 * i] == doctest::Approx(sum / votes).epsilon(1e-5));
      }
    if (first.empty())
      first = {found[1].clone(), found[2].clone()};
    else
      for (std::size_t k = 0; k < 2; ++k)
        for (std::int64_t e = 0; e < given.numel(); ++e)
          CHECK((found[k + 1].data()[e] == first[k].data()[e] || e / 2 == silent));
  }
  set_thread_count(before);
}

TEST_CASE("head weights: the mixture that says most of the labels") {
  // Two cells in three are told by one head, the others by the other one.
  const std::vector<std::int32_t> labels{0, 1, 0, -1};
  const std::vector<Tensor<double>> heads{numbers({{0.9, 0.1}, {0.2, 0.8}, {0.1, 0.9}, {0.5, 0.5}}),
                                          numbers({{0.4, 0.6}, {0.6, 0.4}, {0.9, 0.1}, {0.5, 0.5}})};
  for (const auto balance : {tasks::ClassWeights::none, tasks::ClassWeights::balanced}) {
    const std::vector<double> found = tasks::head_weights(heads, labels, balance);
    CHECK(found[0] + found[1] == doctest::Approx(1));
    double best = std::numeric_limits<double>::infinity(), at = 0;
    for (int step = 0; step <= 1000; ++step) {
      const std::vector<double> tried{step / 1000.0, 1 - step / 1000.0};
      const double loss = tasks::log_loss(tasks::mixed_probabilities(heads, tried).view(), labels, balance);
      if (loss < best) best = loss, at = tried[0];
    }
    CHECK(found[0] == doctest::Approx(at).epsilon(0.01));
  }
  const Tensor<double> useless = numbers({{0.01, 0.99}, {0.99, 0.01}, {0.01, 0.99}, {0.5, 0.5}});
  const auto without = tasks::head_weights(std::vector{heads[0], useless}, labels, tasks::ClassWeights::none);
  CHECK(without == std::vector<double>{1, 0});
  const std::vector<std::int32_t> none(4, -1);
  CHECK(tasks::head_weights(heads, none, tasks::ClassWeights::balanced) == std::vector<double>{0.5, 0.5});
  CHECK(tasks::log_loss(heads[0].view(), labels, tasks::ClassWeights::balanced) ==
        doctest::Approx(-(std::log(0.9) + std::log(0.1)) / 4 - std::log(0.8) / 2));
  const std::vector<std::int32_t> three(3, 0);
  CHECK(refusal_code([&] { tasks::head_weights(heads, three, tasks::ClassWeights::none); }) == "STOFM-4700");
}

TEST_CASE("pooled head: wide regions are smoothed, speckles are not, and noise gets no say") {
  for (const bool wide : {true, false}) {
    CAPTURE(wide);
    const auto truth = wide ? bands() : speckles();
    Case of{{grid_slice()}, {truth}, {{hints(truth, 1.0, 1)}, {hints(speckles(), 1e-3, 2)}}};
    if (!wide) of.features[1] = {hints(bands(), 1e-3, 2)};  // sure of what does not matter
    const tasks::PooledHead head = of.fit({.smoothing = counts});
    CHECK((head.smooth > 0) == wide);
    CHECK(head.weights[0] > 0.9);
    CHECK_FALSE(head.by_slice);
    CHECK(head.heads[0].report.cells == side * side);
    const tasks::PooledHead bare = of.fit();
    CHECK(bare.smooth == 0);
    if (wide) CHECK(head.held_out_f1 > bare.held_out_f1 + 0.1);
    if (!wide) CHECK(head.held_out_f1 == bare.held_out_f1);
  }
}

TEST_CASE("pooled head: what leaks inside a slice is found out by another slice") {
  // The second features tell bands of the first slice from their place; those of the other lie the other way.
  std::vector<std::int32_t> across;
  for (std::int64_t i = 0; i < side * side; ++i) across.push_back(static_cast<std::int32_t>(i % side / 8));
  Case of{{grid_slice(), grid_slice()}, {bands(), across}, {}};
  of.features = {{hints(bands(), 0.7, 1), hints(across, 0.7, 2)},
                 {hints(bands(), 0.1, 3), hints(bands(), 0.1, 4)}};
  const tasks::PooledHead head = of.fit();
  CHECK(head.by_slice);
  CHECK(head.weights[0] > 0.9);
}

TEST_CASE("pooled head: the same at any number of threads; few labels; refusals") {
  const auto truth = bands();
  Case of{{grid_slice()}, {truth}, {{hints(truth, 1.0, 1)}, {hints(truth, 1.0, 2)}}};
  const tasks::PooledHeadOptions options{.smoothing = counts, .choosing_cells = 300};
  const int before = thread_count();
  set_thread_count(1);
  const tasks::PooledHead one = of.fit(options);
  set_thread_count(4);
  const tasks::PooledHead four = of.fit(options);
  set_thread_count(before);
  CHECK(one.weights == four.weights);
  CHECK(one.strengths == four.strengths);
  CHECK(one.held_out_f1 == four.held_out_f1);
  for (std::size_t m = 0; m < 2; ++m) CHECK(one.heads[m].intercepts == four.heads[m].intercepts);
  CHECK(one.weights[0] + one.weights[1] == doctest::Approx(1));
  CHECK(std::min(one.weights[0], one.weights[1]) > 0.2);  // both say as much

  Case few = of;
  few.labels[0].assign(side * side, -1);
  few.labels[0][0] = 0;
  few.labels[0][side * side - 1] = 1;
  const tasks::PooledHead guess = few.fit(options);
  CHECK(guess.weights == std::vector<double>{0.5, 0.5});
  CHECK(guess.strengths == std::vector<double>{0.1, 0.1});
  CHECK(guess.smooth == 0);
  CHECK(guess.held_out_f1 == 0);
  Case none = of;
  none.features.clear();
  CHECK(refusal_code([&] { none.fit(); }) == "STOFM-4792");
  CHECK(refusal_code([&] { of.fit({.smoothing = {}}); }) == "STOFM-4792");
}

TEST_CASE(
    "heads that are fitted: one alone by cells at random, smoothed or several by place; what is refused") {
  auto labels = bands();
  for (std::size_t i = 0; i < labels.size(); i += 3) labels[i] = -1;
  Case of{{grid_slice()}, {labels}, {{hints(bands(), 1.0, 1)}, {hints(bands(), 1.0, 2)}}};
  const auto fit = [&of](std::size_t heads, std::int64_t smooth) {
    const std::vector<const io::Slice*> slices{&of.slices[0]};
    const std::vector<tasks::HeadRows> rows(of.features.begin(),
                                            of.features.begin() + static_cast<std::ptrdiff_t>(heads));
    return tasks::fit_heads(rows, slices, of.labels, 3, {5}, {.smooth = smooth});
  };
  const tasks::PooledHead alone = fit(1, 0);
  const Tensor<float>& rows = of.features[0][0];
  const tasks::FrozenHead frozen = [&] {  // the labelled rows alone: others change what is drawn
    std::vector<float> chosen;
    std::vector<std::int32_t> known;
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i] >= 0) {
        known.push_back(labels[i]);
        const float* row = rows.data() + 3 * static_cast<std::int64_t>(i);
        chosen.insert(chosen.end(), row, row + 3);
      }
    const auto joined =
        Tensor<float>::from({static_cast<std::int64_t>(known.size()), 3}, std::span<const float>(chosen));
    return tasks::fit_frozen_head(joined.view(), known, 3, {5});
  }();
  REQUIRE(alone.heads.size() == 1);
  CHECK(alone.heads[0].intercepts == frozen.model.intercepts);
  CHECK(alone.strengths == std::vector<double>{frozen.strength});
  CHECK(alone.weights == std::vector<double>{1.0});
  CHECK(alone.held_out_f1 == 0);
  const tasks::PooledHead smoothed = fit(1, 4), chosen = fit(1, -1), two = fit(2, 0);
  CHECK(smoothed.smooth == 4);
  CHECK(smoothed.held_out_f1 > 0.5);
  CHECK(chosen.smooth > 0);  // regions are wide
  CHECK(two.weights == of.fit().weights);
  CHECK(fit(1, tasks::most_smoothing).smooth == tasks::most_smoothing);
  CHECK(refusal_code([&] { fit(1, -2); }) == "STOFM-4792");
  CHECK(refusal_code([&] { fit(1, tasks::most_smoothing + 1); }) == "STOFM-4792");
}

TEST_CASE("a pooled head as a file, and heads that need nothing of it") {
  const auto truth = bands();
  const Case of{{grid_slice()}, {truth}, {{hints(truth, 1.0, 1)}, {hints(truth, 1.0, 2)}}};
  tasks::PooledHead fitted = of.fit({.smoothing = counts});
  tasks::PooledClassifierParts parts{{"a", "b", "c"}, {{}, {}}, "0123", "some weights"};
  parts.inputs[0].kind = tasks::FeatureKind::genes;
  parts.inputs[0].settings["use"] = "genes";
  parts.inputs[1].kind = tasks::FeatureKind::stofm;
  parts.inputs[1].settings["use"] = "stofm";
  const test::ScratchDir scratch;
  const auto path = scratch / "pooled.safetensors";
  tasks::save_classifier(path, tasks::pooled_classifier(fitted, parts));
  const tasks::Classifier back = tasks::load_classifier(path);
  CHECK(back.kind == tasks::ClassifierKind::pooled);
  CHECK(back.weights == fitted.weights);
  CHECK(back.smooth == fitted.smooth);
  CHECK(back.input.needs_model());
  CHECK(back.input.settings.at("use") == "genes,stofm");
  CHECK(back.model_identity == "0123");
  CHECK(back.members[0].model_identity.empty());
  CHECK(back.members[1].model_name == "some weights");
  for (std::size_t m = 0; m < 2; ++m) {
    const auto ours = tasks::predict_probabilities(fitted.heads[m], of.features[m][0].view());
    const auto theirs = tasks::predict_classes(back.members[m], of.features[m][0].view());
    CHECK(std::equal(ours.data(), ours.data() + ours.numel(), theirs.data()));
  }
  CHECK(refusal_code([&] { tasks::predict_classes(back, of.features[0][0].view()); }) == "STOFM-4748");
  const auto version = [&] { return io::SafetensorsFile::open(path).metadata().at("format_version"); };
  CHECK(version() == "2");
  // One head is a logistic one as before, and readable by programs of before unless it is smoothed.
  fitted.weights = {1, 0};
  tasks::save_classifier(path, tasks::pooled_classifier(fitted, parts), true);
  CHECK(tasks::load_classifier(path).kind == tasks::ClassifierKind::logistic);
  CHECK(version() == (fitted.smooth > 0 ? "2" : "1"));
  fitted.smooth = 0;
  tasks::save_classifier(path, tasks::pooled_classifier(fitted, parts), true);
  CHECK(version() == "1");
  // What no program of ours writes is refused, though its hash is right.
  fitted.weights = {0.5, 0.5};
  fitted.smooth = tasks::most_smoothing + 1;
  tasks::save_classifier(path, tasks::pooled_classifier(fitted, parts), true);
  CHECK(refusal_code([&] { tasks::load_classifier(path); }) == "STOFM-4746");
  fitted.smooth = 0;
  fitted.weights = {1.5, -0.5};
  tasks::save_classifier(path, tasks::pooled_classifier(fitted, parts), true);
  CHECK(refusal_code([&] { tasks::load_classifier(path); }) == "STOFM-4746");
}

TEST_CASE("heads of which each has little weight are not all dropped") {
  const std::vector<std::int32_t> labels{0, 1};
  const std::vector<Tensor<double>> heads(60, Tensor<double>::full({2, 2}, 0.5));
  const auto found = tasks::head_weights(heads, labels, tasks::ClassWeights::none);
  CHECK(std::accumulate(found.begin(), found.end(), 0.0) == doctest::Approx(1.0));
}

TEST_CASE("feature words: plus stands side by side, a comma is a head each") {
  CHECK(tasks::heads_of_use("stofm,pca+rings,pca") == std::vector<std::string>{"stofm", "pca+rings", "pca"});
  CHECK(tasks::words_of_use("stofm+pca+rings,genes+pca+nbr+pca") ==
        std::vector<std::string>{"stofm", "pca+rings", "genes", "pca+nbr", "pca"});
  CHECK(refusal_code([] { tasks::words_of_use("stofm,,pca"); }) == "STOFM-2053");
  CHECK(refusal_code([] { tasks::words_of_use("stofm+rings"); }) == "STOFM-2053");
  CHECK(tasks::words_of_use("obsm:X_scVI+genes,obsm:b") ==
        std::vector<std::string>{"obsm:X_scVI", "genes", "obsm:b"});
  CHECK(tasks::feature_kind("obsm:X_scVI") == tasks::FeatureKind::given);
  CHECK(tasks::given_key("obsm:X_scVI") == "X_scVI");
  CHECK(tasks::given_key("stofm").empty());
  CHECK(refusal_code([] { tasks::words_of_use("obsm:"); }) == "STOFM-2053");
  CHECK_FALSE(tasks::use_needs_model("obsm:stofm+genes,pca"));
  CHECK(tasks::use_needs_model("pca,genes+cells"));
  io::Slice small = grid_slice(), large = grid_slice();
  small.gene_ids.resize(100);
  large.gene_ids.resize(40000);
  const std::vector<const io::Slice*> one{&small}, both{&small, &large};
  CHECK(tasks::heads_for_regions(one).ends_with(",genes"));
  CHECK_FALSE(tasks::heads_for_regions(both).ends_with(",genes"));
}

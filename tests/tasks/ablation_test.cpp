// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/tasks/ablation.hpp"
#include "tests/pipeline/embed_fixture.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using test::refusal_code;

namespace {
namespace ablation_test {

/// Two slices of three classes by turns: the first learns, the second judges.
tasks::AblationTask task_of(std::int64_t cells) {
  tasks::AblationTask task;
  task.classes = 3;
  for (const tasks::CellRole role : {tasks::CellRole::train, tasks::CellRole::test}) {
    auto& labels = task.labels.emplace_back();
    for (std::int64_t i = 0; i < cells; ++i) labels.push_back(static_cast<std::int32_t>(i % 3));
    labels.back() = -1;
    task.roles.push_back(tasks::role_of_labelled(labels, role));
  }
  return task;
}
/// Columns that tell the class under noise of this size, by slice.
std::vector<Tensor<float>> rows_of(const tasks::AblationTask& task, double noise) {
  Random random(7);
  std::vector<Tensor<float>> rows;
  for (const auto& labels : task.labels) {
    Tensor<float>& one = rows.emplace_back(Shape{static_cast<std::int64_t>(labels.size()), 3});
    for (std::size_t i = 0; i < labels.size(); ++i)
      for (std::int64_t c = 0; c < 3; ++c)
        one(static_cast<std::int64_t>(i), c) =
            static_cast<float>((labels[i] == c ? 1.0 : 0.0) + noise * random.normal());
  }
  return rows;
}
/// Embedding without virtual cells; features as the cell encoder gives them, or others.
Tensor<float> without(const io::Slice& slice, const pipeline::Model& model, std::int64_t split,
                      const Tensor<float>& features = {}) {
  pipeline::EmbedOptions options;
  options.split = split;
  options.cell_embeddings = features;
  return tasks::embed_without_virtual_cells(slice, model, options);
}

}  // namespace ablation_test
}  // namespace

TEST_CASE("ablation: without virtual cells a piece is CLS and its cells, through the Transformer") {
  const pipeline::Model model = test::tiny_model();
  const io::Slice slice = test::slice_at(test::scattered(40));
  Tensor<float> features({40, 8});
  Random random(2);
  for (float& v : features.span()) v = static_cast<float>(random.normal());
  const Tensor<float> found = ablation_test::without(slice, model, 1000, features);

  // The same by hand: one piece of all cells in their frame.
  pipeline::EmbedOptions options;
  options.cell_embeddings = features;
  const auto prepared = pipeline::detail::prepare_embedding(slice, model, options);
  REQUIRE(prepared.libraries.size() == 1);
  const auto& frame = prepared.libraries.front();
  REQUIRE(frame.pieces.size() == 1);
  const Tensor<double> none({0, 2});
  const auto sub = pipeline::build_sub_slice(frame.pieces.front(), frame.coordinates.xy.view(), none.view(),
                                             {.geometry = options.geometry});
  CHECK(sub.virtual_cells == 0);
  REQUIRE(sub.nodes() == 41);
  auto nodes = Tensor<float>::zeros({41, 8});
  for (std::size_t i = 0; i < 40; ++i)
    std::copy_n(features.data() + frame.pieces.front()[i] * 8, 8,
                nodes.data() + static_cast<std::int64_t>(i + 1) * 8);
  const auto states =
      model.se2->forward(std::as_const(nodes).view(), sub.distances, sub.token_types).last_hidden_state;
  double largest = 0, size = 0;
  for (std::size_t i = 0; i < 40; ++i)
    for (std::int64_t c = 0; c < 8; ++c) {
      const auto by_hand = static_cast<double>(states(static_cast<std::int64_t>(i + 1), c));
      largest = std::max(largest, std::abs(by_hand - static_cast<double>(found(frame.pieces.front()[i], c))));
      size = std::max(size, std::abs(by_hand));
    }
  // Products of the same numbers in another order at most: float32 over sums of 41 terms, two layers.
  CHECK(largest <= 41 * 2 * 1.2e-7 * size);

  options.cell_embeddings = features;
  const Tensor<float> whole = pipeline::embed_slice(slice, model, options).embeddings;
  CHECK(!test::same_bits(found, whole));  // virtual cells do say something
}

TEST_CASE("ablation: without virtual cells libraries and pieces do not hear of each other") {
  const pipeline::Model model = test::tiny_model();
  io::Slice both = test::slice_at(test::scattered(120));
  both.library_names = {"a", "b"};
  for (std::int64_t i = 0; i < 120; ++i) both.library.push_back(i < 70 ? 0 : 1);
  Tensor<float> features({120, 8});
  Random random(2);
  for (float& v : features.span()) v = static_cast<float>(random.normal());
  const Tensor<float> first = ablation_test::without(both, model, 30, features);
  CHECK(test::all_finite(first));
  for (std::int64_t i = 70; i < 120; ++i) features(i, 0) += 1;
  const Tensor<float> second = ablation_test::without(both, model, 30, features);
  CHECK(test::same_bits(first.slice(0, 0, 70).contiguous(), second.slice(0, 0, 70).contiguous()));
  CHECK(!test::same_bits(first.slice(0, 70, 120).contiguous(), second.slice(0, 70, 120).contiguous()));
  const int before = thread_count();
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    CHECK(test::same_bits(second, ablation_test::without(both, model, 30, features)));
  }
  set_thread_count(before);
}

TEST_CASE("ablation: scores are those of a head that learnt from the draw and judges all test cells") {
  const auto task = ablation_test::task_of(301);
  const RandomKey key{.seed = 3};
  const auto clear = tasks::ablation_scores(task, ablation_test::rows_of(task, 0.05), 0.5, key);
  CHECK(clear.macro_f1 == 1);
  CHECK(clear.accuracy == 1);
  // Noise alone: 300 guesses of 3 classes lie within five deviations of a third.
  const auto noise_rows = ablation_test::rows_of(task, 1e6);
  const auto noise = tasks::ablation_scores(task, noise_rows, 1, key);
  CHECK(std::abs(noise.accuracy - 1.0 / 3) < 5 * std::sqrt(2.0 / 9 / 300));
  // Between the two the draw shows: one key, one result, at any thread count; another key, another draw.
  const auto rows = ablation_test::rows_of(task, 0.7);
  const auto once = tasks::ablation_scores(task, rows, 0.2, key);
  const int before = thread_count();
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    CHECK(tasks::ablation_scores(task, rows, 0.2, key).macro_f1 == once.macro_f1);
  }
  set_thread_count(before);
  bool differs = false;
  for (std::uint64_t seed = 4; seed < 8; ++seed)
    differs |= tasks::ablation_scores(task, rows, 0.2, RandomKey{.seed = seed}).macro_f1 != once.macro_f1;
  CHECK(differs);
}

TEST_CASE("ablation: what can't be judged or learnt is refused") {
  auto task = ablation_test::task_of(30);
  const auto rows = ablation_test::rows_of(task, 0.1);
  const auto code = [&](const tasks::AblationTask& of, std::span<const Tensor<float>> given) {
    return refusal_code([&] { (void)tasks::ablation_scores(of, given, 1, RandomKey{.seed = 1}); });
  };
  CHECK(code(task, rows) == "");
  CHECK(code(task, std::span(rows).first(1)) == "STOFM-4700");
  std::vector<Tensor<float>> fewer{rows[0], rows[1].slice(0, 0, 29).contiguous()};
  CHECK(code(task, fewer) == "STOFM-4700");
  auto unjudged = task;
  for (auto& role : unjudged.roles[1]) role = tasks::CellRole::none;
  CHECK(code(unjudged, rows) == "STOFM-4701");
  auto single = task;
  for (std::size_t i = 0; i < 30; ++i)
    if (single.labels[0][i] != 1) single.roles[0][i] = tasks::CellRole::none;
  CHECK(code(single, rows) == "STOFM-4710");
}

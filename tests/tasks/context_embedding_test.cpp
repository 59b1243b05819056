// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <array>
#include <numeric>

#include "stofm/model/pretraining_heads.hpp"
#include "stofm/tasks/context_embedding.hpp"
#include "stofm/tasks/linear_context.hpp"
#include "stofm/tasks/slice_scaling.hpp"
#include "tests/pipeline/embed_fixture.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using test::refusal_code;

namespace {
pipeline::ModelParts parts_with_head() {
  pipeline::ModelParts parts = test::tiny_parts();
  for (auto& [name, tensor] :
       model::initial_head_parameters<float>(*parts.se2_config, {.seed = 5, .standard_deviation = 0.4}))
    parts.se2.emplace(name, tensor);
  return parts;
}
Tensor<float> noise_features(std::int64_t cells, std::uint64_t seed = 2) {
  Tensor<float> features({cells, 8});
  Random random(seed);
  for (float& v : features.span()) v = static_cast<float>(random.normal());
  return features;
}
/// Correlation of one column of two matrices.
double correlation(const Tensor<float>& a, const Tensor<float>& b, std::int64_t column) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  const auto n = static_cast<double>(a.dim(0));
  for (std::int64_t i = 0; i < a.dim(0); ++i) {
    ma += static_cast<double>(a(i, column)) / n;
    mb += static_cast<double>(b(i, column)) / n;
  }
  for (std::int64_t i = 0; i < a.dim(0); ++i) {
    const double x = static_cast<double>(a(i, column)) - ma, y = static_cast<double>(b(i, column)) - mb;
    ab += x * y, aa += x * x, bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}
}  // namespace

TEST_CASE("context: the head of the bundle is the head of pretraining") {
  pipeline::ModelParts parts = parts_with_head();
  const model::Se2Config config = *parts.se2_config;
  const auto head = model::MaskedCellHead::find(config, parts.se2);
  REQUIRE(head);
  CHECK(head->width() == 8);
  autograd::ParameterSet<float> set;
  for (const auto& spec : model::pretraining_head_list(config)) set.add(spec.name, parts.se2.at(spec.name));
  const model::PretrainingHeads<float> heads(config, set);
  autograd::Tape<float> tape;
  const Tensor<float> states = noise_features(6);
  const std::array<std::int64_t, 6> all{0, 1, 2, 3, 4, 5};
  const Tensor<float> wanted = heads.predict_cells(tape, autograd::constant(states), all).value();
  const Tensor<float> found = head->predict(states);
  for (std::int64_t i = 0; i < wanted.numel(); ++i)  // sums of 8 products of numbers about 1, twice
    CHECK(found.data()[i] == doctest::Approx(wanted.data()[i]).epsilon(1e-5));
  parts.se2.at("lm_head.2.bias") = Tensor<float>({3});
  CHECK(!model::MaskedCellHead::find(config, parts.se2));
  parts.se2.erase("lm_head.2.bias");
  CHECK(!model::MaskedCellHead::find(config, parts.se2));
}

TEST_CASE("context: what is hidden tells nothing of itself") {
  const pipeline::Model model = pipeline::make_model(parts_with_head());
  const io::Slice slice = test::slice_at(test::scattered(30));
  const train::PreparedSlice prepared = tasks::detail::prepare_given(slice, noise_features(30), {});
  const pipeline::SubSlice sub = prepared.sub_slice(0);
  Tensor<float> nodes = prepared.node_features(sub, 0);
  const std::vector<std::int64_t> masked{sub.first_cell() + 3, sub.first_cell() + 11};
  std::vector<float> first(16), second(16), third(16);
  tasks::detail::predict_masked(model, sub, nodes, masked, "", first.data());
  for (const std::int64_t node : masked)
    for (std::int64_t c = 0; c < 8; ++c) nodes(node, c) += 7;
  tasks::detail::predict_masked(model, sub, nodes, masked, "", second.data());
  CHECK(first == second);
  nodes(sub.first_cell(), 0) += 7;  // a cell that is seen
  tasks::detail::predict_masked(model, sub, nodes, masked, "", third.data());
  CHECK(first != third);
}

TEST_CASE("context: every cell is predicted, the same for a seed at any thread count") {
  const pipeline::Model model = pipeline::make_model(parts_with_head());
  pipeline::EmbedOptions embed;
  embed.split = 40;  // several pieces
  const io::Slice slice = test::slice_at(test::scattered(90));
  const Tensor<float> features = noise_features(90);
  const int before = thread_count();
  set_thread_count(1);
  const Tensor<float> one = tasks::context_embedding(slice, model, features, embed, {.rounds = 2});
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    CHECK(test::same_bits(one, tasks::context_embedding(slice, model, features, embed, {.rounds = 2})));
  }
  set_thread_count(before);
  REQUIRE(one.shape() == Shape{90, 8});
  for (std::int64_t i = 0; i < 90; ++i) {  // a mean of two unit vectors
    double squares = 0;
    for (std::int64_t c = 0; c < 8; ++c) squares += std::pow(static_cast<double>(one(i, c)), 2);
    CHECK(squares > 1e-3);
    CHECK(squares < 1 + 1e-5);
  }
  CHECK(!test::same_bits(one,
                         tasks::context_embedding(slice, model, features, embed, {.rounds = 2, .seed = 1})));
  CHECK(tasks::ContextOptions{.rounds = 3}.passes() == 27);  // groups of 1/9: at most the published share

  // Fewer cells than groups.
  for (const std::int64_t cells : {2, 4})
    CHECK(test::all_finite(tasks::context_embedding(test::slice_at(test::scattered(cells)), model,
                                                    noise_features(cells), {}, {.rounds = 1})));
}

TEST_CASE("context: what is missing or does not fit is refused") {
  const pipeline::Model model = pipeline::make_model(parts_with_head()), headless = test::tiny_model();
  const io::Slice slice = test::slice_at(test::scattered(10));
  const auto code = [&](const pipeline::Model& of, const Tensor<float>& features,
                        const tasks::ContextOptions& options = {}) {
    return refusal_code([&] { tasks::context_embedding(slice, of, features, {}, options); });
  };
  CHECK(code(headless, noise_features(10)) == "STOFM-4757");
  CHECK(code(model, noise_features(9)) == "STOFM-4758");
  CHECK(code(model, noise_features(10), {.rounds = 0}) == "STOFM-4756");
  CHECK(code(model, noise_features(10), {.share = 0}) == "STOFM-4756");
  Tensor<float> broken = noise_features(10);
  broken(3, 3) = std::numeric_limits<float>::quiet_NaN();
  CHECK(code(model, broken) == "STOFM-4703");
}

TEST_CASE("linear context: tells what neighbours tell, and nothing else") {
  const auto places = test::scattered(400);
  const io::Slice slice = test::slice_at(places);
  Tensor<float> rows = noise_features(400);  // columns 1 and on: noise
  for (std::int64_t i = 0; i < 400; ++i)
    rows(i, 0) = static_cast<float>(std::sin(0.06 * places[static_cast<std::size_t>(i)].first));
  const auto found = tasks::linear_context(std::array{&slice}, std::array{rows});
  CHECK(correlation(found[0], rows, 0) > 0.95);
  CHECK(correlation(found[0], rows, 1) < 0.5);  // 32 inputs for 400 cells fit noise: sqrt(32 / 400) = 0.28

  // A slice that differs by a constant is predicted to differ by none.
  Tensor<float> moved = rows.clone();
  for (float& v : moved.span()) v += 3;
  const auto two = tasks::linear_context(std::array{&slice, &slice}, std::array{rows, moved});
  for (std::int64_t i = 0; i < rows.numel(); ++i)
    CHECK(two[0].data()[i] == doctest::Approx(two[1].data()[i]).epsilon(1e-3));
  // With the answer itself among the predictors, all of it is told.
  const auto told =
      tasks::linear_context(std::array{&slice}, std::array{rows}, {.ridge = 1e-4}, std::array{rows});
  for (std::int64_t c = 0; c < 8; ++c) CHECK(correlation(told[0], rows, c) > 0.999);
  CHECK(refusal_code([&] { tasks::linear_context(std::array{&slice}, std::array{rows}, {.ridge = -1}); }) ==
        "STOFM-4756");
  CHECK(refusal_code([&] {
          tasks::linear_context(std::array{&slice, &slice}, std::array{rows, Tensor<float>({400, 2})});
        }) != "");
}

TEST_CASE("halves: get the shares of the variance that are asked for") {
  Tensor<float> rows = noise_features(300);
  for (std::int64_t i = 0; i < 300; ++i) rows(i, 0) *= 20;
  tasks::weigh_halves(rows, 3, 0.2);
  double variance[2] = {0, 0};
  for (std::int64_t c = 0; c < 8; ++c) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < 300; ++i) {
      sum += static_cast<double>(rows(i, c));
      squares += std::pow(static_cast<double>(rows(i, c)), 2);
    }
    variance[c < 3 ? 0 : 1] += squares / 300 - sum / 300 * sum / 300;
  }
  CHECK(variance[0] / (variance[0] + variance[1]) == doctest::Approx(0.2).epsilon(1e-5));
  CHECK(refusal_code([&] { tasks::weigh_halves(rows, 8, 0.2); }) == "STOFM-4756");
  CHECK(refusal_code([&] { tasks::weigh_halves(rows, 3, 1.5); }) == "STOFM-4756");
}

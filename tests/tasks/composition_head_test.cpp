// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "stofm/tasks/composition_head.hpp"
#include "tests/support/gradcheck.hpp"
#include "tests/tasks/fixtures.hpp"

using namespace stofm;
using test::refusal_code;

namespace {
namespace composition_head_test {

/// Spots of three types: the first three features are the shares under little noise, the others noise alone.
struct Spots {
  Tensor<float> states, others;
  Tensor<double> shares;
  tasks::CompositionRows rows() const { return {states.view(), others.view()}; }
};
Spots spots(std::int64_t n, std::uint64_t seed) {
  Spots made{Tensor<float>({n, 4}), Tensor<float>({n, 2}), Tensor<double>({n, 3})};
  Random random(seed);
  for (std::int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (std::int64_t t = 0; t < 3; ++t) sum += made.shares(i, t) = -std::log(1 - random.uniform());
    for (std::int64_t t = 0; t < 3; ++t) {
      made.shares(i, t) /= sum;
      made.states(i, t) = static_cast<float>(5 * made.shares(i, t) + 0.05 * random.normal());
    }
    made.states(i, 3) = static_cast<float>(random.normal());
    for (std::int64_t c = 0; c < 2; ++c) made.others(i, c) = static_cast<float>(100 + random.normal());
  }
  return made;
}
double error_of(const Tensor<double>& found, const Tensor<double>& known) {
  double sum = 0;
  for (std::int64_t i = 0; i < known.numel(); ++i) sum += std::pow(found.data()[i] - known.data()[i], 2);
  return std::sqrt(sum / static_cast<double>(known.numel()));
}

}  // namespace composition_head_test
}  // namespace

TEST_CASE("the head on the simplex has the gradients of its loss") {
  Random random(4);
  const auto normal = [&](Shape shape) {
    Tensor<double> x(shape);
    for (double& v : x.span()) v = random.normal();
    return x;
  };
  const Tensor<double> states = normal({5, 4}), others = normal({5, 2});
  Tensor<double> shares({5, 3});
  for (std::int64_t i = 0; i < 5; ++i) {  // a row with a type that is not there
    const double a = i == 2 ? 0 : random.uniform();
    shares(i, 0) = a, shares(i, 1) = (1 - a) / 4, shares(i, 2) = 3 * (1 - a) / 4;
  }
  const tasks::HeadOptions options{.hidden = 6};
  autograd::ParameterSet<double> set;
  tasks::create_head(set, "", {.state = 4, .cell = 2, .classes = 3}, options, RandomKey{.seed = 2});
  const tasks::ClassifierHead<double> head(set, "", options);
  const RandomKey dropped{.seed = 9};
  for (const RandomKey* key : {static_cast<const RandomKey*>(nullptr), &dropped}) {
    const auto loss = [&](auto& tape, const auto& a, const auto& b) {
      return tasks::composition_loss<double>(head.logits(tape, a, b, key), shares);
    };
    // As for the head of classifiers: h = 1e-5, truncation about h^2, rounding about 1e-16 / h.
    CHECK(test::gradcheck([&](auto& tape, const auto& x) { return loss(tape, x[0], x[1]); }, {states, others})
              .largest() <= 1e-8);
    CHECK(test::gradcheck_parameters(
              [&](autograd::Tape<double>& tape) {
                return loss(tape, autograd::constant(states), autograd::constant(others));
              },
              set)
              .largest() <= 1e-8);
  }
}

TEST_CASE("the loss of the head on the simplex is the cross-entropy of shares") {
  const Tensor<double> logits = Tensor<double>::from({1, 2}, std::array{std::log(3.0), 0.0});
  const Tensor<double> shares = Tensor<double>::from({1, 2}, std::array{0.75, 0.25});
  const double found = *tasks::composition_loss<double>(autograd::constant(logits), shares).value().data();
  CHECK(found == doctest::Approx(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)).epsilon(1e-14));
}

TEST_CASE("the head on the simplex learns shares, for spots it has not seen") {
  const auto known = composition_head_test::spots(600, 1), other = composition_head_test::spots(200, 2);
  const tasks::CompositionHead head =
      tasks::fit_composition_head(known.rows(), known.shares.view(), {.head = {.hidden = 16}});
  CHECK(head.losses.size() == 40);
  CHECK(head.losses.back() < head.losses.front());
  const Tensor<double> found = tasks::predict_composition(head, other.rows());
  REQUIRE(found.shape() == Shape{200, 3});
  for (std::int64_t i = 0; i < 200; ++i)
    CHECK(found(i, 0) + found(i, 1) + found(i, 2) == doctest::Approx(1.0).epsilon(1e-12));
  Tensor<double> even({200, 3});
  std::fill(even.span().begin(), even.span().end(), 1.0 / 3);
  CHECK(composition_head_test::error_of(found, other.shares) <
        0.4 * composition_head_test::error_of(even, other.shares));
}

TEST_CASE("the head on the simplex: one seed, one result at any thread count") {
  const auto known = composition_head_test::spots(700, 3);
  const tasks::CompositionHeadOptions options{.head = {.hidden = 16}, .epochs = 2, .batch = 300, .seed = 5};
  const int before = thread_count();
  set_thread_count(1);
  const auto ask = [&](const tasks::CompositionHeadOptions& by) {
    return tasks::predict_composition(tasks::fit_composition_head(known.rows(), known.shares.view(), by),
                                      known.rows());
  };
  const Tensor<double> one = ask(options);
  for (const int threads : {2, 5}) {
    set_thread_count(threads);
    CHECK(test::detail::same_bits(one, ask(options)));
  }
  set_thread_count(before);
  auto other = options;
  other.seed = 6;
  CHECK(!test::detail::same_bits(one, ask(other)));
}

TEST_CASE("the head on the simplex refuses what does not fit") {
  const auto known = composition_head_test::spots(20, 3);
  const auto fit = [](const tasks::CompositionRows& rows, const Tensor<double>& shares,
                      const tasks::CompositionHeadOptions& options = {.epochs = 1}) {
    return refusal_code([&] { (void)tasks::fit_composition_head(rows, shares.view(), options); });
  };
  CHECK(fit(known.rows(), known.shares) == "");
  CHECK(fit(known.rows(), known.shares, {.epochs = 0}) == "STOFM-4740");
  CHECK(fit(known.rows(), known.shares, {.learning_rate = 0}) == "STOFM-4740");
  const Tensor<float> fewer = known.others.slice(0, 0, 19).contiguous();
  CHECK(fit({known.states.view(), fewer.view()}, known.shares) == "STOFM-4700");
  const Tensor<float> none({0, 4}), no_others({0, 2});
  CHECK(fit({none.view(), no_others.view()}, Tensor<double>({0, 3})) == "STOFM-4701");
  Tensor<double> counts = known.shares.clone();
  counts(3, 1) += 1;
  CHECK(fit(known.rows(), counts) == "STOFM-4764");
  auto broken = composition_head_test::spots(20, 3);
  broken.others(4, 1) = std::numeric_limits<float>::quiet_NaN();
  CHECK(fit(broken.rows(), broken.shares) == "STOFM-4703");
  const auto head = tasks::fit_composition_head(known.rows(), known.shares.view(), {.epochs = 1});
  CHECK(refusal_code([&] {
          (void)tasks::predict_composition(head, {known.others.view(), known.others.view()});
        }) == "STOFM-4749");
}

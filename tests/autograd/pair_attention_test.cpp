// SPDX-License-Identifier: MIT
// Pair attention with gradients: against the dense composition, against central differences, over kernel
// levels, thread counts, dropout and patterns.
#include "stofm/autograd/rules/pair_attention.hpp"

#include "tests/ops/op_test.hpp"
#include "tests/support/pair_attention_composed.hpp"

using namespace stofm;
using namespace stofm::autograd;
using namespace stofm::test;

namespace {

enum class Listed { none, some, all };

PairList make_pattern(std::int64_t n, Listed listed) {
  PairList pattern;
  pattern.nodes = n;
  Numbers numbers(static_cast<std::uint64_t>(n) + 5);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      if (listed == Listed::all ||
          (listed == Listed::some && i != 2 && (i == 1 || j == 1 || numbers.uniform() > 0.7)))
        pattern.columns.push_back(static_cast<std::int32_t>(j));
    pattern.row_offsets.push_back(pattern.entries());
  }
  return pattern;
}

template <class T>
Tensor<T> numbers_of(const Shape& shape, std::uint64_t seed, double factor) {
  Tensor<T> t(shape);
  Numbers numbers(seed);
  for (T& x : t.span()) x = static_cast<T>(factor * numbers.uniform());
  return t;
}

struct Problem {
  std::int64_t nodes, heads, width, layers;
  Listed listed = Listed::some;
  double dropout = 0.0;
  PairList pattern = make_pattern(nodes, listed);
  std::vector<std::int64_t> pair_rows{}, pair_columns{};

  /// Leaves: q, k, v of each layer, then bias values and background.
  template <class T>
  std::vector<Tensor<T>> leaves() const {
    std::vector<Tensor<T>> result;
    for (std::int64_t l = 0; l < layers; ++l)
      for (const double factor : {1.0, 2.0, 1.0})
        result.push_back(numbers_of<T>({nodes, heads * width}, result.size() + 1, factor));
    result.push_back(numbers_of<T>({heads, pattern.entries()}, 91, 2.0));
    result.push_back(numbers_of<T>({heads}, 92, 1.0));
    return result;
  }
};

/// One number that depends on everything, with weights that differ everywhere, and all gradients.
template <class T>
struct Outcome {
  std::vector<Tensor<T>> y, gradients;
};

template <template <class> class Graph, class T>
Outcome<T> run(const Problem& p, const std::vector<Tensor<T>>& values) {
  Tape<T> tape;
  std::vector<Variable<T>> leaves;
  for (const auto& value : values) leaves.push_back(tape.input(value));
  const auto at = static_cast<std::size_t>(3 * p.layers);
  Graph<T> graph(p.heads, p.width, p.pattern, leaves[at], leaves[at + 1]);
  Outcome<T> outcome;
  std::vector<Variable<T>> parts;
  for (std::size_t l = 0; l < static_cast<std::size_t>(p.layers); ++l)
    parts.push_back(
        graph.attend(leaves[3 * l], leaves[3 * l + 1], leaves[3 * l + 2],
                     {1.0 / std::sqrt(static_cast<double>(p.width)), p.dropout, RandomKey{7, l, 3}}));
  if (!p.pair_rows.empty()) parts.push_back(graph.pair_values(p.pair_rows, p.pair_columns));
  std::vector<Tensor<T>> weights;
  for (std::size_t i = 0; i < parts.size(); ++i)
    weights.push_back(numbers_of<T>(parts[i].shape(), 50 + i, 1.0));
  T sum = 0;
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (std::int64_t k = 0; k < weights[i].numel(); ++k)
      sum += parts[i].value().data()[k] * weights[i].data()[k];
  const auto loss = record<T>("weighted_sum", Tensor<T>::from({1}, {sum}), parts,
                              [weights](const Tensor<T>& grad, Gradients<T>& into) {
                                for (std::size_t i = 0; i < weights.size(); ++i) {
                                  Tensor<T> g = weights[i].clone();
                                  for (T& x : g.span()) x *= grad(0);
                                  into.add_owned(i, g);
                                }
                              });
  tape.backward(loss);
  for (const auto& part : parts) outcome.y.push_back(part.value());
  outcome.y.push_back(loss.value());
  for (const auto& leaf : leaves) outcome.gradients.push_back(tape.grad(leaf));
  return outcome;
}

/// Largest difference over the largest element, worst of all tensors.
template <class A, class B>
double distance(const std::vector<Tensor<A>>& a, const std::vector<Tensor<B>>& b) {
  double worst = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].shape() == b[i].shape());
    double size = 1e-3, difference = 0;
    for (std::int64_t k = 0; k < a[i].numel(); ++k) {
      size = std::max(size, std::abs(static_cast<double>(b[i].data()[k])));
      difference = std::max(
          difference, std::abs(static_cast<double>(a[i].data()[k]) - static_cast<double>(b[i].data()[k])));
      if (std::isnan(a[i].data()[k])) difference = 1e300;
    }
    worst = std::max(worst, difference / size);
  }
  return worst;
}

}  // namespace

TEST_CASE("values and gradients equal those of the dense composition in double") {
  for (const Listed listed : {Listed::none, Listed::some, Listed::all})
    for (const std::int64_t nodes : {1, 5, 33, 70})
      for (const double dropout : {0.0, 0.3}) {
        Problem p{nodes, 3, 8, 3, listed, dropout};
        p.pair_rows = {nodes - 1, 0, 0, nodes / 2};
        p.pair_columns = {0, nodes / 3, nodes / 3, 1 % nodes};
        CAPTURE(nodes);
        CAPTURE(dropout);
        const auto leaves = p.leaves<double>();
        const auto a = run<PairAttentionGraph>(p, leaves), b = run<PairAttentionComposed>(p, leaves);
        CHECK(distance(a.y, b.y) < 1e-13);
        CHECK(distance(a.gradients, b.gradients) < 1e-12);
      }
}

TEST_CASE("gradients are those of central differences") {
  Problem p{7, 2, 3, 2, Listed::some, 0.25};
  p.pair_rows = {6, 0, 3};
  p.pair_columns = {1, 1, 3};
  auto leaves = p.leaves<double>();
  const auto exact = run<PairAttentionGraph>(p, leaves).gradients;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    for (std::int64_t k = 0; k < leaves[i].numel(); ++k) {
      const double step = 1e-5, before = leaves[i].data()[k];
      leaves[i].data()[k] = before + step;
      const double above = run<PairAttentionGraph>(p, leaves).y.back()(0);
      leaves[i].data()[k] = before - step;
      const double below = run<PairAttentionGraph>(p, leaves).y.back()(0);
      leaves[i].data()[k] = before;
      CAPTURE(i);
      CAPTURE(k);
      REQUIRE(exact[i].data()[k] == doctest::Approx((above - below) / (2 * step)).epsilon(1e-6));
    }
}

TEST_CASE("float gradients at every kernel level are close to those in double") {
  for (const std::int64_t nodes : {1, 31, 32, 65, 130})
    for (const std::int64_t width : {5, 16, 32, 40}) {
      Problem p{nodes, 2, width, 3, Listed::some, 0.1};
      p.pair_rows = {nodes - 1, 0, 0, nodes / 2};
      p.pair_columns = {0, nodes / 3, nodes / 3, 1 % nodes};
      const auto single = p.leaves<float>();
      std::vector<Tensor<double>> twice;
      for (const auto& leaf : single) {
        twice.push_back(Tensor<double>(leaf.shape()));
        std::ranges::copy(leaf.span(), twice.back().data());
      }
      const auto exact = run<PairAttentionGraph>(p, twice);
      at_every_level([&](CpuKernels) {
        const auto found = run<PairAttentionGraph>(p, single);
        CAPTURE(nodes);
        CAPTURE(width);
        CHECK(distance(found.y, exact.y) < 1e-4);
        CHECK(distance(found.gradients, exact.gradients) < 1e-4);
      });
    }
}

TEST_CASE("the bits of the gradients do not depend on the number of threads") {
  at_every_level([](CpuKernels) {
    Problem p{100, 4, 32, 2, Listed::some, 0.1};
    p.pair_rows = {5, 99};
    p.pair_columns = {6, 0};
    const auto leaves = p.leaves<float>();
    Outcome<float> first;
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      auto found = run<PairAttentionGraph>(p, leaves);
      if (threads == 1) first = found;
      for (std::size_t i = 0; i < first.gradients.size(); ++i)
        CHECK(std::ranges::equal(found.gradients[i].span(), first.gradients[i].span()));
      for (std::size_t i = 0; i < first.y.size(); ++i)
        CHECK(std::ranges::equal(found.y[i].span(), first.y[i].span()));
    }
    set_thread_count(2);
  });
}

TEST_CASE("constants get no gradient, one variable may be query and key, and no nodes is no problem") {
  const Problem p{9, 2, 4, 1};
  const auto leaves = p.leaves<double>();
  Tape<double> tape;
  const auto x = tape.input(leaves[0]);
  PairAttentionGraph<double> graph(2, 4, p.pattern, constant(leaves[3]), constant(leaves[4]));
  PairAttentionComposed<double> dense(2, 4, p.pattern, constant(leaves[3]), constant(leaves[4]));
  const auto y = graph.attend(x, x, x), expected = dense.attend(x, x, x);
  tape.backward(y, leaves[1], {.keep_graph = true});
  const auto found = tape.grad(x).clone();
  tape.backward(expected, leaves[1]);
  CHECK(distance<double, double>({found}, {tape.grad(x)}) < 1e-13);
  CHECK_FALSE(PairAttentionGraph<double>(2, 4, p.pattern, constant(leaves[3]), constant(leaves[4]))
                  .attend(constant(leaves[0]), constant(leaves[1]), constant(leaves[2]))
                  .needs_grad());
  at_every_level([](CpuKernels) {
    Tape<float> empty_tape;
    const auto none = empty_tape.input(Tensor<float>(Shape{0, 8}));
    PairAttentionGraph<float> empty(2, 4, make_pattern(0, Listed::none), constant(Tensor<float>(Shape{2, 0})),
                                    constant(Tensor<float>::zeros({2})));
    const auto out = empty.attend(none, none, none, {1.0, 0.1, {}});
    CHECK_NOTHROW(empty_tape.backward(out, Tensor<float>(Shape{0, 8})));
    CHECK(empty.pair_values(std::vector<int>{}, std::vector<int>{}).shape() == Shape{0, 2});
  });
}

TEST_CASE("the mask is that of the key, and its rate that of the probability") {
  Problem p{64, 2, 8, 1, Listed::none, 0.5};
  const auto leaves = p.leaves<double>();
  auto of = [&](RandomKey key) {
    PairAttentionGraph<double> graph(2, 8, p.pattern, constant(leaves[3]), constant(leaves[4]));
    return graph
        .attend(constant(leaves[0]), constant(leaves[1]), constant(Tensor<double>::full({64, 16}, 1.0)),
                {1.0, 0.1, key})
        .value();
  };
  const auto a = of({1, 2, 3}), b = of({1, 2, 3}), c = of({1, 2, 4});
  CHECK(std::ranges::equal(a.span(), b.span()));
  CHECK_FALSE(std::ranges::equal(a.span(), c.span()));
  double mean = 0;
  for (const double x : a.span()) mean += x / static_cast<double>(a.numel());
  CHECK(mean == doctest::Approx(1.0).epsilon(0.05));
}

TEST_CASE("what does not fit is refused") {
  const Problem p{9, 2, 4, 1};
  const auto leaves = p.leaves<double>();
  const auto bias = constant(leaves[3]), background = constant(leaves[4]), q = constant(leaves[0]);
  CHECK_THROWS_AS(PairAttentionGraph<double>(3, 4, p.pattern, bias, background), ShapeError);
  CHECK_THROWS_AS(PairAttentionGraph<double>(2, 0, p.pattern, bias, background), ShapeError);
  CHECK_THROWS_AS(PairAttentionGraph<double>(2, 4, p.pattern, bias, constant(Tensor<double>::zeros({3}))),
                  ShapeError);
  auto wrong = p.pattern;
  wrong.columns[0] = 9;
  CHECK_THROWS_WITH_AS(PairAttentionGraph<double>(2, 4, wrong, bias, background),
                       doctest::Contains("column 9 in row 0"), ShapeError);
  PairAttentionGraph<double> graph(2, 4, p.pattern, bias, background);
  CHECK_THROWS_AS(graph.attend(q, q, constant(Tensor<double>::zeros({9, 9}))), ShapeError);
  CHECK_THROWS_AS(graph.attend(q, q, q, {1.0, 1.0, {}}), UsageError);
  CHECK(graph.layers() == 0);
  const std::vector<int> outside{9}, inside{0}, two{0, 1};
  CHECK_THROWS_AS(graph.pair_values(outside, inside), ShapeError);
  CHECK_THROWS_AS(graph.pair_values(two, inside), ShapeError);
}

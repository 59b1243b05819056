// SPDX-License-Identifier: MIT
// Every kernel level of pair attention with gradients against the plain form in double; nothing outside the
// results is touched. The plain form is checked in tests/autograd/pair_attention_test.cpp.
#include "stofm/ops/pair_attention.hpp"

#include <algorithm>
#include <numeric>

#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {

enum class Listed { none, sub_slice, all };

/// sub_slice: two nodes with full rows and columns, some 50 neighbours for the others.
PairList make_pattern(std::int64_t n, Listed listed) {
  PairList pattern;
  pattern.nodes = n;
  Numbers numbers(3);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j)
      if (listed == Listed::all || (listed == Listed::sub_slice && (i < 2 || j < 2 || numbers.below(n) < 50)))
        pattern.columns.push_back(static_cast<std::int32_t>(j));
    pattern.row_offsets.push_back(pattern.entries());
  }
  return pattern;
}

constexpr double sentinel = 3.25;

/// [rows, columns] between two rows of sentinels; `start` is what gradients are added to.
template <class T>
struct Guarded {
  std::int64_t edge, count;
  std::vector<T> memory;
  Guarded(std::int64_t rows, std::int64_t columns, T start)
      : edge(columns + 64),
        count(rows * columns),
        memory(static_cast<std::size_t>(count + 2 * edge), T(sentinel)) {
    std::fill_n(data(), count, start);
  }
  T* data() { return memory.data() + edge; }
  bool intact() const {
    return std::all_of(memory.begin(), memory.begin() + edge, [](T x) { return x == T(sentinel); }) &&
           std::all_of(memory.end() - edge, memory.end(), [](T x) { return x == T(sentinel); });
  }
  std::vector<double> values() { return {data(), data() + count}; }
};

struct Problem {
  std::int64_t nodes, heads, width, layers;
  Listed listed = Listed::sub_slice;
  double dropout = 0.1, size = 0.5;
};

/// y, log sums, pair values, then every gradient, as doubles.
template <class T>
std::vector<std::vector<double>> run(const Problem& p) {
  const std::int64_t stride = p.heads * p.width;
  auto numbers = [&](const Shape& shape, std::uint64_t seed) {
    const auto single = spiky<float>(shape, seed, p.size);  // the same numbers in both types
    Tensor<T> t(shape);
    std::ranges::copy(single.span(), t.data());
    return t;
  };
  const auto pattern = make_pattern(p.nodes, p.listed);
  ops::PairAttention<T> attention(p.heads, p.width, pattern, {.gradients = true});
  attention.set_slots(attention.to_slots(numbers({p.heads, pattern.entries()}, 90)));
  for (std::uint64_t l = 0; l < static_cast<std::uint64_t>(p.layers); ++l)
    attention.append(with_gaps(numbers({p.nodes, stride}, 2 * l)).view(),
                     with_gaps(numbers({p.nodes, stride}, 2 * l + 1)).view(),
                     1.0 / std::sqrt(static_cast<double>(p.width)));
  const auto v = with_gaps(numbers({p.nodes, stride}, 50));
  const auto dropout = WeightDropout::of(p.dropout, RandomKey{4, 5, 6});
  const auto value = attention.attend(v.view(), dropout);

  std::vector<std::int64_t> rows, columns;
  Numbers draw(8);
  for (std::int64_t k = 0; k < 5 * p.nodes; ++k) {
    rows.push_back(draw.below(p.nodes));
    columns.push_back(draw.below(p.nodes));
  }
  const auto list = attention.ask(rows, columns);
  const auto pairs = attention.values(list, numbers({p.heads}, 91));

  std::vector<Guarded<T>> gradients;
  for (std::int64_t l = 0; l < 2 * p.layers + 1; ++l) gradients.emplace_back(p.nodes, stride, T(1));
  Guarded<T> slots(p.heads, attention.slots_shape()[1], T(0));
  backend::PairGradients<T> into;
  for (std::size_t l = 0; l < static_cast<std::size_t>(p.layers); ++l) {
    into.q.push_back(gradients[2 * l].data());
    into.k.push_back(gradients[2 * l + 1].data());
  }
  into.v = gradients.back().data();
  into.slots = slots.data();
  attention.attend_backward(v.view(), dropout, value, numbers({p.nodes, stride}, 92), into);
  attention.values_backward(list, numbers({static_cast<std::int64_t>(rows.size()), p.heads}, 93), into);

  std::vector<std::vector<double>> result;
  for (const auto& t : {value.y, value.log_sums, pairs})
    result.emplace_back(t.span().begin(), t.span().end());
  for (auto& g : gradients) {
    CHECK(g.intact());
    result.push_back(g.values());
  }
  CHECK(slots.intact());
  Tensor<T> slot_gradients(attention.slots_shape());
  std::copy_n(slots.data(), slots.count, slot_gradients.data());
  const auto bias = attention.from_slots(slot_gradients);
  result.emplace_back(bias.span().begin(), bias.span().end());
  return result;
}

/// Largest difference of a tensor over its largest element, worst tensor.
double distance(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  double worst = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t t = 0; t < a.size(); ++t) {
    double size = 1e-3, difference = 0;
    REQUIRE(a[t].size() == b[t].size());
    for (std::size_t k = 0; k < a[t].size(); ++k) {
      size = std::max(size, std::abs(b[t][k]));
      difference = std::isfinite(a[t][k]) ? std::max(difference, std::abs(a[t][k] - b[t][k])) : 1e300;
    }
    worst = std::max(worst, difference / size);
  }
  return worst;
}

/// A product of AMX is wrong by up to about 2^-16 of its size and logits of some 30 are exponentiated: 2^-16
/// * 30 of a weight at worst, and a quarter of that is what the shapes below show. Otherwise float32 rounds:
/// 2^-23 * 30.
double tolerance(CpuKernels level) { return level == CpuKernels::amx ? 1e-4 : 1e-5; }

void check(const Problem& p) {
  const auto exact = run<double>(p);
  CAPTURE(p.nodes);
  CAPTURE(p.heads);
  CAPTURE(p.width);
  at_every_level([&](CpuKernels level) {
    const double found = distance(run<float>(p), exact);
    CAPTURE(found);
    CHECK(found <= tolerance(level));
  });
}

}  // namespace

TEST_CASE("kernel levels agree with the plain form in double over sizes") {
  for (const std::int64_t nodes : {1, 2, 31, 32, 33, 63, 97})
    for (const std::int64_t width : {1, 8, 24, 32, 33, 64}) check({nodes, 2, width, 3});
}

TEST_CASE("kernel levels agree where no pair or every pair is listed, with and without dropout") {
  for (const Listed listed : {Listed::none, Listed::all})
    for (const double dropout : {0.0, 0.5}) check({70, 3, 16, 2, listed, dropout});
}

TEST_CASE("kernel levels agree at the size of a sub-slice and beyond one block of keys") {
  check({1050, 1, 32, 4});
  check({2080, 1, 8, 1, Listed::sub_slice, 0.1, 0.3});
}

TEST_CASE("the results of a copy do not depend on what is appended to the original") {
  at_every_level([](CpuKernels) {
    ops::PairAttention<float> first(2, 8, make_pattern(40, Listed::sub_slice), {.gradients = true});
    const auto a = spiky<float>({40, 16}, 1, 0.3), b = spiky<float>({40, 16}, 2, 0.3);
    first.append(a.view(), b.view(), 0.5);
    const auto copy = first;
    const auto before = copy.attend(a.view());
    first.append(b.view(), a.view(), 0.5);
    CHECK(copy.layers() == 1);
    CHECK(std::ranges::equal(copy.attend(a.view()).y.span(), before.y.span()));
    CHECK_FALSE(std::ranges::equal(first.attend(a.view()).y.span(), before.y.span()));
  });
}

TEST_CASE("gradients that nobody wants are left out, the others stay the same") {
  at_every_level([](CpuKernels) {
    const auto pattern = make_pattern(40, Listed::sub_slice);
    ops::PairAttention<float> attention(1, 8, pattern, {.gradients = true});
    const auto a = spiky<float>({40, 8}, 1, 0.3), b = spiky<float>({40, 8}, 2, 0.3);
    attention.append(a.view(), b.view(), 0.5);
    const auto value = attention.attend(b.view());
    auto q = Tensor<float>::zeros({40, 8}), k = q.clone(), v = q.clone(), alone = q.clone();
    attention.attend_backward(b.view(), {}, value, a, {{q.data()}, {k.data()}, v.data(), nullptr});
    attention.attend_backward(b.view(), {}, value, a, {{nullptr}, {alone.data()}, nullptr, nullptr});
    CHECK(std::ranges::equal(alone.span(), k.span()));
    attention.attend_backward(b.view(), {}, value, a, {{nullptr}, {nullptr}, nullptr, nullptr});
  });
}

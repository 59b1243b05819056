// SPDX-License-Identifier: MIT
#include "stofm/ops/pair_attention.hpp"

#include "tests/ops/op_test.hpp"

using namespace stofm;
using namespace stofm::test;

namespace {

template <class T>
struct Case {
  std::int64_t nodes, heads, width;
  PairList pairs;
  Tensor<T> values;
  std::vector<T> background;
  std::vector<Tensor<T>> q, k, v;

  /// One in four pairs is listed, all of row and column 1, none of row 2.
  Case(std::int64_t n, std::int64_t h, std::int64_t w, int layers) : nodes(n), heads(h), width(w) {
    Numbers numbers(static_cast<std::uint64_t>(n * 131 + w));
    pairs.nodes = n;
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j < n; ++j)
        if (i != 2 && (i == 1 || j == 1 || numbers.uniform() > 0.5))
          pairs.columns.push_back(static_cast<std::int32_t>(j));
      pairs.row_offsets.push_back(pairs.entries());
    }
    values = spiky<T>({h, pairs.entries()}, 7, 0.3);
    for (std::int64_t head = 0; head < h; ++head) background.push_back(static_cast<T>(head) - T(0.5));
    for (int l = 0; l < layers; ++l) {
      const auto seed = static_cast<std::uint64_t>(l) * 10;
      q.push_back(spiky<T>({n, h * w}, seed + 1, 0.1));
      k.push_back(spiky<T>({n, h * w}, seed + 2, 0.3));
      v.push_back(spiky<T>({n, h * w}, seed + 3));
    }
  }
  SparsePairBias<T> bias() const { return {pairs, values, background}; }

  double logit(int layers, std::int64_t h, std::int64_t i, std::int64_t j, double& size) const {
    double sum = static_cast<double>(background[static_cast<std::size_t>(h)]);
    for (auto e = pairs.row_offsets[static_cast<std::size_t>(i)];
         e < pairs.row_offsets[static_cast<std::size_t>(i) + 1]; ++e)
      if (pairs.columns[static_cast<std::size_t>(e)] == j) sum += static_cast<double>(values(h, e));
    size = std::abs(sum);
    for (int l = 0; l <= layers; ++l)
      for (std::int64_t c = h * width; c < (h + 1) * width; ++c) {
        const auto s = static_cast<std::size_t>(l);
        const double term = static_cast<double>(q[s](i, c)) * static_cast<double>(k[s](j, c));
        sum += term;
        size += std::abs(term);
      }
    return sum;
  }

  /// Largest error over bound of attention after `layer`; bound as in varlen_attention_test, `weights` what
  /// is added for rounded weights.
  double worst_ratio(const Tensor<T>& y, int layer, CpuKernels level, double weights = 0) const {
    double worst = 0, v_size = 0;
    for (const T x : v[static_cast<std::size_t>(layer)].span())
      v_size = std::max(v_size, std::abs(static_cast<double>(x)));
    for (std::int64_t h = 0; h < heads; ++h)
      for (std::int64_t i = 0; i < nodes; ++i) {
        std::vector<double> p(static_cast<std::size_t>(nodes));
        double largest = -1e300, total = 0, size = 0, size_here = 0;
        for (std::int64_t j = 0; j < nodes; ++j) {
          p[static_cast<std::size_t>(j)] = logit(layer, h, i, j, size_here);
          largest = std::max(largest, p[static_cast<std::size_t>(j)]);
          size = std::max(size, size_here);
        }
        for (double& x : p) total += x = std::exp(x - largest);
        const double bound =
            v_size * (2 * size * (product_bound<T>(level, width * (layer + 1)) + 3 * roundoff<T>)+2 *
                          product_bound<T>(level, nodes) +
                      16 * roundoff<T> + weights);
        for (std::int64_t c = h * width; c < (h + 1) * width; ++c) {
          double expected = 0;
          for (std::int64_t j = 0; j < nodes; ++j)
            expected += p[static_cast<std::size_t>(j)] / total *
                        static_cast<double>(v[static_cast<std::size_t>(layer)](j, c));
          worst = std::max(worst, std::abs(static_cast<double>(y(i, c)) - expected) / bound);
        }
      }
    return worst;
  }
};

template <class T>
void check(CpuKernels level, std::int64_t nodes, std::int64_t heads, std::int64_t width, int layers) {
  const Case<T> c(nodes, heads, width, layers);
  ops::PairAttention<T> attention(heads, width, c.bias());
  CAPTURE(nodes);
  CAPTURE(width);
  for (int l = 0; l < layers; ++l) {
    const auto s = static_cast<std::size_t>(l);
    attention.append(with_gaps(c.q[s]).view(), c.k[s].view());
    auto y = Tensor<T>::full({nodes, heads * width}, T(9));
    attention.attend_into(y.view(), with_gaps(c.v[s]).view());
    CAPTURE(l);
    REQUIRE(c.worst_ratio(y, l, level) <= 1.0);
  }
  CHECK(attention.layers() == layers);
  const std::vector<std::int64_t> rows{nodes - 1, 0};
  const auto pairs = attention.pair_rows(rows);
  REQUIRE(pairs.shape() == Shape{2, nodes, heads});
  double worst = 0, size = 0;
  for (std::int64_t r = 0; r < 2; ++r)
    for (std::int64_t j = 0; j < nodes; ++j)
      for (std::int64_t h = 0; h < heads; ++h) {
        const double expected = c.logit(layers - 1, h, rows[static_cast<std::size_t>(r)], j, size);
        worst = std::max(worst, std::abs(static_cast<double>(pairs(r, j, h)) - expected) /
                                    (size * static_cast<double>(width * layers + 4) * roundoff<T>));
      }
  CHECK(worst <= 1.0);
}

}  // namespace

TEST_CASE("pair attention matches the definition over layers, head widths and kernel levels") {
  at_every_level([](CpuKernels level) {
    for (const std::int64_t width : {8, 16, 24, 32, 64}) check<float>(level, 65, 2, width, 3);
    for (const std::int64_t nodes : {1, 2, 31, 33}) check<float>(level, nodes, 3, 8, 2);
    if (level == CpuKernels::generic) check<double>(level, 33, 2, 8, 3);
  });
}

TEST_CASE("bfloat16: pair attention is that of rounded operands, with rounded weights") {
  at_every_level([](CpuKernels level) {
    for (const auto& [nodes, width] :
         {std::pair<std::int64_t, std::int64_t>{65, 8}, {33, 24}, {1, 8}, {300, 32}}) {
      const Case<float> given(nodes, 2, width, 3);
      Case<float> rounded = given;
      for (std::size_t l = 0; l < 3; ++l) {
        rounded.q[l] = rounded_to_bfloat16(given.q[l]);
        rounded.k[l] = rounded_to_bfloat16(given.k[l]);
        rounded.v[l] = rounded_to_bfloat16(given.v[l]);
      }
      Tensor<float> first;
      for (const int threads : {1, 3}) {
        set_thread_count(threads);
        ops::PairAttention<float> attention(2, width, given.bias(), {.grade = MatmulGrade::bfloat16});
        auto y = Tensor<float>(Shape{nodes, 2 * width});
        for (std::size_t l = 0; l < 3; ++l) {
          attention.append(with_gaps(given.q[l]).view(), given.k[l].view());
          attention.attend_into(y.view(), with_gaps(given.v[l]).view());
          CAPTURE(y.dim(0));
          // rounded weights by 2^-9, their exp right to 2^-13
          REQUIRE(rounded.worst_ratio(y, static_cast<int>(l), level, 0x1p-9 + 2 * 0x1p-13) <= 1.0);
        }
        if (threads == 1) first = y;
        CHECK(std::ranges::equal(y.span(), first.span()));
        const auto pairs = attention.pair_rows(std::vector<std::int64_t>{nodes - 1});
        double size = 0;
        const double logit = rounded.logit(2, 1, nodes - 1, 0, size);
        CHECK(std::abs(static_cast<double>(pairs(0, 0, 1)) - logit) <=
              size * static_cast<double>(width * 3 + 4) * roundoff<float>);
      }
    }
    set_thread_count(2);
  });
}

TEST_CASE("nodes beyond one block of keys are rescaled on the way") {
  at_every_level([](CpuKernels level) {
    const Case<float> c(2100, 1, 8, 1);
    ops::PairAttention<float> attention(1, 8, c.bias());
    attention.append(c.q[0].view(), c.k[0].view());
    auto y = Tensor<float>(Shape{2100, 8});
    attention.attend_into(y.view(), c.v[0].view());
    // a few rows of the same problem, by definition
    Case<float> few = c;
    for (const std::int64_t i : {std::int64_t{0}, std::int64_t{2}, std::int64_t{2099}}) {
      std::vector<double> p(2100);
      double largest = -1e300, total = 0, size = 0, size_here = 0, v_size = 16;
      for (std::int64_t j = 0; j < 2100; ++j) {
        p[static_cast<std::size_t>(j)] = few.logit(0, 0, i, j, size_here);
        largest = std::max(largest, p[static_cast<std::size_t>(j)]);
        size = std::max(size, size_here);
      }
      for (double& x : p) total += x = std::exp(x - largest);
      const double bound = v_size * (2 * size * (product_bound<float>(level, 8) + 3 * roundoff<float>)+2 *
                                         product_bound<float>(level, 2100) +
                                     16 * roundoff<float>);
      for (std::int64_t k = 0; k < 8; ++k) {
        double expected = 0;
        for (std::int64_t j = 0; j < 2100; ++j)
          expected += p[static_cast<std::size_t>(j)] / total * c.v[0](j, k);
        CHECK(std::abs(static_cast<double>(y(i, k)) - expected) <= bound);
      }
    }
  });
}

TEST_CASE("the bits do not depend on threads; the background does not change the result") {
  at_every_level([](CpuKernels) {
    Case<float> c(100, 4, 32, 2);
    Tensor<float> first;
    for (const int threads : {1, 2, 3, 4, 8}) {
      set_thread_count(threads);
      if (threads == 3) c.background.assign(4, 5.0F);
      ops::PairAttention<float> attention(4, 32, c.bias());
      for (std::size_t l = 0; l < 2; ++l) attention.append(c.q[l].view(), c.k[l].view());
      auto y = Tensor<float>(Shape{100, 128});
      attention.attend_into(y.view(), c.v[1].view());
      if (threads == 1) first = y;
      CHECK(std::ranges::equal(y.span(), first.span()));
    }
    set_thread_count(2);
  });
}

TEST_CASE("reset forgets the layers and keeps the bias; no layer at all is softmax of the bias") {
  at_every_level([](CpuKernels level) {
    const Case<float> c(40, 2, 16, 2);
    ops::PairAttention<float> attention(2, 16, c.bias()), fresh(2, 16, c.bias());
    auto a = Tensor<float>(Shape{40, 32}), b = Tensor<float>(Shape{40, 32});
    attention.append(c.q[1].view(), c.k[1].view());
    attention.reset();
    CHECK(attention.layers() == 0);
    attention.append(c.q[0].view(), c.k[0].view());
    attention.attend_into(a.view(), c.v[0].view());
    CHECK(c.worst_ratio(a, 0, level) <= 1.0);
    fresh.attend_into(b.view(), c.v[0].view());
    double sum = 0, weighted = 0;  // row 3, head 0, column 0
    for (std::int64_t j = 0; j < 40; ++j) {
      double value = 0;
      for (auto e = c.pairs.row_offsets[3]; e < c.pairs.row_offsets[4]; ++e)
        if (c.pairs.columns[static_cast<std::size_t>(e)] == j) value = static_cast<double>(c.values(0, e));
      sum += std::exp(value);
      weighted += std::exp(value) * static_cast<double>(c.v[0](j, 0));
    }
    CHECK(static_cast<double>(b(3, 0)) == doctest::Approx(weighted / sum).epsilon(1e-4));
  });
}

TEST_CASE("a copy is a state of its own, and an empty problem works") {
  at_every_level([](CpuKernels) {
    const Case<float> c(33, 1, 8, 2);
    ops::PairAttention<float> attention(1, 8, c.bias());
    attention.append(c.q[0].view(), c.k[0].view());
    auto copy = attention;
    copy.append(c.q[1].view(), c.k[1].view());
    CHECK(attention.layers() == 1);
    CHECK(copy.layers() == 2);
    const PairList no_rows;
    const SparsePairBias<float> nothing{no_rows, Tensor<float>(Shape{2, 0}), {0.0F, 0.0F}};
    ops::PairAttention<float> empty(2, 8, nothing);
    auto none = Tensor<float>(Shape{0, 16});
    empty.append(none.view(), none.view());
    CHECK_NOTHROW(empty.attend_into(none.view(), none.view()));
  });
}

TEST_CASE("pair attention refuses what does not fit") {
  Case<float> c(10, 2, 8, 1);
  CHECK_THROWS_AS(ops::PairAttention<float>(3, 8, c.bias()), ShapeError);
  ops::PairAttention<float> attention(2, 8, c.bias());
  CHECK_THROWS_WITH_AS(attention.values({}, Tensor<float>::zeros({2})),
                       doctest::Contains("without gradients"), UsageError);
  const ops::PairAttention<float> rounded(2, 8, c.bias(), {.grade = MatmulGrade::bfloat16});
  CHECK_THROWS_WITH_AS(rounded.attend(c.v[0].view()), doctest::Contains("without gradients"), UsageError);
  CHECK_THROWS_WITH_AS(attention.append(c.q[0].slice(0, 0, 9).view(), c.k[0].view()),
                       doctest::Contains("q [9, 16], expected [10, 16]"), ShapeError);
  const std::vector<std::int64_t> outside{10};
  CHECK_THROWS_AS(attention.pair_rows(outside), ShapeError);
  c.pairs.columns[0] = 10;
  CHECK_THROWS_WITH_AS(ops::PairAttention<float>(2, 8, c.bias()), doctest::Contains("column 10"), ShapeError);
  c.pairs.row_offsets.pop_back();
  CHECK_THROWS_WITH_AS(ops::PairAttention<float>(2, 8, c.bias()), doctest::Contains("row offsets"),
                       ShapeError);
}

// SPDX-License-Identifier: MIT
#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/layer_norm.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/varlen_attention.hpp"
#include "tests/autograd/rule_test.hpp"

using namespace stofm;
using namespace stofm::autograd;
using namespace stofm::test;

TEST_CASE("picked rows have the gradients of their quotients, repeated ones add up") {
  std::uint64_t seed = 0;
  for (const auto& [rows, columns, picked] : {std::array{1, 1, 1},
                                              {5, 3, 0},
                                              {4, 0, 3},
                                              {5, 3, 9},
                                              {1, 4, 6},
                                              {9, 65, 4},
                                              {3, 130, 7},
                                              {64, 2, 65}}) {
    std::vector<std::int32_t> indices;
    Numbers source(++seed);
    for (int i = 0; i < picked; ++i) indices.push_back(static_cast<std::int32_t>(source.below(rows)));
    const auto table = numbers({rows, columns}, ++seed);
    check_gradients("gather_rows", 1e-8,
                    [&](auto&, const Variables& x) { return gather_rows(x[0], indices); }, {table});
    check_gradients("take_rows", 1e-8, [&](auto&, const Variables& x) { return take_rows(x[0], indices); },
                    {table});
  }
  const std::vector<std::int64_t> indices{2, 0, 2, 2};
  for (const auto& x : {with_gaps(numbers({4, 5}, 1)), as_transposed(numbers({4, 5}, 2))})
    check_gradients("gather_rows", 1e-8,
                    [&](auto&, const Variables& in) { return gather_rows(in[0], indices); }, {x});
  CHECK_THROWS_AS(gather_rows(constant(numbers({2, 2}, 1)), std::vector<int>{2}), ShapeError);
  CHECK_THROWS_AS(gather_rows(constant(numbers({2, 2}, 1)), std::vector<int>{-1}), ShapeError);
}

TEST_CASE("attention over packed sequences has the gradients of its quotients") {
  std::uint64_t seed = 20;
  struct Sample {
    std::vector<std::int64_t> offsets;
    std::int64_t heads, width;
  };
  for (const Sample& s : {Sample{{0}, 1, 1},
                          {{0, 1}, 1, 1},
                          {{0, 1, 2}, 2, 3},
                          {{0, 3, 3, 8}, 2, 4},
                          {{0, 0, 5}, 1, 7},
                          {{0, 13}, 3, 2},
                          {{0, 66}, 1, 2},
                          {{0, 2, 67}, 1, 1},
                          {{0, 4, 9}, 1, 0}}) {
    const Shape shape{s.offsets.back(), s.heads * s.width};
    check_gradients("varlen_attention", 1e-7,
                    [&](auto&, const Variables& x) {
                      return varlen_attention(x[0], x[1], x[2], s.offsets, s.heads, 0.7);
                    },
                    {numbers(shape, ++seed), numbers(shape, ++seed), numbers(shape, ++seed)},
                    {.max_elements = 100});
  }
  const std::vector<std::int64_t> offsets{0, 2, 6};
  auto f = [&](auto&, const Variables& x) { return varlen_attention(x[0], x[1], x[2], offsets, 2, 0.5); };
  check_gradients(
      "varlen_attention", 1e-7, f,
      {with_gaps(numbers({6, 4}, 1)), as_transposed(numbers({6, 4}, 2)), with_gaps(numbers({6, 4}, 3))});
  check_gradients(
      "varlen_attention", 1e-7,
      [&](auto&, const Variables& x) { return varlen_attention(x[0], x[0], x[0], offsets, 2, 0.5); },
      {numbers({6, 4}, 4)});
}

TEST_CASE("D39: empty sequences and a batch of none give zeros and zero gradients") {
  const std::vector<std::int64_t> offsets{0, 0, 0};
  Tape<double> tape;
  const auto x = tape.input(Tensor<double>::zeros({0, 4}));
  const auto y = varlen_attention(x, x, x, offsets, 2, 1.0);
  tape.backward(y, Tensor<double>::zeros({0, 4}));
  CHECK(tape.grad(x).shape() == Shape{0, 4});
  CHECK_THROWS_AS(varlen_attention(x, x, x, std::vector<std::int64_t>{0, 1}, 2, 1.0), ShapeError);
  CHECK_THROWS_AS(varlen_attention(x, x, x, offsets, 3, 1.0), ShapeError);
}

TEST_CASE_TEMPLATE("the gradients have the same bits on 1, 2 and 4 threads", T, float, double) {
  const int before = thread_count();
  const std::int64_t rows = 333, width = 96;
  std::vector<std::int32_t> indices;
  Numbers source(5);
  for (std::int64_t i = 0; i < rows; ++i) indices.push_back(static_cast<std::int32_t>(source.below(50)));
  const std::vector<std::int64_t> offsets{0, 70, 71, 71, 200, rows};
  Parameter<T> table("table", spiky<T>({50, width}, 1)), w("w", spiky<T>({width, width}, 2, 0.1)),
      b("b", spiky<T>({width}, 3)), gamma("gamma", spiky<T>({width}, 4)), beta("beta", spiky<T>({width}, 5));
  at_every_level([&](CpuKernels) {
    std::vector<std::vector<T>> expected;
    for (const int threads : {1, 2, 4}) {
      set_thread_count(threads);
      Tape<T> tape;
      for (Parameter<T>* p : {&table, &w, &b, &gamma, &beta}) p->zero_grad();
      const auto x = gather_rows(tape.parameter(table), indices);
      const auto h = linear(x, tape.parameter(w), tape.parameter(b));
      const auto a = varlen_attention(h, x, h, offsets, 3, 0.2);
      const auto y = add_layer_norm(a, x, tape.parameter(gamma), tape.parameter(beta), 1e-5);
      tape.backward(y, spiky<T>(y.shape(), 6));
      std::vector<std::vector<T>> found;
      for (Parameter<T>* p : {&table, &w, &b, &gamma, &beta})
        found.emplace_back(p->grad().span().begin(), p->grad().span().end());
      if (threads == 1) expected = found;
      for (std::size_t i = 0; i < found.size(); ++i)
        CHECK(std::memcmp(found[i].data(), expected[i].data(), found[i].size() * sizeof(T)) == 0);
    }
  });
  set_thread_count(before);
}

// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <memory>

#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

using namespace stofm;

TEST_CASE("C10: views keep their memory alive, whatever happens to the tensor they came from") {
  Tensor<float> row, column, deep;
  {
    auto owner = std::make_unique<Tensor<float>>(Tensor<float>::from({2, 3}, {0, 1, 2, 3, 4, 5}));
    row = owner->select(0, 1);
    column = owner->transpose(0, 1).slice(0, 2, 3);
    deep = owner->reshape({3, 2}).slice(0, 1, 3).select(1, 0);
    *owner = Tensor<float>::full({50, 50}, 9);  // the handle moves on to other memory
  }
  CHECK(row(2) == 5.0F);
  CHECK(column(0, 1) == 5.0F);
  CHECK(deep(0) == 2.0F);
  CHECK(deep(1) == 4.0F);
}

TEST_CASE("C10: a moved-from tensor is empty, not dangling") {
  auto from = Tensor<float>::zeros({4});
  const auto to = std::move(from);
  CHECK(to.numel() == 4);
  CHECK(from.shape() == Shape{0});  // NOLINT: what is left is part of the contract
  CHECK(from.data() == nullptr);
  CHECK(from.empty());
  CHECK_THROWS_AS((void)from(0), ShapeError);
  CHECK_THROWS_AS((void)from.slice(0, 0, 1), ShapeError);
  CHECK_THROWS_AS((void)from.reshape({4}), ShapeError);
  CHECK(from.clone().numel() == 0);
  from = Tensor<float>::zeros({2});
  CHECK(from.numel() == 2);
  Tensor<float> assigned;
  assigned = std::move(from);
  CHECK(from.shape() == Shape{0});
  CHECK(from.data() == nullptr);
  Tensor<float>& same = assigned;
  assigned = std::move(same);
  CHECK(assigned.numel() == 2);
  CHECK(assigned(1) == 0.0F);
}

TEST_CASE("C08: an error has its parts, one line of text, and the exit code of its kind") {
  const FileError error({"STOFM-3999", "a.h5ad", "X/indices, row 3", stofm::quoted("bad\n\x1b[31m"),
                         "column < 33", "Rewrite the file."});
  CHECK(error.exit_code() == 3);
  CHECK(std::string(error.what()) ==
        "a.h5ad: X/indices, row 3: found \"bad\\x0a\\x1b[31m\", expected column < 33. Rewrite the file. "
        "[STOFM-3999]");
  CHECK(stofm::quoted(std::string(300, 'x')).size() == 205);
  CHECK(stofm::quoted("\xc3\xa9t\xc3\xa9") == "\"\xc3\xa9t\xc3\xa9\"");
  CHECK(stofm::quoted("\xff\xc2\x9b") == "\"\\xff\\xc2\\x9b\"");
  CHECK(UsageError({}).exit_code() == 2);
  CHECK(DataError({}).exit_code() == 4);
  CHECK(ResourceError({}).exit_code() == 5);
  CHECK(DeviceError({}).exit_code() == 6);
}

TEST_CASE("C06: more threads than cores give the same sums") {
  const auto sum_of = [](int threads) {
    set_thread_count(threads);
    std::vector<double> partial(100, 0.0);
    parallel_for(100000, 1000, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        partial[static_cast<std::size_t>(begin / 1000)] += 1.0 / static_cast<double>(i + 1);
    });
    double total = 0;
    for (const double p : partial) total += p;
    return total;
  };
  const double one = sum_of(1);
  for (const int threads : {2, 3, 8, 64}) CHECK(sum_of(threads) == one);
  set_thread_count(2);
}

TEST_CASE("integers are narrowed only when they survive") {
  CHECK(narrow<std::int32_t>(std::int64_t{7}) == 7);
  CHECK_THROWS_AS(narrow<std::int32_t>(std::int64_t{1} << 40), ShapeError);
  CHECK_THROWS_AS(narrow<std::uint8_t>(-1), ShapeError);
  CHECK_THROWS_AS(checked_mul(std::int64_t{1} << 40, std::int64_t{1} << 40), ShapeError);
  CHECK_THROWS_AS(checked_add(INT64_MAX, 1), ShapeError);
  CHECK(checked_mul(0, INT64_MAX) == 0);
}

// SPDX-License-Identifier: MIT
#include "stofm/core/tensor.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace stofm;

TEST_CASE("a tensor knows its shape, strides and elements") {
  const auto t = Tensor<float>::from({2, 3}, {0, 1, 2, 3, 4, 5});
  CHECK(t.rank() == 2);
  CHECK(t.numel() == 6);
  CHECK(t.stride(0) == 3);
  CHECK(t.stride(-1) == 1);
  CHECK(t(1, 2) == 5.0F);
  CHECK(reinterpret_cast<std::uintptr_t>(t.data()) % tensor_alignment == 0);
}

TEST_CASE("views share memory and keep it alive") {
  Tensor<double> column;
  {
    auto t = Tensor<double>::from({2, 3}, {0, 1, 2, 3, 4, 5});
    column = t.select(1, 1);
    t(1, 1) = 40;
  }
  CHECK(column.shape() == Shape{2});
  CHECK(column(0) == 1.0);
  CHECK(column(1) == 40.0);
  CHECK_FALSE(column.is_contiguous());
  const auto dense = column.contiguous();
  CHECK(dense.is_contiguous());
  CHECK(dense(1) == 40.0);
}

TEST_CASE("transpose and slice address the right elements") {
  const auto t = Tensor<std::int32_t>::from({2, 3, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const auto u = t.transpose(0, 2).slice(1, 1, 3);
  CHECK(u.shape() == Shape{2, 2, 2});
  for (std::int64_t i = 0; i < 2; ++i)
    for (std::int64_t j = 0; j < 2; ++j)
      for (std::int64_t k = 0; k < 2; ++k) CHECK(u(i, j, k) == t(k, j + 1, i));
  const auto copy = u.clone();
  CHECK(copy(1, 1, 0) == u(1, 1, 0));
  CHECK(t.reshape({3, 4})(2, 3) == 11);
}

TEST_CASE("wrong shapes and indices are refused with both sides named") {
  auto t = Tensor<float>::zeros({2, 3});
  CHECK_THROWS_WITH_AS(t(2, 0), doctest::Contains("(2, 0)"), ShapeError);
  CHECK_THROWS_WITH_AS(t.reshape({4, 2}), doctest::Contains("[2, 3] -> [4, 2]"), ShapeError);
  CHECK_THROWS_AS(t.transpose(0, 1).reshape({6}), ShapeError);
  CHECK_THROWS_AS(t.slice(1, 2, 4), ShapeError);
  CHECK_THROWS_AS(t.dim(2), ShapeError);
  CHECK_THROWS_AS((Shape{1, -1}), ShapeError);
  const std::int64_t huge = std::int64_t{1} << 40;
  CHECK_THROWS_AS((Shape{huge, huge}), ShapeError);
  CHECK_THROWS_AS((Shape{0, huge, huge}), ShapeError);
  CHECK_THROWS_AS(Tensor<double>(Shape{std::int64_t{1} << 61}), ShapeError);
}

TEST_CASE("the memory cap refuses before it allocates") {
  auto& state = memory_state();
  const std::int64_t before = state.in_use;
  state.cap = before + 1000;
  CHECK_THROWS_AS(Tensor<float>(Shape{1000}), ResourceError);
  CHECK(state.in_use == before);
  {
    const Tensor<float> small(Shape{100});
    CHECK(state.in_use == before + 400);
  }
  state.cap = std::numeric_limits<std::int64_t>::max();
  CHECK(state.in_use == before);
}

TEST_CASE("bfloat16 rounds to nearest even and keeps NaN") {
  CHECK(static_cast<float>(bfloat16(1.0F)) == 1.0F);
  CHECK(bfloat16(1.00390625F).bits == 0x3f80);  // half way, even below
  CHECK(bfloat16(1.01171875F).bits == 0x3f82);  // half way, even above
  const float nan = static_cast<float>(bfloat16(std::numeric_limits<float>::quiet_NaN()));
  CHECK(nan != nan);
  CHECK(static_cast<float>(bfloat16(std::numeric_limits<float>::infinity())) ==
        std::numeric_limits<float>::infinity());
}

TEST_CASE("an empty tensor has no elements and no address") {
  const Tensor<float> t(Shape{0, 5});
  CHECK(t.numel() == 0);
  CHECK(t.clone().shape() == Shape{0, 5});
}

TEST_CASE("item() is the one number of a tensor of any shape, and refuses more") {
  CHECK(Tensor<float>::full(Shape{}, 2.5F).item() == 2.5F);
  CHECK(Tensor<double>::full({1, 1}, 3).item() == 3.0);
  const auto t = Tensor<float>::from({2, 2}, {1, 2, 3, 4});
  CHECK(t.slice(0, 1, 2).slice(1, 1, 2).item() == 4.0F);
  CHECK_THROWS_WITH_AS(t.item(),
                       "[item]: found a tensor of shape [2, 2], expected one element. Index it, or reduce it "
                       "to one number. [STOFM-1013]",
                       ShapeError);
  CHECK_THROWS_AS(Tensor<float>().item(), ShapeError);
}

TEST_CASE("a span is seen as a tensor of the shape that is given") {
  std::vector<double> values{1, 2, 3, 4, 5, 6};
  const TensorView<double> view = view_of(std::span(values), {3, 2});
  CHECK(view.row(2)[1] == 6.0);
  view.row(0)[0] = 9;
  CHECK(values[0] == 9.0);
  CHECK(view_of(std::span<const double>(values), {6}).numel() == 6);
  CHECK_THROWS_AS(view_of(std::span(values), {4, 2}), ShapeError);
}

TEST_CASE("a layout that is not dense is said with its strides") {
  const auto t = Tensor<float>::zeros({4, 6});
  CHECK(layout_text(t.view()) == "[4, 6]");
  CHECK(layout_text(t.slice(1, 0, 2).view()) == "[4, 2] with strides [6, 1]");
  CHECK(layout_text(t.transpose(0, 1).view()) == "[6, 4] with strides [1, 6], which is column-major");
}

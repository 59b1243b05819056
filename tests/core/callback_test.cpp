// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "stofm/core/callback.hpp"

using namespace stofm;

namespace {
int twice(int value) { return 2 * value; }
}  // namespace

TEST_CASE("a callback is empty until it holds a function") {
  Callback<int(int)> call;
  CHECK_FALSE(static_cast<bool>(call));
  call = [](int value) { return value + 1; };
  REQUIRE(static_cast<bool>(call));
  CHECK(call(4) == 5);
  call = {};
  CHECK_FALSE(static_cast<bool>(call));
}

TEST_CASE("empty function objects make empty callbacks") {
  CHECK_FALSE(static_cast<bool>(Callback<int(int)>(std::function<int(int)>())));
  int (*none)(int) = nullptr;
  CHECK_FALSE(static_cast<bool>(Callback<int(int)>(none)));
  CHECK(Callback<int(int)>(std::function<int(int)>(twice))(3) == 6);
  CHECK(Callback<int(int)>(twice)(5) == 10);
}

TEST_CASE("copies share the function and what it holds") {
  Callback<int()> first = [count = 0]() mutable { return ++count; };
  const Callback<int()> second = first;
  CHECK(first() == 1);
  CHECK(second() == 2);
  first = {};
  CHECK(second() == 3);
}

TEST_CASE("arguments and results pass through, references and things that only move too") {
  const Callback<int&(std::vector<int>&, std::unique_ptr<int>)> call =
      [](std::vector<int>& values, std::unique_ptr<int> added) -> int& {
    values.push_back(*added);
    return values.back();
  };
  std::vector<int> values;
  call(values, std::make_unique<int>(7)) = 8;
  CHECK(values == std::vector<int>{8});
  const Callback<void()> nothing = [] { return 5; };  // a result nobody asked for is dropped
  nothing();
}

TEST_CASE("what cannot be called that way is no callback") {
  const auto takes_text = [](const char*) { return 1; };
  CHECK_FALSE(std::is_constructible_v<Callback<int(int)>, decltype(takes_text)>);
  CHECK_FALSE(std::is_constructible_v<Callback<int(int)>, int>);
  CHECK(std::is_constructible_v<Callback<double(int)>, int (&)(int)>);
}

// SPDX-License-Identifier: MIT
#include "stofm/core/print.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <sstream>

#include "stofm/version.hpp"

using namespace stofm;

TEST_CASE("shapes and tensors print as NumPy sets them") {
  std::ostringstream out;
  out << Shape{2, 3} << '\n' << Tensor<float>::from({2, 3}, {1, -2.5F, 3, 4, 50, 6});
  CHECK(out.str() == "[2, 3]\n[[   1, -2.5,    3],\n [   4,   50,    6]]");
  CHECK(to_string(Tensor<std::int32_t>::from({2, 1, 2}, {1, 2, 3, 4})) == "[[[1, 2]],\n\n [[3, 4]]]");
  CHECK(to_string(Tensor<double>::full(Shape{}, 0.1)) == "0.1");
  CHECK(to_string(Tensor<double>{}) == "[]");
  CHECK(to_string(Tensor<float>({2, 0})) == "[[],\n []]");
}

TEST_CASE("numbers that are no numbers, extremes and digits") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  CHECK(to_string(Tensor<double>::from({3}, {inf, -inf, std::numeric_limits<double>::quiet_NaN()})) ==
        "[ inf, -inf,  nan]");
  CHECK(to_string(Tensor<double>::from({2}, {1.0 / 3, 1e-7})) == "[0.3333,  1e-07]");
  CHECK(to_string(Tensor<double>::from({1}, {1.0 / 3}), {.digits = 2}) == "[0.33]");
  CHECK(to_string(Tensor<std::uint64_t>::full({1}, ~std::uint64_t{0})) == "[18446744073709551615]");
  CHECK(to_string(Tensor<std::int8_t>::full({1}, -128)) == "[-128]");
}

TEST_CASE("views print what they show, and long tensors only their ends") {
  const auto t = Tensor<std::int32_t>::from({2, 3}, {0, 1, 2, 3, 4, 5});
  CHECK(to_string(t.transpose(0, 1)) == "[[0, 3],\n [1, 4],\n [2, 5]]");
  Tensor<std::int32_t> line({2000});
  for (std::int32_t i = 0; i < 2000; ++i) line(i) = i;
  CHECK(to_string(line) == "[   0,    1,    2, ..., 1997, 1998, 1999]");
  CHECK(to_string(line.reshape({500, 4}).slice(0, 0, 7), {.most = 20, .edge = 1}) ==
        "[[ 0, ...,  3],\n ...,\n [24, ..., 27]]");
}

TEST_CASE("the version is one text and three numbers") {
  CHECK(std::to_string(library_version_major) + "." + std::to_string(library_version_minor) + "." +
            std::to_string(library_version_patch) ==
        std::string(library_version));
  CHECK(std::string(library_version) == STOFM_VERSION);
}

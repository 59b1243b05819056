// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The backward pass of pair attention against the dense composition in double: emulated and on a device.

#include "stofm/kernels/pair_attention/policy.hpp"
#include "tests/kernels/pair_attention_case.hpp"

namespace pair_attention_backward_cases {

using namespace pair_test;

/// As in forward; gradients are sums of such terms, compared with the largest element of each matrix.
inline double tolerance(Precision precision) {
  return precision == Precision::float32 ? 1e-4 : precision == Precision::bf16 ? 5e-2 : 5e-4;
}

inline void check(Case c) {
  for (const Precision precision : {Precision::float32, Precision::split_bf16, Precision::bf16}) {
    c.precision = precision;
    std::string where;
    const double error = error_of(c, where);
    CAPTURE(static_cast<int>(precision));
    CAPTURE(where);
    CHECK(error <= tolerance(precision));
  }
}

TEST_CASE("gradients of one sub-slice of any length") {
  for (const std::int64_t n : {2, 31, 32, 33, 63, 64, 65, 129}) {
    CAPTURE(n);
    check({{make_slice(n)}, 2, 8, 2});
  }
}

TEST_CASE("a sub-slice of one node gives its queries and keys no gradient") {
  // One weight of 1: all gradients but that of v are rounding errors of dA - r, here of size 8 * 2^-8 at
  // most.
  for (const Precision precision : {Precision::float32, Precision::split_bf16, Precision::bf16}) {
    const Case c{{make_slice(1)}, 1, 8, 1, 0, precision};
    const Results results = device(c, Inputs(c));
    for (std::size_t r = 0; r < results.names.size(); ++r) {
      if (!results.names[r].starts_with("grad_q") && !results.names[r].starts_with("grad_k")) continue;
      for (std::int64_t j = 0; j < 8; ++j)
        CHECK(std::abs(results.values[r].at(0, j)) <= (precision == Precision::float32 ? 1e-6 : 2e-2));
    }
  }
}

TEST_CASE("gradients without listed pairs, and with all of them") {
  check({{make_slice(70, Listed::none)}, 2, 8, 2});
  check({{make_slice(70, Listed::all)}, 2, 8, 2});
}

TEST_CASE("gradients of a ragged batch with an empty sub-slice") {
  check({{make_slice(3), make_slice(0), make_slice(65, Listed::none), make_slice(7),
          make_slice(40, Listed::all)},
         3,
         8,
         2});
}

TEST_CASE("gradients of the layers below are added up") {
  for (const std::int64_t layers : {1, 3, 4}) {
    CAPTURE(layers);
    check({{make_slice(66)}, 1, 8, layers});
  }
}

TEST_CASE("gradients of heads of any width up to 64") {
  for (const std::int64_t width : {3, 16, 24, 32, 64}) {
    CAPTURE(width);
    check({{make_slice(35)}, 2, width, 2});
  }
}

TEST_CASE("more layers than one block sums, and than stay in shared memory") {
  REQUIRE(stofm::kernels::pair_layer_groups(64, 3) == 2);
  check({{make_slice(34)}, 1, 64, 3});
  REQUIRE_FALSE(stofm::kernels::pair_backward_shared(Precision::split_bf16, 64, 8).resident);
  Case c{{make_slice(20)}, 1, 64, 8, 0, Precision::split_bf16};
  std::string where;
  CHECK(error_of(c, where) <= tolerance(c.precision));
}

TEST_CASE("gradients with dropout") {
  check({{make_slice(65), make_slice(33)}, 2, 8, 2, 0.1});
  check({{make_slice(97)}, 1, 16, 1, 0.5});
}

TEST_CASE("gradients of asked pairs reach queries, keys and listed pairs") {
  check({{make_slice(80, Listed::some, 50), make_slice(3, Listed::none, 4), make_slice(20, Listed::some, 0)},
         2,
         8,
         3});
  check({{make_slice(66, Listed::some, 400)}, 1, 8, 2, 0.1});
}

TEST_CASE("log sums far from zero do not reach rows that are not there") {
  // Rows past the end have logits of 0, thousands above the others.
  Case c{{make_slice(66, Listed::all)}, 1, 8, 1};
  Inputs inputs(c);
  for (std::int64_t e = 0; e < c.entries(); ++e) inputs.bias.at(0, e) -= 3000.0F;
  std::string where;
  CHECK(distance(device(c, inputs), dense_double(c, inputs), where) <= 2e-3);  // 3000 * 2^-24 in the exponent
  CAPTURE(where);
}

TEST_CASE("the same bits in every run") {
  for (const Precision precision : {Precision::float32, Precision::split_bf16}) {
    const Case c{{make_slice(70, Listed::some, 20), make_slice(20)}, 1, 8, 2, 0.2, precision};
    const Inputs inputs(c);
    const Results expected = device(c, inputs);
    emulator::for_each_run([&] { CHECK(device(c, inputs).values == expected.values); });
  }
}

}  // namespace pair_attention_backward_cases

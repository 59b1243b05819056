// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The forward pass of pair attention against the dense composition in double: emulated and on a device.

#include "stofm/kernels/pair_attention/policy.hpp"
#include "tests/kernels/pair_attention_case.hpp"

namespace pair_attention_forward_cases {

using namespace pair_test;

/// Logits up to |S| = 20 with errors of 2^-24 |S| a term make y wrong by some 1e-6 of its largest element;
/// three bfloat16 products leave 2^-17 of each product; one product 2^-8.
inline double tolerance(Precision precision) {
  return precision == Precision::float32 ? 2e-5 : precision == Precision::bf16 ? 3e-2 : 3e-4;
}

inline void check(Case c) {
  c.backward = false;
  for (const Precision precision : {Precision::float32, Precision::split_bf16, Precision::bf16}) {
    c.precision = precision;
    std::string where;
    const double error = error_of(c, where);
    CAPTURE(static_cast<int>(precision));
    CAPTURE(where);
    CHECK(error <= tolerance(precision));
  }
}

TEST_CASE("one sub-slice of any length") {
  for (const std::int64_t n : {1, 2, 31, 32, 33, 63, 64, 65, 129}) {
    CAPTURE(n);
    check({{make_slice(n)}, 2, 8, 2});
  }
}

TEST_CASE("no listed pair, and all of them") {
  check({{make_slice(70, Listed::none)}, 2, 8, 2});
  check({{make_slice(70, Listed::all)}, 2, 8, 2});
}

TEST_CASE("sub-slices of different lengths in one batch, an empty one among them") {
  check({{make_slice(3), make_slice(0), make_slice(65, Listed::none), make_slice(1),
          make_slice(40, Listed::all)},
         3,
         8,
         2});
}

TEST_CASE("one to four layers add up") {
  for (const std::int64_t layers : {1, 2, 3, 4}) {
    CAPTURE(layers);
    check({{make_slice(66)}, 1, 8, layers});
  }
}

TEST_CASE("heads of any width up to 64") {
  for (const std::int64_t width : {1, 3, 16, 17, 24, 32, 40, 64}) {
    CAPTURE(width);
    check({{make_slice(35)}, 2, width, 2});
  }
}

TEST_CASE("more layers than stay in shared memory") {
  Case c{{make_slice(34)}, 1, 64, 12};
  REQUIRE_FALSE(stofm::kernels::pair_forward_shared(Precision::split_bf16, 64, 12).resident);
  check(c);
}

TEST_CASE("dropout has the bits of the CPU") {
  for (const double dropout : {0.1, 0.9}) {
    check({{make_slice(65), make_slice(33)}, 2, 8, 2, dropout});
    check({{make_slice(97)}, 1, 16, 1, dropout});
  }
}

TEST_CASE("asked pairs carry the logits with the background") {
  check({{make_slice(80, Listed::some, 50), make_slice(3, Listed::none, 4), make_slice(20, Listed::some, 0)},
         2,
         8,
         3});
}

TEST_CASE("large logits neither overflow nor vanish") {
  Case c{{make_slice(66)}, 1, 8, 1};
  c.backward = false;
  Inputs inputs(c);
  for (std::int64_t e = 0; e < c.entries(); ++e) inputs.bias.at(0, e) = e % 3 == 0 ? 3000.0F : -3000.0F;
  std::string where;
  CHECK(distance(device(c, inputs), dense_double(c, inputs), where) <= 1e-3);  // 3000 * 2^-24 in the exponent
}

TEST_CASE("a NaN reaches the rows that see it, and no others") {
  Case c{{make_slice(66, Listed::none), make_slice(5, Listed::none)}, 1, 8, 1};
  c.backward = false;
  Inputs inputs(c);
  inputs.q[0].at(7, 2) = NAN;
  const Results results = device(c, inputs);
  for (std::int64_t i = 0; i < c.nodes(); ++i)
    for (std::int64_t j = 0; j < 8; ++j)
      CHECK((results.values[0].at(i, j) != results.values[0].at(i, j)) == (i == 7));
}

TEST_CASE("the same bits in every run") {
  for (const Precision precision : {Precision::float32, Precision::split_bf16}) {
    Case c{{make_slice(70, Listed::some, 20), make_slice(33)}, 2, 8, 2, 0.2, precision, false};
    const Inputs inputs(c);
    const Results expected = device(c, inputs);
    emulator::for_each_run([&] { CHECK(device(c, inputs).values == expected.values); });
  }
}

}  // namespace pair_attention_forward_cases

// SPDX-License-Identifier: MIT
// Neighbours in the plane on a device.
#include "tests/gpu/support/sizes.hpp"
#include "tests/kernels/knn_2d_cases.hpp"

using namespace knn_2d_cases;

TEST_CASE("sizes of real slices" * doctest::skip(stofm::test::only_small_sizes())) {
  for (const Scatter scatter :
       {Scatter::even, Scatter::lattice, Scatter::line, Scatter::one_place, Scatter::outlier}) {
    check(points(scatter, 100003, 1), 9);
    check(points(scatter, 20011, 1), 49);
  }
}

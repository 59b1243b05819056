// SPDX-License-Identifier: MIT
// Sub-slices built on a device.
#include "tests/gpu/support/sizes.hpp"
#include "tests/kernels/sub_slices_cases.hpp"

using namespace sub_slices_cases;

TEST_CASE("sizes of real slices" * doctest::skip(stofm::test::only_small_sizes())) {
  const auto virtual_xy = cells_of(Tissue::even, 49, 9);
  for (const Tissue tissue : {Tissue::even, Tissue::lattice, Tissue::twins}) {
    check_split(cells_of(tissue, 100003, 1), 1000);
    check_build(cells_of(tissue, 20011, 1), virtual_xy, 1000, {50, stofm::pipeline::Geometry::reference});
    check_build(cells_of(tissue, 20011, 1), virtual_xy, 1000, {50, stofm::pipeline::Geometry::stable});
  }
}

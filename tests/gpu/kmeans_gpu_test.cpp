// SPDX-License-Identifier: MIT
// k-means on a device.
#include "tests/gpu/support/sizes.hpp"
#include "tests/kernels/kmeans_cases.hpp"

using namespace kmeans_cases;

TEST_CASE("sizes of real slices" * doctest::skip(stofm::test::only_small_sizes())) {
  check_assignment(Cloud::spiky, 20011, 256, 257);
  check_assignment(Cloud::blobs, 5003, 1000, 300);
  check_assignment(Cloud::far_away, 3001, 128, 64);
  check_assignment(Cloud::lattice, 2003, 96, 4096);
  check_step(50021, 256, 256);
  check_step(40009, 2, 100);
  check_run(points(Cloud::blobs, 20011, 2, 1), {.clusters = 100, .seed = 5});
  check_run(points(Cloud::blobs, 20011, 64, 1), {.clusters = 70, .seed = 5});
}

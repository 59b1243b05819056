// SPDX-License-Identifier: MIT
// Eigen's matrices without copies: whichever way they are stored, the numbers are read as they stand.
//     build/examples/11_eigen
#include <cstdio>
#include <stofm/cluster.hpp>
#include <stofm/eigen.hpp>

int main() try {
  Eigen::MatrixXd points(4, 2);  // column-major, Eigen's default
  points << 0, 0, 1, 0, 10, 0, 11, 0;
  // [eigen]
  const auto near = stofm::cluster::nearest_neighbours(stofm::view_of(points), 1);  // takes any strides

  auto x = stofm::Tensor<double>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  stofm::map_of(x).col(1) *= 10;  // writes into the tensor
  const Eigen::VectorXd sums = stofm::map_of(x).rowwise().sum();
  // [eigen]
  std::printf("neighbours %d %d %d %d, sums %g %g\n", near.indices[0], near.indices[1], near.indices[2],
              near.indices[3], sums[0], sums[1]);
  try {  // what needs dense rows refuses, and names the strides
    stofm::cluster::nearest_neighbours_2d(stofm::view_of(points), 1);
    return 1;
  } catch (const stofm::ShapeError& error) {
    std::printf("%s\n", error.what());
  }
  return near.indices[0] == 1 && near.indices[2] == 3 && sums[0] == 24 ? 0 : 1;
} catch (const stofm::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), error.exit_code();
}

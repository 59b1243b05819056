// SPDX-License-Identifier: MIT
#include "stofm/eigen.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "stofm/cluster.hpp"

using namespace stofm;

namespace {
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
/// Element (i, j) of a view, by its strides.
template <class T>
T at(const TensorView<T>& x, std::int64_t i, std::int64_t j) {
  return x.data[i * x.stride(0) + j * x.stride(1)];
}
template <class Matrix>
void check_same(const Matrix& matrix) {
  const auto view = view_of(matrix);
  REQUIRE(view.shape == Shape{matrix.rows(), matrix.cols()});
  for (Eigen::Index i = 0; i < matrix.rows(); ++i)
    for (Eigen::Index j = 0; j < matrix.cols(); ++j) CHECK(at(view, i, j) == matrix(i, j));
}
template <class T>
concept Viewable = requires(T x) {
  view_of(std::forward<T>(x));
};
}  // namespace

TEST_CASE("a view of Eigen's has the numbers where Eigen has them, however they are stored") {
  Eigen::MatrixXd columns(3, 4);
  columns << 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;
  const RowMajor rows = columns;
  check_same(columns);
  check_same(rows);
  check_same(columns.block(1, 1, 2, 2));
  check_same(rows.block(0, 2, 3, 2));
  check_same(columns.transpose());
  check_same(Eigen::Map<const Eigen::MatrixXd, 0, Eigen::OuterStride<>>(columns.data(), 2, 3,
                                                                        Eigen::OuterStride<>(3)));
  CHECK(view_of(rows).is_contiguous());
  CHECK_FALSE(view_of(columns).is_contiguous());
  const auto row = view_of(columns.row(1));
  REQUIRE(row.shape == Shape{4});
  CHECK(row.data[2 * row.stride(0)] == 6.0);
  view_of(columns).data[1] = 40;  // writes through
  CHECK(columns(1, 0) == 40.0);
}

TEST_CASE("what is gone when the view is used does not compile") {
  CHECK(Viewable<Eigen::MatrixXd&>);
  CHECK(Viewable<const Eigen::MatrixXd&>);
  CHECK_FALSE(Viewable<Eigen::MatrixXd>);
}

TEST_CASE("a map of a tensor is the tensor, also of a strided view") {
  auto x = Tensor<double>::from({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(map_of(std::as_const(x)).sum() == 21.0);
  map_of(x).col(1) *= 10;
  CHECK(x(0, 1) == 20.0);
  CHECK(x(1, 1) == 50.0);
  auto turned = x.transpose(0, 1).slice(0, 0, 2);
  CHECK(map_of(turned).rows() == 2);
  CHECK(map_of(turned)(1, 0) == 20.0);
  auto line = x.select(1, 2);
  CHECK(map_of(line).cols() == 1);
  CHECK(map_of(line)(1, 0) == 6.0);
  auto one = Tensor<double>::full(Shape{}, 7);
  CHECK(map_of(one)(0, 0) == 7.0);
  auto cube = Tensor<double>::zeros({2, 2, 2});
  CHECK_THROWS_AS(map_of(cube), ShapeError);
}

TEST_CASE("a column-major matrix is read rightly, or refused by its strides") {
  Eigen::MatrixXd points(4, 2);
  points << 0, 0, 1, 0, 10, 0, 11, 0;
  const std::vector<std::int32_t> nearest{1, 0, 3, 2};
  CHECK(cluster::nearest_neighbours(view_of(points), 1).indices == nearest);
  const RowMajor rows = points;
  CHECK(cluster::nearest_neighbours_2d(view_of(rows), 1).indices == nearest);
  const auto groups = cluster::mini_batch_kmeans(view_of(points), {.clusters = 2});
  CHECK(groups.labels[0] == groups.labels[1]);
  CHECK(groups.labels[1] != groups.labels[2]);
  CHECK(groups.inertia == doctest::Approx(1.0));
  try {
    cluster::nearest_neighbours_2d(view_of(points), 1);
    FAIL("a column-major matrix was read as rows");
  } catch (const ShapeError& error) {
    CHECK(error.parts().found == "[4, 2] with strides [1, 4], which is column-major");
  }
}

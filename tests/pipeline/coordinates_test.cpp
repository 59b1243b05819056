// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cmath>

#include "stofm/pipeline/coordinates.hpp"
#include "tests/cluster/point_sets.hpp"

using namespace stofm;
using pipeline::normalise_coordinates;

namespace {
double worst_difference(const Tensor<double>& a, const Tensor<double>& b) {
  double worst = 0;
  for (std::int64_t e = 0; e < a.numel(); ++e) worst = std::max(worst, std::abs(a.data()[e] - b.data()[e]));
  return worst;
}
Tensor<double> mapped(const Tensor<double>& xy, double scale, double x, double y) {
  Tensor<double> out(xy.shape());
  for (std::int64_t i = 0; i < xy.dim(0); ++i) {
    out(i, 0) = scale * xy(i, 0) + x;
    out(i, 1) = scale * xy(i, 1) + y;
  }
  return out;
}
}  // namespace

TEST_CASE("the box is centred and its diagonal is 100 long") {
  Tensor<double> xy({3, 2});
  xy(0, 0) = 10, xy(0, 1) = 1, xy(1, 0) = 13, xy(1, 1) = 5, xy(2, 0) = 11, xy(2, 1) = 2;
  const auto n = normalise_coordinates(xy.view());
  CHECK(n.diagonal == 5);
  CHECK(n.centre[0] == 11.5);
  CHECK(n.centre[1] == 3);
  CHECK(n.xy(0, 0) == doctest::Approx(-30));
  CHECK(n.xy(1, 1) == doctest::Approx(40));
  CHECK(n.notices.empty());
}

TEST_CASE("one cell, and cells that all coincide, are at 0 (D02 D22)") {
  for (const std::int64_t n : {1, 2, 1000}) {
    const auto result = normalise_coordinates(Tensor<double>::full({n, 2}, 1e9).view());
    for (const double v : result.xy.span()) CHECK(v == 0);
    CHECK(result.diagonal == 0);
    CHECK(result.notices.empty());
  }
}

TEST_CASE("a line keeps its length (D23)") {
  const auto n = normalise_coordinates(test::point_set("line", 100, 1).view());
  double low = 0, high = 0;
  for (std::int64_t i = 0; i < 100; ++i) {
    low = std::min(low, n.xy(i, 0));
    high = std::max(high, n.xy(i, 0));
    CHECK(n.xy(i, 1) == 0);
  }
  CHECK(high - low == doctest::Approx(100));
}

TEST_CASE("units and offsets do not matter (D29 D30)") {
  const auto xy = test::point_set("random", 500, 2);
  const auto expected = normalise_coordinates(xy.view()).xy;
  for (const double scale : {1e-6, 1e-3, 1.0, 1e3, 1e6, 1e-150, 1e150})
    CHECK(worst_difference(normalise_coordinates(mapped(xy, scale, 0, 0).view()).xy, expected) < 1e-10);
  for (const double offset : {1e6, 1e9})  // 2^-53 of the offset per coordinate, times 100 / 1,200
    CHECK(worst_difference(normalise_coordinates(mapped(xy, 1, offset, -offset).view()).xy, expected) <
          1e-16 * offset);
}

TEST_CASE("the largest finite coordinates do not overflow") {
  Tensor<double> xy({2, 2});
  xy(0, 0) = -1.7e308, xy(0, 1) = -1.7e308, xy(1, 0) = 1.7e308, xy(1, 1) = 1.7e308;
  const auto n = normalise_coordinates(xy.view());
  CHECK(std::isfinite(n.xy(0, 0)));
  CHECK(n.xy(1, 0) == doctest::Approx(50 / std::sqrt(2.0)));
}

TEST_CASE("float32 positions with a large offset are accepted with a word (D29)") {
  auto xy = test::point_set("random", 1000, 2);
  for (double& v : xy.span()) v = static_cast<double>(static_cast<float>(v + 1e9));
  const auto n = normalise_coordinates(xy.view());
  REQUIRE(n.notices.size() == 1);
  CHECK(n.notices[0].code == "STOFM-W4202");
}

TEST_CASE("a far outlier is accepted with a word, ordinary slices without (D25)") {
  const auto outlier = normalise_coordinates(test::point_set("outlier", 1000, 2).view());
  REQUIRE(outlier.notices.size() == 1);
  CHECK(outlier.notices[0].code == "STOFM-W4201");
  CHECK(outlier.notices[0].count == 1);
  CHECK(outlier.notices[0].text.find("extent dominated by 1 cell") == 0);
  for (const std::string kind : {"random", "line", "square lattice", "islands", "twins", "point"})
    CHECK(normalise_coordinates(test::point_set(kind, 1000, 2).view()).notices.empty());
}

TEST_CASE("coordinates that are not finite are refused with count and rows (D21)") {
  auto xy = test::point_set("random", 20, 2);
  xy(3, 0) = std::nan("");
  xy(8, 1) = INFINITY;
  try {
    normalise_coordinates(xy.view());
    FAIL("accepted");
  } catch (const DataError& error) {
    CHECK(error.code() == "STOFM-4202");
    CHECK(error.found() == "2 cells with NaN or inf, rows 3, 8");
    CHECK(error.remedy().find("H5adReadOptions::drop_bad_coords") != std::string::npos);
  }
  CHECK_THROWS_AS(normalise_coordinates(Tensor<double>({0, 2}).view()), ShapeError);
}

TEST_CASE("cells that share a place are counted as cells, not as pairs") {
  const auto count = [](const std::vector<double>& xy) {
    const auto places = Tensor<double>::from({static_cast<std::int64_t>(xy.size() / 2), 2}, xy);
    return pipeline::count_cells_at_one_place(places.view());
  };
  CHECK(count({1, 2}) == 0);
  CHECK(count({1, 2, 2, 1, 1, 3}) == 0);
  CHECK(count({1, 2, 5, 5, 1, 2, 7, 7, 1, 2, 7, 7}) == 5);
  CHECK(count(std::vector<double>(400, 0.0)) == 200);
}

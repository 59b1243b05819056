// SPDX-License-Identifier: MIT
// Centroids of outlines in GeoJSON: shapes whose centres are known, in every order of keys, in pieces of any
// size.
#include "stofm/io/import/cell_outlines.hpp"

#include <doctest/doctest.h>

#include "tests/io/make_import_folders.hpp"

using namespace stofm;
using namespace stofm::test;

namespace cell_outlines_test {
namespace {

std::pair<double, double> centroid(const std::vector<std::pair<std::vector<double>, bool>>& rings) {
  io::OutlineCentroid sum;
  for (const auto& ring : rings) sum.add_ring(ring.first, ring.second);
  return sum.centroid();
}

std::string feature(const std::string& type, const std::string& coordinates, const std::string& id = "7") {
  return concat(R"({"type":"Feature","properties":{"cell_id":)", id, R"(},"geometry":{"type":")", type,
                R"(","coordinates":)", coordinates, "}}");
}

io::PositionTable read(const ScratchDir& scratch, const std::string& text) {
  write_bytes(scratch / "cells.geojson", text);
  return io::read_cell_outlines(scratch / "cells.geojson", {});
}

}  // namespace

TEST_CASE("the centroid of an outline is its centre of mass, whichever way round it goes") {
  using Place = std::pair<double, double>;
  const std::vector<double> triangle{1000, 500, 1003, 500, 1000, 506, 1000, 500};
  CHECK(centroid({{triangle, false}}) == Place{1001, 502});
  CHECK(centroid({{{1000, 500, 1000, 506, 1003, 500}, false}}) == Place{1001, 502});  // back, not closed
  // An L: 4 x 1 and 1 x 3 above it; the mean of its corners is elsewhere.
  const std::vector<double> el{0, 0, 4, 0, 4, 1, 1, 1, 1, 4, 0, 4, 0, 0};
  CHECK(centroid({{el, false}}).first == doctest::Approx((4 * 2 + 3 * 0.5) / 7).epsilon(1e-15));
  CHECK(centroid({{el, false}}).second == doctest::Approx((4 * 0.5 + 3 * 2.5) / 7).epsilon(1e-15));
  // 8 x 8 with a hole of 4 x 4 in the corner at 0: (64 * 4 - 16 * 2) / 48.
  const std::vector<double> square{0, 0, 8, 0, 8, 8, 0, 8, 0, 0}, back{0, 0, 0, 4, 4, 4, 4, 0, 0, 0},
      forth{0, 0, 4, 0, 4, 4, 0, 4, 0, 0};
  for (const auto& hole : {back, forth})
    CHECK(centroid({{square, false}, {hole, true}}).first == doctest::Approx(14.0 / 3).epsilon(1e-15));
  // Two parts, 4 x 4 and 2 x 2: weighted by area.
  CHECK(centroid({{forth, false}, {{10, 0, 12, 0, 12, 2, 10, 2, 10, 0}, false}}).first ==
        doctest::Approx((16 * 2 + 4 * 11) / 20.0).epsilon(1e-15));
  CHECK(centroid({{{3, 4, 5, 4, 7, 4, 3, 4}, false}}) == Place{5, 4});  // no area: the mean of the corners
  CHECK(centroid({{{3, 4}, false}}) == Place{3, 4});
  CHECK(std::isnan(centroid({}).first));
}

TEST_CASE("outlines are read in any order of keys, one part or several, and named like barcodes") {
  const ScratchDir scratch;
  const std::string square = "[[[0,0],[2,0],[2,2],[0,2],[0,0]]]";
  const io::PositionTable found = read(
      scratch,
      "\xef\xbb\xbf{ \"features\" : [ " + feature("Polygon", square) + " , " +
          feature("MultiPolygon", "[" + square + ",[[[8.5,0,9],[10.5,0],[10.5,2],[8.5,2]]]]", "1234567890") +
          "," + R"({"geometry":{"coordinates":[[[4,4],[6,4],[6,6],[4,6]],[]],"type":"Polygon"},"id":[[1]],)" +
          R"("properties":{"a":{"cell_id":3},"list":[[5]],"cell_id":"mine \"1\""},"bbox":[1,2,3,4]},)" +
          R"({"geometry":null,"properties":{"cell_id":0}}],)" +
          R"("type":"FeatureCollection","crs":{"x":["]}"]}})");
  CHECK(found.ids == std::vector<std::string>{"cellid_000000007-1", "cellid_1234567890-1", "mine \"1\"",
                                              "cellid_000000000-1"});
  REQUIRE(found.xy.size() == 8);
  CHECK(std::vector<double>(found.xy.begin(), found.xy.begin() + 6) ==
        std::vector<double>{1, 1, 5.25, 1, 5, 5});
  CHECK(std::isnan(found.xy[6]));
}

TEST_CASE("outlines are read in bounded memory, over the ends of pieces") {
  const ScratchDir scratch;
  std::string text = R"({"type":"FeatureCollection","features":[)";
  const std::size_t cells = 30000;  // 4 MB: more than the pieces that files are read in
  for (std::size_t c = 0; c < cells; ++c)
    text += (c > 0 ? "," : "") + outline(c, static_cast<double>(c % 977), static_cast<double>(c % 311));
  text += "]}";
  const io::PositionTable found = read(scratch, text);
  REQUIRE(found.ids.size() == cells);
  for (std::size_t c = 0; c < cells; ++c) {
    REQUIRE(found.xy[2 * c] == static_cast<double>(c % 977));
    REQUIRE(found.xy[2 * c + 1] == static_cast<double>(c % 311));
  }
  write_bytes(scratch / "long.geojson",
              R"({"features":[")" + std::string(io::json_value_limit + 10, 'x') + R"("]})");
  CHECK_THROWS_WITH_AS((void)io::read_cell_outlines(scratch / "long.geojson", {}),
                       doctest::Contains("more than 16777216 bytes"), FileError);
}

}  // namespace cell_outlines_test

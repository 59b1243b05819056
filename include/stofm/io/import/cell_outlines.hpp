// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Centroids of cells that are outlined in GeoJSON (RFC 7946), as Space Ranger 4 writes it: a
/// FeatureCollection of Polygon or MultiPolygon, properties.cell_id a number, coordinates (x, y). One outline
/// at a time is in memory.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/io/import/import_positions.hpp"
#include "stofm/io/import/json_stream.hpp"

namespace stofm::io {

/// The centre of mass of polygons with holes: sum over rings of (integral of x, of y) / area. Rings without
/// area altogether have the mean of their corners; no ring: NaN.
class OutlineCentroid {
 public:
  /// \param corners [k, 2], the last may repeat the first; either way round
  void add_ring(const std::vector<double>& corners, bool hole) {
    const std::size_t count = corners.size() / 2;
    if (count == 0) return;
    if (corners_ == 0) x0_ = corners[0], y0_ = corners[1];  // near numbers subtract exactly
    double area = 0, x = 0, y = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t j = i + 1 < count ? i + 1 : 0;
      const double ax = corners[2 * i] - x0_, ay = corners[2 * i + 1] - y0_;
      const double bx = corners[2 * j] - x0_, by = corners[2 * j + 1] - y0_;
      const double cross = ax * by - bx * ay;
      area += cross;
      x += (ax + bx) * cross;
      y += (ay + by) * cross;
      const bool closing =
          i > 0 && i + 1 == count && corners[2 * i] == corners[0] && corners[2 * i + 1] == corners[1];
      if (!hole && !closing) sum_x_ += ax, sum_y_ += ay, ++corners_;
    }
    const double sign = (area < 0) != hole ? -1 : 1;
    area_ += sign * area;
    x_ += sign * x;
    y_ += sign * y;
  }
  std::pair<double, double> centroid() const {
    if (area_ != 0) return {x0_ + x_ / (3 * area_), y0_ + y_ / (3 * area_)};
    const auto corners = static_cast<double>(corners_);  // 0: 0 / 0
    return {x0_ + sum_x_ / corners, y0_ + sum_y_ / corners};
  }

 private:
  double x0_ = 0, y0_ = 0;
  double area_ = 0, x_ = 0, y_ = 0;  // twice the area, six times the integrals
  double sum_x_ = 0, sum_y_ = 0;
  std::int64_t corners_ = 0;
};

namespace detail {

/// One feature: its properties.cell_id and its outline.
class OutlineFeature : public JsonNoHandler {
 public:
  explicit OutlineFeature(const JsonSource& source) : source_(source) {}

  void begin_object(std::int64_t) { ++objects_; }
  void end_object() { --objects_; }
  void key(std::string_view name, std::int64_t) {
    if (objects_ == 1) part_ = name;
    if (objects_ == 2) member_ = name;
  }
  void begin_array(std::int64_t) {
    if (!in_coordinates())
      ++other_arrays_;
    else if (++level_ > 4 || (corner_level_ > 0 && level_ > corner_level_))
      refuse("arrays in arrays that are no polygon");
  }
  void end_array() {
    if (other_arrays_ > 0) {
      --other_arrays_;
      return;
    }
    if (level_ == corner_level_) {
      if (corner_.size() < 2) refuse("a corner without y");
      ring_.insert(ring_.end(), {corner_[0], corner_[1]});
      corner_.clear();
    } else if (level_ + 1 == corner_level_) {
      centroid_.add_ring(ring_, hole_);
      ring_.clear();
      hole_ = true;
    } else if (level_ + 2 == corner_level_) {
      hole_ = false;
    }
    --level_;
  }
  void string(std::string_view value, std::int64_t) {
    if (at("properties", "cell_id")) id_ = value;
    if (at("geometry", "type")) type_ = value;
  }
  void integer(std::int64_t value, std::int64_t) {
    if (at("properties", "cell_id") && value >= 0) {
      const std::string digits = std::to_string(value);
      id_ = concat("cellid_", std::string(digits.size() < 9 ? 9 - digits.size() : 0, '0'), digits, "-1");
    }
    number(static_cast<double>(value));
  }
  void large_integer(std::uint64_t value, std::int64_t) { number(static_cast<double>(value)); }
  void real(double value, std::int64_t) { number(value); }

  /// \throws FileError (STOFM-3920)
  void require_complete() const {
    if (id_.empty()) refuse("no properties.cell_id");
    if (type_.empty()
            ? corner_level_ != 0
            : (type_ != "Polygon" || corner_level_ == 4) && (type_ != "MultiPolygon" || corner_level_ == 3))
      refuse(concat("a geometry of type ", stofm::quoted(type_, 40)));
  }
  const std::string& id() const { return id_; }  ///< as barcodes have it: "cellid_000000001-1"
  std::pair<double, double> centroid() const { return centroid_.centroid(); }

 private:
  bool at(std::string_view part, std::string_view member) const {
    return objects_ == 2 && other_arrays_ == 0 && level_ == 0 && part_ == part && member_ == member;
  }
  bool in_coordinates() const {
    return objects_ == 2 && other_arrays_ == 0 && part_ == "geometry" && member_ == "coordinates";
  }
  void number(double value) {
    if (level_ == 0 || !in_coordinates()) return;
    if (corner_level_ == 0 && level_ >= 3) corner_level_ = level_;
    if (level_ != corner_level_) refuse("a number among arrays");
    corner_.push_back(value);
  }
  [[noreturn]] void refuse(std::string what) const {
    throw FileError({"STOFM-3920", source_.file, source_.where, std::move(what),
                     "a Polygon or MultiPolygon with properties.cell_id, as Space Ranger writes it",
                     "Give cell_segmentations.geojson of Space Ranger."});
  }

  const JsonSource& source_;
  std::string part_, member_, id_, type_;
  std::int64_t objects_ = 0, other_arrays_ = 0;
  std::int64_t level_ = 0, corner_level_ = 0;  // arrays inside of coordinates; the level of corners: 3 or 4
  bool hole_ = false;
  std::vector<double> corner_, ring_;
  OutlineCentroid centroid_;
};

}  // namespace detail

/// The centroids of the outlines, named like the barcodes of the matrix of cells; NaN for a geometry of null.
/// *Cost* one pass over the file; memory: one outline, 100 bytes a cell.
/// \throws FileError STOFM-3920 no FeatureCollection, an outline that is none; 32xx no JSON; and as TextLines
inline PositionTable read_cell_outlines(const std::filesystem::path& path, const ImportContext& context) {
  JsonStream json(path, context.reading("outlines of cells"));
  PositionTable positions;
  positions.file = path.string();
  bool features = false;
  const auto read_feature = [&] {
    std::int64_t start = 0;
    const std::string_view text = json.value(start);
    const JsonSource source = json.source(concat("feature ", positions.ids.size() + 1), start);
    detail::OutlineFeature feature(source);
    scan_json(text, feature, source);
    feature.require_complete();
    positions.ids.push_back(feature.id());
    const std::pair<double, double> place = feature.centroid();
    positions.xy.insert(positions.xy.end(), {place.first, place.second});
  };
  json.expect('{');
  for (bool more = json.peek() != '}'; more; more = json.take(',')) {
    const std::string key = json.string();
    json.expect(':');
    if (key == "features" && !features && json.take('[')) {
      features = true;
      for (bool another = json.peek() != ']'; another; another = json.take(',')) read_feature();
      json.expect(']');
    } else {
      std::int64_t start = 0;
      const std::string_view text = json.value(start);
      JsonNoHandler nothing;
      scan_json(text, nothing, json.source("", start));
    }
  }
  json.expect('}');
  json.expect_end();
  if (!features)
    throw FileError({"STOFM-3920", path.string(), "", "no list \"features\"",
                     "a FeatureCollection of GeoJSON", "Give cell_segmentations.geojson of Space Ranger."});
  return positions;
}

}  // namespace stofm::io

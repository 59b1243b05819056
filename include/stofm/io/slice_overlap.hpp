// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Do groups of cells lie on top of each other, as sections that were concatenated do, or are they parts of
/// one tissue? Told from positions alone.
///
/// Two things are measured.
///
/// *Inside*: which part of the cells of a group lies inside the ground of another group, that is inside the
/// hull of the cells of that group that are near (3 times its usual spacing). Fields of view that tile, parts
/// of a tissue, sections side by side, rows and columns of an array: none or a small part. Sections on top
/// of each other: most. Cell types of one tissue, however, stand on each other's ground as well.
///
/// *Repulsion*: cells have bodies, spots have a lattice, so in one section no two cells are closer than a
/// cell is wide. Positions of another section know nothing of them. So of cells on the ground of another
/// group, the *nearest* cell is of the same section less often than the nearest sixteen are: the ratio of
/// these shares is well below 1 for sections on each other, and 1 or more for cell types, clusters and
/// regions, which seek their like. (The ratio depends neither on densities nor on the sizes of the groups.)
/// A few hundred cells that stand loosely show little of it: names and the order of the file must help.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "stofm/io/plane_neighbours.hpp"

namespace stofm::io {

/// Positions with the neighbours of a sample of them; shared by all groupings of one slice.
class SliceNeighbourhoods {
 public:
  static constexpr std::size_t near = 16;
  static constexpr std::int64_t most_asked = 20000;

  /// `xy`: [2 n], x and y side by side, all finite; kept. *Cost* O(n log^2 n), about 1 s for a million cells;
  /// at most 20,000 cells are asked for their neighbours. `progress` is called now and then.
  SliceNeighbourhoods(std::vector<double> xy, const std::function<void()>& progress = {})
      : xy_(std::move(xy)) {
    const std::int64_t n = cells();
    if (n < 2) return;
    if (progress) progress();
    const PlaneTree tree(xy_, progress);
    const std::int64_t asked = (std::min)(n, most_asked);
    for (std::int64_t i = 0; i < asked; ++i) {
      if (progress && i % 256 == 0) progress();
      const std::int64_t cell = i * n / asked;
      asked_.push_back(cell);
      neighbours_.push_back(tree.nearest(cell, near));
    }
  }

  std::int64_t cells() const { return static_cast<std::int64_t>(xy_.size()) / 2; }
  std::span<const double> xy() const { return xy_; }
  const std::vector<std::int64_t>& asked() const { return asked_; }
  const std::vector<PlaneTree::Neighbour>& neighbours(std::size_t of_asked) const {
    return neighbours_[of_asked];
  }

 private:
  std::vector<double> xy_;
  std::vector<std::int64_t> asked_;
  std::vector<std::vector<PlaneTree::Neighbour>> neighbours_;
};

/// What was found about one grouping.
struct SliceOverlap {
  std::int64_t groups = 0;    ///< with enough cells
  double share = 0;           ///< of the cells of these: in a group that lies on another one
  double nearest_same = 0;    ///< of cells on another group's ground: share of nearest cells of the own group
  double near_same = 0;       ///< the same of the nearest 16
  std::int64_t asked = 0;     ///< cells that these shares are of
  std::int32_t example[2]{};  ///< two groups that lie on each other

  double ratio() const { return near_same > 0 ? nearest_same / near_same : 1; }
  /// Standard errors by which `nearest_same` is above what `near_same` lets expect. Neighbours of neighbours
  /// are not independent (most pairs are mutual), hence the 0.6.
  double z() const {
    const double variance = near_same * (1 - near_same);
    if (!(variance > 0) || asked == 0) return 0;
    return (nearest_same - near_same) / std::sqrt(variance / (0.6 * static_cast<double>(asked)));
  }
  /// The positions alone say that the groups are sections on top of each other. Measured: ratios of 0.02 to
  /// 0.78 and z of -4 and less for sections of Visium, Xenium, MERFISH, STARmap, seqFISH, osmFISH and
  /// Slide-seq on each other; above 0.91 and -0.8 for every column of 57 single slices.
  bool is_plain(double errors = 4) const { return share >= 0.1 && ratio() <= 0.85 && z() <= -errors; }
  /// They may well be: enough where the groups are known to be samples, sections or fields of view.
  bool is_possible() const { return share >= 0.1 && ratio() <= 1.1; }
};

namespace detail {

/// Where the cells of one group are: at most 1,000 of them, and how far one sees from one to the next.
class GroupGround {
 public:
  GroupGround(std::span<const double> xy, const std::vector<std::int64_t>& cells) {
    const std::size_t kept = (std::min<std::size_t>)(cells.size(), 1000);
    for (std::size_t i = 0; i < kept; ++i) {
      const auto cell = static_cast<std::size_t>(cells[i * cells.size() / kept]);
      const Point point{xy[2 * cell], xy[2 * cell + 1]};
      points_.push_back(point);
      for (std::size_t axis = 0; axis < 2; ++axis) {
        low_[axis] = (std::min)(low_[axis], point[axis]);
        high_[axis] = (std::max)(high_[axis], point[axis]);
      }
    }
    std::vector<double> spacing;
    const std::size_t looks = (std::min<std::size_t>)(kept, 100);
    for (std::size_t i = 0; i < looks; ++i) {
      double nearest = std::numeric_limits<double>::infinity();
      for (const Point& other : points_) {
        const double d = distance(points_[i * kept / looks], other);
        if (d > 0) nearest = (std::min)(nearest, d);
      }
      spacing.push_back(nearest);
    }
    const auto middle = spacing.begin() + static_cast<std::ptrdiff_t>(spacing.size() / 2);
    std::nth_element(spacing.begin(), middle, spacing.end());
    spacing_ = *middle;
  }

  /// Usual distance to the next cell of the group.
  double spacing() const { return spacing_; }

  /// Is this place inside the hull of the cells near it?
  bool holds(double x, double y) const {
    if (x < low_[0] || x > high_[0] || y < low_[1] || y > high_[1]) return false;
    constexpr double pi = 3.14159265358979323846;
    std::vector<double> angles;
    for (const Point& point : points_) {
      const double d = distance(point, {x, y});
      if (d > 3 * spacing_) continue;
      if (d == 0) return true;
      angles.push_back(std::atan2(point[1] - y, point[0] - x));
    }
    if (angles.size() < 3) return false;
    std::sort(angles.begin(), angles.end());
    double gap = angles.front() + 2 * pi - angles.back();
    for (std::size_t i = 1; i < angles.size(); ++i) gap = (std::max)(gap, angles[i] - angles[i - 1]);
    return gap < pi * 0.999;
  }

 private:
  using Point = std::array<double, 2>;
  static double distance(const Point& a, const Point& b) {
    const double dx = a[0] - b[0], dy = a[1] - b[1];
    return std::sqrt(dx * dx + dy * dy);
  }

  std::vector<Point> points_;
  Point low_{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  Point high_{-std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  double spacing_ = 0;
};

}  // namespace detail

/// Measures one grouping. `group`: [cells] 0 to groups - 1, or -1 for a cell without one, which is left out.
/// Groups of fewer than 20 cells are not looked at; of more than 32 others, 32 spread evenly. Nothing is
/// found where groups with enough cells hold less than half of the cells. *Cost* at most 1.6e8 distances (0.3
/// s), and that only for many groups that lie on each other nowhere.
inline SliceOverlap measure_overlap(const SliceNeighbourhoods& slice, std::span<const std::int32_t> group,
                                    std::int32_t groups, const std::function<void()>& progress = {}) {
  constexpr std::size_t enough = 20, most_groups = 32, looks = 40, most_asked = 4000;
  SliceOverlap result;
  std::vector<std::vector<std::int64_t>> cells(static_cast<std::size_t>(groups));
  for (std::size_t i = 0; i < group.size(); ++i)
    if (group[i] >= 0) cells[static_cast<std::size_t>(group[i])].push_back(static_cast<std::int64_t>(i));
  std::vector<std::int32_t> large;
  std::size_t in_large = 0, in_any = 0;
  for (std::int32_t g = 0; g < groups; ++g) {
    const std::size_t size = cells[static_cast<std::size_t>(g)].size();
    in_any += size;
    if (size < enough) continue;
    large.push_back(g);
    in_large += size;
  }
  result.groups = static_cast<std::int64_t>(large.size());
  if (large.size() < 2 || 2 * in_large < in_any) return result;
  if (large.size() > most_groups) {
    std::vector<std::int32_t> some;
    for (std::size_t i = 0; i < most_groups; ++i) some.push_back(large[i * large.size() / most_groups]);
    large = std::move(some);
  }
  std::vector<detail::GroupGround> grounds;
  for (const std::int32_t g : large) grounds.emplace_back(slice.xy(), cells[static_cast<std::size_t>(g)]);
  std::vector<char> on_another(static_cast<std::size_t>(groups), 0);
  double most_inside = 0;
  for (std::size_t a = 0; a < large.size(); ++a) {
    const auto& own = cells[static_cast<std::size_t>(large[a])];
    const std::size_t asked = (std::min)(own.size(), looks);
    for (std::size_t b = 0; b < large.size(); ++b) {
      if (a == b) continue;
      if (progress) progress();
      std::size_t inside = 0;
      for (std::size_t i = 0; i < asked; ++i) {
        const auto cell = static_cast<std::size_t>(own[i * own.size() / asked]);
        inside += grounds[b].holds(slice.xy()[2 * cell], slice.xy()[2 * cell + 1]);
      }
      if (2 * inside < asked) continue;
      on_another[static_cast<std::size_t>(large[a])] = on_another[static_cast<std::size_t>(large[b])] = 1;
      const double part = static_cast<double>(inside) / static_cast<double>(asked);
      if (part <= most_inside) continue;
      most_inside = part;
      result.example[0] = (std::min)(large[a], large[b]);
      result.example[1] = (std::max)(large[a], large[b]);
    }
  }
  std::size_t in_looked_at = 0, in_found = 0;
  for (const std::int32_t g : large) {
    const std::size_t size = cells[static_cast<std::size_t>(g)].size();
    in_looked_at += size;
    if (on_another[static_cast<std::size_t>(g)] != 0) in_found += size;
  }
  result.share = static_cast<double>(in_found) / static_cast<double>(in_looked_at);
  if (in_found == 0) return result;

  double nearest_same = 0, near_same = 0;
  const std::size_t stride = (slice.asked().size() + most_asked - 1) / most_asked;
  for (std::size_t i = 0; i < slice.asked().size(); i += stride) {
    if (progress && i % 64 == 0) progress();
    const auto cell = static_cast<std::size_t>(slice.asked()[i]);
    const std::int32_t own = group[cell];
    if (own < 0 || on_another[static_cast<std::size_t>(own)] == 0) continue;
    bool on_other_ground = false;
    for (std::size_t b = 0; b < large.size() && !on_other_ground; ++b)
      on_other_ground = large[b] != own && grounds[b].holds(slice.xy()[2 * cell], slice.xy()[2 * cell + 1]);
    if (!on_other_ground) continue;
    double nearest = 0, nearest_of_own = 0, near = 0, near_of_own = 0, limit = -1;
    for (const auto& neighbour : slice.neighbours(i)) {
      const std::int32_t other = group[static_cast<std::size_t>(neighbour.index)];
      if (other < 0) continue;
      // Cells equally far (a lattice, coincident ones) are nearest together.
      if (limit < 0) limit = neighbour.squared_distance * 1.002;
      const double same = own == other ? 1 : 0;
      near += 1;
      near_of_own += same;
      if (neighbour.squared_distance > limit) continue;
      nearest += 1;
      nearest_of_own += same;
    }
    if (near == 0) continue;
    ++result.asked;
    nearest_same += nearest_of_own / nearest;
    near_same += near_of_own / near;
  }
  if (result.asked == 0) return result;
  result.nearest_same = nearest_same / static_cast<double>(result.asked);
  result.near_same = near_same / static_cast<double>(result.asked);
  return result;
}

/// Groups that `found` shows on each other stand in each other's gaps: moved by some spacings (each its own
/// way), their cells come closer than they were. Sections that know nothing of each other do not change by
/// that, so these groups are of one tissue, whatever their column is called. False where the cells stand too
/// loosely to tell. *Cost* that of SliceNeighbourhoods and measure_overlap.
inline bool is_one_tissue(const SliceNeighbourhoods& slice, std::span<const std::int32_t> group,
                          std::int32_t groups, const SliceOverlap& found,
                          const std::function<void()>& progress = {}) {
  std::vector<std::vector<std::int64_t>> cells(static_cast<std::size_t>(groups));
  for (std::size_t i = 0; i < group.size(); ++i)
    if (group[i] >= 0) cells[static_cast<std::size_t>(group[i])].push_back(static_cast<std::int64_t>(i));
  double step = 0;
  for (const std::int32_t g : found.example)
    step = (std::max)(step, detail::GroupGround(slice.xy(), cells[static_cast<std::size_t>(g)]).spacing());
  if (!(step > 0) || !std::isfinite(step)) return false;
  std::vector<double> moved(slice.xy().begin(), slice.xy().end());
  for (std::size_t i = 0; i < group.size(); ++i) {
    const double angle = 2.399963 * group[i];  // no two groups the same way
    moved[2 * i] += 3 * step * std::cos(angle);
    moved[2 * i + 1] += 3 * step * std::sin(angle);
  }
  const SliceNeighbourhoods elsewhere(std::move(moved), progress);
  const SliceOverlap then = measure_overlap(elsewhere, group, groups, progress);
  if (then.asked == 0 || !(found.near_same > 0) || !(then.near_same > 0)) return false;
  const auto variance = [](const SliceOverlap& o) {
    return o.nearest_same * (1 - o.nearest_same) /
           (0.6 * static_cast<double>(o.asked) * o.near_same * o.near_same);
  };
  return found.ratio() - then.ratio() > 3 * std::sqrt(variance(found) + variance(then));
}

}  // namespace stofm::io

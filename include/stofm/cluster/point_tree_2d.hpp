// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A balanced k-d tree over points of the plane that answers "which points may be among the k nearest of this
/// one", exactly, for any input: outliers, lines, lattices and heaps of coincident points cost no more than
/// generic ones.
///
/// Median splits keep the tree balanced whatever the points are. Of the points at one place only the
/// `max_per_place` lowest indices enter the tree (more can not be among the k nearest when ties go to the
/// lowest index); the others are answered from the list of their place. Queries run in the order of the
/// leaves, so that the radius of one bounds the next: r_k(q) <= r_k(p) + |pq|.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "stofm/core/exact_rounding.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::cluster {

/// A point that may be a neighbour: squared Euclidean distance and index.
struct Candidate2d {
  double squared_distance;
  std::int32_t index;
  /// Nearer first, then lower index: the tie rule of SPEC.
  bool operator<(const Candidate2d& other) const {
    return squared_distance < other.squared_distance ||
           (squared_distance == other.squared_distance && index < other.index);
  }
};

namespace detail {
/// Points as [N, 2] with finite coordinates whose squares do not overflow. \throws ShapeError, DataError
inline void require_points_2d(TensorView<const double> xy, const char* op) {
  if (xy.rank() != 2 || xy.dim(1) != 2 || xy.stride(1) != 1)
    throw ShapeError({"STOFM-1201", "", op, layout_text(xy), "points as [N, 2], rows dense",
                      "Give one row of x and y per point."});
  if (xy.dim(0) > (std::numeric_limits<std::int32_t>::max)())
    throw ShapeError(
        {"STOFM-1202", "", op, concat(xy.dim(0), " points"), "fewer than 2^31", "Cut the slice in pieces."});
  for (std::int64_t i = 0; i < xy.dim(0); ++i)
    if (!(std::abs(xy.row(i)[0]) <= 1e150) || !(std::abs(xy.row(i)[1]) <= 1e150))
      throw DataError({"STOFM-1203", "", concat(op, " row ", i), concat(xy.row(i)[0], ", ", xy.row(i)[1]),
                       "finite coordinates below 1e150", "Drop or mend this point."});
}
}  // namespace detail

/// The tree. Deterministic; built and queried in parallel. Memory: about 64 bytes a point.
class PointTree2d {
 public:
  /// `xy`: [N, 2]. `k`: neighbours that will be asked for, 0 < k < N. `max_per_place`: at least k + 1, or
  /// anything larger if all points of a place are wanted. \throws ShapeError, DataError
  PointTree2d(TensorView<const double> xy, std::int64_t k, std::int64_t max_per_place) : xy_(xy), k_(k) {
    detail::require_points_2d(xy, "[PointTree2d]");
    if (k < 1 || k >= xy.dim(0) || max_per_place <= k)
      throw ShapeError({"STOFM-1204", "", "[PointTree2d]",
                        concat(k, " neighbours of ", xy.dim(0), " points, ", max_per_place, " per place"),
                        "0 < k < points and k < points per place", "Ask for fewer neighbours."});
    group_places(max_per_place);
    build();
  }

  /// Number of queries: one per point, in an order of the tree's own.
  std::int64_t queries() const { return xy_.dim(0); }

  /// Calls visit_one(point, candidates) for queries [begin, end). `candidates` holds the k nearest in front,
  /// in no order, and behind them every other point that is as near as the k-th when squared distances are
  /// rounded to float (and some farther ones); never the point itself. The callee may reorder it. *Cost* 2k
  /// to 3k candidates a query.
  template <class Visit>
  void visit(std::int64_t begin, std::int64_t end, Visit&& visit_one) const {
    std::vector<Candidate2d> found(static_cast<std::size_t>(4 * k_ + 64)), spare;
    double x_before = 0, y_before = 0, radius_before = -1;
    for (std::int64_t q = begin; q < end; ++q) {
      if (q >= size()) {  // left out of the tree: at least k points of its place have lower indices
        const std::int32_t point = left_out_[static_cast<std::size_t>(q - size())];
        std::int32_t other = first_of_place_[static_cast<std::size_t>(point)];
        for (std::size_t m = 0; m < static_cast<std::size_t>(k_); ++m) {
          found[m] = {0.0, other};
          other = next_of_place_[static_cast<std::size_t>(other)];
        }
        visit_one(point, std::span<Candidate2d>(found.data(), static_cast<std::size_t>(k_)));
        continue;
      }
      const auto p = static_cast<std::size_t>(q);
      const double x = x_[p], y = y_[p];
      double bound = 0;
      if (radius_before >= 0) {
        const double step = std::sqrt((x - x_before) * (x - x_before) + (y - y_before) * (y - y_before));
        bound = (radius_before + step) * (radius_before + step);
        if (step > radius_before) bound = (std::min)(bound, window_bound(q));
      } else {
        bound = window_bound(q);
      }
      bound *= 1.0 + 0x1p-21;  // room for the roundings of this bound and for ties in float
      const std::size_t count = collect(x, y, bound, id_[p], found);
      select_nearest(found, spare, count, bound);
      x_before = x;
      y_before = y;
      double last = 0;
      for (std::size_t m = 0; m < static_cast<std::size_t>(k_); ++m)
        last = (std::max)(last, found[m].squared_distance);
      radius_before = std::sqrt(last);
      visit_one(id_[p], std::span<Candidate2d>(found.data(), count));
    }
  }

 private:
  struct Entry {
    double x, y;
    std::int32_t id;
  };
  struct Box {
    double min_x, max_x, min_y, max_y;
  };
  static constexpr std::int64_t leaf_points = 12;

  std::int64_t size() const { return static_cast<std::int64_t>(id_.size()); }
  std::int64_t level_begin(std::int64_t node_in_level, int level) const {
    return (size() * node_in_level) >> level;
  }

  /// Lists the points of each place in index order (hash table on the coordinates) and fills `entries_` /
  /// `left_out_`.
  void group_places(std::int64_t max_per_place) {
    const std::int64_t n = xy_.dim(0);
    const auto count = static_cast<std::size_t>(n);
    first_of_place_.resize(count);
    next_of_place_.assign(count, -1);
    const std::uint64_t slots = std::bit_ceil(static_cast<std::uint64_t>(n) * 2);
    std::vector<std::int32_t> table(slots, -1), last(count), members(count, 0);
    entries_.reserve(count);
    for (std::int64_t i = 0; i < n; ++i) {
      const double x = xy_.row(i)[0] + 0.0, y = xy_.row(i)[1] + 0.0;  // -0 becomes 0
      std::uint64_t hash = std::bit_cast<std::uint64_t>(x) * 0x9E3779B97F4A7C15ULL;
      hash = (hash ^ (hash >> 32) ^ std::bit_cast<std::uint64_t>(y)) * 0xD6E8FEB86659FD93ULL;
      hash ^= hash >> 32;
      std::uint64_t slot = hash & (slots - 1);
      while (table[slot] >= 0 && (xy_.row(table[slot])[0] != x || xy_.row(table[slot])[1] != y))
        slot = (slot + 1) & (slots - 1);
      const auto point = static_cast<std::int32_t>(i);
      if (table[slot] < 0) {
        table[slot] = point;
      } else {
        const auto head = static_cast<std::size_t>(table[slot]);
        next_of_place_[static_cast<std::size_t>(last[head])] = point;
      }
      const auto head = static_cast<std::size_t>(table[slot]);
      last[head] = point;
      first_of_place_[static_cast<std::size_t>(i)] = table[slot];
      if (members[head]++ < max_per_place)
        entries_.push_back({x, y, point});
      else
        left_out_.push_back(point);
    }
  }

  /// Splits level by level at the median of the longer side; node i of level l owns [n i / 2^l, n (i+1) /
  /// 2^l).
  void build() {
    const auto n = static_cast<std::int64_t>(entries_.size());
    id_.resize(entries_.size());
    levels_ = 0;
    while ((n >> levels_) > leaf_points) ++levels_;
    boxes_.resize((std::size_t{2} << levels_) - 1);
    for (int level = 0; level <= levels_; ++level)
      parallel_for(std::int64_t{1} << level, level < 6 ? 1 : 32, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t node = first; node < last; ++node) split(node, level);
      });
    x_.resize(entries_.size());
    y_.resize(entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      x_[i] = entries_[i].x;
      y_[i] = entries_[i].y;
      id_[i] = entries_[i].id;
    }
    std::vector<Entry>().swap(entries_);
  }
  void split(std::int64_t node, int level) {
    const std::int64_t begin = level_begin(node, level), end = level_begin(node + 1, level);
    Box box{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
            std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    for (std::int64_t i = begin; i < end; ++i) {
      const Entry& e = entries_[static_cast<std::size_t>(i)];
      box = {(std::min)(box.min_x, e.x), (std::max)(box.max_x, e.x), (std::min)(box.min_y, e.y),
             (std::max)(box.max_y, e.y)};
    }
    boxes_[static_cast<std::size_t>((std::int64_t{1} << level) - 1 + node)] = box;
    if (level == levels_) return;
    const std::int64_t middle = level_begin(2 * node + 1, level + 1);
    const bool by_x = box.max_x - box.min_x >= box.max_y - box.min_y;
    std::nth_element(entries_.begin() + begin, entries_.begin() + middle, entries_.begin() + end,
                     [by_x](const Entry& a, const Entry& b) {
                       const double p = by_x ? a.x : a.y, q = by_x ? b.x : b.y;
                       return p < q || (p == q && a.id < b.id);
                     });
  }

  /// Any k other points bound the k-th distance; those next to each other in the tree are near.
  double window_bound(std::int64_t q) const {
    const std::int64_t begin = (std::min)((std::max<std::int64_t>)(q - k_ / 2, 0), size() - k_ - 1);
    double bound = 0;
    for (std::int64_t i = begin; i <= begin + k_; ++i) {
      const double dx = x_[static_cast<std::size_t>(i)] - x_[static_cast<std::size_t>(q)];
      const double dy = y_[static_cast<std::size_t>(i)] - y_[static_cast<std::size_t>(q)];
      bound = (std::max)(bound, dx * dx + dy * dy);
    }
    return bound;
  }

  /// Every point but `self` with squared distance <= bound, at the front of `found`. \return how many.
  /// Iterative: the stack holds one node a level.
  STOFM_UNFUSED std::size_t collect(double x, double y, double bound, std::int32_t self,
                                    std::vector<Candidate2d>& found) const {
    STOFM_UNFUSED_BODY  // a GPU gives the same bits
        auto squared_distance_to = [x, y](const Box& box) {
          const double dx = (std::max)((std::max)(box.min_x - x, x - box.max_x), 0.0);
          const double dy = (std::max)((std::max)(box.min_y - y, y - box.max_y), 0.0);
          return dx * dx + dy * dy;
        };
    std::int64_t stack[72];
    int top = 0;
    stack[top++] = 0;
    std::size_t kept = 0;
    const std::int64_t first_leaf = (std::int64_t{1} << levels_) - 1;
    while (top > 0) {
      const std::int64_t node = stack[--top];
      if (node < first_leaf) {
        for (std::int64_t child = 2 * node + 2; child > 2 * node; --child) {
          stack[top] = child;
          top += squared_distance_to(boxes_[static_cast<std::size_t>(child)]) <= bound;
        }
        continue;
      }
      const auto begin = static_cast<std::size_t>(level_begin(node - first_leaf, levels_));
      const auto end = static_cast<std::size_t>(level_begin(node - first_leaf + 1, levels_));
      if (kept + (end - begin) > found.size()) found.resize(2 * found.size());
      Candidate2d* out = found.data() + kept;
      for (std::size_t i = begin; i < end; ++i) {
        const double ex = x_[i] - x, ey = y_[i] - y, d = ex * ex + ey * ey;
        *out = {d, id_[i]};
        out += static_cast<int>(d <= bound) & static_cast<int>(id_[i] != self);
      }
      kept = static_cast<std::size_t>(out - found.data());
    }
    return kept;
  }

  /// Puts the k nearest of found[0, count) in front. Squared distances of an even scatter are evenly spread,
  /// so counting them in intervals finds the k-th without comparing; only the interval it falls in is sorted.
  void select_nearest(std::vector<Candidate2d>& found, std::vector<Candidate2d>& spare, std::size_t count,
                      double bound) const {
    constexpr std::size_t intervals = 64;
    const auto k = static_cast<std::size_t>(k_);
    const double scale = static_cast<double>(intervals) / bound;
    if (count < 48 || !(scale < 1e300) || !(scale > 0)) {
      std::nth_element(found.data(), found.data() + (k_ - 1), found.data() + count);
      return;
    }
    auto interval_of = [scale](const Candidate2d& c) {
      return (std::min)(static_cast<std::size_t>(static_cast<std::int32_t>(c.squared_distance * scale)),
                        intervals - 1);
    };
    std::uint32_t sizes[intervals] = {};
    for (std::size_t i = 0; i < count; ++i) ++sizes[interval_of(found[i])];
    std::size_t before = 0, interval = 0;
    while (before + sizes[interval] < k) before += sizes[interval++];
    std::size_t at[3] = {0, before, before + sizes[interval]};  // nearer, in the interval, farther
    if (spare.size() < found.size()) spare.resize(found.size());
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t in = interval_of(found[i]);
      spare[at[static_cast<std::size_t>(in >= interval) + static_cast<std::size_t>(in > interval)]++] =
          found[i];
    }
    found.swap(spare);
    Candidate2d* const first = found.data() + before;
    std::nth_element(first, found.data() + (k_ - 1), first + sizes[interval]);
  }

  TensorView<const double> xy_;
  std::int64_t k_;
  int levels_ = 0;
  std::vector<Entry> entries_;          // only while building
  std::vector<double> x_, y_;           // in the order of the leaves
  std::vector<std::int32_t> id_;        // idem
  std::vector<Box> boxes_;              // of every node, level by level
  std::vector<std::int32_t> left_out_;  // points beyond max_per_place of their place
  std::vector<std::int32_t> first_of_place_, next_of_place_;
};

}  // namespace stofm::cluster

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The nearest neighbours of some points of the plane among all of them: a k-d tree for the readers, which
/// may not use the one of the clustering.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

namespace stofm::io {

/// A k-d tree with median splits over points [n, 2], all finite: balanced for any input. Deterministic.
/// *Cost* O(n log^2 n) to build, 8 bytes a point besides the points, which must outlive it.
class PlaneTree {
 public:
  struct Neighbour {
    double squared_distance;
    std::int64_t index;
    bool operator<(const Neighbour& other) const {
      return squared_distance < other.squared_distance ||
             (squared_distance == other.squared_distance && index < other.index);
    }
  };

  /// `progress` is called now and then.
  explicit PlaneTree(std::span<const double> xy, const std::function<void()>& progress = {})
      : xy_(xy), order_(xy.size() / 2) {
    std::iota(order_.begin(), order_.end(), std::int64_t{0});
    build(0, order_.size(), 0, progress);
  }

  /// The `count` nearest of point `query`, itself left out, nearest first; of points that are equally far as
  /// the last one, some.
  std::vector<Neighbour> nearest(std::int64_t query, std::size_t count) const {
    std::vector<Neighbour> best;
    best.reserve(count + 1);
    search(0, order_.size(), 0, query, count, best);
    std::sort_heap(best.begin(), best.end());
    return best;
  }

 private:
  static constexpr std::size_t leaf = 16;

  double at(std::int64_t point, int axis) const {
    return xy_[2 * static_cast<std::size_t>(point) + static_cast<std::size_t>(axis)];
  }
  void build(std::size_t begin, std::size_t end, int axis, const std::function<void()>& progress) {
    if (end - begin <= leaf) return;
    if (progress && end - begin > 65536) progress();
    const std::size_t middle = begin + (end - begin) / 2;
    const auto place = [this](std::size_t i) { return order_.begin() + static_cast<std::ptrdiff_t>(i); };
    std::nth_element(place(begin), place(middle), place(end), [this, axis](std::int64_t a, std::int64_t b) {
      return at(a, axis) < at(b, axis) || (at(a, axis) == at(b, axis) && a < b);
    });
    build(begin, middle, 1 - axis, progress);
    build(middle + 1, end, 1 - axis, progress);
  }
  void offer(std::int64_t point, std::int64_t query, std::size_t count, std::vector<Neighbour>& best) const {
    if (point == query) return;
    const double dx = at(point, 0) - at(query, 0), dy = at(point, 1) - at(query, 1);
    const Neighbour found{dx * dx + dy * dy, point};
    if (best.size() == count && !(found < best.front())) return;
    best.push_back(found);
    std::push_heap(best.begin(), best.end());
    if (best.size() <= count) return;
    std::pop_heap(best.begin(), best.end());
    best.pop_back();
  }
  void search(std::size_t begin, std::size_t end, int axis, std::int64_t query, std::size_t count,
              std::vector<Neighbour>& best) const {
    if (end - begin <= leaf) {
      for (std::size_t i = begin; i < end; ++i) offer(order_[i], query, count, best);
      return;
    }
    const std::size_t middle = begin + (end - begin) / 2;
    offer(order_[middle], query, count, best);
    const double off = at(query, axis) - at(order_[middle], axis);
    const bool right_first = off > 0;
    for (const bool right : {right_first, !right_first}) {
      const bool far = right != right_first;
      if (far && best.size() == count && !(off * off < best.front().squared_distance)) return;
      if (right)
        search(middle + 1, end, 1 - axis, query, count, best);
      else
        search(begin, middle, 1 - axis, query, count, best);
    }
  }

  std::span<const double> xy_;
  std::vector<std::int64_t> order_;
};

}  // namespace stofm::io

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Exact k nearest neighbours in the plane, each point among the others, by (squared distance, index), with
/// the bits of cluster/knn_2d.hpp.
///
/// Points in Morton order; every 32 of them have a box, every 32 boxes a box above them, until 32 or fewer
/// are left. A warp answers one query, a lane looks at one point or child: first the leaves around its own
/// place (enough for k candidates), then down from the top through every box that can hold a candidate that
/// comes before the k-th. A box also knows its lowest index: among boxes at the distance of the k-th only
/// those with a lower index count, so that a heap of coincident points, whose lowest indices lie in its first
/// leaf, costs no more than other points. A uniform grid would be simpler, but one far outlier or one heap
/// puts all points in one of its cells.
///
/// The distance to a box is rounded as those to points are, and rounding is monotonic: it never exceeds the
/// distance to a point inside.
/// Shared memory: 12 bytes times buffer_capacity(k) a warp, and its stack. No barriers of the block;
/// deterministic. Limiter: latency and double units; about 10 boxes and 5 leaves a query for k = 9 on even
/// scatters.

#include "stofm/kernels/knn_2d/bounding_box.cuh"

namespace stofm::kernels::knn_2d {

/// Points in the order of the curve and their boxes.
struct Tree {
  double* x;              // [n]
  double* y;              // [n]
  std::uint32_t* points;  // [n] index of the point at each place
  Box* boxes;             // [levels.total]
  std::uint32_t* lowest;  // [levels.total] lowest index of a point inside
  Levels levels;
  std::int64_t n;
};

struct BuildParams {
  const double* xy;  // [n, 2]
  Tree tree;
  int level;  ///< 0: points and their leaves; else boxes from those of the level below
};
inline constexpr int build_warps = 8;

/// Grid: a warp per box of the level.
template <class T>
static __global__ void build_level(const BuildParams p) {
  const Tree& tree = p.tree;
  const std::int64_t box_number = std::int64_t(blockIdx.x) * build_warps + warp();
  if (box_number >= tree.levels.boxes[p.level]) return;  // the whole warp
  const std::int64_t child = box_number * fan + lane();
  Box box = empty_box();
  std::uint32_t lowest = no_point;
  if (p.level == 0) {
    if (child < tree.n) {
      lowest = tree.points[child];
      const double x = p.xy[2 * std::int64_t{lowest}], y = p.xy[2 * std::int64_t{lowest} + 1];
      tree.x[child] = x;
      tree.y[child] = y;
      box = {x, x, y, y};
    }
  } else if (child < tree.levels.boxes[p.level - 1]) {
    box = tree.boxes[tree.levels.first[p.level - 1] + child];
    lowest = tree.lowest[tree.levels.first[p.level - 1] + child];
  }
  box = warp_box(box);
  lowest = ~warp_max(~lowest);
  if (lane() != 0) return;
  tree.boxes[tree.levels.first[p.level] + box_number] = box;
  tree.lowest[tree.levels.first[p.level] + box_number] = lowest;
}

struct QueryParams {
  Tree tree;
  std::int32_t* indices;      // [n, k]
  double* squared_distances;  // [n, k]
  std::int64_t k;
  int capacity;  ///< buffer_capacity(k)
};

/// Squared distance to a box, at most the distance to any point inside.
__device__ __forceinline__ double distance_to_box(double x, double y, const Box& box) {
  const double dx = maximum(maximum(rounded_add(box.low_x, -x), rounded_add(x, -box.high_x)), 0.0);
  const double dy = maximum(maximum(rounded_add(box.low_y, -y), rounded_add(y, -box.high_y)), 0.0);
  return rounded_add(rounded_multiply(dx, dx), rounded_multiply(dy, dy));
}

/// One query on its way through the tree. All lanes hold the same but the child or point they look at.
class Query {
 public:
  __device__ __forceinline__ Query(const Tree& tree, std::int64_t place, NearestBuffer& found)
      : tree_(tree), place_(place), x_(tree.x[place]), y_(tree.y[place]), found_(found) {}

  __device__ __forceinline__ void run() {
    // ---- the leaves around the query: k candidates and so a bound ----
    const std::int64_t leaves = tree_.levels.boxes[0];
    const std::int64_t window = minimum(found_.wanted() / fan + 2, leaves);
    first_leaf_ = minimum(maximum<std::int64_t>(place_ / fan - window / 2, 0), leaves - window);
    end_leaf_ = first_leaf_ + window;
    for (std::int64_t leaf = first_leaf_; leaf < end_leaf_; ++leaf) look_at_leaf(leaf);
    found_.keep_nearest();
    // ---- whatever else may come before the k-th ----
    if (window < leaves) walk();
    found_.keep_nearest();
  }

 private:
  __device__ __forceinline__ void look_at_leaf(std::int64_t leaf) {
    const std::int64_t at = leaf * fan + lane();
    const bool valid = at < tree_.n && at != place_;
    found_.offer(valid ? squared_distance(tree_.x[at], tree_.y[at], x_, y_) : 0.0,
                 valid ? tree_.points[at] : no_point, valid);
  }
  /// Whether child `number` of `level` can hold a candidate that is wanted.
  __device__ __forceinline__ bool is_wanted(int level, std::int64_t number) const {
    if (number >= tree_.levels.boxes[level]) return false;
    const std::int64_t at = tree_.levels.first[level] + number;
    return comes_before(distance_to_box(x_, y_, tree_.boxes[at]), tree_.lowest[at], found_.bound_distance(),
                        found_.bound_index());
  }
  /// Depth first; a level of the stack is the children that are still to be visited.
  __device__ __forceinline__ void walk() {
    std::uint32_t open[most_levels];
    std::int64_t parent[most_levels];
    int level = tree_.levels.count - 1;
    parent[level] = 0;
    open[level] = ballot(is_wanted(level, lane()));
    for (;;) {
      if (open[level] == 0) {
        if (++level == tree_.levels.count) return;
        open[level] &= ballot(is_wanted(level, parent[level] * fan + lane()));  // the bound may be nearer now
        continue;
      }
      const std::uint32_t lowest_bit = open[level] & (~open[level] + 1U);
      open[level] ^= lowest_bit;
      const std::int64_t child = parent[level] * fan + count_bits(lowest_bit - 1U);
      if (level > 0) {
        --level;
        parent[level] = child;
        open[level] = ballot(is_wanted(level, child * fan + lane()));
        continue;
      }
      if (child >= first_leaf_ && child < end_leaf_) continue;  // seen at the start
      look_at_leaf(child);
      if (found_.count() >= found_.wanted() + settle_after) {
        found_.keep_nearest();
        open[0] &= ballot(is_wanted(0, parent[0] * fan + lane()));
      }
    }
  }

  const Tree& tree_;
  std::int64_t place_, first_leaf_ = 0, end_leaf_ = 0;
  double x_, y_;
  NearestBuffer& found_;
};

/// Grid: a warp per point; `Warps` warps a block.
template <int Warps>
static __global__ void query_points(const QueryParams p) {
  const std::int64_t place = std::int64_t(blockIdx.x) * Warps + warp();
  if (place >= p.tree.n) return;  // the whole warp
  NearestBuffer found(shared_bytes(), p.capacity, p.k);
  Query(p.tree, place, found).run();
  const std::int64_t row = std::int64_t{p.tree.points[place]} * p.k;
  for (int e = lane(); e < p.k; e += warp_size) {
    p.indices[row + e] = static_cast<std::int32_t>(found.index(e));
    p.squared_distances[row + e] = found.distance(e);
  }
}

}  // namespace stofm::kernels::knn_2d

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Launches of the counting sort, and radix sorts made of it.

#include "stofm/kernels/common/launch.cuh"
#include "stofm/kernels/kmeans/counting_sort.cuh"
#include "stofm/kernels/kmeans/transfer_array.hpp"

namespace stofm::kernels::counting_sort {

/// How `items` items in parts of `part_items` are cut in tiles.
inline Layout layout_of(std::int64_t items, std::int64_t buckets, std::int64_t part_items) {
  Layout layout;
  layout.items = items;
  layout.buckets = buckets;
  layout.part_items = maximum<std::int64_t>(part_items, 1);
  layout.parts = maximum<std::int64_t>(ceil_div(items, layout.part_items), 1);
  layout.tiles_per_part = kmeans::sort_tiles(minimum(layout.part_items, items));
  layout.tile_items = kmeans::sort_tile_rows(minimum(layout.part_items, items));
  return layout;
}

/// Memory of one sort.
struct Workspace {
  std::uint32_t* tile_counts;
  std::uint32_t* totals;
  std::int64_t* offsets;
};
inline Workspace cut_workspace(WorkspaceCutter& cutter, const Layout& layout) {
  const std::int64_t segments = checked_mul(layout.parts, layout.buckets, "segments");
  Workspace w;
  w.tile_counts = cutter.take<std::uint32_t>(checked_mul(segments, layout.tiles_per_part, "counts of tiles"));
  w.totals = cutter.take<std::uint32_t>(segments);
  w.offsets = cutter.take<std::int64_t>(segments + 1);
  return w;
}

/// Queues the sort: offsets of the segments and, if wanted, the order or the moved keys and values.
template <class Keys>
void launch_sort(const Params<Keys>& p, CudaStream stream) {
  const std::int64_t segments = p.layout.parts * p.layout.buckets;
  const unsigned tiles = blocks(p.layout.parts * p.layout.tiles_per_part);
  const auto bytes = static_cast<std::size_t>(p.layout.buckets);
  launch(count_tiles<Keys>,
         {.grid = {tiles},
          .block = {warp_size},
          .shared_bytes = 4 * bytes,
          .stream = stream,
          .name = "count_tiles"},
         p);
  launch(sum_tiles<Keys>,
         {.grid = {blocks(segments, 128)},
          .block = {128},
          .shared_bytes = 0,
          .stream = stream,
          .name = "sum_tiles"},
         p);
  launch(sum_segments<Keys>,
         {.grid = {1},
          .block = {offset_threads},
          .shared_bytes = 8 * std::size_t{offset_threads},
          .stream = stream,
          .name = "sum_segments"},
         p);
  if (p.order == nullptr && p.keys_in == nullptr) return;
  launch(place_items<Keys>,
         {.grid = {tiles},
          .block = {warp_size},
          .shared_bytes = 8 * bytes,
          .stream = stream,
          .name = "place_items"},
         p);
}

/// Memory of a radix sort of 64-bit keys with 32-bit values, beside the keys and values themselves.
struct RadixWorkspace {
  Layout layout;
  Workspace sort;
  std::uint64_t* other_keys;
  std::uint32_t* other_values;
};
inline RadixWorkspace cut_radix_workspace(WorkspaceCutter& cutter, std::int64_t items) {
  RadixWorkspace w;
  w.layout = layout_of(items, 256, items);
  w.sort = cut_workspace(cutter, w.layout);
  w.other_keys = cutter.take<std::uint64_t>(items);
  w.other_values = cutter.take<std::uint32_t>(items);
  return w;
}

/// Sorts by the lowest `key_bytes` bytes of the keys, stable; an even number of bytes leaves the result in
/// `keys` and `values`, so an odd one is rounded up.
inline void launch_radix_sort(std::uint64_t* keys, std::uint32_t* values, int key_bytes,
                              const RadixWorkspace& w, CudaStream stream) {
  std::uint64_t* from_keys = keys;
  std::uint32_t* from_values = values;
  std::uint64_t* to_keys = w.other_keys;
  std::uint32_t* to_values = w.other_values;
  for (int byte = 0; byte < (key_bytes + 1) / 2 * 2; ++byte) {
    launch_sort<ByteKeys>({{from_keys, 8 * byte},
                           w.layout,
                           w.sort.tile_counts,
                           w.sort.totals,
                           w.sort.offsets,
                           nullptr,
                           from_keys,
                           to_keys,
                           from_values,
                           to_values},
                          stream);
    std::swap(from_keys, to_keys);
    std::swap(from_values, to_values);
  }
}

}  // namespace stofm::kernels::counting_sort

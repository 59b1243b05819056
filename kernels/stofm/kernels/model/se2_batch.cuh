// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A batch of sub-slices on its way to the kernels, in one of two forms. On the host: everything is written
/// once into pinned memory and copied in one piece. Built on the device: features and node tables are written
/// and copied like that, listed pairs and their distances are put in order by kernels after the copy. Host
/// code.

#include <cstddef>
#include <cstring>
#include <limits>
#include <span>

#include "stofm/backend/cuda/gaussian_bias.hpp"
#include "stofm/backend/cuda/pair_batch.hpp"
#include "stofm/backend/cuda/se2_encoder.hpp"
#include "stofm/backend/cuda/se2_trainer.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/kernels/pair_index/pair_index.cuh"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels::se2 {

using backend::Se2DeviceSlices;
using backend::Se2Slice;
using backend::Se2TrainingSlice;

/// The distance of pairs that are not listed (ops/pair_distances.hpp).
inline constexpr float far_pair_distance = 100.0F;

/// Pinned host memory that grows.
class PinnedBytes {
 public:
  PinnedBytes() = default;
  PinnedBytes(const PinnedBytes&) = delete;
  PinnedBytes& operator=(const PinnedBytes&) = delete;
  ~PinnedBytes() {
    if (data_ != nullptr) backend::release_pinned(data_);
  }
  std::byte* reserve(Cuda device, std::int64_t bytes) {
    if (bytes <= bytes_) return data_;
    if (data_ != nullptr) backend::release_pinned(std::exchange(data_, nullptr));
    bytes_ = 0;
    data_ = static_cast<std::byte*>(backend::allocate_pinned(device, bytes));
    bytes_ = bytes;
    return data_;
  }
  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::int64_t bytes_ = 0;
};

/// Device pointers of a batch.
struct Se2BatchView {
  std::int64_t slices = 0, nodes = 0, entries = 0;
  const float* features = nullptr;          // [nodes, C]
  const std::int32_t* types = nullptr;      // [nodes]
  const std::int32_t* row_slice = nullptr;  // [nodes]
  /// [distance_entries.count], the far one last: each number once in training, else one a listed pair.
  const float* distances = nullptr;
  backend::DistanceEntries distance_entries;
  backend::PairBatch pairs;
  // Training
  std::int64_t masked = 0;                     // predicted nodes
  const std::uint32_t* keys = nullptr;         // [sites, slices, 4]
  const std::int32_t* masked_nodes = nullptr;  // [masked] rows of the batch
  const float* masked_targets = nullptr;       // [masked, C]
  const float* pair_targets = nullptr;         // [pairs.pairs]

  const std::uint32_t* site_keys(std::int64_t site) const { return keys + 4 * slices * site; }
};

/// What besides the slices goes along.
struct Se2BatchExtras {
  bool all_pairs = false;                           ///< ask for P_L at every pair (one slice)
  std::span<const Se2TrainingSlice> training = {};  ///< one per slice, or none
  std::int64_t dropout_sites = 0;                   ///< with training
};

class Se2BatchBuffer {
 public:
  /// Reads the slices into pinned memory. Nothing of an earlier batch may be under way. \throws UsageError
  /// STOFM-6062, ResourceError
  void fill(Cuda device, std::int64_t input_dim, std::span<const Se2Slice> slices,
            const Se2BatchExtras& extras);
  /// The same for sub-slices that lie on the device: they must until what `copy` queues is done. For
  /// inference: strips by row only.
  void fill(Cuda device, std::int64_t input_dim, const Se2DeviceSlices& slices);
  std::int64_t nodes() const { return view_.nodes; }
  std::int64_t slices() const { return view_.slices; }
  std::int64_t entries() const { return view_.entries; }
  float largest_distance() const { return largest_distance_; }  ///< no listed one is larger; inference only
  std::int64_t bytes() const { return bytes_; }
  /// Queues the copy on `stream`, and the kernels that do the rest. The device buffer must have been
  /// reserved.
  void copy(Cuda device, CudaStream stream) {
    use_device(device);
    STOFM_CUDA_CHECK(cudaMemcpyAsync(memory_.data(), pinned_.data(), static_cast<std::size_t>(copied_bytes_),
                                     cudaMemcpyHostToDevice, native(stream)));
    if (built_ != nullptr) take_built(stream);
  }
  /// Makes room on the device, ordered on the thread's current stream. \return whether anything was allocated
  bool reserve(Cuda device) {
    if (bytes_ <= memory_.size()) return false;
    memory_.reserve(device, bytes_ + bytes_ / 8);
    return true;
  }
  std::int64_t device_bytes() const { return memory_.size(); }
  /// Takes the device memory of a batch whose kernels are queued on the stream of the next copy.
  void take_memory(Se2BatchBuffer& from) {
    if (from.memory_.size() > memory_.size()) std::swap(memory_, from.memory_);
  }
  /// Gives the device memory back.
  void release() { memory_ = {}; }
  /// Pointers on the device, after `reserve`.
  Se2BatchView view() const;

 private:
  /// Offsets of the sections, from first to last.
  struct Sections {
    std::int64_t features = 0, types = 0, row_slice = 0, distances = 0, distance_of = 0, offsets = 0,
                 order = 0, keys = 0, masked_nodes = 0, masked_targets = 0, pair_targets = 0, plan = 0,
                 far = 0, strip_offsets = 0, strip_positions = 0, strip_entries = 0;
  };
  template <class T>
  std::int64_t section(std::int64_t count) {
    const std::int64_t at = bytes_;
    bytes_ += (count * static_cast<std::int64_t>(sizeof(T)) + 255) / 256 * 256;
    return at;
  }
  template <class T>
  T* host(std::int64_t at) const {
    return reinterpret_cast<T*>(pinned_.data() + at);
  }
  static void check(const Se2Slice& slice, std::size_t number, bool training);
  void write(std::int64_t input_dim, std::span<const Se2Slice> slices, const Se2BatchExtras& extras);
  /// Where the parts of a slice begin in the sections.
  struct Begin {
    std::int64_t node = 0, distance = 0, entry = 0, masked = 0, pair = 0;
  };
  void write_slice(std::int64_t input_dim, const Se2Slice& slice, std::int64_t number, const Begin& at);
  void write_labels(std::int64_t input_dim, const Se2TrainingSlice& labels, std::int64_t number,
                    std::int64_t sites, const Begin& at);
  void write_order(const Se2Slice& slice, const Begin& at);
  void take_built(CudaStream stream);
  template <class T>
  T* at_device(std::int64_t at) {
    return reinterpret_cast<T*>(memory_.data() + at);
  }

  PinnedBytes pinned_;
  DeviceArray<std::byte> memory_;
  backend::PairBatchPlan plan_;
  Se2BatchView view_;  // sizes only
  Sections at_;
  bool training_ = false;
  float largest_distance_ = 0.0F;
  const backend::DeviceSubSlices* built_ = nullptr;  // null: everything comes from the host
  std::int64_t bytes_ = 0, copied_bytes_ = 0;
};

inline void Se2BatchBuffer::check(const Se2Slice& slice, std::size_t number, bool training) {
  const std::int64_t nodes = slice.nodes();
  const auto entries = static_cast<std::int64_t>(slice.columns.size());
  const auto refuse = [&](const std::string& found, const std::string& expected) {
    throw UsageError({"STOFM-6062", "", concat("[CudaSe2Encoder] slice ", number), found, expected,
                      "Build it with build_sub_slice()."});
  };
  const bool one_a_pair = !training && slice.distance_of.empty();
  const std::size_t listed = one_a_pair ? slice.distances.size() : slice.distance_of.size();
  if (static_cast<std::int64_t>(slice.row_offsets.size()) != nodes + 1 || slice.row_offsets.front() != 0 ||
      slice.row_offsets.back() != entries || listed != slice.columns.size())
    refuse(concat(slice.row_offsets.size(), " row offsets, ", entries, " columns, ", listed,
                  " distances of them"),
           concat("a list over ", nodes, " nodes"));
  const bool sorted = !slice.distance_offsets.empty();
  if (sorted && (slice.distance_offsets.size() != slice.distances.size() + 1 ||
                 slice.entries_by_distance.size() != slice.columns.size()))
    refuse(
        concat(slice.distance_offsets.size(), " offsets of ", slice.entries_by_distance.size(), " entries"),
        concat(slice.distances.size() + 1, " of ", slice.columns.size()));
  for (const std::int32_t type : slice.types)
    if (type < 0 || type > 2) refuse(concat("node type ", type), "0 cell, 1 CLS or 2 virtual cell");
  const auto check_below = [&](std::span<const std::int32_t> values, std::int64_t bound, const char* what) {
    std::uint32_t largest = 0;  // of all, without a branch; a negative one is larger than any bound
    for (const std::int32_t v : values) largest = (std::max)(largest, static_cast<std::uint32_t>(v));
    if (!values.empty() && largest >= bound)
      refuse(concat(what, " ", static_cast<std::int32_t>(largest)), concat("0 to ", bound - 1));
  };
  check_below(slice.distance_of, static_cast<std::int64_t>(slice.distances.size()), "distance number");
  check_below(slice.entries_by_distance, entries, "entry by distance");
  check_below(slice.columns, nodes, "column");
}

inline void Se2BatchBuffer::fill(Cuda device, std::int64_t input_dim, std::span<const Se2Slice> slices,
                                 const Se2BatchExtras& extras) {
  plan_.clear();
  view_ = {};
  built_ = nullptr;
  largest_distance_ = 0.0F;
  training_ = !extras.training.empty();
  const auto count = static_cast<std::int64_t>(slices.size());
  parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      check(slices[at], at, training_);
    }
  });
  std::int64_t distances = 0, pair_targets = 0;
  std::vector<backend::SlicePairs> pairs;
  std::vector<std::int64_t> all_rows, all_columns;  // of the one slice that all pairs are asked of
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const Se2Slice& slice = slices[i];
    pairs.push_back({slice.row_offsets, slice.columns, {}, {}});
    if (training_) {
      const Se2TrainingSlice& labels = extras.training[i];
      pairs.back().asked_rows = labels.pair_rows;
      pairs.back().asked_columns = labels.pair_columns;
      view_.masked += static_cast<std::int64_t>(labels.masked_nodes.size());
      pair_targets += static_cast<std::int64_t>(labels.pair_targets.size());
      distances += static_cast<std::int64_t>(slice.distances.size());
    } else if (extras.all_pairs) {
      const std::int64_t n = slice.nodes();
      all_rows.resize(static_cast<std::size_t>(n * n));
      all_columns.resize(all_rows.size());
      for (std::size_t p = 0; p < all_rows.size(); ++p) {
        all_rows[p] = static_cast<std::int64_t>(p) / n;
        all_columns[p] = static_cast<std::int64_t>(p) % n;
      }
      pairs.back().asked_rows = all_rows;
      pairs.back().asked_columns = all_columns;
    }
  }
  // Forward walks over rows alone.
  plan_.add(pairs, training_ ? backend::PairSides::rows_and_columns : backend::PairSides::rows);
  view_.slices = plan_.slices();
  view_.nodes = plan_.nodes();
  view_.entries = plan_.entries();
  if (!training_) distances = plan_.entries();
  view_.distance_entries.count = distances + 1;
  view_.distance_entries.entries = plan_.entries();
  bytes_ = 0;
  at_ = {};
  at_.features = section<float>(view_.nodes * input_dim);
  at_.types = section<std::int32_t>(view_.nodes);
  at_.row_slice = section<std::int32_t>(view_.nodes);
  at_.distances = section<float>(distances + 1);
  if (training_) {
    at_.distance_of = section<std::int32_t>(view_.entries);
    at_.offsets = section<std::int32_t>(distances + 1);
    at_.order = section<std::int32_t>(view_.entries);
    at_.keys = section<std::uint32_t>(4 * view_.slices * extras.dropout_sites);
    at_.masked_nodes = section<std::int32_t>(view_.masked);
    at_.masked_targets = section<float>(view_.masked * input_dim);
    at_.pair_targets = section<float>(pair_targets);
  }
  at_.plan = bytes_;
  bytes_ += plan_.bytes();
  copied_bytes_ = bytes_;
  pinned_.reserve(device, bytes_ + bytes_ / 8);
  write(input_dim, slices, extras);
}

/// All slices side by side: every section has its part of each.
inline void Se2BatchBuffer::write(std::int64_t input_dim, std::span<const Se2Slice> slices,
                                  const Se2BatchExtras& extras) {
  std::vector<Begin> begins{Begin()};
  for (std::size_t i = 0; i < slices.size(); ++i) {
    Begin next = begins.back();
    next.node += slices[i].nodes();
    next.entry += static_cast<std::int64_t>(slices[i].columns.size());
    next.distance +=
        static_cast<std::int64_t>(training_ ? slices[i].distances.size() : slices[i].columns.size());
    if (training_) {
      next.masked += static_cast<std::int64_t>(extras.training[i].masked_nodes.size());
      next.pair += static_cast<std::int64_t>(extras.training[i].pair_targets.size());
    }
    begins.push_back(next);
  }
  parallel_for(static_cast<std::int64_t>(slices.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      write_slice(input_dim, slices[at], i, begins[at]);
      if (!training_) continue;
      write_labels(input_dim, extras.training[at], i, extras.dropout_sites, begins[at]);
      write_order(slices[at], begins[at]);
    }
  });
  const Begin& end = begins.back();
  host<float>(at_.distances)[end.distance] = far_pair_distance;
  if (training_) {
    host<std::int32_t>(at_.offsets)[end.distance] = static_cast<std::int32_t>(end.entry);
  } else {
    const float* const listed = host<float>(at_.distances);
    for (std::int64_t e = 0; e < end.entry; ++e) largest_distance_ = (std::max)(largest_distance_, listed[e]);
  }
  plan_.write(pinned_.data() + at_.plan);
}

inline void Se2BatchBuffer::write_slice(std::int64_t input_dim, const Se2Slice& slice, std::int64_t number,
                                        const Begin& at) {
  const std::int64_t nodes = slice.nodes();
  for (std::int64_t n = 0; n < nodes; ++n)
    std::copy_n(slice.features + n * slice.feature_stride, input_dim,
                host<float>(at_.features) + (at.node + n) * input_dim);
  std::copy_n(slice.types.data(), nodes, host<std::int32_t>(at_.types) + at.node);
  std::fill_n(host<std::int32_t>(at_.row_slice) + at.node, nodes, static_cast<std::int32_t>(number));
  float* const distances = host<float>(at_.distances) + at.distance;
  if (training_ || slice.distance_of.empty()) {
    std::copy(slice.distances.begin(), slice.distances.end(), distances);
  } else {
    for (std::size_t e = 0; e < slice.columns.size(); ++e)
      distances[e] = slice.distances[static_cast<std::size_t>(slice.distance_of[e])];
  }
}

inline void Se2BatchBuffer::write_labels(std::int64_t input_dim, const Se2TrainingSlice& labels,
                                         std::int64_t number, std::int64_t sites, const Begin& at) {
  std::int32_t* const masked = host<std::int32_t>(at_.masked_nodes) + at.masked;
  for (std::size_t m = 0; m < labels.masked_nodes.size(); ++m)
    masked[m] = static_cast<std::int32_t>(at.node + labels.masked_nodes[m]);
  std::copy_n(labels.masked_targets, static_cast<std::int64_t>(labels.masked_nodes.size()) * input_dim,
              host<float>(at_.masked_targets) + at.masked * input_dim);
  std::copy(labels.pair_targets.begin(), labels.pair_targets.end(), host<float>(at_.pair_targets) + at.pair);
  for (std::int64_t site = 0; site < sites; ++site) {
    const DropoutMask mask(labels.dropout_key.child(static_cast<std::uint64_t>(site)), 0);
    std::copy_n(mask.key.data(), 4, host<std::uint32_t>(at_.keys) + 4 * (site * view_.slices + number));
  }
}

/// Numbers of the distances, and the entries by distance, for the gradient.
inline void Se2BatchBuffer::write_order(const Se2Slice& slice, const Begin& at) {
  const auto first_distance = static_cast<std::int32_t>(at.distance),
             first = static_cast<std::int32_t>(at.entry);
  std::int32_t* const distance_of = host<std::int32_t>(at_.distance_of) + at.entry;
  std::int32_t* const offsets = host<std::int32_t>(at_.offsets) + at.distance;
  std::int32_t* const order = host<std::int32_t>(at_.order) + at.entry;
  const std::size_t count = slice.distances.size(), entries = slice.columns.size();
  for (std::size_t e = 0; e < entries; ++e) distance_of[e] = slice.distance_of[e] + first_distance;
  if (!slice.distance_offsets.empty()) {
    for (std::size_t d = 0; d < count; ++d) offsets[d] = slice.distance_offsets[d] + first;
    for (std::size_t e = 0; e < entries; ++e) order[e] = slice.entries_by_distance[e] + first;
    return;
  }
  std::vector<std::int32_t> next(count + 1);  // a counting sort keeps the order of equal ones
  for (const std::int32_t d : slice.distance_of) ++next[static_cast<std::size_t>(d) + 1];
  for (std::size_t d = 0; d < count; ++d) {
    next[d + 1] += next[d];
    offsets[d] = next[d] + first;
  }
  for (std::size_t e = 0; e < entries; ++e)
    order[next[static_cast<std::size_t>(slice.distance_of[e])]++] = static_cast<std::int32_t>(e) + first;
}

inline void Se2BatchBuffer::fill(Cuda device, std::int64_t input_dim, const Se2DeviceSlices& slices) {
  const backend::DeviceSubSlices& built = *slices.sub_slices;
  const std::size_t pieces = built.node_offsets.size() - 1;
  if (built.entries > (std::numeric_limits<std::int32_t>::max)())
    throw ResourceError({"STOFM-6051", "", "[CudaSe2Encoder]", concat(built.entries, " listed pairs"),
                         "at most 2^31 - 1 in one batch", "Use smaller batches."});
  plan_.clear();
  view_ = {};
  built_ = nullptr;
  training_ = false;
  for (std::size_t i = 0; i < pieces; ++i) plan_.add_nodes(built.node_offsets[i + 1] - built.node_offsets[i]);
  view_.slices = plan_.slices();
  view_.nodes = plan_.nodes();
  view_.entries = view_.distance_entries.entries = built.entries;
  view_.distance_entries.count = built.entries + 1;
  largest_distance_ = slices.largest_distance;
  bytes_ = 0;
  at_ = {};
  at_.features = section<float>(view_.nodes * input_dim);
  at_.row_slice = section<std::int32_t>(view_.nodes);
  at_.far = section<float>(1);
  at_.plan = section<std::byte>(plan_.bytes());
  copied_bytes_ = bytes_;
  at_.types = section<std::int32_t>(view_.nodes);
  at_.distances = section<float>(view_.distance_entries.count);
  at_.strip_offsets = section<std::int64_t>(plan_.strips() + 1);
  at_.strip_positions = section<std::uint16_t>(view_.entries);
  at_.strip_entries = section<std::int32_t>(view_.entries);
  pinned_.reserve(device, copied_bytes_ + copied_bytes_ / 8);
  parallel_for(view_.slices, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const std::int64_t first = built.node_offsets[at], nodes = built.node_offsets[at + 1] - first;
      slices.write_features(at, host<float>(at_.features) + first * input_dim);
      std::fill_n(host<std::int32_t>(at_.row_slice) + first, nodes, static_cast<std::int32_t>(i));
    }
  });
  *host<float>(at_.far) = far_pair_distance;
  plan_.write(pinned_.data() + at_.plan);
  built_ = &built;
}

/// What the host form copies besides: types, distances, strips.
inline void Se2BatchBuffer::take_built(CudaStream stream) {
  const backend::DeviceSubSlices& built = *std::exchange(built_, nullptr);
  const Se2BatchView batch = view();
  const auto copy = [&]<class T>(T* to, const T* from, std::int64_t count) {
    if (count == 0) return;
    STOFM_CUDA_CHECK(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T),
                                     cudaMemcpyDeviceToDevice, native(stream)));
  };
  copy(at_device<std::int32_t>(at_.types), built.token_types.data(), batch.nodes);
  copy(at_device<float>(at_.distances), built.values.data(), batch.entries);
  copy(at_device<float>(at_.distances) + batch.entries, at_device<const float>(at_.far), 1);
  pair_index::launch_strips_by_row(
      stream,
      {batch.pairs, built.row_offsets.data(), built.columns.data(), at_device<std::int64_t>(at_.strip_offsets),
       at_device<std::uint16_t>(at_.strip_positions), at_device<std::int32_t>(at_.strip_entries)});
}

inline Se2BatchView Se2BatchBuffer::view() const {
  const auto device = [this](std::int64_t at) { return memory_.data() + at; };
  Se2BatchView view = view_;
  view.features = reinterpret_cast<const float*>(device(at_.features));
  view.types = reinterpret_cast<const std::int32_t*>(device(at_.types));
  view.row_slice = reinterpret_cast<const std::int32_t*>(device(at_.row_slice));
  view.distances = reinterpret_cast<const float*>(device(at_.distances));
  if (training_) {
    view.distance_entries.distance_of = reinterpret_cast<const std::int32_t*>(device(at_.distance_of));
    view.distance_entries.offsets = reinterpret_cast<const std::int32_t*>(device(at_.offsets));
    view.distance_entries.order = reinterpret_cast<const std::int32_t*>(device(at_.order));
    view.keys = reinterpret_cast<const std::uint32_t*>(device(at_.keys));
    view.masked_nodes = reinterpret_cast<const std::int32_t*>(device(at_.masked_nodes));
    view.masked_targets = reinterpret_cast<const float*>(device(at_.masked_targets));
    view.pair_targets = reinterpret_cast<const float*>(device(at_.pair_targets));
  }
  view.pairs = plan_.view(device(at_.plan));
  if (at_.strip_offsets > 0) {
    view.pairs.entries = view_.entries;
    view.pairs.bias_by_row = {reinterpret_cast<const std::int64_t*>(device(at_.strip_offsets)),
                              reinterpret_cast<const std::uint16_t*>(device(at_.strip_positions)),
                              reinterpret_cast<const std::int32_t*>(device(at_.strip_entries))};
  }
  return view;
}

}  // namespace stofm::kernels::se2

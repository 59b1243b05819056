// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Mini-batch k-means on the device, step for step as cluster/mini_batch_kmeans.hpp: the same draws, the same
/// bits. The host draws the random numbers (a few per batch row), queues batches and looks at the state now
/// and then.

#include <algorithm>
#include <cmath>
#include <limits>

#include "stofm/core/random.hpp"
#include "stofm/kernels/kmeans/launch.cuh"
#include "stofm/kernels/kmeans/start_forward.cuh"

namespace stofm::kernels::kmeans {

class MiniBatchRun {
 public:
  /// `rows`: host, [n, d], rows dense.
  MiniBatchRun(Cuda device, TensorView<const float> rows, const backend::KMeansSettings& settings,
               std::int64_t shared_limit)
      : device_(device),
        settings_(settings),
        n_(rows.dim(0)),
        d_(rows.dim(1)),
        shared_limit_(shared_limit),
        random_(settings.seed, 0x6B6D),
        rows_(device, checked_mul(n_, d_, "rows")),
        labels_(device, n_),
        distances_(device, n_),
        to_new_(device, n_),
        zeros_(device, n_),
        found_values_(device, farthest_blocks),
        found_rows_(device, farthest_blocks),
        centres_(device, (std::min)(settings.clusters, n_) * d_) {
    const std::int64_t width = d_ * 4;
    backend::copy_rows(device, rows_.data(), width, rows.data, n_ > 1 ? rows.stride(0) * 4 : width, width, n_,
                       backend::CopyDirection::to_device);
    backend::fill_bytes(device, zeros_.data(), 0, zeros_.bytes());
  }

  backend::KMeansOutcome run() {
    start();
    backend::KMeansOutcome outcome;
    outcome.batches = run_batches();
    const std::int64_t empty = run_full_steps();
    outcome.labels = labels_.to_host();
    outcome.centres.resize(static_cast<std::size_t>(k_ * d_));
    centres_.download(outcome.centres.data(), k_ * d_);
    outcome.clusters = k_;
    if (empty > 0) drop_empty(outcome);
    for (const float distance : distances_.to_host()) outcome.inertia += static_cast<double>(distance);
    return outcome;
  }

 private:
  static constexpr std::int64_t farthest_blocks = 256;

  CudaStream stream() const { return backend::current_stream(device_); }
  Problem problem(std::int64_t n) const { return {n, d_, k_, shared_limit_, stream(), device_}; }
  std::int64_t draw_below(std::int64_t bound) {
    return static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(bound)));
  }
  void gather(const std::int64_t* which, std::int64_t count, float* out) const {
    launch(gather_rows<float>,
           {.grid = {blocks(count)},
            .block = column_threads(d_),
            .stream = stream(),
            .name = "gather_rows"},
           {rows_.data(), which, out, count, d_});
  }
  void queue_own_distances(const float* centres, const std::int32_t* labels, float* out) const {
    launch(own_distances<OwnDistanceStorage>,
           {.grid = {blocks(n_, own_distance_warps * warp_size)},
            .block = {own_distance_warps * warp_size},
            .shared_bytes = sizeof(OwnDistanceStorage),
            .stream = stream(),
            .name = "own_distances"},
           {rows_.data(), centres, labels, out, n_, d_});
  }

  /// Greedy k-means++ on a sample, then the farthest rows if the sample has too few different ones.
  void start() {
    const std::int64_t wanted = settings_.clusters, k = (std::min)(wanted, n_);
    const std::int64_t s = (std::min)(n_, (std::max)(3 * settings_.batch, 3 * wanted));
    const auto trials = 2 + static_cast<std::int64_t>(std::log(static_cast<double>(k)));
    const DeviceArray<float> sample(device_, s == n_ ? 0 : s * d_);
    if (s < n_) {
      std::vector<std::int64_t> which(static_cast<std::size_t>(s));
      for (std::int64_t& row : which) row = draw_below(n_);
      const DeviceArray<std::int64_t> device_which(device_, which.data(), s);
      gather(device_which.data(), s, sample.data());
    }
    const std::int64_t first = draw_below(s);
    Random replay = random_;
    std::vector<double> uniforms(static_cast<std::size_t>((k - 1) * trials));
    for (double& u : uniforms) u = random_.uniform();
    const std::vector<float> far(static_cast<std::size_t>(s), std::numeric_limits<float>::infinity());
    const StartState initial{0, 1, 0};
    const DeviceArray<float> nearest(device_, far.data(), s), tried(device_, trials * s);
    const DeviceArray<double> cumulative(device_, s),
        device_uniforms(device_, uniforms.data(), static_cast<std::int64_t>(uniforms.size()));
    const DeviceArray<std::int64_t> candidates(device_, trials);
    candidates.upload(&first, 1);
    const DeviceArray<StartState> state(device_, &initial, 1);
    const StartParams params{s == n_ ? rows_.data() : sample.data(),
                             nearest.data(),
                             tried.data(),
                             cumulative.data(),
                             device_uniforms.data(),
                             candidates.data(),
                             centres_.data(),
                             state.data(),
                             s,
                             d_,
                             k,
                             trials};
    for (std::int64_t step = 0; step < k; ++step) {
      launch(try_candidates<TryStorage>,
             {.grid = {blocks(s, try_threads)},
              .block = {try_threads},
              .shared_bytes = sizeof(TryStorage),
              .stream = stream(),
              .name = "try_candidates"},
             params);
      launch(choose_centre<ChooseStorage>,
             {.grid = {1},
              .block = {choose_threads},
              .shared_bytes = sizeof(ChooseStorage),
              .stream = stream(),
              .name = "choose_centre"},
             params);
    }
    StartState reached;
    state.download(&reached, 1);
    k_ = reached.made;
    if (k_ == k) return;
    for (std::int64_t draws = (k_ - 1) * trials; draws > 0; --draws) (void)replay.uniform();
    random_ = replay;  // as if the rest had not been drawn
    if (s < n_) add_farthest(k);
  }

  /// Row and distance of the farthest row.
  std::pair<std::int64_t, float> farthest() const {
    FarthestParams params{distances_.data(), found_values_.data(), found_rows_.data(), n_, 0};
    const unsigned grid = (std::min)(blocks(n_, 256), static_cast<unsigned>(farthest_blocks));
    const LaunchConfig config{.grid = {grid},
                              .block = {256},
                              .shared_bytes = sizeof(FarthestStorage),
                              .stream = stream(),
                              .name = "farthest_row"};
    launch(farthest_row<FarthestStorage>, config, params);
    params.blocks = grid;
    LaunchConfig last = config;
    last.grid = {1};
    launch(farthest_row<FarthestStorage>, last, params);
    float value = 0;
    std::int64_t row = 0;
    found_values_.download(&value, 1);
    found_rows_.download(&row, 1);
    return {row, value};
  }
  /// Puts a centre on `row`; rows that are nearer to it than to their own take it.
  void put_centre(std::int64_t centre, std::int64_t row, std::int32_t* labels) const {
    float* place = centres_.data() + centre * d_;
    backend::copy_rows(device_, place, d_ * 4, rows_.data() + row * d_, d_ * 4, d_ * 4, 1,
                       backend::CopyDirection::on_device);
    queue_own_distances(place, zeros_.data(), to_new_.data());
    launch(take_over_rows<float>,
           per_item(n_, stream(), "take_over_rows"),
           {to_new_.data(), distances_.data(), labels, n_, static_cast<std::int32_t>(centre)});
  }
  void add_farthest(std::int64_t wanted) {
    assign(n_, rows_.data(), labels_.data(), distances_.data());
    for (; k_ < wanted; ++k_) {
      const auto [row, distance] = farthest();
      if (!(distance > 0)) break;
      put_centre(k_, row, nullptr);
    }
  }

  /// One assignment with memory of its own.
  void assign(std::int64_t n, const float* rows, std::int32_t* labels, float* distances) const {
    Arena count;
    (void)cut_assign_workspace(count, n, d_, k_);
    const DeviceArray<std::byte> memory(device_, count.used());
    Arena arena(memory.data());
    launch_assign(problem(n), rows, centres_.data(), labels, distances,
                  cut_assign_workspace(arena, n, d_, k_), settings_.assignment);
  }

  std::int64_t run_batches() {
    const std::int64_t size = (std::min)(settings_.batch, n_);
    const double alpha = (std::min)(1.0, 2.0 * static_cast<double>(size) / static_cast<double>(n_ + 1));
    const std::int64_t most =
        (std::max<std::int64_t>)(1, checked_mul(settings_.max_passes, (n_ + size - 1) / size, "batches"));
    const auto cut = [&](Arena& arena) {
      return std::pair{cut_assign_workspace(arena, size, d_, k_), cut_segment_workspace(arena, size, k_, size)};
    };
    Arena count;
    (void)cut(count);
    const DeviceArray<std::byte> memory(device_, count.used());
    Arena arena(memory.data());
    const auto [assign_memory, segments] = cut(arena);
    const DeviceArray<float> batch(device_, size * d_), distances(device_, size);
    const DeviceArray<std::int32_t> labels(device_, size);
    const DeviceArray<std::int64_t> which(device_, batches_per_look * size);
    const DeviceArray<double> seen(device_, k_);
    backend::fill_bytes(device_, seen.data(), 0, seen.bytes());
    BatchState state;
    state.least = std::numeric_limits<double>::infinity();
    const DeviceArray<BatchState> device_state(device_, &state, 1);
    std::vector<std::int64_t> drawn(static_cast<std::size_t>(batches_per_look * size));
    while (state.step < most && state.stopped == 0) {
      const std::int64_t looked = (std::min)(batches_per_look, most - state.step);
      for (std::int64_t i = 0; i < looked * size; ++i) drawn[static_cast<std::size_t>(i)] = draw_below(n_);
      which.upload(drawn.data(), looked * size);
      for (std::int64_t b = 0; b < looked; ++b) {
        gather(which.data() + b * size, size, batch.data());
        launch_assign(problem(size), batch.data(), centres_.data(), labels.data(), distances.data(),
                      assign_memory, settings_.assignment);
        launch_sort_rows(problem(size), labels.data(), segments);
        launch(pull_centres<double>,
               {.grid = {blocks(k_)},
                .block = column_threads(d_),
                .stream = stream(),
                .name = "pull_centres"},
               {batch.data(), segments.order, segments.offsets, seen.data(), centres_.data(),
                device_state.data(), d_});
        launch(control_batches<BatchControlStorage>,
               {.grid = {1},
                .block = {256},
                .shared_bytes = sizeof(BatchControlStorage),
                .stream = stream(),
                .name = "control_batches"},
               {distances.data(), device_state.data(), alpha, size, settings_.patience});
      }
      device_state.download(&state, 1);
    }
    return state.step;
  }

  /// Full steps; every centre gets a row if there is one for it. \return centres left without.
  std::int64_t run_full_steps() {
    Arena count;
    (void)cut_update_workspace(count, n_, d_, k_);
    const DeviceArray<std::byte> memory(device_, count.used());
    Arena arena(memory.data());
    const UpdateWorkspace update = cut_update_workspace(arena, n_, d_, k_);
    const DeviceArray<std::int64_t> device_counts(device_, k_);
    std::int64_t empty = 0;
    for (std::int64_t step = 0; step <= settings_.full_steps; ++step) {
      if (step > 0) launch_means(problem(n_), rows_.data(), labels_.data(), centres_.data(), nullptr, update);
      const bool last = step == settings_.full_steps;
      assign(n_, rows_.data(), labels_.data(), last ? distances_.data() : nullptr);
      bool have_distances = last;
      for (std::int64_t moved = 0;; ++moved) {
        launch_means(problem(n_), rows_.data(), labels_.data(), nullptr, device_counts.data(), update);
        const std::vector<std::int64_t> counts = device_counts.to_host();
        empty = std::count(counts.begin(), counts.end(), 0);
        if (empty == 0) break;
        if (!have_distances) queue_own_distances(centres_.data(), labels_.data(), distances_.data());
        have_distances = true;
        const auto [row, distance] = farthest();
        if (!(distance > 0) || moved >= 2 * k_) break;
        put_centre(std::find(counts.begin(), counts.end(), 0) - counts.begin(), row, labels_.data());
      }
    }
    return empty;
  }

  void drop_empty(backend::KMeansOutcome& outcome) const {
    std::vector<std::int32_t> number(static_cast<std::size_t>(k_), -1);
    for (const std::int32_t label : outcome.labels) number[static_cast<std::size_t>(label)] = 0;
    std::int32_t next = 0;
    for (std::int64_t c = 0; c < k_; ++c) {
      if (number[static_cast<std::size_t>(c)] < 0) continue;
      number[static_cast<std::size_t>(c)] = next;
      std::copy_n(outcome.centres.begin() + c * d_, d_, outcome.centres.begin() + std::int64_t{next++} * d_);
    }
    outcome.clusters = next;
    outcome.centres.resize(static_cast<std::size_t>(next * d_));
    for (std::int32_t& label : outcome.labels) label = number[static_cast<std::size_t>(label)];
  }

  Cuda device_;
  backend::KMeansSettings settings_;
  std::int64_t n_, d_, k_ = 0, shared_limit_;
  Random random_;
  DeviceArray<float> rows_;           // [n, d]
  DeviceArray<std::int32_t> labels_;  // [n]
  DeviceArray<float> distances_;      // [n] to the own centre
  DeviceArray<float> to_new_;         // [n] to a new centre
  DeviceArray<std::int32_t> zeros_;   // [n] labels of a problem with one centre
  DeviceArray<float> found_values_;   // [farthest_blocks]
  DeviceArray<std::int64_t> found_rows_;
  DeviceArray<float> centres_;  // [wanted, d]
};

}  // namespace stofm::kernels::kmeans

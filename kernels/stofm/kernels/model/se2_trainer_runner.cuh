// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The runner behind backend::CudaSe2Trainer: parameters in flat buffers (optimizer/flat_parameters.cuh),
/// everything that backward needs of a batch in one workspace, one stream. The backward pass itself:
/// se2_backward.cuh. Host code; it runs in the emulator as it stands.

#include <bit>
#include <functional>
#include <set>

#include "stofm/kernels/model/se2_backward.cuh"
#include "stofm/kernels/model/se2_runtime.cuh"
#include "stofm/kernels/optimizer/flat_parameters.cuh"
#include "stofm/kernels/runtime/graph.cuh"

namespace stofm::kernels::se2 {

using backend::Se2Losses;
using backend::Se2ParameterState;

class Se2TrainerRunner {
 public:
  Se2TrainerRunner(Cuda device, const CudaSe2Sizes& sizes, std::span<const Se2ParameterState> parameters,
                   const backend::CudaSe2TrainerOptions& options)
      : device_((sizes.validate(), device)),
        options_(options),
        rates_{DropoutRate::of(options.dropout.hidden), DropoutRate::of(options.dropout.attention),
               DropoutRate::of(options.dropout.activation)},
        stream_(device),
        graphs_(options.graphs) {
    const StreamScope scope(device_, stream_.get());
    network_ = std::make_unique<Se2Network>(device, sizes, options.precision, true);
    parameters_ = FlatParameters(device_, "STOFM-6061", layout().parameters(), layout().total());
    operands_ = DeviceArray<std::byte>(device_, layout().operand_bytes());
    losses_ = DeviceArray<double>(device_, 2);
    parameters_.start(parameters);
    network_->pack_weights(stream_.get(), parameters_.values(), operands_.data());
    backend::synchronize(device_, stream_.get());
  }
  Se2TrainerRunner(const Se2TrainerRunner&) = delete;
  Se2TrainerRunner& operator=(const Se2TrainerRunner&) = delete;
  ~Se2TrainerRunner() {
    try {
      const StreamScope scope(device_, stream_.get());
      backend::synchronize(device_, stream_.get());
      graphs_.clear();
      for (Host& batch : batches_) batch.buffer.release();
      parameters_ = {};
      operands_ = {};
      workspace_ = {};
      losses_ = {};
      network_.reset();
    } catch (const std::exception&) {  // the device is gone, and its memory with it
    }
  }

  CudaStream stream() const { return stream_.get(); }
  const backend::CudaGraphUse& graph_use() const { return graphs_.use(); }
  std::int64_t device_bytes() const {
    return parameters_.device_bytes() + operands_.size() + workspace_.size() + batches_[0].buffer.device_bytes() +
           batches_[1].buffer.device_bytes();
  }
  std::int64_t gradient_count() const { return parameters_.total(); }

  void zero_gradients() {
    const StreamScope scope(device_, stream_.get());
    parameters_.zero_gradients();
  }

  Se2Losses accumulate(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels,
                       double masked_scale, double pair_scale, const backend::GradientsReady& ready = {}) {
    load(slices, labels);
    queue_gradients(masked_scale, pair_scale, ready);
    return fetch_losses();
  }
  /// Reads the batch after this one, beside the kernels that are queued.
  void prepare(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels) {
    prepared_ = false;
    fill(batches_[1 - current_], slices, labels);
    prepared_ = true;
  }
  Se2Losses accumulate_prepared(double masked_scale, double pair_scale, const backend::GradientsReady& ready,
                                const std::function<void()>& meanwhile) {
    if (!std::exchange(prepared_, false))
      throw UsageError(
          {"STOFM-6064", "", "[CudaSe2Trainer::accumulate_prepared]", "no batch", "one", "Call prepare()."});
    current_ = 1 - current_;
    batches_[current_].buffer.take_memory(batches_[1 - current_].buffer);
    take();
    queue_gradients(masked_scale, pair_scale, ready);
    if (meanwhile) meanwhile();
    return fetch_losses();
  }
  Se2Losses evaluate(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels) {
    load(slices, labels);
    const StreamScope scope(device_, stream_.get());
    const Se2BatchView batch = batches_[current_].buffer.view();
    const DropoutRates none{};
    network_->forward(stream_.get(), parameters_.values(), operands_.data(), batch, buffers_.forward, none);
    Se2Backward losses{*network_,         stream_.get(), parameters_.values(), operands_.data(),
                       parameters_.gradients(), none,          batch,          buffers_};
    losses.evaluate(losses_.data());
    return fetch_losses();
  }
  void feature_gradient(std::span<float> gradient) {
    const LinearPlace& input = layout().input;
    const std::int64_t nodes = buffers_.counts.nodes;
    if (static_cast<std::int64_t>(gradient.size()) != nodes * input.in)
      throw UsageError({"STOFM-6061", "", "[CudaSe2Trainer] features", concat(gradient.size(), " values"),
                        concat(nodes * input.in, " values"), "Give one for each feature of the batch."});
    const StreamScope scope(device_, stream_.get());
    DeviceArray<float> features(device_, nodes * input.in);
    // Where backward leaves the gradient of the input layer's product.
    network_->input_gradient(stream_.get(), operands_.data(), input, buffers_.grad_operand, nodes,
                             features.data(), false);
    features.download(gradient.data(), features.size());
  }

  double gradient_norm() {
    const StreamScope scope(device_, stream_.get());
    const LinearPlace& input = layout().input;
    if (options_.neutral_input)
      launch_centre_rows(stream_.get(), {parameters_.gradients() + input.weight, input.out, input.in});
    return parameters_.gradient_norm();
  }

  void update(double learning_rate, double gradient_factor) {
    const StreamScope scope(device_, stream_.get());
    parameters_.update(options_, learning_rate, gradient_factor);
    const LinearPlace& input = layout().input;
    if (options_.neutral_input)
      launch_centre_rows(stream_.get(), {parameters_.values() + input.weight, input.out, input.in});
    network_->pack_weights(stream_.get(), parameters_.values(), operands_.data());
  }

  void upload(std::span<const Se2ParameterState> parameters) {
    const StreamScope scope(device_, stream_.get());
    parameters_.upload(parameters);
    network_->pack_weights(stream_.get(), parameters_.values(), operands_.data());
    backend::synchronize(device_, stream_.get());
  }
  void download(std::span<Se2ParameterState> parameters) const {
    const StreamScope scope(device_, stream_.get());
    parameters_.download(parameters);
  }
  void download_gradient(const std::string& name, std::span<float> gradient) const {
    const StreamScope scope(device_, stream_.get());
    parameters_.download_gradient(name, gradient);
  }
  void download_gradients(std::span<float> gradients) const {
    const StreamScope scope(device_, stream_.get());
    parameters_.download_gradients(gradients);
  }
  void upload_gradients(std::span<const float> gradients) {
    const StreamScope scope(device_, stream_.get());
    parameters_.upload_gradients(gradients);
  }

  backend::CudaGradients gradients() {
    return {stream_.get(), parameters_.gradients(), layout().gradient_borders()};
  }

  /// Copies a batch to the device.
  void load(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels);
  void compute(double masked_scale, double pair_scale, double learning_rate) {
    queue_gradients(masked_scale, pair_scale);
    update(learning_rate, 1.0);
  }

 private:
  /// A batch on its way to the device.
  struct Host {
    Se2BatchBuffer buffer;
    TrainingCounts counts;
    std::int64_t slices = 0;
  };
  void fill(Host& host, std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels);
  /// Makes room for the current batch and queues its copy.
  void take();

  const Se2Layout& layout() const { return network_->layout(); }
  static void check_labels(std::span<const Se2Slice> slices, std::span<const Se2TrainingSlice> labels);
  Se2Losses fetch_losses() {
    const StreamScope scope(device_, stream_.get());
    double sums[2] = {0, 0};
    backend::copy_rows(device_, sums, 0, losses_.data(), 0, sizeof sums, 1, backend::CopyDirection::to_host);
    backend::synchronize(device_, stream_.get());
    return {sums[0], sums[1]};
  }
  void queue_gradients(double masked_scale, double pair_scale, const backend::GradientsReady& ready = {}) {
    const StreamScope scope(device_, stream_.get());
    const Se2BatchView batch = batches_[current_].buffer.view();
    const auto cells = static_cast<float>(masked_scale), pairs = static_cast<float>(pair_scale);
    const auto queue = [&] {
      network_->forward(stream_.get(), parameters_.values(), operands_.data(), batch, buffers_.forward, rates_);
      Se2Backward backward{*network_,         stream_.get(), parameters_.values(), operands_.data(),
                           parameters_.gradients(), rates_,        batch,          buffers_};
      backward.run(cells, pairs, losses_.data(), ready);
    };
    // Sums over processes begin between the launches: those are not captured.
    if (batch.nodes == 0 || ready) return queue();
    // The workspace is cut by the sizes of the batch alone; parameters and gradients stay where they are.
    graphs_.run(stream_.get(),
                GraphKey()
                    .add(batch)
                    .add(buffers_.forward.features)
                    .add(std::bit_cast<std::uint32_t>(cells))
                    .add(std::bit_cast<std::uint32_t>(pairs)),
                queue);
  }

  Cuda device_;
  backend::CudaSe2TrainerOptions options_;
  DropoutRates rates_;
  OwnStream stream_;
  std::unique_ptr<Se2Network> network_;
  FlatParameters parameters_;
  DeviceArray<std::byte> operands_, workspace_;
  DeviceArray<double> losses_;
  GraphCache graphs_;
  Host batches_[2];  // one is computed, and has the device memory; the other may be prepared
  std::size_t current_ = 0;
  bool prepared_ = false;
  TrainingBuffers buffers_;
};

inline void Se2TrainerRunner::check_labels(std::span<const Se2Slice> slices,
                                           std::span<const Se2TrainingSlice> labels) {
  const auto refuse = [](const std::string& where, const std::string& found, const std::string& expected) {
    throw UsageError({"STOFM-6062", "", "[CudaSe2Trainer] " + where, found, expected, "Check the labels."});
  };
  if (slices.size() != labels.size())
    refuse("batch", concat(labels.size(), " labels"), concat("one for each of ", slices.size(), " slices"));
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const Se2TrainingSlice& label = labels[i];
    const std::string where = concat("slice ", i);
    const std::int64_t nodes = slices[i].nodes();
    std::set<std::int64_t> seen;
    for (const std::int64_t node : label.masked_nodes)
      if (node < 0 || node >= nodes || !seen.insert(node).second)
        refuse(where, concat("predicted node ", node), concat("0 to ", nodes - 1, ", each once"));
    if (label.pair_rows.size() != label.pair_targets.size() ||
        label.pair_columns.size() != label.pair_targets.size())
      refuse(where,
             concat(label.pair_rows.size(), " rows, ", label.pair_columns.size(), " columns, ",
                    label.pair_targets.size(), " targets"),
             "one of each per pair");
    for (const auto& side : {label.pair_rows, label.pair_columns})
      for (const std::int64_t node : side)
        if (node < 0 || node >= nodes)
          refuse(where, concat("pair with node ", node), concat("0 to ", nodes - 1));
  }
}

inline void Se2TrainerRunner::fill(Host& host, std::span<const Se2Slice> slices,
                                   std::span<const Se2TrainingSlice> labels) {
  check_labels(slices, labels);
  host.buffer.fill(device_, network_->sizes().input_dim, slices,
                   {.training = labels, .dropout_sites = DropoutSites::count(network_->sizes().layers)});
  host.slices = static_cast<std::int64_t>(slices.size());
  std::int64_t entries = 0, distances = 0, masked = 0, pairs = 0;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    entries += static_cast<std::int64_t>(slices[i].columns.size());
    distances += static_cast<std::int64_t>(slices[i].distances.size());
    masked += static_cast<std::int64_t>(labels[i].masked_nodes.size());
    pairs += static_cast<std::int64_t>(labels[i].pair_targets.size());
  }
  host.counts = {host.buffer.nodes(), entries, distances + 1, masked, pairs};
}

inline void Se2TrainerRunner::take() {
  const StreamScope scope(device_, stream_.get());
  Host& batch = batches_[current_];
  Arena count;
  (void)carve_training(*network_, count, batch.counts);
  const std::int64_t held = workspace_.size() + batch.buffer.device_bytes();
  try {
    batch.buffer.reserve(device_);
    workspace_.reserve(device_, count.used());
  } catch (const ResourceError&) {
    throw_batch_too_large("CudaSe2Trainer", count.used() + batch.buffer.bytes(), held, batch.slices,
                          batch.counts.nodes);
  }
  Arena arena(workspace_.data());
  buffers_ = carve_training(*network_, arena, batch.counts);
  batch.buffer.copy(device_, stream_.get());
}

inline void Se2TrainerRunner::load(std::span<const Se2Slice> slices,
                                   std::span<const Se2TrainingSlice> labels) {
  fill(batches_[current_], slices, labels);
  take();
  // The next batch may be written into the same pinned memory before anything else waits.
  backend::synchronize(device_, stream_.get());
}

}  // namespace stofm::kernels::se2

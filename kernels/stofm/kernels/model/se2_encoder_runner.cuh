// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The runner behind backend::CudaSe2Encoder: weights, one workspace, and two flights (input, result) so that
/// the copies of one batch run beside the kernels of the other. Three streams: copies in, kernels, copies
/// out. Host code; it runs in the emulator as it stands.

#include <algorithm>
#include <deque>
#include <map>

#include "stofm/kernels/model/se2_forward.cuh"
#include "stofm/kernels/model/se2_runtime.cuh"
#include "stofm/kernels/runtime/graph.cuh"

namespace stofm::kernels::se2 {

/// Fills a host image of the flat buffer. \throws UsageError STOFM-6061
inline std::vector<float> flat_parameters(const Se2Layout& layout,
                                          std::span<const backend::NamedHostTensor> weights) {
  std::map<std::string, std::span<const float>> by_name;
  for (const auto& weight : weights) by_name[weight.name] = weight.values;
  std::vector<float> flat(static_cast<std::size_t>(layout.total()));
  for (const ParameterPlace& place : layout.parameters()) {
    const auto found = by_name.find(place.name);
    if (found == by_name.end() || static_cast<std::int64_t>(found->second.size()) != place.count)
      throw UsageError({"STOFM-6061", "", "[CudaSe2Encoder] " + place.name,
                        found == by_name.end() ? std::string("no such parameter")
                                               : concat(found->second.size(), " values"),
                        concat(place.count, " values"), "Give the parameters of the checked model."});
    std::copy(found->second.begin(), found->second.end(), flat.begin() + place.offset);
  }
  return flat;
}

class Se2EncoderRunner {
 public:
  Se2EncoderRunner(Cuda device, const CudaSe2Sizes& sizes, std::span<const backend::NamedHostTensor> weights,
                   const backend::CudaSe2Options& options)
      : device_((sizes.validate(), device)),
        compute_(device),
        copy_in_(device),
        copy_out_(device),
        network_(make_network(device, compute_.get(), sizes, options.precision)),
        graphs_(options.graphs) {
    const StreamScope scope(device_, compute_.get());
    const Se2Layout& layout = network_->layout();
    const std::vector<float> flat = flat_parameters(layout, weights);
    values_ = DeviceArray<float>(device_, layout.total());
    operands_ = DeviceArray<std::byte>(device_, layout.operand_bytes());
    backend::copy_rows(device_, values_.data(), 0, flat.data(), 0,
                       layout.total() * static_cast<std::int64_t>(sizeof(float)), 1,
                       backend::CopyDirection::to_device);
    network_->pack_weights(compute_.get(), values_.data(), operands_.data());
    if (options.bias_table != nullptr) table_ = DeviceBiasTable(device_, *options.bias_table);
    backend::synchronize(device_, compute_.get());
    nodes_per_batch_ =
        options.nodes_per_batch > 0 ? options.nodes_per_batch : nodes_that_fit(options.memory_bytes);
  }
  Se2EncoderRunner(const Se2EncoderRunner&) = delete;
  Se2EncoderRunner& operator=(const Se2EncoderRunner&) = delete;
  ~Se2EncoderRunner() {
    try {
      const StreamScope scope(device_, compute_.get());
      for (const OwnStream* stream : {&copy_in_, &compute_, &copy_out_})
        backend::synchronize(device_, stream->get());
      graphs_.clear();
      workspace_ = {};
      details_ = {};
      values_ = {};
      operands_ = {};
      table_ = {};
      network_.reset();
      for (Flight& flight : flights_) flight.release();
    } catch (const std::exception&) {  // the device is gone, and its memory with it
    }
  }

  const CudaSe2Sizes& sizes() const { return network_->sizes(); }
  std::int64_t nodes_per_batch() const { return nodes_per_batch_; }
  std::int64_t under_way() const { return static_cast<std::int64_t>(queue_.size()); }
  CudaStream stream() const { return compute_.get(); }
  const backend::CudaGraphUse& graph_use() const { return graphs_.use(); }
  std::int64_t device_bytes() const {
    std::int64_t bytes = table_.device_bytes() + 4 * values_.size() + operands_.size() + workspace_.size() +
                         4 * details_.size();
    for (const Flight& flight : flights_) bytes += flight.input.device_bytes() + 4 * flight.result.size();
    return bytes;
  }

  void submit(std::span<const Se2Slice> slices) {
    submit_filled([&](Flight& flight) { return place(flight, slices, {}); }, nullptr);
  }
  /// Sub-slices made on the thread's current stream; what it queues from here on waits until they are read.
  void submit(const Se2DeviceSlices& slices) {
    const CudaStream made_on = backend::current_stream(device_);
    const auto fill = [&](Flight& flight) {
      flight.input.fill(device_, sizes().input_dim, slices);
      return make_room(flight);
    };
    submit_filled(fill, &made_on);
  }

  void collect(std::span<float> hidden) {
    if (queue_.empty())
      throw UsageError(
          {"STOFM-6064", "", "[CudaSe2Encoder::collect]", "no batch under way", "one", "Call submit()."});
    Flight& flight = flights_[queue_.front()];
    queue_.pop_front();
    use_device(device_);
    flight.copied_out.wait();
    if (static_cast<std::int64_t>(hidden.size_bytes()) != result_bytes(flight))
      throw UsageError(
          {"STOFM-6062", "", "[CudaSe2Encoder::collect]", concat("room for ", hidden.size(), " numbers"),
           concat(flight.input.nodes(), " rows of ", sizes().embedding_dim), "Give one row per node."});
    if (!hidden.empty()) std::memcpy(hidden.data(), flight.host.data(), hidden.size_bytes());
  }

  void forward(std::span<const Se2Slice> slices, std::span<float> hidden) {
    require_idle("forward");
    submit(slices);
    collect(hidden);
  }
  backend::Se2Details forward_details(const Se2Slice& slice, bool pair_rep);

  /// The batch for `compute`, on the device.
  void load(std::span<const Se2Slice> slices) {
    require_idle("load");
    Flight& flight = flights_[0];
    loaded_ = place(flight, slices, {});
    flight.input.copy(device_, compute_.get());
    backend::synchronize(device_, compute_.get());
  }
  void compute() { queue_kernels(flights_[0], loaded_); }

 private:
  struct Flight {
    Se2BatchBuffer input;
    DeviceArray<float> result;  // [nodes, E]
    PinnedBytes host;
    OwnEvent copied_in, computed, copied_out;
    void release() {
      result = {};
      input.release();
    }
  };

  /// Queues a batch. \param fill writes it into the flight it is given and makes room for it \param made_on
  /// stream of what the batch reads on the device, or null
  template <class Fill>
  void submit_filled(const Fill& fill, const CudaStream* made_on) {
    if (under_way() == 2)
      throw UsageError({"STOFM-6064", "", "[CudaSe2Encoder::submit]", "two batches under way", "at most two",
                        "Call collect() first."});
    const std::size_t number = queue_.empty() ? 0 : 1 - queue_.back();
    Flight& flight = flights_[number];
    const ForwardBuffers buffers = fill(flight);
    try {
      if (made_on != nullptr) {
        made_.record(*made_on);
        made_.hold(copy_in_.get());
      }
      flight.input.copy(device_, copy_in_.get());
      flight.copied_in.record(copy_in_.get());
      if (made_on != nullptr) flight.copied_in.hold(*made_on);
      flight.copied_in.hold(compute_.get());
      queue_kernels(flight, buffers);
      flight.computed.record(compute_.get());
      flight.computed.hold(copy_out_.get());
      const std::int64_t bytes = result_bytes(flight);
      if (bytes > 0)
        STOFM_CUDA_CHECK(cudaMemcpyAsync(flight.host.reserve(device_, bytes), flight.result.data(),
                                         static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                                         native(copy_out_.get())));
      flight.copied_out.record(copy_out_.get());
    } catch (...) {
      settle();
      throw;
    }
    queue_.push_back(number);
  }

  /// The library of products takes its workspace on the stream of the kernels.
  static std::unique_ptr<Se2Network> make_network(Cuda device, CudaStream stream, const CudaSe2Sizes& sizes,
                                                  Precision precision) {
    const StreamScope scope(device, stream);
    return std::make_unique<Se2Network>(device, sizes, precision, false);
  }
  void require_idle(const char* what) const {
    if (!queue_.empty())
      throw UsageError({"STOFM-6064", "", concat("[CudaSe2Encoder::", what, "]"), "batches under way", "none",
                        "Call collect() first."});
  }
  std::int64_t result_bytes(const Flight& flight) const {
    return flight.input.nodes() * sizes().embedding_dim * static_cast<std::int64_t>(sizeof(float));
  }
  void queue_kernels(Flight& flight, const ForwardBuffers& buffers) {
    const StreamScope scope(device_, compute_.get());
    const Se2BatchView batch = flight.input.view();
    if (batch.nodes == 0) return;
    // The workspace is cut by the sizes of the batch alone; weights stay where they are.
    const GraphKey key =
        GraphKey().add(batch).add(buffers.features).add(buffers.places).add(flight.result.data());
    graphs_.run(compute_.get(), key,
                [&] { network_->forward(compute_.get(), values_.data(), operands_.data(), batch, buffers); });
  }
  /// Waits for everything and forgets what was queued.
  void settle() noexcept {
    queue_.clear();
    try {
      for (const OwnStream* stream : {&copy_in_, &compute_, &copy_out_})
        backend::synchronize(device_, stream->get());
    } catch (const std::exception&) {  // the error that is on its way says more
    }
  }

  /// \param table whether the distance bias is read from it \param values bias values all the same
  ForwardBuffers carve(Arena& arena, std::int64_t nodes, std::int64_t entries, bool table, bool values) const;
  std::int64_t nodes_that_fit(std::int64_t memory_bytes) const;
  /// Fills the flight and makes room for it. \throws ResourceError STOFM-6063
  ForwardBuffers place(Flight& flight, std::span<const Se2Slice> slices, const Se2BatchExtras& extras,
                       bool details = false) {
    flight.input.fill(device_, sizes().input_dim, slices, extras);
    return make_room(flight, details);
  }
  ForwardBuffers make_room(Flight& flight, bool details = false);

  Cuda device_;
  OwnStream compute_, copy_in_, copy_out_;
  std::unique_ptr<Se2Network> network_;
  DeviceArray<float> values_, details_;
  DeviceArray<std::byte> operands_, workspace_;
  DeviceBiasTable table_;
  Flight flights_[2];
  OwnEvent made_;
  GraphCache graphs_;
  std::deque<std::size_t> queue_;
  ForwardBuffers loaded_;
  std::int64_t nodes_per_batch_ = 0;
};

inline ForwardBuffers Se2EncoderRunner::carve(Arena& arena, std::int64_t nodes, std::int64_t entries,
                                              bool table, bool values) const {
  const CudaSe2Sizes& s = sizes();
  const std::int64_t e = s.embedding_dim;
  const OperandForm form = left_form(network_->precision());
  const auto operand = [&](std::int64_t columns) {
    return arena.bytes(kernels::operand_bytes(form, nodes, columns));
  };
  const std::int64_t packed = backend::pair_operand_bytes(network_->attention_sizes(), nodes);
  ForwardBuffers b;
  b.features = operand(s.input_dim);
  b.part = arena.take<float>(nodes * e);
  if (!network_->heads_end_product()) b.qkv = arena.take<float>(nodes * 3 * e);
  if (table) {
    b.table = &table_;
    b.places = arena.take<backend::BiasPlace>(entries);
  } else {
    b.phi = arena.take<float>((entries + 1) * s.heads);
    b.background = arena.take<float>(s.heads);
  }
  if (!table || values) b.bias = arena.take<float>(entries * s.heads);
  LayerBuffers shared;
  shared.v = arena.bytes(packed);
  if (!network_->ends_product(network_->layout().layers.front().fc1))
    shared.hidden = arena.take<float>(nodes * s.ffn_dim);
  shared.x_operand = shared.y_operand = shared.m_operand =
      operand(e);  // each is read before the next is written
  if (form == OperandForm::float32) shared.y = static_cast<float*>(shared.y_operand);
  shared.a_operand = operand(s.ffn_dim);
  for (std::int64_t l = 0; l < s.layers; ++l) {
    shared.q = arena.bytes(packed);
    shared.k = arena.bytes(packed);
    b.layers.push_back(shared);
  }
  return b;
}

inline std::int64_t Se2EncoderRunner::nodes_that_fit(std::int64_t memory_bytes) const {
  std::size_t unused = 0, total = 0;
  STOFM_CUDA_CHECK(cudaMemGetInfo(&unused, &total));
  const double room = memory_bytes > 0 ? static_cast<double>(memory_bytes) : static_cast<double>(unused) / 2;
  // Of a sub-slice of 1,050 nodes each has about 150 listed pairs.
  constexpr std::int64_t sample = 1024, pairs = 150;
  Arena count;
  (void)carve(count, sample, sample * pairs, static_cast<bool>(table_), false);
  const CudaSe2Sizes& s = sizes();
  const double flights =
      2.0 * static_cast<double>(sample * (4 * (s.input_dim + s.embedding_dim) + 16 + pairs * (2 * 6 + 4)));
  const double each = (static_cast<double>(count.used()) + flights) / static_cast<double>(sample);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(room / each), 1, 131072);
}

inline ForwardBuffers Se2EncoderRunner::make_room(Flight& flight, bool details) {
  const StreamScope scope(device_, compute_.get());
  const std::int64_t nodes = flight.input.nodes(), entries = flight.input.entries(),
                     result = nodes * sizes().embedding_dim;
  const bool table = table_ && flight.input.largest_distance() < table_.largest_distance();
  Arena count;
  (void)carve(count, nodes, entries, table, details);
  const std::int64_t held = workspace_.size() + flight.input.device_bytes() + 4 * flight.result.size();
  try {
    bool grew = flight.input.reserve(device_);
    grew = grew || flight.result.size() < result || workspace_.size() < count.used();
    flight.result.reserve(device_, result);
    workspace_.reserve(device_, count.used());
    if (grew) backend::synchronize(device_, compute_.get());  // the copy streams may use it from here on
  } catch (const ResourceError&) {
    throw_batch_too_large("CudaSe2Encoder", count.used() + flight.input.bytes() + 4 * result, held,
                          flight.input.slices(), nodes);
  }
  Arena arena(workspace_.data());
  ForwardBuffers buffers = carve(arena, nodes, entries, table, details);
  buffers.x = buffers.z_input = flight.result.data();
  for (LayerBuffers& layer : buffers.layers)
    layer.z_attention = layer.z_ffn = sizes().pre_layernorm ? flight.result.data() : nullptr;
  if (!sizes().pre_layernorm) buffers.z_input = nullptr;
  return buffers;
}

inline backend::Se2Details Se2EncoderRunner::forward_details(const Se2Slice& slice, bool pair_rep) {
  require_idle("forward_details");
  const CudaSe2Sizes& s = sizes();
  Flight& flight = flights_[0];
  ForwardBuffers buffers = place(flight, {&slice, 1}, {.all_pairs = pair_rep}, true);
  const StreamScope scope(device_, compute_.get());
  const std::int64_t n = slice.nodes(), states = (s.layers + 1) * n * s.embedding_dim,
                     pairs = pair_rep ? n * n * s.heads : 0,
                     bias = static_cast<std::int64_t>(slice.columns.size()) * s.heads;
  details_.reserve(device_, states + pairs);
  buffers.hidden_states = details_.data();
  if (pair_rep) buffers.pair_values = details_.data() + states;
  flight.input.copy(device_, compute_.get());
  network_->forward(compute_.get(), values_.data(), operands_.data(), flight.input.view(), buffers);
  backend::Se2Details result;
  const auto fetch = [&](std::vector<float>& into, const float* from, std::int64_t count) {
    into.resize(static_cast<std::size_t>(count));
    backend::copy_rows(device_, into.data(), 0, from, 0, count * static_cast<std::int64_t>(sizeof(float)), 1,
                       backend::CopyDirection::to_host);
  };
  fetch(result.last_hidden, flight.result.data(), n * s.embedding_dim);
  fetch(result.hidden_states, details_.data(), states);
  fetch(result.pair_rep, details_.data() + states, pairs);
  fetch(result.bias_values, buffers.bias, bias);
  fetch(result.background, buffers.table != nullptr ? table_.background() : buffers.background, s.heads);
  backend::synchronize(device_, compute_.get());
  return result;
}

}  // namespace stofm::kernels::se2

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Parameters that are trained on the device: values, moments and gradients in one array each, in an order in
/// which the weights of queries, keys and values are neighbours, so that one product serves all three.

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "stofm/backend/cuda/adamw.hpp"
#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/kernels/encoder_block/convert.cuh"
#include "stofm/kernels/encoder_block/row_norm.cuh"
#include "stofm/kernels/runtime/memory.cuh"

namespace stofm::kernels::cell_encoder {

using backend::CellEncoderParameterState;
using backend::CudaCellEncoderSizes;

/// A stretch of the arrays.
struct Stretch {
  std::int64_t first = 0, count = 0;
};
struct LinearStretch {
  Stretch weight, bias;
  std::int64_t rows = 0, columns = 0;
};
struct NormStretch {
  Stretch gamma, beta;
};

class TrainedParameters {
 public:
  TrainedParameters(Cuda device, const CudaCellEncoderSizes& s,
                    std::span<const CellEncoderParameterState> given)
      : device_(device) {
    const std::int64_t w = s.hidden_size, f = s.intermediate_size;
    const std::string embeddings = "bert/embeddings.";
    words = add(embeddings + "word_embeddings.weight", s.vocab_size * w);
    positions = add(embeddings + "position_embeddings.weight", s.positions * w);
    types = add(embeddings + "token_type_embeddings.weight", s.token_types * w);
    embedding_norm = add_norm(embeddings + "LayerNorm", w);
    for (std::int64_t l = 0; l < s.layers; ++l) {
      const std::string name = concat("bert/encoder.layer.", l, "."), self = name + "attention.self.";
      Layer layer;
      layer.qkv.rows = 3 * w;
      layer.qkv.columns = w;
      layer.qkv.weight = {next_, 3 * w * w};
      for (const char* part : {"query", "key", "value"}) add(self + part + ".weight", w * w, false);
      layer.qkv.bias = {next_, 3 * w};
      for (const char* part : {"query", "key", "value"}) add(self + part + ".bias", w, false);
      align();
      layer.out = add_linear(name + "attention.output.dense", w, w);
      layer.attention_norm = add_norm(name + "attention.output.LayerNorm", w);
      layer.fc1 = add_linear(name + "intermediate.dense", f, w);
      layer.fc2 = add_linear(name + "output.dense", w, f);
      layer.ffn_norm = add_norm(name + "output.LayerNorm", w);
      layers.push_back(layer);
    }
    projection = add_linear("proj", s.projection_dim, w);
    const std::string head = "cls.predictions.";
    for (const CellEncoderParameterState& state : given) has_head = has_head || state.name == head + "bias";
    if (has_head) {
      transform = add_linear(head + "transform.dense", w, w);
      transform_norm = add_norm(head + "transform.LayerNorm", w);
      gene_bias = add(head + "bias", s.vocab_size);
    }
    for (DeviceArray<float>* array : {&values_, &m_, &v_, &grads_}) {
      *array = DeviceArray<float>(device_, next_);
      clear(*array);
    }
    for (const auto& known : entries_)
      if (std::none_of(given.begin(), given.end(),
                       [&](const auto& state) { return state.name == known.first; }))
        throw UsageError({"STOFM-6041", "", known.first, "no such parameter",
                          concat(known.second.at.count, " values"), "Give every parameter of the model."});
    upload(given);
  }

  struct Layer {
    LinearStretch qkv, out, fc1, fc2;
    NormStretch attention_norm, ffn_norm;
  };
  Stretch words, positions, types, gene_bias;
  NormStretch embedding_norm, transform_norm;
  LinearStretch projection, transform;
  std::vector<Layer> layers;
  bool has_head = false;

  float* value(const Stretch& at) { return values_.data() + at.first; }
  float* grad(const Stretch& at) { return grads_.data() + at.first; }
  std::int64_t count() const { return next_; }

  /// Backward finishes them from the last stretch to the first: the heads, each layer, the embeddings.
  backend::CudaGradients gradients() {
    std::vector<std::int64_t> borders{0};
    for (const Layer& layer : layers) borders.push_back(layer.qkv.weight.first);
    borders.push_back(projection.weight.first);
    borders.push_back(next_);
    return {thread_stream(device_), grads_.data(), borders};
  }
  void zero_gradients() { clear(grads_); }
  double gradient_norm() const { return backend::global_norm(device_, list()); }
  void update(const backend::CudaAdamWOptions& options) {
    for (auto& [name, entry] : entries_) ++entry.steps;
    backend::adamw_step(device_, list(), options);
  }

  void upload(std::span<const CellEncoderParameterState> states) {
    for (const CellEncoderParameterState& state : states) {
      Entry& entry = entries_[require(state.name, state.value.size(), true)];
      entry.decays = state.decays;
      entry.steps = state.steps;
      put(values_, entry.at, state.value);
      put_or_clear(m_, entry.at, moments(state.name, state.m, entry.at));
      put_or_clear(v_, entry.at, moments(state.name, state.v, entry.at));
    }
    synchronize();
  }
  void download(std::span<CellEncoderParameterState> states) const {
    for (CellEncoderParameterState& state : states) {
      const Entry& entry = entries_.at(require(state.name, state.value.size(), state.value.empty()));
      state.decays = entry.decays;
      state.steps = entry.steps;
      take(values_, entry.at, state.value);
      take(m_, entry.at, moments(state.name, state.m, entry.at));
      take(v_, entry.at, moments(state.name, state.v, entry.at));
    }
    synchronize();
  }
  void download_gradient(const std::string& name, std::span<float> gradient) const {
    take(grads_, entries_.at(require(name, gradient.size(), false)).at, gradient);
    synchronize();
  }
  void download_gradients(std::span<float> gradients) const {
    require_all(gradients.size());
    take(grads_, {0, next_}, gradients);
    synchronize();
  }
  void upload_gradients(std::span<const float> gradients) {
    require_all(gradients.size());
    put(grads_, {0, next_}, gradients);
    synchronize();
  }

 private:
  struct Entry {
    Stretch at;
    bool decays = true;
    std::int64_t steps = 0;
  };

  /// Stretches begin at multiples of 16 bytes, as vector loads want it.
  void align() { next_ = (next_ + 3) / 4 * 4; }
  Stretch add(const std::string& name, std::int64_t count, bool aligned = true) {
    const Stretch at{next_, count};
    entries_[name] = {at};
    next_ += count;
    if (aligned) align();
    return at;
  }
  LinearStretch add_linear(const std::string& name, std::int64_t rows, std::int64_t columns) {
    const Stretch weight = add(name + ".weight", rows * columns);
    return {weight, add(name + ".bias", rows), rows, columns};
  }
  NormStretch add_norm(const std::string& name, std::int64_t columns) {
    const Stretch gamma = add(name + ".weight", columns);
    return {gamma, add(name + ".bias", columns)};
  }
  /// The name, if it is known and `count` fits (or is 0 where that is allowed).
  std::string require(const std::string& name, std::size_t count, bool may_be_empty) const {
    const auto found = entries_.find(name);
    const bool fits =
        found != entries_.end() &&
        (static_cast<std::int64_t>(count) == found->second.at.count || (may_be_empty && count == 0));
    if (fits) return name;
    throw UsageError(
        {"STOFM-6041", "", name,
         found == entries_.end() ? std::string("no parameter of this model") : concat(count, " values"),
         found == entries_.end() ? std::string("a name of the model's parameters")
                                 : concat(found->second.at.count, " values"),
         "Sizes and parameters must belong together."});
  }
  template <class Span>
  Span moments(const std::string& name, Span span, const Stretch& at) const {
    if (!span.empty() && static_cast<std::int64_t>(span.size()) != at.count)
      throw UsageError({"STOFM-6041", "", name, concat(span.size(), " moments"), concat(at.count, " or none"),
                        "Sizes and parameters must belong together."});
    return span;
  }
  void require_all(std::size_t count) const {
    if (static_cast<std::int64_t>(count) != next_)
      throw UsageError({"STOFM-6041", "", "gradients", concat(count, " values"), concat(next_, " values"),
                        "Ask gradient_count()."});
  }
  std::vector<backend::CudaParameter> list() const {
    std::vector<backend::CudaParameter> result;
    for (const auto& known : entries_) {
      const Entry& entry = known.second;
      const auto at = [&](const DeviceArray<float>& array) {
        return const_cast<float*>(array.data()) + entry.at.first;
      };
      result.push_back({at(values_), at(m_), at(v_), at(grads_), entry.at.count, entry.decays, entry.steps});
    }
    return result;
  }

  cudaStream_t stream() const { return native(thread_stream(device_)); }
  void synchronize() const { STOFM_CUDA_CHECK(cudaStreamSynchronize(stream())); }
  void clear(DeviceArray<float>& array) {
    STOFM_CUDA_CHECK(
        cudaMemsetAsync(array.data(), 0, static_cast<std::size_t>(array.size()) * sizeof(float), stream()));
  }
  /// Nothing for an empty span.
  void put(DeviceArray<float>& to, const Stretch& at, std::span<const float> from) {
    if (from.empty()) return;
    STOFM_CUDA_CHECK(cudaMemcpyAsync(to.data() + at.first, from.data(), from.size_bytes(),
                                     cudaMemcpyHostToDevice, stream()));
  }
  void put_or_clear(DeviceArray<float>& to, const Stretch& at, std::span<const float> from) {
    if (!from.empty()) return put(to, at, from);
    STOFM_CUDA_CHECK(cudaMemsetAsync(to.data() + at.first, 0,
                                     static_cast<std::size_t>(at.count) * sizeof(float), stream()));
  }
  void take(const DeviceArray<float>& from, const Stretch& at, std::span<float> to) const {
    if (to.empty()) return;
    STOFM_CUDA_CHECK(cudaMemcpyAsync(to.data(), from.data() + at.first, to.size_bytes(),
                                     cudaMemcpyDeviceToHost, stream()));
  }

  Cuda device_;
  std::int64_t next_ = 0;
  std::map<std::string, Entry> entries_;
  DeviceArray<float> values_, m_, v_, grads_;
};

}  // namespace stofm::kernels::cell_encoder

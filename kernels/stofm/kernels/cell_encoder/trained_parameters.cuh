// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Where the parameters lie that are trained on the device: in an order in which the weights of queries, keys
/// and values are neighbours, so that one product serves all three.

#include "stofm/backend/cuda/cell_encoder_trainer.hpp"
#include "stofm/kernels/encoder_block/convert.cuh"
#include "stofm/kernels/optimizer/flat_parameters.cuh"

namespace stofm::kernels::cell_encoder {

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

class TrainedParameters : public FlatParameters {
 public:
  TrainedParameters(Cuda device, const CudaCellEncoderSizes& s,
                    std::span<const CudaParameterState> given)
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
    for (const CudaParameterState& state : given) has_head = has_head || state.name == head + "bias";
    if (has_head) {
      transform = add_linear(head + "transform.dense", w, w);
      transform_norm = add_norm(head + "transform.LayerNorm", w);
      gene_bias = add(head + "bias", s.vocab_size);
    }
    std::vector<ParameterPlace> places;
    for (const auto& [name, at] : stretches_) places.push_back({name, at.first, at.count});
    FlatParameters::operator=(FlatParameters(device, "STOFM-6041", std::move(places), next_));
    start(given);
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

  float* value(const Stretch& at) const { return values() + at.first; }
  float* grad(const Stretch& at) const { return gradients() + at.first; }

  /// Backward finishes them from the last stretch to the first: the heads, each layer, the embeddings.
  backend::CudaGradients all_gradients() const {
    std::vector<std::int64_t> borders{0};
    for (const Layer& layer : layers) borders.push_back(layer.qkv.weight.first);
    borders.push_back(projection.weight.first);
    borders.push_back(next_);
    return {thread_stream(device_), gradients(), borders};
  }

 private:
  /// Stretches begin at multiples of 16 bytes, as vector loads want it.
  void align() { next_ = (next_ + 3) / 4 * 4; }
  Stretch add(const std::string& name, std::int64_t count, bool aligned = true) {
    const Stretch at{next_, count};
    stretches_[name] = at;
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

  Cuda device_;
  std::int64_t next_ = 0;
  std::map<std::string, Stretch> stretches_;
};

}  // namespace stofm::kernels::cell_encoder

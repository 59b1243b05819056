// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The parameters of the cell encoder on the device: tables and norms in float32, the products of the full
/// layers in the operand form of the precision class, the last layer (one row a cell) in float32.

#include <map>
#include <string>
#include <vector>

#include "stofm/backend/cuda/cell_encoder.hpp"
#include "stofm/kernels/encoder_block/convert.cuh"
#include "stofm/kernels/runtime/memory.cuh"
#include "stofm/kernels/sequence_attention/policy.hpp"

namespace stofm::kernels::cell_encoder {

using backend::CudaCellEncoderSizes;
using backend::NamedHostTensor;

/// What a linear layer y = x w^T + b multiplies with.
struct DeviceLinear {
  DeviceArray<unsigned char> weight;
  Operand operand;
  DeviceArray<float> bias;
  DeviceArray<bfloat16> short_bias;  // where results are bfloat16
};
struct DeviceNorm {
  DeviceArray<float> gamma, beta;
};
struct FullLayer {
  DeviceLinear qkv, out, fc1, fc2;
  DeviceNorm attention_norm, ffn_norm;
};
/// The last layer, for position 0: query, and per head rows of key and value, as they lie in their matrices.
struct LastLayer {
  DeviceLinear query, key, value, out, fc1, fc2, projection;
  DeviceNorm attention_norm, ffn_norm;
};
struct DeviceWeights {
  DeviceArray<float> words, positions, types;
  DeviceNorm embedding_norm;
  std::vector<FullLayer> layers;
  LastLayer last;
};

/// \throws UsageError STOFM-6040 for sizes that no kernel computes.
inline void check_sizes(const CudaCellEncoderSizes& s) {
  const auto refuse = [](const char* where, const std::string& found, const std::string& expected) {
    throw UsageError({"STOFM-6040", "", where, found, expected, "Use --device cpu for this model."});
  };
  if (!encoder_block::RowPolicy::supports(s.hidden_size))
    refuse("/hidden_size", concat(s.hidden_size),
           concat("a multiple of 4, at most ", encoder_block::RowPolicy::widest_row));
  if (s.intermediate_size < 4 || s.intermediate_size % 4 != 0)
    refuse("/intermediate_size", concat(s.intermediate_size), "a multiple of 4");
  if (s.heads < 1 || s.hidden_size % s.heads != 0 ||
      !sequence_attention::supports_head_dim(s.hidden_size / s.heads))
    refuse("/num_attention_heads", concat(s.heads, " heads in a width of ", s.hidden_size),
           "heads whose width is a multiple of 4, at most 64");
  if (s.layers < 1 || s.positions < 1 || s.token_types < 1 || s.projection_dim < 1 || s.vocab_size < 1)
    refuse("sizes",
           concat(s.layers, " layers, ", s.positions, " positions, ", s.token_types,
                  " token types, projection to ", s.projection_dim, ", ", s.vocab_size, " tokens"),
           "at least 1 of each");
}

/// Copies host parameters to the device. Each upload waits for its copy.
class WeightLoader {
 public:
  WeightLoader(Cuda device, std::span<const NamedHostTensor> tensors) : device_(device) {
    for (const NamedHostTensor& tensor : tensors) by_name_[tensor.name] = tensor.values;
  }

  /// \throws UsageError STOFM-6041
  std::span<const float> host(const std::string& name, std::int64_t count) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end())
      throw UsageError({"STOFM-6041", "", name, "no such parameter", concat(count, " values"),
                        "Give every parameter of the model."});
    if (static_cast<std::int64_t>(found->second.size()) != count)
      throw UsageError({"STOFM-6041", "", name, concat(found->second.size(), " values"),
                        concat(count, " values"), "Sizes and parameters must belong together."});
    return found->second;
  }
  DeviceArray<float> table(const std::string& name, std::int64_t count) const {
    return upload({host(name, count)});
  }
  DeviceNorm norm(const std::string& name, std::int64_t columns) const {
    return {table(name + ".weight", columns), table(name + ".bias", columns)};
  }
  /// Linear layers of one input stacked: weights [rows, columns] each.
  DeviceLinear linear(const std::vector<std::string>& names, std::int64_t rows, std::int64_t columns,
                      OperandForm form, bool with_short_bias) const {
    std::vector<std::span<const float>> weights, biases;
    for (const std::string& name : names) {
      weights.push_back(host(name + ".weight", rows * columns));
      biases.push_back(host(name + ".bias", rows));
    }
    const auto all_rows = rows * static_cast<std::int64_t>(names.size());
    const CudaStream stream = thread_stream(device_);
    DeviceLinear result;
    result.bias = upload(biases);
    DeviceArray<float> plain = upload(weights);
    result.weight = DeviceArray<unsigned char>(device_, operand_bytes(form, all_rows, columns));
    result.operand = dense_operand(result.weight.data(), all_rows, columns, form);
    ConvertParams<float> convert;
    convert.x = plain.data();
    convert.stride = columns;
    convert.out = result.weight.data();
    convert.rows = all_rows;
    convert.columns = columns;
    launch_convert(form, Activation::identity, convert, stream);
    if (with_short_bias) {
      result.short_bias = DeviceArray<bfloat16>(device_, all_rows);
      convert.x = result.bias.data();
      convert.out = result.short_bias.data();
      convert.rows = 1;
      convert.stride = convert.columns = all_rows;
      launch_convert(OperandForm::bfloat16, Activation::identity, convert, stream);
    }
    return result;
  }

 private:
  DeviceArray<float> upload(const std::vector<std::span<const float>>& parts) const {
    std::int64_t count = 0;
    for (const auto& part : parts) count += static_cast<std::int64_t>(part.size());
    DeviceArray<float> result(device_, count);
    const CudaStream stream = thread_stream(device_);
    float* to = result.data();
    for (const auto& part : parts) {
      if (part.empty()) continue;
      STOFM_CUDA_CHECK(
          cudaMemcpyAsync(to, part.data(), part.size_bytes(), cudaMemcpyHostToDevice, native(stream)));
      to += part.size();
    }
    STOFM_CUDA_CHECK(cudaStreamSynchronize(native(stream)));
    return result;
  }

  Cuda device_;
  std::map<std::string, std::span<const float>> by_name_;
};

/// Everything of `sizes` from parameters under their published names. \throws UsageError STOFM-6041.
inline DeviceWeights load_weights(Cuda device, const CudaCellEncoderSizes& s,
                                  std::span<const NamedHostTensor> tensors, Precision precision) {
  const WeightLoader loader(device, tensors);
  const OperandForm form = right_form(precision);
  const bool short_bias = precision == Precision::bf16;
  const std::int64_t w = s.hidden_size, f = s.intermediate_size;
  const std::string embeddings = "bert/embeddings.";
  DeviceWeights result;
  result.words = loader.table(embeddings + "word_embeddings.weight", s.vocab_size * w);
  result.positions = loader.table(embeddings + "position_embeddings.weight", s.positions * w);
  result.types = loader.table(embeddings + "token_type_embeddings.weight", s.token_types * w);
  result.embedding_norm = loader.norm(embeddings + "LayerNorm", w);
  for (std::int64_t l = 0; l < s.layers; ++l) {
    const std::string name = concat("bert/encoder.layer.", l, "."), self = name + "attention.self.",
                      out = name + "attention.output.";
    if (l + 1 < s.layers) {
      FullLayer layer;
      layer.qkv = loader.linear({self + "query", self + "key", self + "value"}, w, w, form, short_bias);
      layer.out = loader.linear({out + "dense"}, w, w, form, short_bias);
      layer.fc1 = loader.linear({name + "intermediate.dense"}, f, w, form, short_bias);
      layer.fc2 = loader.linear({name + "output.dense"}, w, f, form, short_bias);
      layer.attention_norm = loader.norm(out + "LayerNorm", w);
      layer.ffn_norm = loader.norm(name + "output.LayerNorm", w);
      result.layers.push_back(std::move(layer));
    } else {
      LastLayer& last = result.last;
      const OperandForm plain = OperandForm::float32;
      last.query = loader.linear({self + "query"}, w, w, plain, false);
      last.key = loader.linear({self + "key"}, w, w, plain, false);
      last.value = loader.linear({self + "value"}, w, w, plain, false);
      last.out = loader.linear({out + "dense"}, w, w, plain, false);
      last.fc1 = loader.linear({name + "intermediate.dense"}, f, w, plain, false);
      last.fc2 = loader.linear({name + "output.dense"}, w, f, plain, false);
      last.projection = loader.linear({"proj"}, s.projection_dim, w, plain, false);
      last.attention_norm = loader.norm(out + "LayerNorm", w);
      last.ffn_norm = loader.norm(name + "output.LayerNorm", w);
    }
  }
  return result;
}

}  // namespace stofm::kernels::cell_encoder

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The cell encoder: BERT over the ranked genes of each cell, its output at position 0, a projection, L2
/// norm. Sequences are packed, not padded, in the order of their lengths. The last layer is computed for
/// position 0 only, with keys and values folded into the one query:
///   score_j = q (W_k x_j) = (W_k^T q) x_j,   context = sum_j p_j (W_v x_j + b_v) = W_v (sum_j p_j x_j) + b_v
/// (q b_k is the same for every j and leaves the softmax alone).
/// *Source* SPEC section 2; Hugging Face `BertModel` without pooler.

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "stofm/core/compiled.hpp"
#include "stofm/core/cpu_features.hpp"
#include "stofm/core/machine.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/model/config.hpp"
#include "stofm/model/parameter_lists.hpp"
#include "stofm/model/sequence_chunks.hpp"
#include "stofm/model/transformer_parts.hpp"
#include "stofm/ops/l2_normalize.hpp"
#include "stofm/ops/layer_norm.hpp"
#include "stofm/ops/linear.hpp"
#include "stofm/ops/varlen_attention.hpp"

namespace stofm::model {

/// How the cell encoder is built and run.
struct CellEncoderOptions {
  ParameterOptions parameters = {};
  /// Most tokens computed at once (at least one sequence): bounds the memory to about
  /// tokens * (6 hidden_size + intermediate_size) * sizeof(T). Fewer are taken where few threads share them.
  std::int64_t tokens_per_chunk = 4096;
  MatmulGrade grade = MatmulGrade::float32;
};

/// A const CellEncoder may be used by several threads at once.
template <Real T>
class CellEncoder {
 public:
  /// \param weights "bert/..." and "proj.*" (see parameter_lists.hpp)
  /// \throws as CellEncoderConfig::validate() and check_parameters()
  CellEncoder(const CellEncoderConfig& config, const NamedTensors<T>& weights,
              const CellEncoderOptions& options = {});

  const CellEncoderConfig& config() const { return config_; }
  const NamedTensors<T>& parameters() const { return parameters_; }
  const ParameterReport& report() const { return report_; }

  /// L2-normalised projections of position 0, [cells, projection_dim], in the order of the cells.
  /// \param tokens of all cells, one cell after the other; \param offsets [cells + 1] where each begins
  /// \throws ShapeError for bad offsets; DataError STOFM-1340 for an empty or too long sequence, STOFM-1341
  /// for a token outside the vocabulary, each with the cell. *Deterministic* yes, for any number of threads.
  Tensor<T> embed(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets) const;

  /// The last hidden state of every token, [tokens, hidden_size], in the order of `tokens`: for checks.
  Tensor<T> last_hidden_state(std::span<const std::int32_t> tokens,
                              std::span<const std::int64_t> offsets) const;

 private:
  struct Layer {
    ops::PackedLinear<T> qkv, out, fc1, fc2;
    detail::NormParameters<T> attention_norm, ffn_norm;
  };
  /// The last layer's attention for one query a sequence.
  struct FoldedAttention {
    ops::PackedLinear<T> query;                    // scaled by 1/sqrt(head_dim)
    std::vector<ops::PackedLinear<T>> key, value;  // per head: W_k^T [hidden, d] and W_v [d, hidden] with b_v
  };
  using Chunk = detail::SequenceChunk;
  /// Working memory of one chunk, reused by the next.
  struct Workspace {
    std::int64_t tokens = 0;  // most that a chunk is expected to have
    Tensor<T> x, y, part, qkv, wide;
  };

  Layer make_layer(std::int64_t l) const;
  std::int64_t chunk_tokens() const;
  void make_folded();
  void reserve(Workspace& space, std::int64_t tokens) const;
  Tensor<T> embed_tokens(const Chunk& chunk, Workspace& space) const;
  /// Everything behind the attention of a layer: x, attention result -> x. Rows of `x` are `rows` many.
  void finish_layer(const Layer& layer, Tensor<T>& x, Tensor<T>& attention, Tensor<T>& y,
                    Tensor<T>& wide) const;
  void full_layer(const Layer& layer, const Chunk& chunk, Tensor<T>& x, Workspace& space) const;
  Tensor<T> first_rows_layer(const Chunk& chunk, const Tensor<T>& x) const;

  CellEncoderConfig config_;
  NamedTensors<T> parameters_;
  ParameterReport report_;
  ops::Activation activation_;
  MatmulGrade grade_;
  std::int64_t tokens_per_chunk_;
  Tensor<T> words_, positions_, types_;
  detail::NormParameters<T> embedding_norm_;
  std::vector<Layer> layers_;
  FoldedAttention folded_;
  ops::PackedLinear<T> projection_;
};

namespace detail {
/// The width of the projection comes from its weights.
template <Real T>
CellEncoderConfig with_projection(CellEncoderConfig config, const NamedTensors<T>& weights) {
  const auto projection = weights.find("proj.weight");
  if (config.projection_dim == 0)
    config.projection_dim =
        projection != weights.end() && projection->second.rank() == 2 ? projection->second.dim(0) : 1;
  return config;
}
}  // namespace detail

template <Real T>
CellEncoder<T>::CellEncoder(const CellEncoderConfig& config, const NamedTensors<T>& weights,
                            const CellEncoderOptions& options)
    : config_(detail::with_projection(config, weights)),
      report_(check_parameters<T>(parameter_list(config_), weights, is_unused_cell_encoder_parameter,
                                  options.parameters)),
      activation_(detail::activation_of(config.hidden_act)),
      grade_(options.grade),
      tokens_per_chunk_(options.tokens_per_chunk) {
  if (tokens_per_chunk_ < 1)
    throw UsageError({"STOFM-1342", "", "tokens_per_chunk", std::to_string(tokens_per_chunk_), "at least 1",
                      "Leave it at its default."});
  parameters_ = detail::select_parameters(parameter_list(config_), weights);
  const std::string embeddings = "bert/embeddings.";
  words_ = parameters_.at(embeddings + "word_embeddings.weight").contiguous();
  positions_ = parameters_.at(embeddings + "position_embeddings.weight").contiguous();
  types_ = parameters_.at(embeddings + "token_type_embeddings.weight").contiguous();
  embedding_norm_ = detail::norm_of(parameters_, embeddings + "LayerNorm");
  for (std::int64_t l = 0; l < config_.num_hidden_layers; ++l) layers_.push_back(make_layer(l));
  make_folded();
  projection_ = detail::linear_of(parameters_, "proj");
}

/// What the threads work on at a time should stay in their L2, a KiB a token: 512 tokens each in 512 KiB;
/// with 2 MiB as few would cost a tenth, in waits of the threads for each other. No row of a result depends
/// on the rows beside it but in Eigen's products, which the generic kernels use.
template <Real T>
std::int64_t CellEncoder<T>::chunk_tokens() const {
  if (!std::is_same_v<T, float> || cpu_kernels() == CpuKernels::generic) return tokens_per_chunk_;
  const std::int64_t each = std::clamp<std::int64_t>(level2_cache() / 1024, 512, 2048);
  return (std::min)(tokens_per_chunk_, each * thread_count());
}

template <Real T>
typename CellEncoder<T>::Layer CellEncoder<T>::make_layer(std::int64_t l) const {
  const std::string name = concat("bert/encoder.layer.", l, "."), attention = name + "attention.self.";
  Layer layer;
  layer.qkv = detail::stacked_qkv(parameters_, attention, {"query", "key", "value"},
                                  1.0 / std::sqrt(static_cast<double>(config_.head_dim())), grade_);
  layer.out = detail::linear_of(parameters_, name + "attention.output.dense", grade_);
  layer.fc1 = detail::linear_of(parameters_, name + "intermediate.dense", grade_);
  layer.fc2 = detail::linear_of(parameters_, name + "output.dense", grade_);
  layer.attention_norm = detail::norm_of(parameters_, name + "attention.output.LayerNorm");
  layer.ffn_norm = detail::norm_of(parameters_, name + "output.LayerNorm");
  return layer;
}

template <Real T>
void CellEncoder<T>::make_folded() {
  const std::string name = concat("bert/encoder.layer.", config_.num_hidden_layers - 1, ".attention.self.");
  const std::int64_t d = config_.head_dim();
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  folded_.query = ops::PackedLinear<T>(detail::scaled(parameters_.at(name + "query.weight"), scale),
                                       detail::scaled(parameters_.at(name + "query.bias"), scale));
  for (std::int64_t h = 0; h < config_.num_attention_heads; ++h) {
    const auto rows = [&](const char* which) {
      return parameters_.at(name + which).slice(0, h * d, (h + 1) * d);
    };
    folded_.key.emplace_back(rows("key.weight").transpose(0, 1).contiguous());
    folded_.value.emplace_back(rows("value.weight").clone(), rows("value.bias").clone());
  }
}

template <Real T>
void CellEncoder<T>::reserve(Workspace& space, std::int64_t tokens) const {
  if (space.x.rank() == 2 && space.x.dim(0) >= tokens) return;
  const std::int64_t n = (std::max)(tokens, space.tokens), w = config_.hidden_size;
  space = {n,
           Tensor<T>({n, w}),
           Tensor<T>({n, w}),
           Tensor<T>({n, w}),
           Tensor<T>({n, 3 * w}),
           Tensor<T>({n, config_.intermediate_size})};
}

/// x = LN(word + position + type 0), written to the first rows of space.x.
template <Real T>
Tensor<T> CellEncoder<T>::embed_tokens(const Chunk& chunk, Workspace& space) const {
  const auto count = static_cast<std::int64_t>(chunk.tokens.size());
  const std::int64_t w = config_.hidden_size;
  reserve(space, count);
  Tensor<T> sum = space.y.slice(0, 0, count), x = space.x.slice(0, 0, count);
  parallel_for(static_cast<std::int64_t>(chunk.cells.size()), 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s) {
      const std::int64_t first = chunk.offsets[static_cast<std::size_t>(s)];
      for (std::int64_t i = first; i < chunk.offsets[static_cast<std::size_t>(s) + 1]; ++i) {
        const T *word = words_.data() + chunk.tokens[static_cast<std::size_t>(i)] * w,
                *position = positions_.data() + (i - first) * w, *type = types_.data();
        T* row = sum.data() + i * w;
        for (std::int64_t c = 0; c < w; ++c) row[c] = (word[c] + type[c]) + position[c];
      }
    }
  });
  ops::layer_norm_into<T>(x.view(), std::as_const(sum).view(), embedding_norm_.weight.view(),
                          embedding_norm_.bias.view(), config_.layer_norm_eps);
  return x;
}

template <Real T>
void CellEncoder<T>::finish_layer(const Layer& layer, Tensor<T>& x, Tensor<T>& attention, Tensor<T>& y,
                                  Tensor<T>& wide) const {
  const auto add_norm = [&](const Tensor<T>& part, const detail::NormParameters<T>& norm) {
    ops::add_layer_norm_into<T>(attention.view(), part.view(), std::as_const(x).view(), norm.weight.view(),
                                norm.bias.view(), config_.layer_norm_eps);
    std::swap(x, attention);
  };
  layer.out.apply_into(y.view(), std::as_const(attention).view(), {.grade = grade_});
  add_norm(y, layer.attention_norm);
  layer.fc1.apply_into(wide.view(), std::as_const(x).view(), {.activation = activation_, .grade = grade_});
  layer.fc2.apply_into(y.view(), std::as_const(wide).view(), {.grade = grade_});
  add_norm(y, layer.ffn_norm);
}

template <Real T>
void CellEncoder<T>::full_layer(const Layer& layer, const Chunk& chunk, Tensor<T>& x,
                                Workspace& space) const {
  const std::int64_t count = x.dim(0), w = config_.hidden_size;
  Tensor<T> qkv = space.qkv.slice(0, 0, count), y = space.y.slice(0, 0, count),
            part = space.part.slice(0, 0, count), wide = space.wide.slice(0, 0, count);
  layer.qkv.apply_into(qkv.view(), std::as_const(x).view(), {.grade = grade_});
  const Tensor<T> q = qkv.slice(1, 0, w), k = qkv.slice(1, w, 2 * w), v = qkv.slice(1, 2 * w, 3 * w);
  ops::varlen_attention_into<T>(part.view(), q.view(), k.view(), v.view(), chunk.offsets, chunk.offsets,
                                {.heads = config_.num_attention_heads, .scale = 1.0, .grade = grade_});
  finish_layer(layer, x, part, y, wide);
}

/// The last layer at position 0 of each sequence: [sequences, hidden_size].
template <Real T>
Tensor<T> CellEncoder<T>::first_rows_layer(const Chunk& chunk, const Tensor<T>& x) const {
  const auto cells = static_cast<std::int64_t>(chunk.cells.size());
  const std::int64_t w = config_.hidden_size, heads = config_.num_attention_heads, d = config_.head_dim();
  Tensor<T> first({cells, w}), query({cells, w}), folded({cells, heads * w}), mean({cells, heads * w});
  std::vector<std::int64_t> query_offsets{0};
  for (std::int64_t s = 0; s < cells; ++s) {
    std::copy_n(x.data() + chunk.offsets[static_cast<std::size_t>(s)] * x.stride(0), w, first.data() + s * w);
    query_offsets.push_back((s + 1) * heads);
  }
  folded_.query.apply_into(query.view(), std::as_const(first).view());
  for (std::int64_t h = 0; h < heads; ++h) {
    const Tensor<T> of_head = query.slice(1, h * d, (h + 1) * d);
    folded_.key[static_cast<std::size_t>(h)].apply_into(folded.slice(1, h * w, (h + 1) * w).view(),
                                                        of_head.view());
  }
  // One head as wide as a token; the heads of the layer are its queries.
  ops::varlen_attention_into<T>(mean.reshape({cells * heads, w}).view(),
                                std::as_const(folded).reshape({cells * heads, w}).view(), x.view(), x.view(),
                                query_offsets, chunk.offsets, {.heads = 1, .scale = 1.0, .grade = grade_});
  Tensor<T> attention({cells, w});
  for (std::int64_t h = 0; h < heads; ++h) {
    const Tensor<T> of_head = mean.slice(1, h * w, (h + 1) * w);
    folded_.value[static_cast<std::size_t>(h)].apply_into(attention.slice(1, h * d, (h + 1) * d).view(),
                                                          of_head.view());
  }
  Tensor<T> wide({cells, config_.intermediate_size});
  finish_layer(layers_.back(), first, attention, query, wide);
  return first;
}

template <Real T>
Tensor<T> CellEncoder<T>::embed(std::span<const std::int32_t> tokens,
                                std::span<const std::int64_t> offsets) const {
  detail::check_sequences(tokens, offsets, config_.max_position_embeddings, config_.vocab_size);
  const std::int64_t cells = static_cast<std::int64_t>(offsets.size()) - 1, width = config_.projection_dim;
  Tensor<T> result({cells, width});
  Workspace space;
  space.tokens = (std::min)(chunk_tokens(), static_cast<std::int64_t>(tokens.size()));
  detail::for_chunks(tokens, offsets, chunk_tokens(), [&](const Chunk& chunk) {
    Tensor<T> x = embed_tokens(chunk, space);
    for (std::size_t l = 0; l + 1 < layers_.size(); ++l) full_layer(layers_[l], chunk, x, space);
    const Tensor<T> rows = ops::l2_normalize_rows(projection_(first_rows_layer(chunk, x)));
    for (std::size_t s = 0; s < chunk.cells.size(); ++s)
      std::copy_n(rows.data() + static_cast<std::int64_t>(s) * width, width,
                  result.data() + chunk.cells[s] * width);
  });
  return result;
}

template <Real T>
Tensor<T> CellEncoder<T>::last_hidden_state(std::span<const std::int32_t> tokens,
                                            std::span<const std::int64_t> offsets) const {
  detail::check_sequences(tokens, offsets, config_.max_position_embeddings, config_.vocab_size);
  const std::int64_t w = config_.hidden_size;
  Tensor<T> result({static_cast<std::int64_t>(tokens.size()), w});
  Workspace space;
  space.tokens = (std::min)(chunk_tokens(), static_cast<std::int64_t>(tokens.size()));
  detail::for_chunks(tokens, offsets, chunk_tokens(), [&](const Chunk& chunk) {
    Tensor<T> x = embed_tokens(chunk, space);
    for (const Layer& layer : layers_) full_layer(layer, chunk, x, space);
    for (std::size_t s = 0; s < chunk.cells.size(); ++s) {
      const std::int64_t begin = chunk.offsets[s], length = chunk.offsets[s + 1] - begin;
      std::copy_n(x.data() + begin * w, length * w,
                  result.data() + offsets[static_cast<std::size_t>(chunk.cells[s])] * w);
    }
  });
  return result;
}

STOFM_INSTANCE(class CellEncoder<float>)

}  // namespace stofm::model

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The cell encoder as a differentiable function of its parameters: the same names and numbers as
/// `CellEncoder` (model/cell_encoder.hpp), on a tape, with dropout. Sequences are packed, not padded. The
/// last layer is computed for the rows that are asked for (position 0, hidden genes): the others only give
/// keys and values there. *Source* SPEC section 2; Hugging Face `BertModel` (dropout after the embeddings, on
/// attention weights, and before each residual sum).

#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/l2_normalize.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/autograd/rules/varlen_attention.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/model/cell_encoder.hpp"
#include "stofm/nn/dropout.hpp"
#include "stofm/nn/modules.hpp"

namespace stofm::model {

/// How one forward pass is run.
struct TrainingPass {
  RandomKey key = {};     ///< of the dropout masks; another for each pass whose masks are to differ
  bool training = false;  ///< false: no dropout
};

/// Refers to the parameters of a set: what the optimizer changes, the next pass sees. Not for two threads at
/// once.
template <Real T>
class CellEncoderTrainer {
 public:
  using Variable = autograd::Variable<T>;
  using Tape = autograd::Tape<T>;

  /// \param parameters holds `prefix` + every name of `parameter_list(config)`; it must outlive the trainer
  /// \param config projection_dim may be 0: then it comes from proj.weight
  /// \throws as CellEncoderConfig::validate(); UsageError STOFM-1411 for a missing one; ShapeError
  /// STOFM-1350.
  CellEncoderTrainer(const CellEncoderConfig& config, autograd::ParameterSet<T>& parameters,
                     std::string prefix = "");

  const CellEncoderConfig& config() const { return config_; }
  const std::string& prefix() const { return prefix_; }

  /// Last hidden state of every token, [tokens, hidden_size].
  /// \param tokens of all cells, one cell after the other; \param offsets [cells + 1] where each begins
  /// \throws as CellEncoder::embed. *Cost* per token and layer 2 (4 W^2 + 2 W F) + 4 W L forward (W
  /// hidden_size, F intermediate_size, L the cell's length), about twice that backward. *Deterministic* yes,
  /// any number of threads.
  Variable hidden(Tape& tape, std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                  const TrainingPass& pass = {}) const;
  /// The same for some tokens: rows of `hidden` at `places` (ascending), [places, hidden_size]. The last
  /// layer costs a quarter to a third of a full one per token, and the rest per place. Dropout masks differ
  /// from `hidden`'s.
  Variable hidden_at(Tape& tape, std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                     std::span<const std::int64_t> places, const TrainingPass& pass = {}) const;
  /// Hidden states at position 0, one a cell -> L2-normalised projections, [cells, projection_dim].
  Variable project(Tape& tape, const Variable& first_rows) const;
  /// Embeddings of cells, [cells, projection_dim].
  Variable embed(Tape& tape, std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                 const TrainingPass& pass = {}) const;
  /// The table of token embeddings, [vocab_size, hidden_size]: for a head with tied weights.
  Variable words(Tape& tape) const { return parameter(tape, "bert/embeddings.word_embeddings.weight"); }

 private:
  using Offsets = std::vector<std::int64_t>;
  Variable parameter(Tape& tape, const std::string& name) const {
    return tape.parameter(parameters_->at(prefix_ + name));
  }
  Variable linear(Tape& tape, const Variable& x, const std::string& name) const {
    return nn::Linear<T>(*parameters_, prefix_ + name)(tape, x);
  }
  Variable add_norm(Tape& tape, const Variable& x, const Variable& residual, const std::string& name) const {
    return nn::LayerNorm<T>(*parameters_, prefix_ + name, config_.layer_norm_eps)(tape, x, residual);
  }
  /// Several linear layers of one input as one.
  Variable stacked(Tape& tape, const Variable& x, const std::string& name,
                   std::span<const char* const> parts) const;
  Variable embed_tokens(Tape& tape, std::span<const std::int32_t> tokens, const Offsets& offsets,
                        const TrainingPass& pass) const;
  /// \param rows absent: all; else x at the rows that ask, `query_offsets` of them per sequence
  Variable layer(Tape& tape, std::int64_t l, const Variable& x, const Variable& rows,
                 const Offsets& query_offsets, const Offsets& offsets, const TrainingPass& pass) const;

  CellEncoderConfig config_;
  autograd::ParameterSet<T>* parameters_;
  std::string prefix_;
  ops::Activation activation_;
};

namespace detail {

/// Sum of token, position and token type 0 embedding of every token, [tokens, W]; the gradients go back to
/// the rows they came from, in the order of the tokens.
template <Real T>
autograd::Variable<T> sum_embeddings(const autograd::Variable<T>& words,
                                     const autograd::Variable<T>& positions,
                                     const autograd::Variable<T>& types, std::span<const std::int32_t> tokens,
                                     std::span<const std::int64_t> offsets) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  const std::int64_t w = words.shape()[1];
  std::vector<std::int32_t> at(tokens.size());
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s)
    std::iota(at.begin() + offsets[s], at.begin() + offsets[s + 1], 0);
  Tensor<T> sum({count, w});
  parallel_for(count, 128, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto t = static_cast<std::size_t>(i);
      const T *word = words.value().data() + tokens[t] * w, *position = positions.value().data() + at[t] * w,
              *type = types.value().data();
      T* row = sum.data() + i * w;
      for (std::int64_t c = 0; c < w; ++c) row[c] = (word[c] + type[c]) + position[c];
    }
  });
  return autograd::record<T>(
      "sum_embeddings", std::move(sum), {words, positions, types},
      [token = std::vector<std::int32_t>(tokens.begin(), tokens.end()), at = std::move(at)](
          const Tensor<T>& grad_y, autograd::Gradients<T>& into) {
        if (into.wanted(0))
          ops::scatter_add_rows_into<T, std::int32_t>(into.accumulator(0).view(), grad_y.view(), token);
        if (into.wanted(1))
          ops::scatter_add_rows_into<T, std::int32_t>(into.accumulator(1).view(), grad_y.view(), at);
        if (into.wanted(2))
          ops::add_column_sums_into<T>(into.accumulator(2).select(0, 0).view(), grad_y.view());
      });
}

/// How many places each sequence has, as offsets. \throws ShapeError STOFM-1351 unless they ascend within the
/// tokens.
inline std::vector<std::int64_t> place_offsets(std::span<const std::int64_t> places,
                                               std::span<const std::int64_t> offsets) {
  std::vector<std::int64_t> result{0};
  std::size_t next = 0;
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
    for (; next < places.size() && places[next] < offsets[s + 1]; ++next)
      if (places[next] < offsets[s] || (next > 0 && places[next] <= places[next - 1])) break;
    result.push_back(static_cast<std::int64_t>(next));
  }
  if (next != places.size())
    throw ShapeError({"STOFM-1351", "", "[CellEncoderTrainer] places",
                      concat("place ", places[next], " at index ", next),
                      "ascending places within the tokens", "Sort the places and drop repeats."});
  return result;
}

}  // namespace detail

template <Real T>
CellEncoderTrainer<T>::CellEncoderTrainer(const CellEncoderConfig& config,
                                          autograd::ParameterSet<T>& parameters, std::string prefix)
    : config_(config),
      parameters_(&parameters),
      prefix_(std::move(prefix)),
      activation_(detail::activation_of(config.hidden_act)) {
  if (config_.projection_dim == 0)
    config_.projection_dim = parameters.at(prefix_ + "proj.weight").value().dim(0);
  for (const ParameterSpec& spec : parameter_list(config_)) {
    const Shape& found = parameters.at(prefix_ + spec.name).value().shape();
    if (!(found == spec.shape))
      throw ShapeError({"STOFM-1350", "", "[CellEncoderTrainer] " + prefix_ + spec.name,
                        "shape " + to_string(found), detail::shape_reason(spec),
                        "Parameters and configuration must belong together."});
  }
}

template <Real T>
autograd::Variable<T> CellEncoderTrainer<T>::stacked(Tape& tape, const Variable& x, const std::string& name,
                                                     std::span<const char* const> parts) const {
  std::vector<Variable> weights, biases;
  for (const char* part : parts) {
    weights.push_back(parameter(tape, name + part + ".weight"));
    biases.push_back(parameter(tape, name + part + ".bias"));
  }
  return autograd::linear(x, autograd::concat_rows(weights), autograd::concatenate<T>(biases, 0));
}

template <Real T>
autograd::Variable<T> CellEncoderTrainer<T>::embed_tokens(Tape& tape, std::span<const std::int32_t> tokens,
                                                          const Offsets& offsets,
                                                          const TrainingPass& pass) const {
  const std::string name = "bert/embeddings.";
  const Variable sum =
      detail::sum_embeddings(words(tape), parameter(tape, name + "position_embeddings.weight"),
                             parameter(tape, name + "token_type_embeddings.weight"), tokens, offsets);
  const Variable x = add_norm(tape, sum, Variable(), name + "LayerNorm");
  return pass.training ? nn::dropout(x, config_.hidden_dropout_prob, pass.key.child(0)) : x;
}

template <Real T>
autograd::Variable<T> CellEncoderTrainer<T>::layer(Tape& tape, std::int64_t l, const Variable& x,
                                                   const Variable& rows, const Offsets& query_offsets,
                                                   const Offsets& offsets, const TrainingPass& pass) const {
  const std::string name = concat("bert/encoder.layer.", l, "."), attention = name + "attention.self.";
  const RandomKey key = pass.key.child(static_cast<std::uint64_t>(l) + 1);
  const auto drop = [&](const Variable& y, std::uint64_t site) {
    return pass.training ? nn::dropout(y, config_.hidden_dropout_prob, key.child(site)) : y;
  };
  static constexpr const char* all[] = {"query", "key", "value"};
  Variable query, packed;
  if (rows.absent()) {
    packed = stacked(tape, x, attention, all);
  } else {
    query = linear(tape, rows, attention + "query");
    packed = stacked(tape, x, attention, std::span(all).subspan(1));
  }
  const Variable context =
      autograd::varlen_attention<T>(query, packed, query_offsets, offsets,
                                    {.heads = config_.num_attention_heads,
                                     .scale = 1.0 / std::sqrt(static_cast<double>(config_.head_dim())),
                                     .dropout = pass.training ? config_.attention_probs_dropout_prob : 0.0,
                                     .key = key.child(0)});
  const Variable mixed = add_norm(tape, drop(linear(tape, context, name + "attention.output.dense"), 1),
                                  rows.absent() ? x : rows, name + "attention.output.LayerNorm");
  const Variable wide = autograd::activation(linear(tape, mixed, name + "intermediate.dense"), activation_);
  return add_norm(tape, drop(linear(tape, wide, name + "output.dense"), 2), mixed, name + "output.LayerNorm");
}

template <Real T>
autograd::Variable<T> CellEncoderTrainer<T>::hidden(Tape& tape, std::span<const std::int32_t> tokens,
                                                    std::span<const std::int64_t> offsets,
                                                    const TrainingPass& pass) const {
  detail::check_sequences(tokens, offsets, config_.max_position_embeddings, config_.vocab_size);
  const Offsets keys(offsets.begin(), offsets.end());
  Variable x = embed_tokens(tape, tokens, keys, pass);
  for (std::int64_t l = 0; l < config_.num_hidden_layers; ++l)
    x = layer(tape, l, x, Variable(), keys, keys, pass);
  return x;
}

template <Real T>
autograd::Variable<T> CellEncoderTrainer<T>::hidden_at(Tape& tape, std::span<const std::int32_t> tokens,
                                                       std::span<const std::int64_t> offsets,
                                                       std::span<const std::int64_t> places,
                                                       const TrainingPass& pass) const {
  detail::check_sequences(tokens, offsets, config_.max_position_embeddings, config_.vocab_size);
  const Offsets keys(offsets.begin(), offsets.end()), queries = detail::place_offsets(places, offsets);
  Variable x = embed_tokens(tape, tokens, keys, pass);
  const std::int64_t last = config_.num_hidden_layers - 1;
  for (std::int64_t l = 0; l < last; ++l) x = layer(tape, l, x, Variable(), keys, keys, pass);
  return layer(tape, last, x, autograd::take_rows<T, std::int64_t>(x, places), queries, keys, pass);
}

template <Real T>
autograd::Variable<T> CellEncoderTrainer<T>::project(Tape& tape, const Variable& first_rows) const {
  return autograd::l2_normalize_rows(linear(tape, first_rows, "proj"));
}

template <Real T>
autograd::Variable<T> CellEncoderTrainer<T>::embed(Tape& tape, std::span<const std::int32_t> tokens,
                                                   std::span<const std::int64_t> offsets,
                                                   const TrainingPass& pass) const {
  if (offsets.empty()) detail::check_sequences(tokens, offsets, 1, 1);  // throws
  return project(tape, hidden_at(tape, tokens, offsets, offsets.first(offsets.size() - 1), pass));
}

STOFM_INSTANCE(class CellEncoderTrainer<float>)

}  // namespace stofm::model

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Layers as thin structs over the parameters of a set: the constructor finds (or `create` adds) them by
/// name, the call puts them on the tape of its input. Names follow PyTorch: "<name>.weight", "<name>.bias".
///     nn::create_linear(set, "fc1", {.in = 3, .out = 8}, key);
///     const nn::Linear<float> fc1(set, "fc1");
///     y = autograd::relu(fc1(tape, x));

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/gather.hpp"
#include "stofm/autograd/rules/layer_norm.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/nn/dropout.hpp"

namespace stofm::nn {

using autograd::Parameter;
using autograd::ParameterSet;
using autograd::Tape;
using autograd::Variable;

/// y = x W^T + b. *Shapes* x: [M, in]; result [M, out]. Parameters weight [out, in] and, if the set has it,
/// bias [out].
template <ops::Computed T>
struct Linear {
  Parameter<T>* weight;
  Parameter<T>* bias;  ///< null: none

  /// \throws UsageError STOFM-1411 if the set lacks the weight.
  Linear(const ParameterSet<T>& set, const std::string& name)
      : weight(&set.at(name + ".weight")),
        bias(set.contains(name + ".bias") ? &set.at(name + ".bias") : nullptr) {}

  Variable<T> operator()(Tape<T>& tape, const Variable<T>& x) const {
    return autograd::linear(x, tape.parameter(*weight),
                            bias == nullptr ? Variable<T>() : tape.parameter(*bias));
  }
};

/// Rows of a table by number. *Shapes* indices: n values in [0, V); result [n, C]. Parameter weight [V, C].
template <ops::Computed T>
struct Embedding {
  Parameter<T>* weight;

  Embedding(const ParameterSet<T>& set, const std::string& name) : weight(&set.at(name + ".weight")) {}

  template <std::integral I>
  Variable<T> operator()(Tape<T>& tape, std::span<const I> indices) const {
    return autograd::gather_rows<T, I>(tape.parameter(*weight), indices);
  }
  template <std::integral I>
  Variable<T> operator()(Tape<T>& tape, const std::vector<I>& indices) const {
    return (*this)(tape, std::span<const I>(indices));
  }
};

/// Normalised rows, scaled and shifted. *Shapes* x, residual: [M, C]. Parameters weight [C], bias [C].
template <ops::Computed T>
struct LayerNorm {
  Parameter<T>* weight;
  Parameter<T>* bias;
  double epsilon;

  LayerNorm(const ParameterSet<T>& set, const std::string& name, double eps = 1e-5)
      : weight(&set.at(name + ".weight")), bias(&set.at(name + ".bias")), epsilon(eps) {}

  Variable<T> operator()(Tape<T>& tape, const Variable<T>& x) const {
    return autograd::layer_norm(x, tape.parameter(*weight), tape.parameter(*bias), epsilon);
  }
  /// Of x + residual, as the end of a post-LN block.
  Variable<T> operator()(Tape<T>& tape, const Variable<T>& x, const Variable<T>& residual) const {
    return autograd::add_layer_norm(x, residual, tape.parameter(*weight), tape.parameter(*bias), epsilon);
  }
};

/// y = outer(activation(inner(x))).
template <ops::Computed T>
struct FeedForward {
  Linear<T> inner, outer;
  Activation activation = Activation::gelu;

  Variable<T> operator()(Tape<T>& tape, const Variable<T>& x) const {
    return outer(tape, autograd::activation(inner(tape, x), activation));
  }
};

/// What a block drops while training; both 0 outside of it.
struct BlockDropout {
  double hidden = 0.0;  ///< of each sub-layer's result, before the residual
  RandomKey key{};      ///< of this layer and step; child 0 is left to the attention, 1 and 2 are used here
};

/// A post-LN transformer block as BERT's: z = LN(x + drop(O attention(Qx, Kx, Vx))), y = LN(z + drop(FFN z)).
/// Names below `prefix` are those of Hugging Face's BertLayer ("attention.self.query.weight" ...).
template <ops::Computed T>
struct BertBlock {
  Linear<T> query, key, value, attention_output;
  LayerNorm<T> attention_norm;
  FeedForward<T> feed_forward;
  LayerNorm<T> output_norm;

  /// `prefix` ends in its separator. `eps` of both norms is BERT's.
  BertBlock(const ParameterSet<T>& set, const std::string& prefix, Activation activation, double eps = 1e-12)
      : query(set, prefix + "attention.self.query"),
        key(set, prefix + "attention.self.key"),
        value(set, prefix + "attention.self.value"),
        attention_output(set, prefix + "attention.output.dense"),
        attention_norm(set, prefix + "attention.output.LayerNorm", eps),
        feed_forward{{set, prefix + "intermediate.dense"}, {set, prefix + "output.dense"}, activation},
        output_norm(set, prefix + "output.LayerNorm", eps) {}

  /// *Shapes* x: [T, C]; result the same. `attend(q, k, v)` -> [T, C] is any attention over the rows, for
  /// example autograd::varlen_attention with its offsets, heads and scale bound.
  template <class Attend>
  Variable<T> operator()(Tape<T>& tape, const Variable<T>& x, Attend&& attend,
                         const BlockDropout& drop = {}) const {
    const Variable<T> mixed = attend(query(tape, x), key(tape, x), value(tape, x));
    const Variable<T> z =
        attention_norm(tape, dropout(attention_output(tape, mixed), drop.hidden, drop.key.child(1)), x);
    return output_norm(tape, dropout(feed_forward(tape, z), drop.hidden, drop.key.child(2)), z);
  }
};

/// Shape of a layer to create.
struct LinearShape {
  std::int64_t in = 0, out = 0;
  bool bias = true;
};

/// N(0, deviation^2) numbers named by the key.
template <ops::Computed T>
Tensor<T> normal_values(const Shape& shape, double deviation, const RandomKey& key) {
  Tensor<T> result(shape);
  Random random = key.generator();
  for (T& value : result.span()) value = static_cast<T>(deviation * random.normal());
  return result;
}

/// Adds "<name>.weight", N(0, 1 / in), and "<name>.bias", zeros. \throws UsageError STOFM-1410 if they are
/// there.
template <ops::Computed T>
void create_linear(ParameterSet<T>& set, const std::string& name, const LinearShape& shape,
                   const RandomKey& key) {
  const double deviation = shape.in > 0 ? 1.0 / std::sqrt(static_cast<double>(shape.in)) : 0.0;
  set.add(name + ".weight", normal_values<T>({shape.out, shape.in}, deviation, key));
  if (shape.bias) set.add(name + ".bias", Tensor<T>::zeros({shape.out}));
}
/// Adds "<name>.weight" [rows, columns], N(0, 0.02^2) as BERT does.
template <ops::Computed T>
void create_embedding(ParameterSet<T>& set, const std::string& name, std::int64_t rows, std::int64_t columns,
                      const RandomKey& key) {
  set.add(name + ".weight", normal_values<T>({rows, columns}, 0.02, key));
}
/// Adds "<name>.weight", ones, and "<name>.bias", zeros.
template <ops::Computed T>
void create_layer_norm(ParameterSet<T>& set, const std::string& name, std::int64_t columns) {
  set.add(name + ".weight", Tensor<T>::full({columns}, T(1)));
  set.add(name + ".bias", Tensor<T>::zeros({columns}));
}

}  // namespace stofm::nn

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The layers that the models are made of, as thin structs over the parameters of a set: the constructor
/// finds them by name (create_linear adds them), the call puts them on a tape. Names follow PyTorch:
/// "<name>.weight",
/// "<name>.bias".
///     nn::create_linear(set, "fc1", {.in = 3, .out = 8}, key);
///     const nn::Linear<float> fc1(set, "fc1");
///     y = autograd::relu(fc1(tape, x));

#include <cmath>
#include <string>

#include "stofm/autograd/rules/layer_norm.hpp"
#include "stofm/autograd/rules/linear.hpp"
#include "stofm/core/random_key.hpp"

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
  /// Of x + residual, as the end of a post-LN block; of x if there is no residual.
  Variable<T> operator()(Tape<T>& tape, const Variable<T>& x, const Variable<T>& residual) const {
    return autograd::add_layer_norm(x, residual, tape.parameter(*weight), tape.parameter(*bias), epsilon);
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

}  // namespace stofm::nn

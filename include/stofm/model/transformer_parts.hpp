// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What the two encoders build from named parameters: packed linear layers, norms, stacked projections.

#include <array>
#include <string>
#include <vector>

#include "stofm/model/config.hpp"
#include "stofm/model/parameters.hpp"
#include "stofm/ops/activation.hpp"
#include "stofm/ops/linear.hpp"

namespace stofm::model::detail {

inline ops::Activation activation_of(const std::string& name) {
  require_activation("activation", name);
  return name == "relu" ? ops::Activation::relu : ops::Activation::gelu;
}

/// Scale and shift of a LayerNorm.
template <Real T>
struct NormParameters {
  Tensor<T> weight, bias;
};

template <Real T>
NormParameters<T> norm_of(const NamedTensors<T>& weights, const std::string& name) {
  return {weights.at(name + ".weight").contiguous(), weights.at(name + ".bias").contiguous()};
}

template <Real T>
ops::PackedLinear<T> linear_of(const NamedTensors<T>& weights, const std::string& name,
                               MatmulGrade grade = MatmulGrade::float32) {
  return ops::PackedLinear<T>(weights.at(name + ".weight"), weights.at(name + ".bias"), grade);
}

/// A dense copy, times `factor`.
template <Real T>
Tensor<T> scaled(const Tensor<T>& values, double factor) {
  Tensor<T> result = values.clone();
  for (T& value : result.span()) value *= static_cast<T>(factor);
  return result;
}

/// One linear layer that makes queries, keys and values at once: [3E, E], the query rows (and biases) times
/// `query_scale`. `parts` are the three names behind `prefix`, queries first.
template <Real T>
ops::PackedLinear<T> stacked_qkv(const NamedTensors<T>& weights, const std::string& prefix,
                                 const std::array<const char*, 3>& parts, double query_scale,
                                 MatmulGrade grade) {
  const Tensor<T>& first = weights.at(prefix + parts[0] + ".weight");
  const std::int64_t rows = first.dim(0);
  Tensor<T> weight({3 * rows, first.dim(1)}), bias({3 * rows});
  for (std::size_t i = 0; i < 3; ++i) {
    const double factor = i == 0 ? query_scale : 1.0;
    const Tensor<T> w = scaled(weights.at(prefix + parts[i] + ".weight"), factor),
                    b = scaled(weights.at(prefix + parts[i] + ".bias"), factor);
    const auto at = static_cast<std::int64_t>(i) * rows;
    std::copy_n(w.data(), w.numel(), weight.data() + at * first.dim(1));
    std::copy_n(b.data(), b.numel(), bias.data() + at);
  }
  return ops::PackedLinear<T>(std::move(weight), std::move(bias), grade);
}

/// The parameters of `list`, and nothing else.
template <Real T>
NamedTensors<T> select_parameters(const std::vector<ParameterSpec>& list, const NamedTensors<T>& weights) {
  NamedTensors<T> selected;
  for (const ParameterSpec& spec : list) selected.emplace(spec.name, weights.at(spec.name));
  return selected;
}

}  // namespace stofm::model::detail

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Random initial parameters of both encoders from a configuration and a seed.
///
/// Every tensor draws from a Philox stream of its own, named by a hash of the tensor's name, so that its
/// values depend on the seed, its name and its shape alone: not on the other tensors, their order, or the
/// number of layers. *Source* SPEC section 6, "Init"; Hugging Face's BertModel for the zero row of <pad>.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <string_view>

#include "stofm/core/random.hpp"
#include "stofm/model/parameter_lists.hpp"
#include "stofm/model/parameters.hpp"

namespace stofm::model {

/// How to draw.
struct InitOptions {
  std::uint64_t seed = 0;
  double standard_deviation =
      0.02;  ///< of Linear and Embedding weights; SPEC section 6, BERT's initializer_range
};

/// Parameters of the SE(2) Transformer, without the heads of pretraining: Linear and Embedding weights N(0,
/// sd^2), biases 0, LayerNorm 1 and 0; q, k, v Xavier uniform with gain 1/sqrt(2), out_proj with gain 1;
/// Gaussian means and widths U(0, 3), its affine map the identity. \throws as Se2Config::validate();
/// UsageError STOFM-1320 for a standard deviation that is not a number >= 0. *Cost* one or two draws an
/// element. *Deterministic* yes; the order of evaluation does not matter.
template <Real T = float>
NamedTensors<T> initial_parameters(const Se2Config& config, const InitOptions& options = {});

/// Parameters of the cell encoder and its projection (`config.projection_dim` must be set): weights N(0,
/// sd^2), the row of <pad> in the token embedding 0, biases 0, LayerNorm 1 and 0. Otherwise as above.
template <Real T = float>
NamedTensors<T> initial_parameters(const CellEncoderConfig& config, const InitOptions& options = {});

namespace detail {

/// FNV-1a, 64 bits: which stream a tensor draws from.
inline std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

template <Real T>
Tensor<T> uniform_tensor(const Shape& shape, Random random, double low, double high) {
  Tensor<T> result(shape);
  for (T& value : result.span())
    value = static_cast<T>(static_cast<float>(low + (high - low) * random.uniform()));
  return result;
}

template <Real T>
Tensor<T> normal_tensor(const Shape& shape, Random random, double standard_deviation) {
  Tensor<T> result(shape);
  for (T& value : result.span())
    value = static_cast<T>(static_cast<float>(standard_deviation * random.normal()));
  return result;
}

/// U(-a, a) with a = gain * sqrt(6 / (rows + columns)). *Source* Glorot and Bengio, AISTATS 2010,
/// equation 16.
template <Real T>
Tensor<T> xavier_tensor(const Shape& shape, Random random, double gain) {
  const double a = gain * std::sqrt(6.0 / static_cast<double>(shape[0] + shape[1]));
  return uniform_tensor<T>(shape, random, -a, a);
}

template <Real T>
Tensor<T> initial_tensor(const ParameterSpec& spec, const InitOptions& options) {
  const std::string& name = spec.name;
  const Random random(options.seed, stream_of(name));
  const auto contains = [&name](const char* part) { return name.find(part) != std::string::npos; };
  if (name.ends_with(".bias")) return Tensor<T>::zeros(spec.shape);
  if (contains("layer_norm.") || contains("LayerNorm.") || name == "gaussian.linear.weight")
    return Tensor<T>::full(spec.shape, static_cast<T>(1.0F));
  if (name == "gaussian.means.weight" || name == "gaussian.stds.weight")
    return uniform_tensor<T>(spec.shape, random, 0.0, 3.0);
  if (contains(".self_attn.out_proj.")) return xavier_tensor<T>(spec.shape, random, 1.0);
  if (contains(".self_attn.")) return xavier_tensor<T>(spec.shape, random, 1.0 / std::numbers::sqrt2);
  Tensor<T> result = normal_tensor<T>(spec.shape, random, options.standard_deviation);
  if (name == "bert/embeddings.word_embeddings.weight")
    std::fill_n(result.data(), spec.shape[1], static_cast<T>(0.0F));
  return result;
}

template <Real T, class Config>
NamedTensors<T> initial_from_list(const Config& config, const InitOptions& options) {
  if (!(options.standard_deviation >= 0.0 && options.standard_deviation <= 1e6))
    throw UsageError({"STOFM-1320", "", "[initial_parameters]",
                      concat("standard deviation ", options.standard_deviation), "a number from 0 to 1e6",
                      "The published one is 0.02."});
  NamedTensors<T> result;
  for (const ParameterSpec& spec : parameter_list(config))
    result.emplace(spec.name, initial_tensor<T>(spec, options));
  return result;
}

}  // namespace detail

template <Real T>
NamedTensors<T> initial_parameters(const Se2Config& config, const InitOptions& options) {
  return detail::initial_from_list<T>(config, options);
}

template <Real T>
NamedTensors<T> initial_parameters(const CellEncoderConfig& config, const InitOptions& options) {
  return detail::initial_from_list<T>(config, options);
}

}  // namespace stofm::model

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Options and plain inputs that an op and all its backends share. Only data: the ops document what they
/// mean.

#include <cstdint>
#include <vector>

#include "stofm/core/pair_list.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm {

/// What is applied to the result of a linear layer.
enum class Activation {
  identity,
  relu,  ///< max(x, 0); NaN stays NaN
  gelu,  ///< x * (1 + erf(x / sqrt(2))) / 2, exact form
};

/// Precision class of the products inside a float matrix multiplication. Sums are float32 in both. Doubles
/// have one grade.
enum class MatmulGrade {
  float32,  ///< float32; on AMX each float as a sum of three bfloat16 (six products), to the same accuracy
  /// Operands rounded to bfloat16 (each by at most 2^-9 of it), one product. Faster than float32 on AMX and on
  /// AVX-512-bf16 of AMD (backend/cpu/bfloat16/forms.hpp); elsewhere as fast, with the same results.
  bfloat16,
};

/// y = activation(scale * (x w^T + b)).
struct LinearOptions {
  Activation activation = Activation::identity;
  double scale = 1.0;
  MatmulGrade grade = MatmulGrade::float32;
};

/// Attention over packed sequences: softmax(scale * q k^T) v per head.
struct AttentionOptions {
  std::int64_t heads = 1;
  double scale = 1.0;
  MatmulGrade grade = MatmulGrade::float32;
};

/// Dropout of the weights of an attention: which are kept, and the factor of those. None by default.
struct WeightDropout {
  DropoutMask mask;
  double factor = 1.0;

  bool drops() const { return mask.threshold > 0; }
  /// \throws UsageError STOFM-1501 unless 0 <= probability < 1.
  static WeightDropout of(double probability, const RandomKey& key) {
    const DropoutRate rate = DropoutRate::of(probability);
    return {DropoutMask(key, rate.threshold), rate.factor};
  }
};

/// A pairwise bias that is one constant per head except at listed pairs. Points to the list.
template <class T>
struct SparsePairBias {
  const PairList& pairs;
  Tensor<T> values;           ///< [heads, entries]: bias - background of that head
  std::vector<T> background;  ///< [heads]: the bias of every pair that is not listed
};

}  // namespace stofm

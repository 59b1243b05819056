// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Dropout: y = x * keep / (1 - p), keep drawn from a key (core/random_key.hpp) and the index of the element.
/// Nothing is saved for backward but the key: the mask is drawn again, grad_x = grad_y * keep / (1 - p).
/// *Source* Srivastava et al., JMLR 15 (2014), in the "inverted" form that PyTorch uses.

#include "stofm/autograd/tape.hpp"
#include "stofm/ops/dropout.hpp"

namespace stofm::nn {

/// *Shapes* x: any; result the same. `probability` is rounded to a multiple of 2^-16; 0 returns x itself.
/// *Deterministic*: the same bits for a key on any number of threads. \throws UsageError STOFM-1501 unless
/// 0 <= probability < 1.
template <ops::Computed T>
autograd::Variable<T> dropout(const autograd::Variable<T>& x, double probability, const RandomKey& key) {
  const DropoutRate rate = DropoutRate::of(probability);
  if (!rate.drops()) return x;
  const DropoutMask mask(key, rate.threshold);
  const auto apply = [mask, factor = static_cast<T>(rate.factor)](const Tensor<T>& from) {
    const Tensor<T> dense = from.contiguous();
    Tensor<T> to(dense.shape());
    ops::dropout<T>(to.span(), dense.span(), mask, factor);
    return to;
  };
  return autograd::record<T>(
      "dropout", apply(x.value()), {x},
      [apply](const Tensor<T>& grad_y, autograd::Gradients<T>& into) { into.add_owned(0, apply(grad_y)); });
}

}  // namespace stofm::nn

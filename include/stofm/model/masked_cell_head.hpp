// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The head of pretraining that predicts the features of a masked cell from its hidden state, without
/// gradients: lm_head.2 relu(lm_head.0 h). (model/pretraining_heads.hpp is the trained one.) *Source* SPEC
/// section 6.

#include <memory>
#include <utility>

#include "stofm/model/config.hpp"
#include "stofm/model/parameters.hpp"
#include "stofm/ops/linear.hpp"

namespace stofm::model {

/// Immutable; may be used by several threads at once.
class MaskedCellHead {
 public:
  /// The head among the tensors of a checkpoint; null where it is not there whole, with the shapes of the
  /// configuration: embedding needs none, so that is no error here.
  static std::shared_ptr<const MaskedCellHead> find(const Se2Config& config,
                                                    const NamedTensors<float>& tensors) {
    const std::int64_t e = config.embedding_dim, c = config.input_dim;
    const auto take = [&tensors](const char* name, const Shape& shape) {
      const auto found = tensors.find(name);
      return found != tensors.end() && found->second.shape() == shape ? found->second.contiguous()
                                                                      : Tensor<float>();
    };
    Tensor<float> w0 = take("lm_head.0.weight", Shape{e, e}), b0 = take("lm_head.0.bias", Shape{e});
    Tensor<float> w2 = take("lm_head.2.weight", Shape{c, e}), b2 = take("lm_head.2.bias", Shape{c});
    if (w0.numel() == 0 || b0.numel() == 0 || w2.numel() == 0 || b2.numel() == 0) return nullptr;
    auto head = std::make_shared<MaskedCellHead>();
    head->first_ = ops::PackedLinear<float>(std::move(w0), std::move(b0));
    head->second_ = ops::PackedLinear<float>(std::move(w2), std::move(b2));
    return head;
  }

  std::int64_t width() const { return second_.outputs(); }

  /// Predictions [m, input_dim] of hidden states [m, embedding_dim]; their length means nothing. \throws
  /// ShapeError. *Cost* 4 m E^2 FLOP. *Deterministic* yes, any thread count.
  Tensor<float> predict(const Tensor<float>& states) const {
    LinearOptions options;
    options.activation = Activation::relu;
    return second_(first_(states, options));
  }

 private:
  ops::PackedLinear<float> first_, second_;
};

}  // namespace stofm::model

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The head of a fine-tuned classifier: what the SE(2) Transformer says of a cell and of its surroundings
/// beside what the cell itself is, through one hidden layer.
///
///     x = [h, (f - mean) / scale]       h: SE(2) state [E], f: cell embedding [C]
///     logits = D x + W2 dropout(act(W1 x + b1)) + b2
///
/// D is the direct way: fine-tuning begins with the logistic regression of the frozen states there, and the
/// hidden layer adds what a linear head can't say.
/// States come out of a LayerNorm in most models, cell embeddings have length 1: without the scaling the
/// second half would hardly count. *Source* ours; the paper's heads are of the same size.

#include <cstdint>
#include <string>
#include <utility>

#include "stofm/autograd/rules/activation.hpp"
#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/nn/dropout.hpp"
#include "stofm/nn/modules.hpp"

namespace stofm::tasks {

/// Sizes and switches of a head.
struct HeadOptions {
  std::int64_t hidden = 128;
  ops::Activation activation = ops::Activation::gelu;  ///< gelu or relu
  double dropout = 0.2;                                ///< of the hidden layer, training only

  /// \throws UsageError STOFM-4740.
  void validate() const {
    if (hidden < 1 || hidden > 65536 || !(dropout >= 0 && dropout < 1) ||
        activation == ops::Activation::identity)
      throw UsageError({"STOFM-4740", "", "head", concat("hidden ", hidden, ", dropout ", dropout),
                        "1 to 65,536 units, 0 <= dropout < 1, gelu or relu",
                        "The defaults are 128 and 0.2."});
  }
};

/// Widths that a head joins.
struct HeadShape {
  std::int64_t state = 0, cell = 0, classes = 0;
};

/// Adds "<prefix>hidden.weight", ".bias", "<prefix>output.weight", ".bias" and "<prefix>direct.weight": the
/// hidden layer N(0, 1 / in), the output 0.1 of that, so that training starts near equal probabilities;
/// biases and the direct way 0. \throws UsageError if they are there.
template <ops::Computed T>
void create_head(autograd::ParameterSet<T>& set, const std::string& prefix, const HeadShape& shape,
                 const HeadOptions& options, const RandomKey& key) {
  options.validate();
  nn::create_linear(set, prefix + "hidden", {.in = shape.state + shape.cell, .out = options.hidden},
                    key.child(1));
  nn::create_linear(set, prefix + "output", {.in = options.hidden, .out = shape.classes}, key.child(2));
  for (T& weight : set.at(prefix + "output.weight").changing().span()) weight *= static_cast<T>(0.1F);
  set.add(prefix + "direct.weight", Tensor<T>::zeros({shape.classes, shape.state + shape.cell}));
}

/// The head over the parameters of a set. Holds no values.
template <ops::Computed T>
class ClassifierHead {
 public:
  /// `set` must outlive it. \throws UsageError STOFM-1411 if it lacks a parameter.
  ClassifierHead(const autograd::ParameterSet<T>& set, const std::string& prefix, const HeadOptions& options)
      : options_(options),
        hidden_(set, prefix + "hidden"),
        output_(set, prefix + "output"),
        direct_(set, prefix + "direct") {}

  /// *Shapes* states [M, E], cells [M, C] (scaled already); result [M, classes]. Dropout where `key` is
  /// given. *Cost* 2 M (hidden + classes) (E + C). *Deterministic* yes, any thread count.
  autograd::Variable<T> logits(autograd::Tape<T>& tape, const autograd::Variable<T>& states,
                               const autograd::Variable<T>& cells, const RandomKey* key = nullptr) const {
    const auto x = autograd::concat_columns<T>({states, cells});
    auto hidden = autograd::activation(hidden_(tape, x), options_.activation);
    if (key != nullptr) hidden = nn::dropout(hidden, options_.dropout, *key);
    return autograd::add(direct_(tape, x), output_(tape, hidden));
  }

 private:
  HeadOptions options_;
  nn::Linear<T> hidden_, output_, direct_;
};

STOFM_INSTANCE(class ClassifierHead<float>)

}  // namespace stofm::tasks

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Attention whose logits add up over the layers, differentiable, in memory linear in the nodes:
///   S_l = B + sum_{j <= l} scale_j Q_j K_j^T,  y_l = dropout(softmax(S_l)) V_l  per head.
/// Formulas of the gradient: ops/pair_attention.hpp. The node of layer l has the inputs q_1 .. q_l,
/// k_1 .. k_l, v_l and the bias, and adds into the gradients of all of them; the carried pair state is not a
/// variable. Same values from elementary dense steps: tests/support/pair_attention_composed.hpp.

#include <concepts>
#include <memory>
#include <ranges>
#include <utility>
#include <vector>

#include "stofm/autograd/tape.hpp"
#include "stofm/core/random_key.hpp"
#include "stofm/ops/pair_attention.hpp"

namespace stofm::autograd {

struct PairAttentionOptions {
  double scale = 1.0;    ///< of q k^T: 1 / sqrt(head_dim) in the model
  double dropout = 0.0;  ///< probability that a softmax weight is dropped, 0 <= p < 1
  RandomKey key = {};    ///< names the mask; another one for each layer (RandomKey::child)
};

/// The carried pair state of one sub-slice. A value: copies continue apart from each other.
/// *Saved* per layer q, k, v, y and one number per row and head; never [nodes, nodes]. *Deterministic* yes,
/// at any number of threads.
template <ops::Computed T>
class PairAttentionGraph {
 public:
  /// *Shapes* bias_values: [heads, entries], bias minus background at `pairs`; background:
  /// [heads]. \throws ShapeError for sizes, offsets and columns that do not fit.
  PairAttentionGraph(std::int64_t heads, std::int64_t head_dim, const PairList& pairs,
                     const Variable<T>& bias_values, const Variable<T>& background)
      : state_(heads, head_dim, pairs, {.gradients = true}), background_(background) {
    ops::detail::require_shape("PairAttentionGraph", "background", background.value().view(), Shape{heads},
                               "heads");
    slots_ = record<T>("pair_slots", state_.to_slots(bias_values.value()), {bias_values},
                       [state = state_](const Tensor<T>& grad, Gradients<T>& into) {
                         if (into.wanted(0)) into.add_owned(0, state.from_slots(grad));
                       });
    state_.set_slots(slots_.value());
  }

  std::int64_t nodes() const { return state_.nodes(); }
  std::int64_t heads() const { return state_.heads(); }
  std::int64_t head_dim() const { return state_.head_dim(); }
  /// Layers attended so far.
  std::int64_t layers() const { return state_.layers(); }

  /// The next layer. *Shapes* q (not scaled), k, v and result: [nodes, heads * head_dim]. \throws ShapeError,
  /// UsageError STOFM-1501 for the probability.
  /// *Cost* forward 2 N^2 H D (l + 1), backward 2 N^2 H D (3 l + 2) FLOP in layer l.
  Variable<T> attend(const Variable<T>& q, const Variable<T>& k, const Variable<T>& v,
                     const PairAttentionOptions& options = {}) {
    const WeightDropout dropout = WeightDropout::of(options.dropout, options.key);
    ops::PairAttention<T> next = state_;
    next.append(q.value().view(), k.value().view(), options.scale);
    auto value = next.attend(v.value().view(), dropout);
    state_ = next;
    queries_.push_back(q);
    keys_.push_back(k);
    std::vector<Variable<T>> inputs = logit_inputs();
    inputs.push_back(v);
    return record<T>(
        "pair_attention", value.y, inputs,
        [state = state_, v = v.value(), dropout, value](const Tensor<T>& grad_y, Gradients<T>& into) {
          ops::PairGradients<T> targets = targets_of(state, into);
          const auto last = static_cast<std::size_t>(2 * state.layers() + 1);
          if (into.wanted(last)) targets.v = into.accumulator(last).data();
          state.attend_backward(v.view(), dropout, value, grad_y, targets);
        });
  }

  /// P_L = S_L with the background at the given pairs, L the layers so far: [pairs, heads]. Pairs may come in
  /// any order and repeat. \throws ShapeError for a pair outside [0, nodes).
  template <std::ranges::contiguous_range Rows, std::ranges::contiguous_range Columns>
  requires std::integral<std::ranges::range_value_t<Rows>> &&
      std::integral<std::ranges::range_value_t<Columns>>
          Variable<T> pair_values(const Rows& rows, const Columns& columns)
  const {
    const std::vector<std::int64_t> r(std::ranges::begin(rows), std::ranges::end(rows)),
        c(std::ranges::begin(columns), std::ranges::end(columns));
    const auto list = std::make_shared<const ops::AskedPairs>(state_.ask(r, c));
    std::vector<Variable<T>> inputs = logit_inputs();
    inputs.push_back(background_);
    return record<T>(
        "pair_values", state_.values(*list, background_.value()), inputs,
        [state = state_, list](const Tensor<T>& grad, Gradients<T>& into) {
          const Tensor<T> dense = grad.contiguous();
          state.values_backward(*list, dense, targets_of(state, into));
          const auto last = static_cast<std::size_t>(2 * state.layers() + 1);
          if (!into.wanted(last)) return;
          std::vector<double> sums(static_cast<std::size_t>(state.heads()));
          for (std::int64_t p = 0; p < dense.dim(0); ++p)
            for (std::size_t h = 0; h < sums.size(); ++h)
              sums[h] += static_cast<double>(dense.data()[p * state.heads() + static_cast<std::int64_t>(h)]);
          T* to = into.accumulator(last).data();
          for (std::size_t h = 0; h < sums.size(); ++h) to[h] += static_cast<T>(sums[h]);
        });
  }

 private:
  /// q_1 .. q_L, k_1 .. k_L, slots.
  std::vector<Variable<T>> logit_inputs() const {
    std::vector<Variable<T>> inputs = queries_;
    inputs.insert(inputs.end(), keys_.begin(), keys_.end());
    inputs.push_back(slots_);
    return inputs;
  }
  /// The places where the gradients of those inputs are summed. Variables that occur twice share theirs.
  static ops::PairGradients<T> targets_of(const ops::PairAttention<T>& state, Gradients<T>& into) {
    const auto layers = static_cast<std::size_t>(state.layers());
    ops::PairGradients<T> targets{std::vector<T*>(layers), std::vector<T*>(layers)};
    for (std::size_t l = 0; l < layers; ++l) {
      if (into.wanted(l)) targets.q[l] = into.accumulator(l).data();
      if (into.wanted(layers + l)) targets.k[l] = into.accumulator(layers + l).data();
    }
    if (into.wanted(2 * layers)) targets.slots = into.accumulator(2 * layers).data();
    return targets;
  }

  ops::PairAttention<T> state_;
  Variable<T> slots_, background_;
  std::vector<Variable<T>> queries_, keys_;
};

}  // namespace stofm::autograd

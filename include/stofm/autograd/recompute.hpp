// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Recomputation ("checkpointing"): a part of the graph keeps its inputs only and is computed again in the
/// backward pass. Memory for what the part saves: once, while its own gradients are computed. Time: one more
/// forward pass of it. *Source* Chen et al., "Training deep nets with sublinear memory cost", 2016.

#include <utility>
#include <vector>

#include "stofm/autograd/tape.hpp"

namespace stofm::autograd {

/// f(tape, inputs), f computed without recording now and with recording, on a tape of its own, in the
/// backward pass. `f(Tape<T>&, const std::vector<Variable<T>>&) -> Variable<T>` must give the same value both
/// times (draw random numbers from a key, not from a state), may take parameters from the tape it is given,
/// and must use no other variables than its inputs. `parameters` are those it takes: their gradients are
/// added into, and reported by `on_gradient_ready`, as without recomputation. The gradients are those of
/// f(tape, inputs), bit for bit, except where a node is used inside and outside of f (another order of the
/// sum).
template <ops::Computed T, class Function>
Variable<T> recompute(Tape<T>& tape, const std::vector<Variable<T>>& inputs, Function f,
                      const std::vector<Parameter<T>*>& parameters = {}) {
  std::vector<Variable<T>> all = inputs;
  for (Parameter<T>* parameter : parameters) all.push_back(tape.parameter(*parameter));
  Tensor<T> y;
  {
    NoGrad<T> scope(tape);
    std::vector<Variable<T>> constants;
    for (const Variable<T>& input : inputs) constants.push_back(input.detach());
    y = f(tape, std::as_const(constants)).value();
  }
  std::vector<Tensor<T>> values;
  for (const Variable<T>& input : inputs) values.push_back(input.value());
  return record<T>(
      "recompute", std::move(y), std::span<const Variable<T>>(all),
      [f = std::move(f), values = std::move(values)](const Tensor<T>& grad_y, Gradients<T>& into) {
        Tape<T> inner;
        std::vector<Variable<T>> leaves;
        for (std::size_t i = 0; i < values.size(); ++i)
          leaves.push_back(into.wanted(i) ? inner.input(values[i]) : constant(values[i]));
        const Variable<T> again = f(inner, std::as_const(leaves));
        if (!again.needs_grad()) return;
        inner.backward(again, grad_y);
        for (std::size_t i = 0; i < leaves.size(); ++i)
          if (into.wanted(i)) into.add_owned(i, inner.grad(leaves[i]));
      });
}

}  // namespace stofm::autograd

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Reverse-mode differentiation. A `Tape` is a flat list of nodes in the order they were made; `backward`
/// walks it from the end to the start in one loop, so a graph of any depth needs no stack and a node that is
/// used twice is visited once, when all gradients into it are there. An op is differentiable through a
/// function in autograd/rules/ that computes its value, then calls `record` with the inputs and with what
/// turns the gradient of its output into gradients of its inputs. What that needs is captured by name:
/// nothing else is kept.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/autograd/parameter.hpp"
#include "stofm/core/compiled.hpp"
#include "stofm/ops/elementwise.hpp"

namespace stofm::autograd {

template <ops::Computed T>
class Tape;

/// A value that may stand on a tape. Copies share the value. A default-constructed one is "absent" (an
/// optional input of an op).
template <ops::Computed T>
class Variable {
 public:
  Variable() = default;

  /// The value; it may not be changed.
  const Tensor<T>& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  /// False for constants: no gradient goes there.
  bool needs_grad() const { return tape_ != nullptr; }
  bool absent() const { return absent_; }
  Tape<T>* tape() const { return tape_; }
  /// The same value as a constant: gradients stop here.
  Variable detach() const {
    Variable result = *this;
    result.tape_ = nullptr;
    return result;
  }

 private:
  friend class Tape<T>;
  template <ops::Computed U>
  friend Variable<U> constant(Tensor<U> value);

  Tensor<T> value_;
  Tape<T>* tape_ = nullptr;
  std::int64_t node_ = -1;
  std::uint64_t generation_ = 0;
  bool absent_ = true;
};

/// A value without gradient.
template <ops::Computed T>
Variable<T> constant(Tensor<T> value) {
  Variable<T> result;
  result.value_ = std::move(value);
  result.absent_ = false;
  return result;
}

/// Where a rule puts the gradients of its inputs.
template <ops::Computed T>
class Gradients {
 public:
  /// False for constants and absent inputs: their gradient need not be computed.
  bool wanted(std::size_t input) const { return inputs_[input] >= 0; }
  /// Adds to the gradient of an input. `grad` has the input's shape and may share memory with anything.
  /// \throws ShapeError if the shape is another.
  void add(std::size_t input, const Tensor<T>& grad);
  /// As `add`, for a tensor that nothing else refers to: it may be kept and added into.
  void add_owned(std::size_t input, Tensor<T> grad);
  /// The gradient of an input itself, dense, to be added into (zeros at first): for rules that sum into it in
  /// place.
  Tensor<T>& accumulator(std::size_t input);

 private:
  friend class Tape<T>;
  Gradients(Tape<T>& tape, std::span<const std::int64_t> inputs) : tape_(tape), inputs_(inputs) {}
  Tape<T>& tape_;
  std::span<const std::int64_t> inputs_;
};

/// Gradient of the output (dense, shape of the output) -> gradients of the inputs.
template <ops::Computed T>
using BackwardRule = std::function<void(const Tensor<T>& grad_y, Gradients<T>& into)>;

struct BackwardOptions {
  bool keep_graph = false;  ///< true: `backward` may be called again; what was saved stays in memory
};

/// The record of a computation. Not to be used from two threads at once; must outlive its variables' use.
template <ops::Computed T>
class Tape {
 public:
  Tape() = default;
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// A leaf whose gradient is added to `parameter.grad()`. The same parameter gives the same leaf. A constant
  /// if it is not trainable or recording is off. The parameter must outlive the tape's use.
  Variable<T> parameter(Parameter<T>& parameter);
  /// A leaf whose gradient `grad()` returns after `backward`.
  Variable<T> input(Tensor<T> value);
  /// The result of an op. A constant (and `backward` is dropped) if no input needs a gradient or recording is
  /// off. `op` is a literal, for messages. \throws UsageError if an input belongs to another tape or to a
  /// cleared graph.
  Variable<T> record(const char* op, Tensor<T> value, std::span<const Variable<T>> inputs,
                     BackwardRule<T> backward);

  /// d `y` / d everything, `y` being one number. Adds to the gradients of parameters; sets those of inputs.
  /// Frees what was saved unless told to keep it.
  /// \throws UsageError STOFM-1401 not one number, 1402 run before without `keep_graph`, 1403 of another tape
  /// or a cleared graph, 1404 a constant, 1405 a parameter was changed after it was used.
  void backward(const Variable<T>& y, const BackwardOptions& options = {});
  /// The same from a given gradient of `y`, of the same shape.
  void backward(const Variable<T>& y, const Tensor<T>& grad_y, const BackwardOptions& options = {});

  /// The gradient of an input leaf after `backward`; zeros if nothing depended on it.
  Tensor<T> grad(const Variable<T>& input) const;

  /// Forgets everything; variables made before can not be used any more.
  void clear() {
    nodes_.clear();
    leaves_.clear();
    walked_ = false;
    ++generation_;
  }
  std::int64_t size() const { return static_cast<std::int64_t>(nodes_.size()); }
  bool recording() const { return recording_; }

  /// Called in `backward` with each parameter as soon as its gradient of this pass is complete, last used
  /// first: where processes start to exchange gradients while the rest is computed.
  std::function<void(Parameter<T>&)> on_gradient_ready;

 private:
  template <ops::Computed U>
  friend class NoGrad;
  friend class Gradients<T>;
  struct Node {
    const char* op = "";
    std::vector<std::int64_t> inputs;  // node of each input, -1 for constants
    BackwardRule<T> backward;
    Shape shape;
    Tensor<T> grad;
    bool has_grad = false, owned = false;
    Parameter<T>* parameter = nullptr;
    std::uint64_t version = 0;
    bool is_input = false;
  };

  Variable<T> append(Node node, Tensor<T> value) {
    Variable<T> result;
    result.value_ = std::move(value);
    result.absent_ = false;
    result.tape_ = this;
    result.node_ = size();
    result.generation_ = generation_;
    node.shape = result.value_.shape();
    nodes_.push_back(std::move(node));
    return result;
  }
  void check_mine(const char* op, const Variable<T>& variable) const {
    if (variable.tape_ != this)
      throw UsageError({"STOFM-1403", "", concat("[", op, "]"), "a variable of another tape",
                        "variables of one tape", "Use detach() to take over the value alone."});
    if (variable.generation_ != generation_)
      throw UsageError({"STOFM-1403", "", concat("[", op, "]"), "a variable of a graph that was cleared",
                        "variables made after clear()", "Compute it again on the new graph."});
  }
  Node& at(std::int64_t node) { return nodes_[static_cast<std::size_t>(node)]; }
  const Node& at(std::int64_t node) const { return nodes_[static_cast<std::size_t>(node)]; }
  void require_grad_shape(const Node& node, const Tensor<T>& grad) const {
    if (!(grad.shape() == node.shape))
      throw ShapeError(
          {"STOFM-1406", "", concat("[", node.op, "]"), concat("a gradient ", to_string(grad.shape())),
           concat(to_string(node.shape), ", the shape of the value"), "Check the backward rule."});
  }
  void check_parameters() const;
  void walk(std::int64_t from, bool keep_graph);

  std::vector<Node> nodes_;
  std::map<Parameter<T>*, Variable<T>> leaves_;
  std::uint64_t generation_ = 1;
  bool recording_ = true, walked_ = false;
};

/// While it lives, the tape records nothing: values are computed, nothing is saved.
template <ops::Computed T>
class NoGrad {
 public:
  explicit NoGrad(Tape<T>& tape) : tape_(tape), before_(tape.recording_) { tape.recording_ = false; }
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;
  ~NoGrad() { tape_.recording_ = before_; }

 private:
  Tape<T>& tape_;
  bool before_;
};

/// For rules: the result of an op over `inputs`, on their tape; a constant if none of them has one.
template <ops::Computed T>
Variable<T> record(const char* op, Tensor<T> value, std::span<const Variable<T>> inputs,
                   BackwardRule<T> backward) {
  for (const Variable<T>& input : inputs)
    if (input.needs_grad()) return input.tape()->record(op, std::move(value), inputs, std::move(backward));
  return constant(std::move(value));
}
template <ops::Computed T>
Variable<T> record(const char* op, Tensor<T> value, std::initializer_list<Variable<T>> inputs,
                   std::type_identity_t<BackwardRule<T>> backward) {
  return record<T>(op, std::move(value), std::span<const Variable<T>>(inputs.begin(), inputs.size()),
                   std::move(backward));
}

// ---- definitions

template <ops::Computed T>
Variable<T> Tape<T>::parameter(Parameter<T>& parameter) {
  if (!parameter.trainable || !recording_) return constant(parameter.value());
  const auto found = leaves_.find(&parameter);
  if (found != leaves_.end() && at(found->second.node_).version == parameter.version()) return found->second;
  Node node;
  node.op = "parameter";
  node.parameter = &parameter;
  node.version = parameter.version();
  Variable<T> leaf = append(std::move(node), parameter.value());
  leaves_.insert_or_assign(&parameter, leaf);
  return leaf;
}

template <ops::Computed T>
Variable<T> Tape<T>::input(Tensor<T> value) {
  if (!recording_) return constant(std::move(value));
  Node node;
  node.op = "input";
  node.is_input = true;
  return append(std::move(node), std::move(value));
}

template <ops::Computed T>
Variable<T> Tape<T>::record(const char* op, Tensor<T> value, std::span<const Variable<T>> inputs,
                            BackwardRule<T> backward) {
  if (!recording_) return constant(std::move(value));
  Node node;
  node.op = op;
  bool needed = false;
  for (const Variable<T>& input : inputs) {
    if (input.needs_grad()) check_mine(op, input);
    node.inputs.push_back(input.needs_grad() ? input.node_ : -1);
    needed = needed || input.needs_grad();
  }
  if (!needed) return constant(std::move(value));
  node.backward = std::move(backward);
  return append(std::move(node), std::move(value));
}

template <ops::Computed T>
void Tape<T>::backward(const Variable<T>& y, const BackwardOptions& options) {
  if (y.value().numel() != 1 || y.absent())
    throw UsageError({"STOFM-1401", "", "[backward]", concat("a value of shape ", to_string(y.shape())),
                      "one number", "Reduce it to a loss, or give the gradient of each element."});
  backward(y, Tensor<T>::full(y.shape(), T(1)), options);
}

template <ops::Computed T>
void Tape<T>::backward(const Variable<T>& y, const Tensor<T>& grad_y, const BackwardOptions& options) {
  if (!y.needs_grad())
    throw UsageError({"STOFM-1404", "", "[backward]", "a constant",
                      "a value that depends on a parameter or an input",
                      "Check that the parameters are trainable and that no NoGrad is in force."});
  check_mine("backward", y);
  if (walked_)
    throw UsageError({"STOFM-1402", "", "[backward]",
                      "a graph whose saved values were freed by an earlier backward", "a new graph",
                      "Add the losses before one backward, or pass keep_graph = true."});
  require_grad_shape(at(y.node_), grad_y);
  check_parameters();
  for (Node& node : nodes_) {
    node.grad = {};
    node.has_grad = node.owned = false;
  }
  at(y.node_).grad = grad_y.contiguous();
  at(y.node_).has_grad = true;
  walk(y.node_, options.keep_graph);
  walked_ = !options.keep_graph;
}

template <ops::Computed T>
void Tape<T>::check_parameters() const {
  for (const Node& node : nodes_)
    if (node.parameter != nullptr && node.parameter->version() != node.version)
      throw UsageError({"STOFM-1405", "", "[backward] parameter " + stofm::quoted(node.parameter->name()),
                        "a value that was changed after the forward pass used it",
                        "the value of the forward pass",
                        "Run backward before the optimizer's step, and record anew after it."});
}

template <ops::Computed T>
void Tape<T>::walk(std::int64_t from, bool keep_graph) {
  for (std::int64_t i = size() - 1; i >= 0; --i) {
    Node& node = at(i);
    if (i <= from && node.parameter != nullptr) {
      if (node.has_grad && !node.owned) {
        Tensor<T>& sum = node.parameter->grad();
        ops::add_into<T>(sum.view(), std::as_const(sum).view(), std::as_const(node.grad).view());
      }
      if (on_gradient_ready) on_gradient_ready(*node.parameter);
    } else if (i <= from && node.has_grad && node.backward) {
      Gradients<T> into(*this, node.inputs);
      node.backward(std::as_const(node.grad), into);
    }
    if (!keep_graph) node.backward = nullptr;
    if (!node.is_input) node.grad = {};
  }
}

template <ops::Computed T>
Tensor<T> Tape<T>::grad(const Variable<T>& input) const {
  if (!input.needs_grad())
    throw UsageError(
        {"STOFM-1404", "", "[grad]", "a constant", "an input of the tape", "Make it with Tape::input."});
  check_mine("grad", input);
  const Node& node = at(input.node_);
  if (!node.is_input)
    throw UsageError({"STOFM-1407", "", "[grad]", concat("the result of ", node.op), "an input of the tape",
                      "Only inputs keep their gradient; that of a parameter is in the parameter."});
  return node.has_grad ? node.grad : Tensor<T>::zeros(node.shape);
}

template <ops::Computed T>
void Gradients<T>::add(std::size_t input, const Tensor<T>& grad) {
  if (!wanted(input)) return;
  auto& node = tape_.at(inputs_[input]);
  tape_.require_grad_shape(node, grad);
  if (node.parameter != nullptr || node.has_grad) {
    Tensor<T>& sum = accumulator(input);
    const Tensor<T> dense = grad.contiguous();
    ops::add_into<T>(sum.view(), std::as_const(sum).view(), dense.view());
    return;
  }
  node.grad = grad.contiguous();
  node.has_grad = true;
}

template <ops::Computed T>
void Gradients<T>::add_owned(std::size_t input, Tensor<T> grad) {
  if (!wanted(input)) return;
  auto& node = tape_.at(inputs_[input]);
  if (node.parameter != nullptr || node.has_grad) return add(input, grad);
  tape_.require_grad_shape(node, grad);
  node.owned = grad.is_contiguous();
  node.grad = grad.contiguous();
  node.has_grad = true;
}

template <ops::Computed T>
Tensor<T>& Gradients<T>::accumulator(std::size_t input) {
  auto& node = tape_.at(inputs_[input]);
  if (node.parameter != nullptr) {
    node.has_grad = node.owned = true;  // it stands in the parameter itself
    return node.parameter->grad();
  }
  if (!node.has_grad) {
    node.grad = Tensor<T>::zeros(node.shape);
  } else if (!node.owned) {
    node.grad = node.grad.clone();
  }
  node.has_grad = node.owned = true;
  return node.grad;
}

STOFM_INSTANCE(class Tape<float>)
STOFM_INSTANCE(class Tape<double>)
STOFM_INSTANCE(class Gradients<float>)
STOFM_INSTANCE(class Gradients<double>)

}  // namespace stofm::autograd

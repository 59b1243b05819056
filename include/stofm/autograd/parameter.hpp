// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What training changes: named values, each with the gradient that backward adds into.

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stofm/ops/checks.hpp"

namespace stofm::autograd {

/// A trainable value. Change it through `assign` or `changing()`, so that a tape that has saved it notices.
template <ops::Computed T>
class Parameter {
 public:
  Parameter(std::string name, Tensor<T> value)
      : name_(std::move(name)), value_(value.contiguous()), grad_(Tensor<T>::zeros(value.shape())) {}
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const std::string& name() const { return name_; }
  const Tensor<T>& value() const { return value_; }
  /// The value, to be changed in place. Graphs recorded before can not be walked backward any more.
  Tensor<T>& changing() {
    ++version_;
    return value_;
  }
  /// How often `changing()` was called.
  std::uint64_t version() const { return version_; }

  /// [shape of value] the sum of all gradients since `zero_grad()`.
  Tensor<T>& grad() { return grad_; }
  const Tensor<T>& grad() const { return grad_; }
  void zero_grad() {
    if (grad_.numel() > 0)
      std::memset(static_cast<void*>(grad_.data()), 0, static_cast<std::size_t>(grad_.numel()) * sizeof(T));
  }

  bool trainable = true;  ///< false: a constant on every tape (a frozen part)

 private:
  std::string name_;
  Tensor<T> value_, grad_;
  std::uint64_t version_ = 0;
};

/// All parameters of a model by name, in the order of their names: that order is the order of sums over
/// parameters (global norm), so it does not depend on how the model was built.
template <ops::Computed T>
class ParameterSet {
 public:
  using Map = std::map<std::string, std::unique_ptr<Parameter<T>>>;

  ParameterSet() = default;
  /// One parameter per tensor, `prefix` before each name. The tensors are copied.
  explicit ParameterSet(const std::map<std::string, Tensor<T>>& tensors, const std::string& prefix = "") {
    for (const auto& [name, tensor] : tensors) add(prefix + name, tensor);
  }

  /// \throws UsageError if there is one of this name.
  Parameter<T>& add(const std::string& name, const Tensor<T>& value) {
    const auto [at, is_new] = parameters_.try_emplace(name);
    if (!is_new)
      throw UsageError({"STOFM-1410", "", "[ParameterSet::add]", "a second parameter " + stofm::quoted(name),
                        "names that differ", "Give it another name."});
    at->second = std::make_unique<Parameter<T>>(name, value.clone());
    return *at->second;
  }
  /// \throws UsageError if there is none.
  Parameter<T>& at(const std::string& name) const {
    const auto found = parameters_.find(name);
    if (found == parameters_.end())
      throw UsageError({"STOFM-1411", "", "[ParameterSet::at]", "no parameter " + stofm::quoted(name),
                        "a name of the set", "Check the name."});
    return *found->second;
  }
  bool contains(const std::string& name) const { return parameters_.contains(name); }

  const Map& map() const { return parameters_; }
  std::int64_t size() const { return static_cast<std::int64_t>(parameters_.size()); }
  /// Elements of all of them together.
  std::int64_t numel() const {
    std::int64_t sum = 0;
    for (const auto& [name, parameter] : parameters_) sum += parameter->value().numel();
    return sum;
  }
  void zero_grad() {
    for (auto& [name, parameter] : parameters_) parameter->zero_grad();
  }
  /// In the order of the names.
  std::vector<Parameter<T>*> list() const {
    std::vector<Parameter<T>*> result;
    for (const auto& [name, parameter] : parameters_) result.push_back(parameter.get());
    return result;
  }
  /// The values as they are now, sharing their memory; `prefix` is cut off and names without it are left out.
  std::map<std::string, Tensor<T>> values(const std::string& prefix = "") const {
    std::map<std::string, Tensor<T>> result;
    for (const auto& [name, parameter] : parameters_)
      if (name.starts_with(prefix)) result.emplace(name.substr(prefix.size()), parameter->value());
    return result;
  }

 private:
  Map parameters_;
};

}  // namespace stofm::autograd

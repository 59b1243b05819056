// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Named parameters: what a model is built from and lists, and the check that a set of tensors is the set a
/// configuration asks for. Names are those of the released checkpoints.
/// *Source* RELIABILITY rows S27, S28, S29, S31, S32.

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "stofm/core/error.hpp"
#include "stofm/core/notice.hpp"
#include "stofm/core/parallel.hpp"
#include "stofm/core/tensor.hpp"

namespace stofm::model {

/// Tensors by name. Copies share the data.
template <Real T>
using NamedTensors = std::map<std::string, Tensor<T>>;

/// One parameter that a configuration asks for.
struct ParameterSpec {
  std::string name;
  Shape shape;
  std::vector<std::string> size_keys;  ///< for each dimension the configuration key (or reason) that sets it
};

/// How strict `check_parameters` is.
struct ParameterOptions {
  bool allow_nonfinite = false;  ///< accept NaN and inf in weights
  std::string file = {};         ///< where the tensors came from, for messages
  std::string prefix = {};       ///< printed before each name ("se2/"), for messages
};

/// What the check has to say about a set it accepted.
struct ParameterReport {
  Notices notices;  ///< STOFM-W1301 tensors of no model, W1302 all-zero matrices, W1303 NaN or inf
  std::vector<std::string> unused;  ///< names that released checkpoints carry and inference does not use
};

/// Checks that every parameter is there with its shape and finite values.
/// \param is_known_unused  tells names that belong to released checkpoints but not to the computation
/// \throws FileError STOFM-1301 (missing: the first ten names and the count), STOFM-1302 (shape: both shapes
/// and the
///   keys that set it); DataError STOFM-1303 (NaN or inf: tensor, index, count).
/// *Cost* reads every element once.
template <Real T>
ParameterReport check_parameters(std::span<const ParameterSpec> specs, const NamedTensors<T>& tensors,
                                 const std::function<bool(const std::string&)>& is_known_unused,
                                 const ParameterOptions& options = {});

/// The same tensors in another scalar type.
template <Real To, Real From>
NamedTensors<To> cast_parameters(const NamedTensors<From>& tensors) {
  NamedTensors<To> result;
  for (const auto& [name, tensor] : tensors) {
    if constexpr (std::is_same_v<To, From>) {
      result.emplace(name, tensor);
    } else {
      const Tensor<From> dense = tensor.contiguous();
      Tensor<To> copy(dense.shape());
      for (std::int64_t i = 0; i < dense.numel(); ++i)
        copy.data()[i] = static_cast<To>(static_cast<accumulator_t<From>>(dense.data()[i]));
      result.emplace(name, std::move(copy));
    }
  }
  return result;
}

namespace detail {

/// "a, b, c and 7 more"
inline std::string list_names(const std::vector<std::string>& names, std::size_t most = 10) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < most; ++i) text += (i ? ", " : "") + names[i];
  if (names.size() > most) text += concat(" and ", names.size() - most, " more");
  return text;
}

/// Names come from a file: control characters are escaped, the rest is left as it is.
inline std::string printable(const std::string& name) {
  const std::string text = stofm::quoted(name);
  return text == '"' + name + '"' ? name : text;
}

inline std::string shape_reason(const ParameterSpec& spec) {
  std::string text = to_string(spec.shape);
  for (int i = 0; i < spec.shape.rank(); ++i)
    text += concat(i == 0 ? " (" : ", ", spec.size_keys[static_cast<std::size_t>(i)], " = ", spec.shape[i]);
  return text + ")";
}

struct ValueScan {
  std::int64_t nonfinite = 0, first = -1;
  bool all_tiny = true;  // zero or denormal
};

template <Real T>
ValueScan scan_values(const Tensor<T>& tensor) {
  using A = accumulator_t<T>;
  ValueScan scan;
  const Tensor<T> dense = tensor.contiguous();
  for (std::int64_t i = 0; i < dense.numel(); ++i) {
    const A value = std::abs(static_cast<A>(dense.data()[i]));
    if (!(value <= (std::numeric_limits<A>::max)())) {
      if (scan.nonfinite++ == 0) scan.first = i;
    }
    if (!(value < (std::numeric_limits<A>::min)())) scan.all_tiny = false;
  }
  return scan;
}

}  // namespace detail

template <Real T>
ParameterReport check_parameters(std::span<const ParameterSpec> specs, const NamedTensors<T>& tensors,
                                 const std::function<bool(const std::string&)>& is_known_unused,
                                 const ParameterOptions& options) {
  ParameterReport report;
  std::map<std::string, bool> wanted;
  std::vector<std::string> missing, extra, zero;
  for (const ParameterSpec& spec : specs) {
    wanted.emplace(spec.name, true);
    if (!tensors.contains(spec.name)) missing.push_back(options.prefix + spec.name);
  }
  if (!missing.empty())
    throw FileError(
        {"STOFM-1301", options.file, "weights",
         concat(missing.size(), " of ", specs.size(), " tensors missing: ", detail::list_names(missing)),
         "every tensor that the configuration asks for",
         "Convert the checkpoint again, with the config.json that belongs to it."});
  for (const auto& [name, tensor] : tensors) {
    if (wanted.contains(name)) continue;
    if (is_known_unused && is_known_unused(name)) {
      report.unused.push_back(name);
    } else {
      extra.push_back(detail::printable(options.prefix + name));
    }
  }
  if (!extra.empty())
    report.notices.push_back(
        {"STOFM-W1301",
         concat(extra.size(),
                " tensors belong to no part of the model and are left out: ", detail::list_names(extra)),
         static_cast<std::int64_t>(extra.size())});
  for (const ParameterSpec& spec : specs) {
    const Tensor<T>& tensor = tensors.at(spec.name);
    if (!(tensor.shape() == spec.shape))
      throw FileError({"STOFM-1302", options.file, options.prefix + spec.name,
                       "shape " + to_string(tensor.shape()), detail::shape_reason(spec),
                       "Weights and config.json must come from the same checkpoint."});
  }
  for (const ParameterSpec& spec : specs) {
    const detail::ValueScan scan = detail::scan_values(tensors.at(spec.name));
    if (scan.nonfinite > 0) {
      const std::string text = concat("NaN or inf in ", scan.nonfinite, " of ", spec.shape.numel(),
                                      " values, the first at element ", scan.first);
      if (!options.allow_nonfinite)
        throw DataError({"STOFM-1303", options.file, options.prefix + spec.name, text, "finite weights",
                         "The checkpoint is damaged or its training diverged: convert or train it again."});
      report.notices.push_back({"STOFM-W1303", options.prefix + spec.name + ": " + text, scan.nonfinite});
    }
    if (scan.all_tiny && spec.shape.rank() >= 2 && spec.shape.numel() > 1)
      zero.push_back(options.prefix + spec.name);
  }
  if (!zero.empty())
    report.notices.push_back(
        {"STOFM-W1302", concat(zero.size(), " weight matrices hold only zeros: ", detail::list_names(zero)),
         static_cast<std::int64_t>(zero.size())});
  return report;
}

}  // namespace stofm::model

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What other programs computed: tests/tasks/data/*.json, and lists from them.

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "stofm/core/tensor.hpp"
#include "tests/support/paths.hpp"

namespace stofm::test {

inline nlohmann::json task_fixture(const std::string& name) {
  std::ifstream in(source_dir() / "tests" / "tasks" / "data" / name);
  return nlohmann::json::parse(in);
}

/// null is NaN.
inline double number_of(const nlohmann::json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}
inline std::vector<double> numbers_of(const nlohmann::json& list) {
  std::vector<double> numbers;
  for (const auto& value : list) numbers.push_back(number_of(value));
  return numbers;
}
inline std::vector<std::int32_t> labels_of(const nlohmann::json& list) {
  return list.get<std::vector<std::int32_t>>();
}

/// Equal within `tolerance`, or both NaN.
inline bool agrees(double left, double right, double tolerance) {
  return std::isnan(left) || std::isnan(right) ? std::isnan(left) && std::isnan(right)
                                               : std::abs(left - right) <= tolerance;
}

/// Code of the stofm::Error that `action` throws; empty if none.
template <class Action>
std::string refusal_code(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.remedy().empty() ? "no remedy" : error.code();
  }
  return "";
}

}  // namespace stofm::test

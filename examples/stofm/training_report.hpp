// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// The report of a training run: one HTML file with its curves in it, no network, no other file.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace stofm::program {

struct TrainingReportData {
  std::string title, verb, version, created;
  std::vector<nlohmann::json> lines;  ///< of log.jsonl
  nlohmann::json options, model;      ///< objects: option -> value; model card
  bool finished = true;
};

/// The whole file as text. Curves of more than 2,000 steps are thinned to means of equal stretches.
std::string training_report_html(const TrainingReportData& data);

}  // namespace stofm::program

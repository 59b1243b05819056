// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// A bundle read from disk and built into a model, with what the program says about it.

#include <string>
#include <utility>
#include <vector>

#include "stofm/core/op_options.hpp"
#include "stofm/io/bundle.hpp"
#include "stofm/pipeline/model.hpp"

namespace stofm::program {

struct LoadedModel {
  pipeline::Model model;
  std::string path, sha256;
  std::string name;                                       ///< of the model card, or the file name
  std::string limits;                                     ///< model_info.limits: said with every result
  bool demonstration = false;                             ///< the small weights that come with the program
  std::vector<std::string> training_slices;               ///< names of files, without .h5ad
  std::vector<std::pair<std::string, std::string>> card;  ///< field, value
  Notices notices;                                        ///< of the file and of the weights
};

/// Reads, checks and builds. \throws FileError, UsageError
LoadedModel load_model_bundle(const std::string& path, MatmulGrade grade = MatmulGrade::float32);

/// Whether weights were trained on a file of this name (compared without folder and ending).
bool was_trained_on(const LoadedModel& model, const std::string& path);

/// A model card for people: what matters first, figures in words.
std::vector<std::pair<std::string, std::string>> card_of(const nlohmann::json& model_info);

}  // namespace stofm::program

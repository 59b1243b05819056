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
  bool untrained = false;                                 ///< model_info.training == "untrained"
  std::vector<std::pair<std::string, std::string>> card;  ///< field, value
  Notices notices;                                        ///< of the file and of the weights
};

/// Reads, checks and builds. \throws FileError, UsageError
LoadedModel load_model_bundle(const std::string& path, MatmulGrade grade = MatmulGrade::float32);

/// The members of a model card as text: nested values as JSON.
std::vector<std::pair<std::string, std::string>> card_of(const nlohmann::json& model_info);

/// One line to be said and stored whenever weights are untrained.
inline constexpr const char* untrained_words =
    "untrained demo weights: the embeddings show that the program works, they carry no biology";

}  // namespace stofm::program

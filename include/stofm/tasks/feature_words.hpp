// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What heads and graphs are given of a cell, by the words that users write: "stofm", or several joined by
/// plus signs, "cells+genes".

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stofm/core/error.hpp"

namespace stofm::tasks {

enum class FeatureKind {
  stofm,           ///< X_stofm: the SE(2) Transformer's embedding
  cells,           ///< X_stofm_cells: the cell encoder's
  context,         ///< X_stofm_context: each cell as the model predicts it from its surroundings
  genes,           ///< log-normalised counts of the genes that all slices have
  pca,             ///< principal components of these
  pca_neighbours,  ///< the same and the mean of the nearest cells of the slice
  linear_context,  ///< principal components as a ridge regression predicts them from the surroundings
  fitted_context   ///< the same with the model's prediction (context) among what it predicts from
};

/// Each word and what it means.
inline constexpr std::array feature_words{std::pair{"stofm", FeatureKind::stofm},
                                          std::pair{"cells", FeatureKind::cells},
                                          std::pair{"context", FeatureKind::context},
                                          std::pair{"genes", FeatureKind::genes},
                                          std::pair{"pca", FeatureKind::pca},
                                          std::pair{"pca+nbr", FeatureKind::pca_neighbours},
                                          std::pair{"linear-context", FeatureKind::linear_context},
                                          std::pair{"fitted-context", FeatureKind::fitted_context}};

/// \throws UsageError (STOFM-2053) a word that is not among them
inline FeatureKind feature_kind(std::string_view word) {
  const auto* const found = std::find_if(feature_words.begin(), feature_words.end(),
                                         [&](const auto& known) { return word == known.first; });
  if (found != feature_words.end()) return found->second;
  std::string list;
  for (const auto& known : feature_words) list += concat(list.empty() ? "" : ", ", known.first);
  throw UsageError({"STOFM-2053", "", "SliceFeatureOptions::kind", stofm::quoted(word), "one of " + list,
                    "Name one of them."});
}

/// The words between plus signs; "pca+nbr" is one. \throws as feature_kind
inline std::vector<std::string> parts_of_use(std::string_view use) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= use.size();) {
    const std::size_t end = (std::min)(use.find('+', at), use.size());
    words.emplace_back(use.substr(at, end - at));
    if (words.size() > 1 && words.back() == "nbr" && words[words.size() - 2] == "pca") {
      words.pop_back();
      words.back() = "pca+nbr";
    }
    at = end + 1;
  }
  for (const std::string& word : words) (void)feature_kind(word);
  return words;
}

/// Whether a kind needs the weights of a model.
inline bool needs_model(FeatureKind kind) {
  return kind == FeatureKind::stofm || kind == FeatureKind::cells || kind == FeatureKind::context ||
         kind == FeatureKind::fitted_context;
}

}  // namespace stofm::tasks

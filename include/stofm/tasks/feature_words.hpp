// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What heads and graphs are given of a cell, by the words that users write: "stofm", several joined by plus
/// signs, which stand side by side, "cells+genes", or several of these after commas, a head each:
/// "stofm,pca+rings". "obsm:X_scVI" is a matrix of the slices' own; its name may hold neither sign.

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
  fitted_context,  ///< the same with the model's prediction (context) among what it predicts from
  pca_rings,       ///< principal components and their means over the nearest 3, 10, 30 and 100 cells
  given            ///< a matrix that comes with the slices, obsm["KEY"]: the word is obsm:KEY
};

/// Each word and what it means.
inline constexpr std::array feature_words{std::pair{"stofm", FeatureKind::stofm},
                                          std::pair{"cells", FeatureKind::cells},
                                          std::pair{"context", FeatureKind::context},
                                          std::pair{"genes", FeatureKind::genes},
                                          std::pair{"pca", FeatureKind::pca},
                                          std::pair{"pca+nbr", FeatureKind::pca_neighbours},
                                          std::pair{"linear-context", FeatureKind::linear_context},
                                          std::pair{"fitted-context", FeatureKind::fitted_context},
                                          std::pair{"pca+rings", FeatureKind::pca_rings}};

/// KEY of "obsm:KEY"; empty for any other word.
inline std::string given_key(std::string_view word) {
  constexpr std::string_view start = "obsm:";
  return word.starts_with(start) ? std::string(word.substr(start.size())) : std::string();
}

/// \throws UsageError (STOFM-2053) a word that is not among them
inline FeatureKind feature_kind(std::string_view word) {
  const auto* const found = std::find_if(feature_words.begin(), feature_words.end(),
                                         [&](const auto& known) { return word == known.first; });
  if (found != feature_words.end()) return found->second;
  if (!given_key(word).empty()) return FeatureKind::given;
  std::string list;
  for (const auto& known : feature_words) list += concat(known.first, ", ");
  list += "obsm:KEY";
  throw UsageError({"STOFM-2053", "", "SliceFeatureOptions::kind", stofm::quoted(word), "one of " + list,
                    "Name one of them."});
}

/// The words between plus signs; "pca+nbr" and "pca+rings" are one. \throws as feature_kind
inline std::vector<std::string> parts_of_use(std::string_view use) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= use.size();) {
    const std::size_t end = (std::min)(use.find('+', at), use.size());
    words.emplace_back(use.substr(at, end - at));
    if (words.size() > 1 && (words.back() == "nbr" || words.back() == "rings") &&
        words[words.size() - 2] == "pca") {
      const std::string around = words.back();
      words.pop_back();
      words.back() += "+" + around;
    }
    at = end + 1;
  }
  for (const std::string& word : words) (void)feature_kind(word);
  return words;
}

/// What each head is given: the texts between commas.
inline std::vector<std::string> heads_of_use(std::string_view use) {
  std::vector<std::string> heads;
  for (std::size_t at = 0; at <= use.size();) {
    const std::size_t end = (std::min)(use.find(',', at), use.size());
    heads.emplace_back(use.substr(at, end - at));
    at = end + 1;
  }
  return heads;
}

/// The words of all heads, in order, some more than once. \throws as feature_kind
inline std::vector<std::string> words_of_use(std::string_view use) {
  std::vector<std::string> words;
  for (const std::string& head : heads_of_use(use))
    for (std::string& word : parts_of_use(head)) words.push_back(std::move(word));
  return words;
}

/// Whether a kind needs the weights of a model.
inline bool needs_model(FeatureKind kind) {
  return kind == FeatureKind::stofm || kind == FeatureKind::cells || kind == FeatureKind::context ||
         kind == FeatureKind::fitted_context;
}

/// Whether any head of `use` does. \throws as feature_kind
inline bool use_needs_model(std::string_view use) {
  const std::vector<std::string> words = words_of_use(use);
  return std::any_of(words.begin(), words.end(),
                     [](const std::string& word) { return needs_model(feature_kind(word)); });
}

}  // namespace stofm::tasks

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Heads that were fitted together (tasks/pooled_head.hpp) as one classifier that can be saved.

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stofm/tasks/classifier.hpp"
#include "stofm/tasks/pooled_head.hpp"

namespace stofm::tasks {

/// Heads for regions where nothing else is said (docs/scores.md has what they were chosen on); one on the
/// genes only up to 20 million cells times genes, which takes a minute or two.
inline std::string heads_for_regions(std::span<const io::Slice* const> slices) {
  constexpr std::int64_t most = 20'000'000;
  std::int64_t values = 0;
  for (const io::Slice* slice : slices) values += slice->cells * slice->genes();
  return values <= most ? "stofm+pca+nbr,pca,genes" : "stofm+pca+nbr,pca";
}

/// What the fit does not know.
struct PooledClassifierParts {
  std::vector<std::string> classes;
  std::vector<ClassifierInput> inputs;     ///< by head: what makes its rows of another slice, its use
  std::string model_identity, model_name;  ///< kept by heads whose input needs the model
};

/// Logistic where one head alone has a weight, else pooled; heads without a weight are left out. The input of
/// a pooled one is of the first head that needs the model, if any does, and says all uses. \throws ShapeError
/// (STOFM-4700). *Cost* copies coefficients.
inline Classifier pooled_classifier(const PooledHead& head, const PooledClassifierParts& parts) {
  detail::require_same_count("[pooled_classifier]", head.heads.size(), parts.inputs.size(),
                             "heads and inputs");
  Classifier all;
  std::string use;
  for (std::size_t m = 0; m < head.heads.size(); ++m) {
    if (head.weights[m] == 0) continue;
    Classifier one;
    one.classes = parts.classes;
    one.input = parts.inputs[m];
    one.present = head.heads[m].present;
    one.logistic = head.heads[m];
    if (one.input.needs_model()) {
      one.model_identity = parts.model_identity;
      one.model_name = parts.model_name;
    }
    use += concat(use.empty() ? "" : ",", one.input.settings.value("use", std::string()));
    all.members.push_back(std::move(one));
    all.weights.push_back(head.weights[m]);
  }
  if (all.members.size() == 1) {
    Classifier one = std::move(all.members.front());
    one.smooth = head.smooth;
    return one;
  }
  const Classifier* first = &all.members.front();
  for (auto one = all.members.rbegin(); one != all.members.rend(); ++one)
    if (one->input.needs_model()) first = &*one;
  all.kind = ClassifierKind::pooled;
  all.classes = parts.classes;
  all.present = first->present;
  all.model_identity = first->model_identity;
  all.model_name = first->model_name;
  all.input.kind = first->input.kind;
  all.input.cells = first->input.cells;
  all.input.name = concat("a mixture of logistic regressions on ", use);
  all.input.settings["use"] = use;
  all.input.settings["center"] = first->input.settings.value("center", false);
  all.smooth = head.smooth;
  return all;
}

}  // namespace stofm::tasks

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Contrastive learning of cell embeddings: two views of a cell shall be nearer to each other than to the
/// views of the other cells of the batch. A view is the cell with some of its genes left out, at random (and
/// other dropout masks).
///   l_ij = <a_i, b_j> / temperature,   loss = mean_i (CE(l_i., i) + CE(l_.i, i)) / 2
/// *Source* InfoNCE, van den Oord et al. 2018; both ways and in-batch negatives as CLIP; temperature 0.05 as
/// LangCell (SPEC section 2) and SimCSE. Which genes are left out is our own choice.

#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "stofm/autograd/rules/elementwise.hpp"
#include "stofm/autograd/rules/losses.hpp"
#include "stofm/autograd/rules/matmul.hpp"
#include "stofm/autograd/rules/views.hpp"
#include "stofm/core/random_key.hpp"

namespace stofm::train {

struct GeneDropOptions {
  double least_kept = 0.7;  ///< the share of genes that a view keeps is uniform between these two, per cell
  double most_kept = 0.9;

  /// \throws UsageError STOFM-4570.
  void validate() const {
    if (!(least_kept > 0.0 && least_kept <= most_kept && most_kept <= 1.0))
      throw UsageError({"STOFM-4570", "", "kept genes", concat(least_kept, " to ", most_kept),
                        "0 < least <= most <= 1", "Leave them at their defaults."});
  }
};

/// Packed cells.
struct CellTokens {
  std::vector<std::int32_t> tokens;
  std::vector<std::int64_t> offsets{0};  ///< [cells + 1]
};

/// Leaves genes out: each is kept with the cell's own probability, in the order of their ranks. Position 0
/// (<cls>) stays, and so does the highest gene if all others went. *Deterministic*: what happens to cell c
/// depends on (key, c) alone. \throws UsageError as `validate`. Cost O(tokens).
inline CellTokens drop_genes(std::span<const std::int32_t> tokens, std::span<const std::int64_t> offsets,
                             const RandomKey& key, const GeneDropOptions& options = {}) {
  options.validate();
  CellTokens view;
  view.tokens.reserve(tokens.size());
  for (std::size_t cell = 0; cell + 1 < offsets.size(); ++cell) {
    Random random = key.child(cell).generator();
    const double kept = options.least_kept + (options.most_kept - options.least_kept) * random.uniform();
    const auto threshold = static_cast<std::uint64_t>(kept * 0x1p32);
    const std::size_t before = view.tokens.size();
    for (std::int64_t i = offsets[cell]; i < offsets[cell + 1]; ++i)
      if (i == offsets[cell] || random.bits() < threshold)
        view.tokens.push_back(tokens[static_cast<std::size_t>(i)]);
    if (view.tokens.size() == before + 1 && offsets[cell + 1] - offsets[cell] > 1)
      view.tokens.push_back(tokens[static_cast<std::size_t>(offsets[cell]) + 1]);
    view.offsets.push_back(static_cast<std::int64_t>(view.tokens.size()));
  }
  return view;
}

/// The loss and how often the own other view was the nearest one.
template <ops::Computed T>
struct ContrastiveLoss {
  autograd::Variable<T> loss;  ///< one number, mean over the cells
  double accuracy = 0;         ///< share of cells i with l_ii the largest of row i
};

/// *Shapes* a, b: [cells, width], rows of length 1. One cell alone has loss 0. \throws ShapeError; UsageError
/// STOFM-4570 unless temperature > 0. *Cost* 2 cells^2 width forward, twice that backward; [cells, cells] is
/// kept. *Deterministic* yes, for any number of threads.
template <ops::Computed T>
ContrastiveLoss<T> info_nce(const autograd::Variable<T>& a, const autograd::Variable<T>& b,
                            double temperature) {
  if (!(temperature > 0.0 && std::isfinite(temperature)))
    throw UsageError(
        {"STOFM-4570", "", "temperature", concat(temperature), "a number above 0", "The default is 0.05."});
  ops::detail::require_same_shape("info_nce", "a", a.value().view(), "b", b.value().view());
  const autograd::Variable<T> logits =
      autograd::scale(autograd::matmul(a, autograd::transpose(b, 0, 1)), static_cast<T>(1.0 / temperature));
  const std::int64_t cells = logits.shape()[0];
  std::vector<std::int64_t> own(static_cast<std::size_t>(cells));
  std::iota(own.begin(), own.end(), 0);
  ContrastiveLoss<T> result;
  result.loss =
      autograd::scale(autograd::add(autograd::cross_entropy<T>(logits, own),
                                    autograd::cross_entropy<T>(autograd::transpose(logits, 0, 1), own)),
                      T(0.5));
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < cells; ++i) {
    const T* row = logits.value().view().row(i);
    right += std::max_element(row, row + cells) - row == i;
  }
  result.accuracy = static_cast<double>(right) / static_cast<double>((std::max<std::int64_t>)(cells, 1));
  return result;
}

}  // namespace stofm::train

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Probabilities of classes smoothed in space: a cell takes the mean of its own and those of its nearest
/// cells, so that what is sure says more than what is not (a vote of labels, tasks/neighbour_vote.hpp, counts
/// both alike). Good for regions, which are wide; it blurs what is speckled.
///
///     q_i = (p_i + sum over the k nearest j of p_j) / (1 + k)

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "stofm/tasks/neighbour_means.hpp"

namespace stofm::tasks {

/// Nearest cells that a head may smooth over: memory of the search is this many numbers a cell.
inline constexpr std::int64_t most_smoothing = 1000;

/// `probabilities` [cells, classes] of one slice, smoothed over each of `counts` (ascending, >= 0) nearest
/// cells; 0 changes nothing. A row that begins with NaN has no say and stays as it is. Neighbours are those
/// of the same library; where it has fewer, each weighs more, k together. Means are taken in single
/// precision. \throws as neighbour_means. *Cost* O(N log N + N k classes), k the last count. *Deterministic*
/// yes, any thread count.
inline std::vector<Tensor<double>> smoothed_probabilities(const io::Slice& slice,
                                                          TensorView<const double> probabilities,
                                                          std::span<const std::int64_t> counts) {
  constexpr const char* op = "[smoothed_probabilities]";
  detail::require_rows(op, probabilities);
  const std::int64_t n = probabilities.dim(0), classes = probabilities.dim(1), width = classes + 1;
  Tensor<float> votes = Tensor<float>::zeros({n, width});  // the last column: has a say
  for (std::int64_t i = 0; i < n; ++i) {
    const double* row = probabilities.row(i);
    if (classes == 0 || std::isnan(row[0])) continue;
    float* out = votes.data() + i * width;
    for (std::int64_t c = 0; c < classes; ++c) out[c] = static_cast<float>(row[c]);
    out[classes] = 1;
  }
  std::vector<std::int64_t> asked;
  for (const std::int64_t k : counts)
    if (k != 0) asked.push_back(k);
  const Tensor<float> means =
      asked.empty() ? Tensor<float>({n, 0}) : neighbour_means(slice, std::as_const(votes).view(), asked);
  std::vector<Tensor<double>> result;
  std::size_t block = 0;
  for (const std::int64_t k : counts) {
    Tensor<double>& smooth = result.emplace_back(Shape{n, classes});
    const auto offset = static_cast<std::int64_t>(block) * width;
    block += k != 0 ? 1 : 0;
    const auto weight = static_cast<double>(k);
    for (std::int64_t i = 0; i < n; ++i) {
      const double* own = probabilities.row(i);
      double* out = smooth.data() + i * classes;
      std::copy_n(own, classes, out);
      if (k == 0 || classes == 0 || std::isnan(own[0])) continue;
      const float* near = means.data() + i * means.dim(1) + offset;
      const double votes_here = 1 + weight * static_cast<double>(near[classes]);
      for (std::int64_t c = 0; c < classes; ++c)
        out[c] = (own[c] + weight * static_cast<double>(near[c])) / votes_here;
    }
  }
  return result;
}

/// The same for one count.
inline Tensor<double> smoothed_probabilities(const io::Slice& slice, TensorView<const double> probabilities,
                                             std::int64_t count) {
  return std::move(smoothed_probabilities(slice, probabilities, std::array{count}).front());
}

}  // namespace stofm::tasks

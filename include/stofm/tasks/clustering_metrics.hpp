// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// How well clusters agree with classes, whatever their numbers: adjusted Rand index, normalised mutual
/// information, homogeneity, completeness, V. Definitions are those of scikit-learn.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "stofm/tasks/checks.hpp"
#include "stofm/tasks/classification_metrics.hpp"

namespace stofm::tasks {

/// Agreement of two labelings; 1 where they are the same up to numbering.
struct ClusteringScores {
  double adjusted_rand = 0;                  ///< 0 expected for random labels, may be negative
  double normalized_mutual_information = 0;  ///< divided by the mean of both entropies
  double homogeneity = 0;   ///< 1: every cluster has cells of one class; no classes to tell: 1
  double completeness = 0;  ///< 1: every class lies in one cluster; no clusters to tell: 1
  double v_measure = 0;     ///< harmonic mean of the two
};

namespace detail {
/// Counts of two labelings without the empty entries.
struct Contingency {
  std::vector<std::int64_t> rows, columns;  ///< cells per class, per cluster
  std::vector<std::int64_t> row, column, count;
};

inline Contingency contingency(std::span<const std::int32_t> truth, std::span<const std::int32_t> found) {
  const auto numbered = [](std::span<const std::int32_t> labels, std::vector<std::int64_t>& sizes) {
    std::vector<std::int32_t> names(labels.begin(), labels.end());
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    sizes.assign(names.size(), 0);
    std::vector<std::int64_t> numbers(labels.size());
    for (std::size_t i = 0; i < labels.size(); ++i) {
      numbers[i] = std::lower_bound(names.begin(), names.end(), labels[i]) - names.begin();
      ++sizes[static_cast<std::size_t>(numbers[i])];
    }
    return numbers;
  };
  Contingency table;
  const auto t = numbered(truth, table.rows), f = numbered(found, table.columns);
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> counts;
  for (std::size_t i = 0; i < t.size(); ++i) ++counts[{t[i], f[i]}];
  for (const auto& [place, count] : counts) {
    table.row.push_back(place.first);
    table.column.push_back(place.second);
    table.count.push_back(count);
  }
  return table;
}

inline double sum_of_squares(const std::vector<std::int64_t>& counts) {
  double sum = 0;
  for (const std::int64_t c : counts) sum += static_cast<double>(c) * static_cast<double>(c);
  return sum;
}

/// In nats.
inline double entropy(const std::vector<std::int64_t>& counts, double total) {
  double sum = 0;
  for (const std::int64_t c : counts) {
    const double share = static_cast<double>(c) / total;
    if (c > 0) sum -= share * std::log(share);
  }
  return counts.size() < 2 ? 0.0 : sum;
}
}  // namespace detail

namespace detail {
/// Of `n` cells.
inline ClusteringScores clustering_scores(const Contingency& table, double n) {
  ClusteringScores scores;

  // Ordered pairs of cells: together in both, in one only, in none. Counts are exact up to 2^53.
  const double together = sum_of_squares(table.count), in_truth = sum_of_squares(table.rows),
               in_found = sum_of_squares(table.columns);
  const double both = together - n, truth_only = in_truth - together, found_only = in_found - together,
               neither = n * n - in_truth - in_found + together;
  scores.adjusted_rand =
      truth_only == 0 && found_only == 0
          ? 1.0
          : 2.0 * (both * neither - truth_only * found_only) /
                ((both + truth_only) * (truth_only + neither) + (both + found_only) * (found_only + neither));

  double information = 0;
  for (std::size_t e = 0; e < table.count.size(); ++e) {
    const auto count = static_cast<double>(table.count[e]),
               row = static_cast<double>(table.rows[static_cast<std::size_t>(table.row[e])]),
               column = static_cast<double>(table.columns[static_cast<std::size_t>(table.column[e])]);
    information += count / n * (std::log(count / row) + std::log(n / column));
  }
  information = (std::max)(information, 0.0);
  const double of_truth = entropy(table.rows, n), of_found = entropy(table.columns, n);
  scores.homogeneity = of_truth > 0 ? information / of_truth : 1.0;
  scores.completeness = of_found > 0 ? information / of_found : 1.0;
  const double sum = scores.homogeneity + scores.completeness;
  scores.v_measure = sum > 0 ? 2.0 * scores.homogeneity * scores.completeness / sum : 0.0;
  // One class and one cluster agree; where only one side has more than one, nothing is shared.
  scores.normalized_mutual_information =
      of_truth + of_found > 0 ? information / (0.5 * (of_truth + of_found)) : 1.0;
  return scores;
}
}  // namespace detail

/// Agreement of clusters `found` with classes `truth` [N each]; labels are any numbers >= 0.
/// \throws ShapeError for other lengths (STOFM-4700), DataError for no cells (4701) or a negative label
/// (4702). *Cost* O(N log N). One class and one cluster: everything is 1. *Source* Hubert and Arabie (1985);
/// Rosenberg and Hirschberg (2007).
inline ClusteringScores clustering_scores(std::span<const std::int32_t> truth,
                                          std::span<const std::int32_t> found) {
  constexpr const char* op = "[clustering_scores]";
  detail::require_same_count(op, truth.size(), found.size(), "labels");
  detail::require_some(op, truth.size());
  detail::require_labels(op, truth);
  detail::require_labels(op, found);
  return detail::clustering_scores(detail::contingency(truth, found), static_cast<double>(truth.size()));
}

/// The same from counts, cells by class (rows) and cluster (columns), to the last bit. \throws DataError for
/// no cells (STOFM-4701). *Cost* O(classes^2)
inline ClusteringScores clustering_scores(const ConfusionMatrix& matrix) {
  detail::Contingency table;
  std::vector<std::int64_t> in_row(static_cast<std::size_t>(matrix.classes), 0), in_column(in_row);
  for (std::int64_t t = 0; t < matrix.classes; ++t)
    for (std::int64_t p = 0; p < matrix.classes; ++p) {
      in_row[static_cast<std::size_t>(t)] += matrix.at(t, p);
      in_column[static_cast<std::size_t>(p)] += matrix.at(t, p);
    }
  const auto numbered = [](const std::vector<std::int64_t>& counts, std::vector<std::int64_t>& sizes) {
    std::vector<std::int64_t> number(counts.size(), -1);
    for (std::size_t i = 0; i < counts.size(); ++i)
      if (counts[i] > 0) {
        number[i] = static_cast<std::int64_t>(sizes.size());
        sizes.push_back(counts[i]);
      }
    return number;
  };
  const auto row = numbered(in_row, table.rows), column = numbered(in_column, table.columns);
  std::int64_t cells = 0;
  for (std::int64_t t = 0; t < matrix.classes; ++t)
    for (std::int64_t p = 0; p < matrix.classes; ++p)
      if (const std::int64_t count = matrix.at(t, p); count > 0) {
        table.row.push_back(row[static_cast<std::size_t>(t)]);
        table.column.push_back(column[static_cast<std::size_t>(p)]);
        table.count.push_back(count);
        cells += count;
      }
  detail::require_some("[clustering_scores]", static_cast<std::size_t>(cells));
  return detail::clustering_scores(table, static_cast<double>(cells));
}

}  // namespace stofm::tasks

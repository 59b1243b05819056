// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Genes predicted from features of cells, as numbers alone: ridge regression or the mean of the most similar
/// cells, and how reliable each gene is: correlation on cells of the references that were not learnt from.

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "stofm/pipeline/progress.hpp"
#include "stofm/tasks/log_counts.hpp"
#include "stofm/tasks/neighbours.hpp"
#include "stofm/tasks/principal_components.hpp"
#include "stofm/tasks/regression_metrics.hpp"
#include "stofm/tasks/ridge_regression.hpp"

namespace stofm::tasks {

enum class ImputeMethod {
  ridge,  ///< linear in the features
  knn     ///< mean of the most similar cells: cosine of principal components of the features
};

struct GeneImputationOptions {
  ImputeMethod method = ImputeMethod::ridge;
  /// Of the mean loss on standardised features; the best on the held-out cells is taken, for all genes one.
  std::vector<double> penalties{0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0};
  std::int64_t max_genes = 2000;  ///< of more, those that are told best are predicted
  double told_from = 0.2;         ///< correlation from which a gene counts as told
  std::int64_t neighbours = 50;   ///< of knn (SpaGE's number)
  std::int64_t components = 30;   ///< of knn
};

/// What a cell of a reference is used for.
enum class ReferenceCell : std::uint8_t { learn, held_out, unused };

/// A reference as numbers. What it shows must live as long.
struct ImputationSource {
  TensorView<const float> features;      ///< [cells, F]
  const SparseRows* targets = nullptr;   ///< [cells, T] log-normalised
  std::span<const ReferenceCell> cells;  ///< [cells]
  std::span<const std::uint8_t> has;     ///< [T] whether the reference measured the gene
};

/// How well a gene is told.
struct ImputedGene {
  std::int32_t target = 0;
  /// On held-out cells: mean over references, weighed by their cells. NaN: constant there, or none held out.
  double pearson = 0, spearman = 0;
  std::int64_t expressed = 0;  ///< cells of the references that have a count
  bool told = false;           ///< pearson reaches told_from
};

struct GeneImputation {
  std::vector<ImputedGene> genes;  ///< that were predicted, by target
  Tensor<float> values;            ///< [cells, genes], >= 0
  double penalty = 0;              ///< chosen for most genes; 0: knn
  std::int64_t learnt_cells = 0, held_out_cells = 0;
  std::int64_t left_out = 0;  ///< genes beyond max_genes
};

namespace detail {

/// Targets that the same references have, and these references.
struct TargetGroup {
  std::vector<std::int32_t> targets;
  std::vector<std::size_t> sources;
};
inline std::vector<TargetGroup> target_groups(std::span<const ImputationSource> sources,
                                              std::int64_t targets) {
  std::map<std::vector<std::size_t>, std::vector<std::int32_t>> by_sources;
  for (std::int64_t t = 0; t < targets; ++t) {
    std::vector<std::size_t> having;
    for (std::size_t s = 0; s < sources.size(); ++s)
      if (sources[s].has[static_cast<std::size_t>(t)]) having.push_back(s);
    if (!having.empty()) by_sources[having].push_back(static_cast<std::int32_t>(t));
  }
  std::vector<TargetGroup> groups;
  for (auto& [having, listed] : by_sources) groups.push_back({std::move(listed), having});
  return groups;
}

inline std::vector<std::int64_t> cells_for(const ImputationSource& source, ReferenceCell use) {
  std::vector<std::int64_t> listed;
  for (std::size_t i = 0; i < source.cells.size(); ++i)
    if (source.cells[i] == use) listed.push_back(static_cast<std::int64_t>(i));
  return listed;
}

/// Some columns of sparse rows, numbered in the order of `columns`.
inline SparseRows sparse_columns(const SparseRows& rows, std::span<const std::int32_t> columns) {
  std::vector<std::int32_t> number(static_cast<std::size_t>(rows.width), -1);
  for (std::size_t c = 0; c < columns.size(); ++c)
    number[static_cast<std::size_t>(columns[c])] = static_cast<std::int32_t>(c);
  SparseRows result;
  result.width = static_cast<std::int64_t>(columns.size());
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows.rows()); ++i) {
    for (auto e = static_cast<std::size_t>(rows.offsets[i]);
         e < static_cast<std::size_t>(rows.offsets[i + 1]); ++e) {
      const std::int32_t to = number[static_cast<std::size_t>(rows.columns[e])];
      if (to < 0) continue;
      result.columns.push_back(to);
      result.values.push_back(rows.values[e]);
    }
    result.offsets.push_back(static_cast<std::int64_t>(result.columns.size()));
  }
  return result;
}

/// Dense columns of chosen rows: [targets, rows], so that a gene is one run.
inline std::vector<double> truth_by_target(const SparseRows& rows, std::span<const std::int64_t> listed) {
  std::vector<double> truth(static_cast<std::size_t>(
      checked_mul(rows.width, static_cast<std::int64_t>(listed.size()), "held-out genes")));
  for (std::size_t r = 0; r < listed.size(); ++r) {
    const auto i = static_cast<std::size_t>(listed[r]);
    for (auto e = static_cast<std::size_t>(rows.offsets[i]);
         e < static_cast<std::size_t>(rows.offsets[i + 1]); ++e)
      truth[static_cast<std::size_t>(rows.columns[e]) * listed.size() + r] =
          static_cast<double>(rows.values[e]);
  }
  return truth;
}

inline Tensor<float> listed_rows(TensorView<const float> rows, std::span<const std::int64_t> listed) {
  Tensor<float> result({static_cast<std::int64_t>(listed.size()), rows.dim(1)});
  for (std::size_t i = 0; i < listed.size(); ++i)
    std::copy_n(rows.row(listed[i]), rows.dim(1), result.data() + static_cast<std::int64_t>(i) * rows.dim(1));
  return result;
}

/// No expression is below none.
inline void clip_below_zero(Tensor<float>& values) {
  float* at = values.data();
  parallel_for(values.numel(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t e = begin; e < end; ++e) at[e] = (std::max)(at[e], 0.0F);
  });
}

/// Correlations of predictions [held-out cells, columns] of one reference, weighed by its cells, to the
/// genes.
class CorrelationMeans {
 public:
  explicit CorrelationMeans(std::size_t genes) : pearson_(genes), spearman_(genes) {}
  void add(const SparseRows& targets, std::span<const std::int64_t> listed, const Tensor<float>& predicted) {
    const auto n = listed.size();
    if (n < 3) return;
    constexpr std::int64_t step = 256;  // columns at once
    for (std::int64_t first = 0; first < predicted.dim(1); first += step) {
      const std::int64_t last = (std::min)(predicted.dim(1), first + step);
      std::vector<std::int32_t> columns(static_cast<std::size_t>(last - first));
      std::iota(columns.begin(), columns.end(), static_cast<std::int32_t>(first));
      const std::vector<double> truth = truth_by_target(sparse_columns(targets, columns), listed);
      parallel_for(last - first, 1, [&](std::int64_t begin, std::int64_t end) {
        std::vector<double> column(n);
        for (std::int64_t g = begin; g < end; ++g) {
          for (std::size_t i = 0; i < n; ++i)
            column[i] = static_cast<double>(
                predicted.data()[static_cast<std::int64_t>(i) * predicted.dim(1) + first + g]);
          const std::span<const double> own(truth.data() + static_cast<std::size_t>(g) * n, n);
          add_to(pearson_[static_cast<std::size_t>(first + g)], pearson(own, column), n);
          add_to(spearman_[static_cast<std::size_t>(first + g)], spearman(own, column), n);
        }
      });
    }
  }
  double pearson_of(std::size_t gene) const { return mean(pearson_[gene]); }
  double spearman_of(std::size_t gene) const { return mean(spearman_[gene]); }

 private:
  struct Sum {
    double value = 0, weight = 0;
  };
  static void add_to(Sum& sum, double value, std::size_t cells) {
    if (std::isnan(value)) return;
    sum.value += value * static_cast<double>(cells);
    sum.weight += static_cast<double>(cells);
  }
  static double mean(const Sum& sum) {
    return sum.weight > 0 ? sum.value / sum.weight : std::numeric_limits<double>::quiet_NaN();
  }
  std::vector<Sum> pearson_, spearman_;
};

}  // namespace detail

}  // namespace stofm::tasks

// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// What `stofm evaluate` reads, computes and shows.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "stofm/core/tensor.hpp"
#include "stofm/tasks/block_bootstrap.hpp"
#include "tasks/task_report.hpp"

namespace stofm::program {

/// One slice: a file, or one library of it.
struct EvaluateSlice {
  std::string name, path;
  std::int64_t cells = 0;
  std::vector<std::int32_t> truth, predicted;  ///< [cells] code of EvaluateInput::classes, -1: none
  Tensor<double> xy;                           ///< [cells, 2]; empty: no positions
  Tensor<float> embedding;                     ///< [cells, width]; empty: not asked for
  /// [cells, types of EvaluateInput::types], rows that sum to 1 or NaN throughout
  Tensor<double> true_shares, predicted_shares;
  std::vector<std::int32_t> squares;  ///< [cells] of the bootstrap; empty without positions
};

struct EvaluateInput {
  std::vector<EvaluateSlice> slices;
  std::vector<std::string> classes;  ///< those of the truth first
  std::vector<std::string> colours;  ///< "#rrggbb" or "" of each class
  std::int64_t true_classes = 0;     ///< leading classes that occur in the truth
  bool same_names = false;           ///< a predicted class has the name of a true one: F1 has a meaning
  std::vector<std::string> types;    ///< of the proportions
  std::vector<std::string> one_sided_types;
  std::int64_t cells = 0;
  std::vector<std::string> words;  ///< on what was left out
};

/// One number with its interval.
struct EvaluateFigure {
  std::string key, label;
  double value = 0;
  tasks::ScoreInterval interval{};
};

/// What comes out: figures for the terminal, the rest for report and JSON.
struct EvaluateResult {
  std::vector<EvaluateFigure> figures;
  std::vector<TaskReportTable> tables;
  std::vector<std::string> words;  ///< lines for the terminal before and after the figures
  nlohmann::json summary = nlohmann::json::object();
  TaskReport report;
};

/// Files, columns and matrices as the command line names them. \throws Error
EvaluateInput read_evaluate_input(const EvaluateArguments& a);

/// Labels against labels. \throws DataError STOFM-4780 no cell has both labels
void evaluate_labels(const EvaluateArguments& a, const EvaluateInput& input, EvaluateResult& result);

/// Silhouette of labels in --embedding.
void evaluate_embedding(const EvaluateArguments& a, const EvaluateInput& input, EvaluateResult& result);

/// Proportions against proportions. \throws DataError STOFM-4781 no type or no spot on both sides
void evaluate_proportions(const EvaluateArguments& a, const EvaluateInput& input, EvaluateResult& result);

/// Blocks of each slice, numbered through, for those cells that `use` says; empty where a slice has no
/// positions.
struct EvaluateBlocks {
  std::vector<std::int64_t> of_slice;             ///< blocks of each slice
  std::vector<std::vector<std::int64_t>> number;  ///< by slice: [cells] block, -1: not used
};
template <class Use>
EvaluateBlocks evaluate_blocks(const EvaluateInput& input, const Use& use) {
  EvaluateBlocks blocks;
  std::int64_t next = 0;
  for (const EvaluateSlice& slice : input.slices) {
    if (slice.squares.empty()) return {};
    std::vector<std::int64_t> name;  // of each square
    auto& number = blocks.number.emplace_back(static_cast<std::size_t>(slice.cells), -1);
    const std::int64_t first = next;
    for (std::int64_t i = 0; i < slice.cells; ++i) {
      if (!use(slice, i)) continue;
      const auto square = static_cast<std::size_t>(slice.squares[static_cast<std::size_t>(i)]);
      if (square >= name.size()) name.resize(square + 1, -1);
      if (name[square] < 0) name[square] = next++;
      number[static_cast<std::size_t>(i)] = name[square];
    }
    blocks.of_slice.push_back(next - first);
  }
  return blocks;
}

/// null for NaN.
nlohmann::json number_json(double value);
/// "0.912", "nan" as "-".
std::string figure_text(double value);

}  // namespace stofm::program
